"""Answers as OpenAI writes them: lines of an output or error file. Pure.

Facts that shape the decoder: failures stand in `response.body.error` with `error: null`; `status_code` 0 means the request was lost; ids
may be `""`; every unset field is null.
"""

from __future__ import annotations

from typing import Any

import msgspec

from batchmark.domain.result import Failure, Outcome, Result, is_retryable
from batchmark.domain.usage import Usage
from batchmark.providers.lines import id_finder

__all__ = ["decode", "wire_id_of"]


class _Error(msgspec.Struct, frozen=True, gc=False):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None


class _Function(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    arguments: str = ""


class _Call(msgspec.Struct, frozen=True, gc=False):
    id: str = ""
    function: _Function | None = None


class _Message(msgspec.Struct, frozen=True, gc=False):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, frozen=True, gc=False):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Content(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    content: list[_Content] | None = None
    name: str | None = None
    arguments: str | None = None
    call_id: str | None = None


class _Vector(msgspec.Struct, frozen=True, gc=False):
    embedding: list[float]
    index: int = 0


class _Incomplete(msgspec.Struct, frozen=True, gc=False):
    reason: str | None = None


class _InDetails(msgspec.Struct, frozen=True, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutDetails(msgspec.Struct, frozen=True, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _InDetails | None = None
    input_tokens_details: _InDetails | None = None
    completion_tokens_details: _OutDetails | None = None
    output_tokens_details: _OutDetails | None = None


class _Body(msgspec.Struct, frozen=True, gc=False):
    object: str | None = None
    model: str | None = None
    status: str | None = None
    choices: list[_Choice] | None = None
    output: list[_Item] | None = None
    data: list[_Vector] | None = None
    incomplete_details: _Incomplete | None = None
    usage: _Usage | None = None
    error: _Error | None = None


class _Response(msgspec.Struct, frozen=True, gc=False):
    status_code: int = 0
    body: _Body | None = None


class _Line(msgspec.Struct, frozen=True, gc=False):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class _LooseResponse(msgspec.Struct, frozen=True, gc=False):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _LooseLine(msgspec.Struct, frozen=True, gc=False):
    custom_id: str
    response: _LooseResponse | None = None
    error: _Error | None = None


class _IdOnly(msgspec.Struct, frozen=True, gc=False):
    custom_id: str


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_id = msgspec.json.Decoder(_IdOnly).decode
_decode_loose = msgspec.json.Decoder(_LooseLine).decode


_find_id = id_finder(b"custom_id", before=b"id")
# a look-up in an enum costs as much as the rest of a Result
_SUCCEEDED = Outcome.SUCCEEDED
_NOT_SAID = _InDetails(), _OutDetails()


def wire_id_of(line: bytes) -> str:
    """The wire id of an answer line, without decoding the rest. Raises ValueError where the bytes are not such a line."""
    return _find_id(line) or _decode_id(line).custom_id


def decode(line: bytes) -> Result:
    """One line of an output or error file. Success is a 2xx status with no error, whichever file the line stands in.

    Raises ValueError where the line is not JSON or has no custom_id.
    """
    try:
        entry = _decode_line(line)
    except msgspec.ValidationError:
        return _decode_other_body(line)
    response = entry.response
    if entry.error is not None or response is None:
        return _failed(entry.custom_id, None, entry.error, None)
    body = response.body
    # a Responses body says in itself that the model failed, under a status of 200
    if not 200 <= response.status_code < 300 or body is None or body.error is not None:
        return _failed(entry.custom_id, response.status_code, body.error if body else None, body)
    if body.choices is None and body.output is None and body.data is None:
        return _decode_other_body(line)
    return _answer(entry.custom_id, body)


def _decode_other_body(line: bytes) -> Result:
    """A body of an endpoint without a common shape is kept as its own JSON text."""
    entry = _decode_loose(line)
    response = entry.response
    if entry.error is not None or response is None:
        return _failed(entry.custom_id, None, entry.error, None)
    text = bytes(response.body).decode()
    if not 200 <= response.status_code < 300 or text in ("null", "{}"):
        said = None if text in ("null", "{}") else _Error(message=text[:500])
        return _failed(entry.custom_id, response.status_code, said, None)
    return Result(entry.custom_id, _SUCCEEDED, text=text)


def _failed(custom_id: str, status: int | None, error: _Error | None, body: _Body | None) -> Result:
    code = str(
        (error and (error.code or error.type)) or (f"status_{status}" if status is not None else "unknown_error")
    )
    message = (error and error.message) or (
        "the provider lost this request (status 0, empty body)"
        if status == 0
        else f"no reason was given (status {status})"
    )
    expired = code == "batch_expired"
    cancelled = code == "batch_cancelled"
    outcome = Outcome.EXPIRED if expired else Outcome.CANCELLED if cancelled else Outcome.ERRORED
    # a failure under a status of success is judged by its code alone
    succeeded = status is not None and 200 <= status < 300
    retryable = expired or is_retryable(None if succeeded else status, code)
    return Result(
        custom_id,
        outcome,
        error=Failure(code, message, retryable),
        usage=_usage(body.usage) if body and body.usage else None,
    )


def _answer(custom_id: str, body: _Body) -> Result:
    usage = _usage(body.usage) if body.usage else None
    text: str | None = None
    refusal: str | None = None
    finish: str | None = None
    calls: list[dict[str, Any]] = []
    if body.choices:
        choice = body.choices[0]
        finish, text = choice.finish_reason, choice.text
        if choice.message is not None:
            text, refusal = choice.message.content, choice.message.refusal
            for call in choice.message.tool_calls or ():
                if call.function is not None:
                    calls.append({"id": call.id, "name": call.function.name, "arguments": call.function.arguments})
    elif body.output is not None:
        finish = (body.incomplete_details and body.incomplete_details.reason) or body.status
        pieces = [piece for item in body.output if item.type == "message" for piece in item.content or ()]
        text = "".join(piece.text for piece in pieces if piece.text is not None) or None
        refusal = next((piece.refusal for piece in pieces if piece.refusal), None)
        calls = [
            {"id": item.call_id or "", "name": item.name or "", "arguments": item.arguments or ""}
            for item in body.output
            if item.type == "function_call"
        ]
        finish = {"max_output_tokens": "length", "completed": "stop"}.get(finish or "", finish)
    elif body.data is not None:
        vectors = [each.embedding for each in sorted(body.data, key=lambda each: each.index)]
        if len(vectors) == 1:
            return Result(custom_id, _SUCCEEDED, embedding=vectors[0], usage=usage, model=body.model)
        if vectors:
            return Result(custom_id, _SUCCEEDED, embeddings=vectors, usage=usage, model=body.model)
    if refusal:
        failure = Failure("refused", refusal, False)
    elif not text and not calls:
        failure = Failure(
            "empty_answer",
            f"the model ended with no text (finish reason {finish}); more max_tokens may help",
            False,
        )
    else:
        return Result(
            custom_id,
            _SUCCEEDED,
            text=text,
            tool_calls=calls or None,
            finish_reason=finish,
            usage=usage,
            model=body.model,
        )
    return Result(custom_id, Outcome.ERRORED, finish_reason=finish, usage=usage, error=failure, model=body.model)


def _usage(raw: _Usage) -> Usage:
    before = raw.prompt_tokens_details or raw.input_tokens_details or _NOT_SAID[0]
    after = raw.completion_tokens_details or raw.output_tokens_details or _NOT_SAID[1]
    return Usage(
        input_tokens=raw.prompt_tokens or raw.input_tokens or 0,
        output_tokens=raw.completion_tokens or raw.output_tokens or 0,
        cached_tokens=before.cached_tokens or 0,
        cache_write_tokens=before.cache_write_tokens or 0,
        reasoning_tokens=after.reasoning_tokens or 0,
    )
