"""Gemini's bytes: request lines, answer lines, operations. Pure.

Sources: google-genai 3.4 converters, the Batch API reference, recorded traffic of August 2026. Requests and answers are read and written
next door. Facts that shape this file: int64 are strings and zeros are absent; the output stands in `metadata.output` and in `response`;
inline output is nested twice; states are BATCH_STATE_* on the wire and JOB_STATE_* in the SDK and on Vertex AI.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from batchmark.domain.lifecycle import BatchRef, Counts, FileRef, Intent, RawFile, Snapshot, State
from batchmark.domain.limits import Frame
from batchmark.providers.google.answers import Status, decode, number, wire_id_of
from batchmark.providers.google.requests import EMBED, GENERATE, encode, endpoint, inline_item, relabel
from batchmark.providers.lines import iter_lines

__all__ = [
    "EMBED",
    "FRAME",
    "GENERATE",
    "decode",
    "encode",
    "endpoint",
    "inline_item",
    "matches",
    "page",
    "relabel",
    "snapshot",
    "split",
    "state",
    "wire_id_of",
]

FRAME = Frame()
_STATES = {
    "PENDING": State.QUEUED,
    "QUEUED": State.QUEUED,
    "RUNNING": State.RUNNING,
    "UPDATING": State.RUNNING,
    "PAUSED": State.RUNNING,
    "CANCELLING": State.CANCELLING,
    "SUCCEEDED": State.SUCCEEDED,
    "PARTIALLY_SUCCEEDED": State.SUCCEEDED,
    "FAILED": State.FAILED,
    "CANCELLED": State.CANCELLED,
    "EXPIRED": State.EXPIRED,
}


class _InlineList(msgspec.Struct, frozen=True, rename="camel"):
    inlined_responses: list[msgspec.Raw] | None = None


class _Output(msgspec.Struct, frozen=True, rename="camel"):
    responses_file: str | None = None
    inlined_responses: _InlineList | None = None
    inlined_embed_content_responses: _InlineList | None = None


class _Holder(msgspec.Struct, frozen=True):
    output: _Output | None = None


class _Answered(msgspec.Struct, frozen=True):
    metadata: _Holder | None = None
    response: _Output | None = None


_decode_answered = msgspec.json.Decoder(_Answered).decode


def split(raw: RawFile) -> Iterator[bytes]:
    """The answers of an output file, or those inside an operation that was kept whole."""
    if raw.kind == "lines":
        yield from iter_lines(raw.path)
        return
    operation = _decode_answered(raw.path.read_bytes())
    output = (operation.metadata and operation.metadata.output) or operation.response or _Output()
    answers = output.inlined_responses or output.inlined_embed_content_responses or _InlineList()
    for item in answers.inlined_responses or ():
        # the service prints its JSON over many lines, and an answer must be one
        yield msgspec.json.format(bytes(item), indent=-1)


class _Stats(msgspec.Struct, frozen=True, rename="camel"):
    request_count: int | str | None = None
    successful_request_count: int | str | None = None
    failed_request_count: int | str | None = None
    pending_request_count: int | str | None = None


class _Input(msgspec.Struct, frozen=True, rename="camel"):
    file_name: str | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str | None = None
    model: str | None = None
    display_name: str | None = None
    create_time: str | None = None
    end_time: str | None = None
    state: str = "BATCH_STATE_UNSPECIFIED"
    batch_stats: _Stats | None = None
    output: _Output | None = None
    input_config: _Input | None = None


class _Operation(msgspec.Struct, frozen=True):
    name: str
    metadata: _Metadata | None = None
    done: bool = False
    response: _Output | None = None
    error: Status | None = None


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    operations: list[_Operation] | None = None
    next_page_token: str | None = None


_decode_operation = msgspec.json.Decoder(_Operation).decode
_decode_page = msgspec.json.Decoder(_Page).decode


def state(raw: str) -> State:
    """Google's word in our closed set, whichever of its prefixes it carries."""
    return _STATES.get(raw.upper().removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_"), State.UNKNOWN)


def snapshot(body: bytes) -> Snapshot:
    """An operation as one poll saw it. Raises ValueError where it is none."""
    return _snapshot(_decode_operation(body))


def page(body: bytes) -> tuple[list[Snapshot], str | None]:
    """One page of the list of batches and the token for the next, or None at the end. An empty list is `{}`."""
    got = _decode_page(body)
    return [_snapshot(each) for each in got.operations or ()], got.next_page_token or None


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)  # nanoseconds are cut to microseconds
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _snapshot(operation: _Operation) -> Snapshot:
    facts = operation.metadata or _Metadata()
    stats = facts.batch_stats or _Stats()
    output = facts.output or operation.response
    total = None if stats.request_count is None else number(stats.request_count)
    files: tuple[str, ...] = ()
    if output is not None and output.responses_file:
        files = (output.responses_file,)
    where = state(facts.state)
    if where is State.UNKNOWN and operation.done:
        where = State.FAILED if operation.error else State.SUCCEEDED
    problems = (
        (f"{operation.error.status or operation.error.code}: {operation.error.message}",) if operation.error else ()
    )
    return Snapshot(
        ref=BatchRef("google", operation.name),
        state=where,
        raw_status=facts.state,
        created_at=_time(facts.create_time),
        ended_at=_time(facts.end_time),
        counts=Counts(
            total=total,
            succeeded=number(stats.successful_request_count),
            failed=number(stats.failed_request_count),
            processing=number(stats.pending_request_count),
        )
        if total is not None
        else Counts(),
        model=(facts.model or "").removeprefix("models/") or None,
        label=facts.display_name,
        input_file=FileRef("google", facts.input_config.file_name)
        if facts.input_config and facts.input_config.file_name
        else None,
        files=files,
        problems=problems,
    )


def matches(intent: Intent, snapshot: Snapshot) -> bool:
    """The label is the display name."""
    return snapshot.label == intent.label
