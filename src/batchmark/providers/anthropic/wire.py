"""Anthropic's bytes: request objects, answer lines, batch objects. Pure.

Sources: anthropic-python types (API version 2026-10-21), recorded traffic of August 2026. Facts that shape this file: a batch has no
label, so ours stands in every custom_id; `ended` covers every ending; errors are nested twice; only `succeeded` carries a message.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

import msgspec

from batchmark.domain.lifecycle import BatchRef, Counts, Intent, RawFile, Snapshot, State
from batchmark.domain.limits import Frame
from batchmark.domain.request import (
    ChatRequest,
    Document,
    EmbeddingRequest,
    Image,
    JsonObject,
    Message,
    OtherRequest,
    Part,
    Request,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
)
from batchmark.domain.result import Failure, Outcome, Result, is_retryable
from batchmark.domain.usage import Usage
from batchmark.providers.lines import iter_lines

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "FRAME",
    "decode",
    "encode",
    "endpoint",
    "matches",
    "page",
    "snapshot",
    "split",
    "state",
    "wire_id_of",
]

FRAME = Frame(prefix=b'{"requests":[', separator=b",", suffix=b"]}")
# max_tokens is required by this API alone; a request that names none gets this many.
DEFAULT_MAX_TOKENS = 1024
_OLDER_STATES = {
    "completed": State.SUCCEEDED,
    "cancelled": State.CANCELLED,
    "failed": State.FAILED,
    "expired": State.EXPIRED,
}
# How far the provider's created_at may lie from the clock that was read just before the create.
_CLOCK_SLACK = timedelta(seconds=5)

_to_json = msgspec.json.Encoder().encode


# requests


def endpoint(request: Request) -> str:
    """Always the Messages API: there are no batches of embeddings."""
    match request:
        case ChatRequest():
            return "/v1/messages"
        case EmbeddingRequest():
            raise Unsupported("Anthropic has no embeddings")
        case OtherRequest():
            raise Unsupported(f"Anthropic has no counterpart of {request.verbatim.endpoint}")
        case _:
            assert_never(request)


def encode(request: Request, wire_id: str, model: str) -> bytes:
    """One element of `requests` in the create body."""
    endpoint(request)
    assert isinstance(request, ChatRequest)
    return _to_json({"custom_id": wire_id, "params": _params(request, model)})


def _params(request: ChatRequest, model: str) -> JsonObject:
    if request.unknown:
        raise Unsupported(f"Anthropic cannot honour {', '.join(request.unknown)}")
    settings = request.settings
    for name in ("temperature", "top_p", "top_k"):
        if getattr(settings, name) is not None:
            raise Unsupported(
                f"Anthropic's API version 2026-10-21 refuses {name}, even at its default; take it out for this target"
            )
    if settings.seed is not None:
        raise Unsupported("Anthropic has no parameter seed")
    if settings.reasoning_effort is not None:
        raise Unsupported("Anthropic cannot honour reasoning_effort")
    if request.json_only:
        raise Unsupported("Anthropic has no JSON mode without a schema; give a schema")
    system, turns = _turns(request.messages)
    params: JsonObject = {"model": model, "max_tokens": settings.max_tokens or DEFAULT_MAX_TOKENS}
    if system:
        params["system"] = system
    params["messages"] = turns
    if settings.stop:
        params["stop_sequences"] = list(settings.stop)
    if request.tools:
        params["tools"] = [
            {"name": tool.name, "input_schema": tool.parameters or {"type": "object"}}
            | ({"description": tool.description} if tool.description else {})
            for tool in request.tools
        ]
    if request.tool_choice is not None:
        plain = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
        params["tool_choice"] = plain.get(request.tool_choice, {"type": "tool", "name": request.tool_choice})
    if request.schema is not None:
        params["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
    return params


def _turns(messages: tuple[Message, ...]) -> tuple[str, list[JsonObject]]:
    """System text apart, then the turns. Raises Unsupported where a system message is not at the start."""
    system: list[str] = []
    turns: list[JsonObject] = []
    for message in messages:
        if message.role == "system":
            if turns:
                raise Unsupported("Anthropic takes system messages only before the conversation")
            if not isinstance(message.content, str):
                if not all(isinstance(part, Text) for part in message.content):
                    raise Unsupported("Anthropic's system message takes text only")
                system.extend(part.text for part in message.content if isinstance(part, Text))
            else:
                system.append(message.content)
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if role == "assistant" and any(isinstance(part, Document) for part in message.content):
            raise Unsupported("Anthropic's API version 2026-10-21 refuses documents in an assistant message")
        content: Any = (
            message.content if isinstance(message.content, str) else [_part(part) for part in message.content]
        )
        turns.append({"role": role, "content": content})
    if not turns:
        raise Unsupported("Anthropic needs at least one user message")
    return "\n\n".join(system), turns


def _part(part: Part) -> JsonObject:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            return {"type": "image", "source": _source(part.url, part.data, part.media_type or "image/png")}
        case Document():
            if part.file_id is not None:
                raise Unsupported("a file id of another provider means nothing to Anthropic; give the data or a URL")
            block: JsonObject = {
                "type": "document",
                "source": _source(part.url, part.data, part.media_type or "application/pdf"),
            }
            return block | ({"title": part.name} if part.name else {})
        case ToolCall():
            try:
                arguments = msgspec.json.decode(part.arguments or "{}")
            except msgspec.DecodeError:
                raise Unsupported(f"the arguments of tool call {part.id} are not JSON") from None
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments}
        case ToolResult():
            return {"type": "tool_result", "tool_use_id": part.call_id, "content": part.content}
        case _:
            assert_never(part)


def _source(url: str | None, data: str | None, media_type: str) -> JsonObject:
    if url is not None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": media_type, "data": data}


# answers


class _Block(msgspec.Struct, frozen=True):
    type: str = ""
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _OutDetails(msgspec.Struct, frozen=True):
    thinking_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _OutDetails | None = None


class _Message(msgspec.Struct, frozen=True):
    model: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Inner(msgspec.Struct, frozen=True):
    type: str = "unknown_error"
    message: str | None = None


class _Outer(msgspec.Struct, frozen=True):
    error: _Inner | None = None


class _Result(msgspec.Struct, frozen=True):
    type: str
    message: _Message | None = None
    error: _Outer | None = None


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    result: _Result


class _IdOnly(msgspec.Struct, frozen=True):
    custom_id: str


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_id = msgspec.json.Decoder(_IdOnly).decode
# Anthropic's words for why it stopped, in the words common to all providers; others go through as they are.
_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


def wire_id_of(line: bytes) -> str:
    """The wire id of an answer line, without decoding the rest. Raises ValueError where the bytes are not such a line."""
    return _decode_id(line).custom_id


def decode(line: bytes) -> Result:
    """One line of a results file. Raises ValueError where the bytes are not one."""
    entry = _decode_line(line)
    result = entry.result
    match result.type:
        case "succeeded":
            return _answer(entry.custom_id, result.message or _Message())
        case "canceled" | "cancelled":
            failure = Failure("cancelled", "the batch was cancelled before this request ran", False)
            return Result(entry.custom_id, Outcome.CANCELLED, error=failure)
        case "expired":
            failure = Failure("expired", "the completion window ended before this request ran", True)
            return Result(entry.custom_id, Outcome.EXPIRED, error=failure)
        case _:
            inner = (result.error and result.error.error) or _Inner(
                type=result.type if result.type != "errored" else "unknown_error"
            )
            failure = Failure(inner.type, inner.message or "no reason was given", is_retryable(None, inner.type))
            return Result(entry.custom_id, Outcome.ERRORED, error=failure)


def _answer(custom_id: str, message: _Message) -> Result:
    usage = _usage(message.usage) if message.usage else None
    blocks = message.content or []
    text = "".join(block.text for block in blocks if block.type == "text" and block.text is not None)
    calls = [
        {"id": block.id or "", "name": block.name or "", "arguments": bytes(block.input).decode()}
        for block in blocks
        if block.type == "tool_use"
    ]
    finish = _FINISH.get(message.stop_reason or "", message.stop_reason)
    if message.stop_reason == "refusal":
        failure = Failure("refused", text or "the model refused to answer", False)
    elif not text and not calls:
        failure = Failure(
            "empty_answer",
            f"the model ended with no text (stop reason {message.stop_reason}); more max_tokens may help",
            False,
        )
    else:
        return Result(
            custom_id,
            Outcome.SUCCEEDED,
            text=text or None,
            tool_calls=calls or None,
            finish_reason=finish,
            usage=usage,
            model=message.model,
        )
    return Result(custom_id, Outcome.ERRORED, finish_reason=finish, usage=usage, error=failure, model=message.model)


def _usage(raw: _Usage) -> Usage:
    """Anthropic counts cached tokens beside `input_tokens`; ours includes them, as the other providers' do."""
    cached, written = raw.cache_read_input_tokens or 0, raw.cache_creation_input_tokens or 0
    details = raw.output_tokens_details or _OutDetails()
    return Usage(
        input_tokens=(raw.input_tokens or 0) + cached + written,
        output_tokens=raw.output_tokens or 0,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=details.thinking_tokens or details.reasoning_tokens or 0,
    )


def split(raw: RawFile) -> Iterator[bytes]:
    """The lines of a results file."""
    return iter_lines(raw.path)


# batches


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
