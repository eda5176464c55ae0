"""What the engine tells whoever watches: values, sent as they happen. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from batchmark.domain.totals import Totals
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord

__all__ = [
    "BatchSeen",
    "Event",
    "JobEnded",
    "JobStaged",
    "Listener",
    "ShardClosed",
    "Staging",
    "Submitted",
    "Trouble",
    "Uploading",
]


@dataclass(frozen=True, slots=True)
class Staging:
    """So many rows of the workload have been read and encoded."""

    rows: int


@dataclass(frozen=True, slots=True)
class JobStaged:
    """The job's shard files are ready to be sent."""

    job: JobRecord
    shards: int


@dataclass(frozen=True, slots=True)
class Uploading:
    """A shard is on its way to the provider."""

    job: JobRecord
    shard: ShardRecord


@dataclass(frozen=True, slots=True)
class Submitted:
    """The provider has made a batch of the shard."""

    job: JobRecord
    shard: ShardRecord
    batch_id: str


@dataclass(frozen=True, slots=True)
class BatchSeen:
    """A poll saw the batch in this state."""

    job: JobRecord
    batch: BatchRecord


@dataclass(frozen=True, slots=True)
class ShardClosed:
    """The answers of a shard attempt are durable here, in the file `answers`; the rows that are asked again are in `following`."""

    job: JobRecord
    shard: ShardRecord
    totals: Totals
    answers: Path
    following: ShardRecord | None


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The job's answers are durable here, or `job.problem` says why there are none."""

    job: JobRecord
    totals: Totals | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong that is being dealt with."""

    job: JobRecord | None
    message: str


Event: TypeAlias = Staging | JobStaged | Uploading | Submitted | BatchSeen | ShardClosed | JobEnded | Trouble
Listener: TypeAlias = Callable[[Event], None]
