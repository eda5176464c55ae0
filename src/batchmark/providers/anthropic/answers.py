"""Answers as Anthropic writes them: lines of a results file. Pure.

Facts that shape the decoder: errors are nested twice; only `succeeded` carries a message.
"""

from __future__ import annotations

import msgspec

from batchmark.domain.result import Failure, Outcome, Result, is_retryable
from batchmark.domain.usage import Usage
from batchmark.providers.lines import id_finder

__all__ = ["decode", "wire_id_of"]


class _Block(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _OutDetails(msgspec.Struct, frozen=True, gc=False):
    thinking_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _OutDetails | None = None


class _Message(msgspec.Struct, frozen=True, gc=False):
    model: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Inner(msgspec.Struct, frozen=True, gc=False):
    type: str = "unknown_error"
    message: str | None = None


class _Outer(msgspec.Struct, frozen=True, gc=False):
    error: _Inner | None = None


class _Result(msgspec.Struct, frozen=True, gc=False):
    type: str
    message: _Message | None = None
    error: _Outer | None = None


class _Line(msgspec.Struct, frozen=True, gc=False):
    custom_id: str
    result: _Result


class _IdOnly(msgspec.Struct, frozen=True, gc=False):
    custom_id: str


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_id = msgspec.json.Decoder(_IdOnly).decode
_find_id = id_finder(b"custom_id")
# a look-up in an enum costs as much as the rest of a Result
_SUCCEEDED = Outcome.SUCCEEDED
_NOT_SAID = _OutDetails()
# Anthropic's words for why it stopped, in the words common to all providers; others go through as they are.
_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


def wire_id_of(line: bytes) -> str:
    """The wire id of an answer line, without decoding the rest. Raises ValueError where the bytes are not such a line."""
    return _find_id(line) or _decode_id(line).custom_id


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
    text, calls = "", []
    for block in message.content or ():
        if block.type == "text":
            text += block.text or ""
        elif block.type == "tool_use":
            calls.append({"id": block.id or "", "name": block.name or "", "arguments": bytes(block.input).decode()})
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
            _SUCCEEDED,
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
    details = raw.output_tokens_details or _NOT_SAID
    return Usage(
        input_tokens=(raw.input_tokens or 0) + cached + written,
        output_tokens=raw.output_tokens or 0,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=details.thinking_tokens or details.reasoning_tokens or 0,
    )
