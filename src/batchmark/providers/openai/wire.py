"""OpenAI's bytes: request lines, answer lines, batch objects. Pure.

Sources: openai-openapi 2.3.0, openai-python types, recorded traffic of August 2026. Requests and answers are read and written next door.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from batchmark.domain.lifecycle import BatchRef, Counts, FileRef, Intent, RawFile, Snapshot, State
from batchmark.domain.limits import Frame
from batchmark.providers.lines import iter_lines
from batchmark.providers.openai.answers import decode, wire_id_of
from batchmark.providers.openai.requests import ENDPOINTS, encode, endpoint, relabel

__all__ = [
    "ENDPOINTS",
    "FRAME",
    "LABEL_KEY",
    "STATES",
    "decode",
    "encode",
    "endpoint",
    "matches",
    "page",
    "relabel",
    "snapshot",
    "split",
    "state",
    "wire_id_of",
]

FRAME = Frame()
LABEL_KEY = "batchmark_label"
STATES = {
    "validating": State.QUEUED,
    "in_progress": State.RUNNING,
    "finalizing": State.FINALIZING,
    "completed": State.SUCCEEDED,
    "failed": State.FAILED,
    "expired": State.EXPIRED,
    "cancelling": State.CANCELLING,
    "cancelled": State.CANCELLED,
}


def split(raw: RawFile) -> Iterator[bytes]:
    """The lines of an output or error file."""
    return iter_lines(raw.path)


class _Counts(msgspec.Struct, frozen=True):
    total: int | None = None
    completed: int | None = None
    failed: int | None = None


class _Problem(msgspec.Struct, frozen=True):
    code: str | None = None
    message: str | None = None
    line: int | None = None


class _Problems(msgspec.Struct, frozen=True):
    data: list[_Problem] | None = None


class _Batch(msgspec.Struct, frozen=True):
    id: str
    status: str = ""
    endpoint: str | None = None
    model: str | None = None
    errors: _Problems | None = None
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int | None = None
    in_progress_at: int | None = None
    expires_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: _Counts | None = None
    metadata: dict[str, Any] | None = None


class _Page(msgspec.Struct, frozen=True):
    data: list[_Batch]
    has_more: bool = False


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_page = msgspec.json.Decoder(_Page).decode


def state(raw: str) -> State:
    """OpenAI's word in our closed set; look-alikes write it in capitals."""
    return STATES.get(raw.lower(), State.UNKNOWN)


def snapshot(body: bytes) -> Snapshot:
    """A batch object as one poll saw it. Raises ValueError where it is none."""
    return _snapshot(_decode_batch(body))


def page(body: bytes) -> tuple[list[Snapshot], str | None]:
    """One page of the list of batches, and the id to ask for more after, or None at the end."""
    got = _decode_page(body)
    return [_snapshot(batch) for batch in got.data], (got.data[-1].id if got.has_more and got.data else None)


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _snapshot(batch: _Batch) -> Snapshot:
    counts = batch.request_counts or _Counts()
    ended = batch.completed_at or batch.failed_at or batch.expired_at or batch.cancelled_at
    label = (batch.metadata or {}).get(LABEL_KEY)
    return Snapshot(
        ref=BatchRef("openai", batch.id),
        state=state(batch.status),
        raw_status=batch.status,
        created_at=_time(batch.created_at),
        started_at=_time(batch.in_progress_at),
        finalizing_at=_time(batch.finalizing_at),
        ended_at=_time(ended),
        expires_at=_time(batch.expires_at),
        cancelling_at=_time(batch.cancelling_at),
        # total is 0 until validation is over, which says nothing about the batch
        counts=Counts(total=counts.total or None, succeeded=counts.completed, failed=counts.failed),
        model=batch.model,
        label=label if isinstance(label, str) else None,
        endpoint=batch.endpoint,
        input_file=FileRef("openai", batch.input_file_id) if batch.input_file_id else None,
        files=tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
        queue_full=any(
            each.code == "token_limit_exceeded" for each in (batch.errors.data if batch.errors else None) or ()
        ),
        problems=tuple(_problem(each) for each in (batch.errors.data if batch.errors and batch.errors.data else ())),
    )


def _problem(problem: _Problem) -> str:
    where = f" (line {problem.line} of the shard)" if problem.line is not None else ""
    return f"{problem.code or 'error'}{where}: {(problem.message or 'no reason given').rstrip('.')}"


def matches(intent: Intent, snapshot: Snapshot) -> bool:
    """The label in the metadata is proof."""
    return snapshot.label == intent.label
