"""Anthropic's bytes: request objects, answer lines, batch objects. Pure.

Sources: anthropic-python types (API version 2026-10-21), recorded traffic of August 2026. Requests and answers are read and written next
door. Facts that shape this file: a batch has no label, so ours stands in every custom_id; `ended` covers every ending.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from batchmark.domain.lifecycle import BatchRef, Counts, Intent, RawFile, Snapshot, State
from batchmark.domain.limits import Frame
from batchmark.providers.anthropic.answers import decode, wire_id_of
from batchmark.providers.anthropic.requests import DEFAULT_MAX_TOKENS, encode, endpoint, relabel
from batchmark.providers.lines import iter_lines

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "FRAME",
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

# A row a line, like the other providers' files, so that single rows can be taken out again.
FRAME = Frame(prefix=b'{"requests":[\n', separator=b",\n", suffix=b"\n]}")
_OLDER_STATES = {
    "completed": State.SUCCEEDED,
    "cancelled": State.CANCELLED,
    "failed": State.FAILED,
    "expired": State.EXPIRED,
}
# How far the provider's created_at may lie from the clock that was read just before the create.
_CLOCK_SLACK = timedelta(seconds=5)


def split(raw: RawFile) -> Iterator[bytes]:
    """The lines of a results file."""
    return iter_lines(raw.path)


class _Counts(msgspec.Struct, frozen=True):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(msgspec.Struct, frozen=True):
    id: str
    processing_status: str = ""
    request_counts: _Counts | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_initiated_at: datetime | None = None
    results_url: str | None = None


class _Page(msgspec.Struct, frozen=True):
    data: list[_Batch]
    has_more: bool = False
    last_id: str | None = None


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_page = msgspec.json.Decoder(_Page).decode


def state(raw: str, *, expired: int = 0, canceled: int = 0, cancel_asked: bool = False) -> State:
    """Anthropic's word in our closed set. `ended` says only that it is over: the counts tell how.

    Words of older versions map too, so that stored answers can be read again.
    """
    word = raw.lower()
    if word == "in_progress":
        return State.RUNNING
    if word in ("canceling", "cancelling"):
        return State.CANCELLING
    if word == "ended":
        if expired > 0:
            return State.EXPIRED
        return State.CANCELLED if cancel_asked and canceled > 0 else State.SUCCEEDED
    return _OLDER_STATES.get(word, State.UNKNOWN)


def snapshot(body: bytes) -> Snapshot:
    """A batch object as one poll saw it. Raises ValueError where it is none."""
    return _snapshot(_decode_batch(body))


def page(body: bytes) -> tuple[list[Snapshot], str | None]:
    """One page of the list of batches, and the id to ask for more after, or None at the end."""
    got = _decode_page(body)
    more = got.last_id or (got.data[-1].id if got.data else None)
    return [_snapshot(batch) for batch in got.data], (more if got.has_more else None)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _snapshot(batch: _Batch) -> Snapshot:
    counts = batch.request_counts or _Counts()
    total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    asked = batch.cancel_initiated_at is not None
    where = state(batch.processing_status, expired=counts.expired, canceled=counts.canceled, cancel_asked=asked)
    return Snapshot(
        ref=BatchRef("anthropic", batch.id),
        state=where,
        raw_status=batch.processing_status,
        created_at=_utc(batch.created_at),
        ended_at=_utc(batch.ended_at),
        expires_at=_utc(batch.expires_at),
        cancelling_at=_utc(batch.cancel_initiated_at),
        # all but `processing` stay 0 until the very end, so nothing but the total is known before
        counts=Counts(total=total, succeeded=counts.succeeded, failed=total - counts.succeeded, processing=0)
        if where.terminal
        else Counts(total=total, processing=counts.processing),
        files=(batch.results_url,) if batch.results_url else (),
    )


def matches(intent: Intent, snapshot: Snapshot) -> bool:
    """There is no label: a candidate has the right number of requests and was made while our call was under way."""
    if snapshot.created_at is None or snapshot.counts.total != intent.rows:
        return False
    earliest = intent.sent_at - _CLOCK_SLACK
    return earliest <= snapshot.created_at <= intent.sent_at + timedelta(seconds=intent.timeout_s) + _CLOCK_SLACK
