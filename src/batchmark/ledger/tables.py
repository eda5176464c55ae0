"""The schema, to be read in one sitting. No table has a record per row: rows live in shard files and raw result files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

__all__ = ["batches", "events", "jobs", "metadata", "runs", "shards"]

metadata = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC, on databases with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# None is NULL, so that SQL can ask whether there is something.
_JSON = JSON(none_as_null=True)

# What one command set going.
runs = Table(
    "runs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("kind", String(16), nullable=False),  # create | compare | run | warm-up
    Column("source", Text, nullable=False),  # the workload as the user named it
    Column("digest", String(64)),  # SHA-256 of its rows
    Column("emulated", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("input", _JSON),  # the file as it was when its rows were read: path, size, time of its last change
    Column("options", _JSON),  # how the run is to be driven: attempts, what to do when stuck, the most it may cost, …
    Column("output", Text),  # where the user wants the answers
    Index("runs_by_time", "created_at"),
)

# One workload, or one repeat of it, on one target.
jobs = Table(
    "jobs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False, index=True),
    Column("provider", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    Column("round", Integer, nullable=False),  # from 1
    Column("rows", Integer, nullable=False),
    Column("folder", Text, nullable=False),  # below the home folder: shard files, raw results, answers
    Column("emulated", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),  # the last answer is durable here
    Column("problem", Text),  # why it ended without answers
    Column("totals", _JSON),  # domain totals of the merged answers
    Index("jobs_by_time", "provider", "created_at"),
)

# One attempt at a slice of a job. The intent is the part from label to timeout_s; it is committed before the create call.
# An attempt after the first holds the rows of the one before that had no usable answer, in the same order.
shards = Table(
    "shards",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
    Column("number", Integer, nullable=False),  # from 0
    Column("attempt", Integer, nullable=False),  # from 1
    Column("label", String(64), nullable=False, unique=True),
    Column("endpoint", String(128), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the shard file
    Column("state", String(16), nullable=False),  # staged | uploaded | intended | submitted | collected | failed
    Column("file_id", String(256)),  # the uploaded input
    Column("sent_at", UtcTime),  # on the provider's clock
    Column("timeout_s", Float),
    Column("owner", String(128)),  # who may act on the shard
    Column("fence", Integer, nullable=False, default=0),  # rises with every change of owner
    Column("batch_id", String(256)),
    Column("collected_at", UtcTime),
    Column("raw", _JSON),  # the raw result files, once they are durable: path, SHA-256
    Column("problem", Text),
    Column("sends", Integer, nullable=False, default=0),  # batches that the provider's full queue turned away
    Column("account", String(64)),  # a salted fingerprint of the account that the file and the batch are on
    Column("uploaded_at", UtcTime),  # the provider's clock
    Column("file_deleted_at", UtcTime),  # our clock: the uploaded input is gone again
    Column("carried_digest", String(64)),  # SHA-256 of the file of custom_ids and columns
    Column("estimate", _JSON),  # tokens and cost, before anything was sent
    Column("answers", _JSON),  # the file of this attempt's answers, once it is durable: path, SHA-256
    Column("totals", _JSON),  # what this attempt's answers add up to
    Column("handed_on", _JSON),  # the part of them that the next attempt was made for
    UniqueConstraint("job_id", "number", "attempt"),
)

# A provider's batch as the last poll saw it. Times are on the provider's clock unless they say otherwise.
batches = Table(
    "batches",
    metadata,
    Column("provider", String(64), primary_key=True),
    Column("id", String(256), primary_key=True),
    Column("emulated", Boolean, primary_key=True),
    Column("shard_id", ForeignKey("shards.id"), nullable=False, index=True),
    # confirmed | unconfirmed (adopted without proof) | released (not ours) | turned-away (the provider's queue was full)
    # | gone (the provider denies it, and the user has given it up)
    Column("standing", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("raw_status", String(64), nullable=False),
    Column("created_at", UtcTime),
    Column("started_at", UtcTime),
    Column("finalizing_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("total", Integer),
    Column("succeeded", Integer),
    Column("failed", Integer),
    Column("processing", Integer),
    Column("problems", _JSON),
    Column("seen_at", UtcTime),  # our clock, at the last change
    Column("unseen_s", Float),  # how long before `seen_at` the poll before was
    Column("cancel_asked_at", UtcTime),  # our clock: when we asked the provider to stop it
)

# Facts with a time, append-only.
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("job_id", String(16), index=True),
    Column("shard_id", Integer),
    Column("kind", String(32), nullable=False),
    Column("detail", Text),
)
