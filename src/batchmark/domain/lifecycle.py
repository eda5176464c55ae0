"""The life of a batch: our closed set of states, and what one poll saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

__all__ = ["TERMINAL", "BatchRef", "Counts", "FileRef", "Intent", "ModelInfo", "RawFile", "Snapshot", "State"]


class State(StrEnum):
    """Where a batch stands. `succeeded` says the provider finished; what happened to each request is read from the lines."""

    QUEUED = "queued"
    RUNNING = "running"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        """No way out of this state. `unknown` is not terminal: an unknown word is polled on."""
        return self in TERMINAL


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.EXPIRED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class BatchRef:
    """The durable address of a provider's batch."""

    provider: str
    id: str


@dataclass(frozen=True, slots=True)
class FileRef:
    """The durable address of a file at a provider."""

    provider: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests of a batch by fate, as far as the provider tells; None where it does not. For progress only, never for totals."""

    total: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    processing: int | None = None

    @property
    def done(self) -> int | None:
        """Requests that have ended, where the provider says."""
        if self.total is not None and self.processing is not None:
            return self.total - self.processing
        if self.succeeded is None and self.failed is None:
            return None
        return (self.succeeded or 0) + (self.failed or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one poll saw of a batch. Times are aware UTC on the provider's clock; None where it does not say.

    `started_at`: the provider says work has begun. `ended_at`: no request will change any more. `label` is our mark where the API
    has a place for one. `files` are ids or URLs of results, `problems` the provider's own words on why the batch failed. `queue_full`: it
    failed because the account's queue had no room for it; nothing ran, and the same file may be sent again later.
    """

    ref: BatchRef
    state: State
    raw_status: str
    created_at: datetime | None = None
    started_at: datetime | None = None
    finalizing_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    cancelling_at: datetime | None = None
    counts: Counts = field(default_factory=Counts)
    model: str | None = None
    label: str | None = None
    endpoint: str | None = None
    input_file: FileRef | None = None
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    queue_full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What we are about to create, written down before the first byte leaves. `sent_at` is on the provider's clock."""

    label: str
    rows: int
    sent_at: datetime
    timeout_s: float
    file: FileRef | None = None


@dataclass(frozen=True, slots=True)
class RawFile:
    """Results as they came, kept verbatim. `lines`: one JSON object a line. `operation`: one JSON document with the answers inside."""

    path: Path
    kind: Literal["lines", "operation"] = "lines"
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model that a provider lists. `batch` is None where nothing says whether it can be batched."""

    id: str
    batch: bool | None
    note: str | None = None
