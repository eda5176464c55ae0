"""Rows of the ledger as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "CANCELLED_UNSENT",
    "BatchRecord",
    "EventRecord",
    "JobRecord",
    "RunLine",
    "RunRecord",
    "ShardRecord",
]

# The problem of a shard whose job was cancelled before the shard was sent.
CANCELLED_UNSENT = "cancelled before it was sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What one command set going. Times are ours."""

    id: str
    kind: str
    source: str
    emulated: bool
    created_at: datetime
    digest: str | None = None
    ended_at: datetime | None = None
    input: dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One workload on one target. Times are ours; `ended_at` is when the last answer was durable here."""

    id: str
    run_id: str
    provider: str
    model: str
    round: int
    rows: int
    folder: str
    emulated: bool
    created_at: datetime
    ended_at: datetime | None = None
    problem: str | None = None
    totals: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """One attempt at a slice of a job, with the intent to create its batch."""

    id: int
    job_id: str
    number: int
    attempt: int
    label: str
    endpoint: str
    rows: int
    bytes: int
    digest: str
    state: str
    file_id: str | None = None
    sent_at: datetime | None = None
    timeout_s: float | None = None
    owner: str | None = None
    fence: int = 0
    batch_id: str | None = None
    collected_at: datetime | None = None
    raw: list[dict[str, Any]] | None = None
    problem: str | None = None
    sends: int = 0
    account: str | None = None
    uploaded_at: datetime | None = None
    file_deleted_at: datetime | None = None
    carried_digest: str | None = None
    estimate: dict[str, Any] | None = None
    answers: dict[str, Any] | None = None
    totals: dict[str, Any] | None = None
    handed_on: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """A provider's batch as the last poll saw it; `seen_at` and `unseen_s` are ours, the other times the provider's."""

    provider: str
    id: str
    emulated: bool
    shard_id: int
    state: str
    raw_status: str
    standing: str = "confirmed"
    created_at: datetime | None = None
    started_at: datetime | None = None
    finalizing_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    total: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    processing: int | None = None
    problems: list[str] = field(default_factory=list)
    seen_at: datetime | None = None
    unseen_s: float | None = None
    cancel_asked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """A fact with a time on our clock, append-only."""

    id: int
    at: datetime
    job_id: str | None
    shard_id: int | None
    kind: str
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run in a list: what it is and how far. `provider` and `model` are those of one of its jobs. Shards are counted by attempt."""

    id: str
    kind: str
    source: str
    emulated: bool
    created_at: datetime
    ended_at: datetime | None
    output: str | None
    jobs: int
    rows: int
    provider: str
    model: str
    jobs_ended: int
    shards: int
    shards_closed: int
    in_doubt: int
