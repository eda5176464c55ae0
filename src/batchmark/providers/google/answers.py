"""Answers as Gemini writes them: lines of an output file, or elements of the inline responses. Pure.

Facts that shape the decoder: int64 are strings and zeros are absent; the key stands first or last in a line of a file and in `metadata`
inline; a refused prompt is a response without candidates.
"""

from __future__ import annotations

from typing import Any

import msgspec

from batchmark.domain.result import Failure, Outcome, Result
from batchmark.domain.usage import Usage
from batchmark.providers.lines import id_finder

__all__ = ["Status", "decode", "number", "wire_id_of"]

# google.rpc.Code: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE, UNKNOWN and CANCELLED may pass by waiting.
_RETRYABLE_RPC = frozenset({1, 2, 4, 8, 10, 13, 14})


class _Call(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Piece(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    text: str | None = None
    thought: bool = False
    function_call: _Call | None = None


class _Content(msgspec.Struct, frozen=True, gc=False):
    parts: list[_Piece] | None = None


class _Candidate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _Usage(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    prompt_token_count: int | str | None = None
    candidates_token_count: int | str | None = None
    thoughts_token_count: int | str | None = None
    cached_content_token_count: int | str | None = None
    tool_use_prompt_token_count: int | str | None = None


class _Feedback(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    block_reason: str | None = None


class _Embedding(msgspec.Struct, frozen=True, gc=False):
    values: list[float] | None = None


class _Response(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    embedding: _Embedding | None = None
    token_count: int | str | None = None


class Status(msgspec.Struct, frozen=True, gc=False):
    code: int | str | None = None
    message: str | None = None
    status: str | None = None


class _Line(msgspec.Struct, frozen=True, gc=False):
    key: str | None = None
    metadata: dict[str, Any] | None = None
    response: _Response | None = None
    error: Status | None = None
    status: Status | str | None = None
    code: int | None = None
    message: str | None = None


class _IdOnly(msgspec.Struct, frozen=True, gc=False):
    key: str | None = None
    metadata: dict[str, Any] | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_id = msgspec.json.Decoder(_IdOnly).decode
_find_id = id_finder(b"key")
# a look-up in an enum costs as much as the rest of a Result
_SUCCEEDED = Outcome.SUCCEEDED
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length"}
_REFUSED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"})


def wire_id_of(line: bytes) -> str:
    """The wire id of an answer line, without decoding the rest. Raises ValueError where the bytes are not such a line."""
    return _find_id(line) or _key(_decode_id(line))


def _key(entry: _Line | _IdOnly) -> str:
    """The key of a line from a file, or that in the metadata of an inline answer."""
    key = entry.key if entry.key is not None else (entry.metadata or {}).get("key")
    if not isinstance(key, str):
        raise ValueError("the line has no key")
    return key


def decode(line: bytes) -> Result:
    """One line of an output file, or one element of the inline responses. Raises ValueError where the bytes are not one."""
    entry = _decode_line(line)
    key = _key(entry)
    if entry.response is not None:
        return _answer(key, entry.response)
    status = (
        entry.error or (entry.status if isinstance(entry.status, Status) else None) or Status(entry.code, entry.message)
    )
    code = str(status.status or (f"rpc_{status.code}" if status.code is not None else "unknown_error"))
    rpc = int(status.code) if status.code is not None and str(status.code).lstrip("-").isdigit() else None
    retryable = rpc in _RETRYABLE_RPC or rpc in (429, 499, 500, 503, 504)
    failure = Failure(code, status.message or "no reason was given", retryable)
    return Result(key, Outcome.ERRORED, error=failure)


def _answer(key: str, response: _Response) -> Result:
    usage = _usage(response.usage_metadata) if response.usage_metadata else None
    if response.embedding is not None:
        usage = usage or Usage(input_tokens=number(response.token_count))
        if not response.embedding.values:
            failure = Failure("empty_answer", "the vector is empty", False)
            return Result(key, Outcome.ERRORED, usage=usage, error=failure, model=response.model_version)
        return Result(
            key,
            _SUCCEEDED,
            embedding=response.embedding.values,
            usage=usage,
            model=response.model_version,
        )
    candidate = response.candidates[0] if response.candidates else None
    if candidate is None:
        reason = (response.prompt_feedback and response.prompt_feedback.block_reason) or "no candidates"
        failure = Failure("refused", f"the prompt was blocked ({reason})", False)
        return Result(key, Outcome.ERRORED, usage=usage, error=failure, model=response.model_version)
    text, calls = "", []
    for piece in (candidate.content and candidate.content.parts) or ():
        if piece.text is not None and not piece.thought:
            text += piece.text
        if piece.function_call is not None:
            call = piece.function_call
            calls.append({"id": call.id or "", "name": call.name, "arguments": bytes(call.args).decode()})
    finish = _FINISH.get(candidate.finish_reason or "", (candidate.finish_reason or "").lower() or None)
    if candidate.finish_reason in _REFUSED:
        failure = Failure(
            "refused",
            candidate.finish_message or f"the answer was blocked ({candidate.finish_reason})",
            False,
        )
    elif not text and not calls:
        failure = Failure(
            "empty_answer",
            f"the model ended with no text (finish reason {candidate.finish_reason}); more max_tokens may help",
            False,
        )
    else:
        return Result(
            key,
            _SUCCEEDED,
            text=text or None,
            tool_calls=calls or None,
            finish_reason=finish,
            usage=usage,
            model=response.model_version,
        )
    return Result(
        key,
        Outcome.ERRORED,
        text=text or None,
        finish_reason=finish,
        usage=usage,
        error=failure,
        model=response.model_version,
    )


def number(value: int | str | None) -> int:
    """A count, which is text on the wire where it is an int64, and absent where it is zero."""
    return int(value) if value is not None else 0


def _usage(raw: _Usage) -> Usage:
    """Thoughts are billed as output but counted beside the candidates; ours includes them, as the other providers' do."""
    thoughts = number(raw.thoughts_token_count)
    return Usage(
        input_tokens=number(raw.prompt_token_count) + number(raw.tool_use_prompt_token_count),
        output_tokens=number(raw.candidates_token_count) + thoughts,
        cached_tokens=number(raw.cached_content_token_count),
        reasoning_tokens=thoughts,
    )
