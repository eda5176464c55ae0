"""OpenAI's bytes: request lines, answer lines, batch objects. Pure.

Sources: openai-openapi 2.3.0, openai-python types, recorded traffic of August 2026. Facts that shape the decoder: failures stand in
`response.body.error` with `error: null`; `status_code` 0 means the request was lost; ids may be `""`; every unset field is null.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, assert_never

import msgspec

from batchmark.domain.lifecycle import BatchRef, Counts, FileRef, Intent, RawFile, Snapshot, State
from batchmark.domain.limits import Frame
from batchmark.domain.request import (
    ChatRequest,
    Document,
    EmbeddingRequest,
    Image,
    JsonObject,
    Message,
    OtherRequest,
    Request,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
    Verbatim,
)
from batchmark.domain.result import Failure, Outcome, Result, is_retryable
from batchmark.domain.usage import Usage
from batchmark.providers.lines import iter_lines

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
    "snapshot",
    "split",
    "state",
    "wire_id_of",
]

FRAME = Frame()
LABEL_KEY = "batchmark_label"
ENDPOINTS = frozenset(
    {
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/moderations",
        "/v1/images/generations",
        "/v1/images/edits",
        "/v1/videos",
    }
)
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

_to_json = msgspec.json.Encoder().encode


# requests


def endpoint(request: Request) -> str:
    """The batch endpoint for a request: the user's own where the body is verbatim, else chat completions or embeddings."""
    verbatim = request.verbatim
    if verbatim is not None:
        if verbatim.endpoint not in ENDPOINTS:
            raise Unsupported(
                f"OpenAI has no batch endpoint {verbatim.endpoint!r}; it has {', '.join(sorted(ENDPOINTS))}"
            )
        return verbatim.endpoint
    return "/v1/embeddings" if isinstance(request, EmbeddingRequest) else "/v1/chat/completions"


def encode(request: Request, wire_id: str, model: str) -> bytes:
    """One line of a batch input file. A body in OpenAI's own shape goes through untouched but for its model."""
    return _to_json({"custom_id": wire_id, "method": "POST", "url": endpoint(request), "body": _body(request, model)})


def _body(request: Request, model: str) -> Any:
    verbatim = request.verbatim
    if verbatim is not None:
        return verbatim.body if verbatim.model == model else _with_model(verbatim, model)
    match request:
        case ChatRequest():
            return _chat_body(request, model)
        case EmbeddingRequest():
            body: JsonObject = {
                "model": model,
                "input": request.texts[0] if len(request.texts) == 1 else list(request.texts),
            }
            if request.dimensions is not None:
                body["dimensions"] = request.dimensions
            return body
        case OtherRequest():
            raise Unsupported("the request has no body")
        case _:
            assert_never(request)


def _with_model(verbatim: Verbatim, model: str) -> JsonObject:
    body: JsonObject = msgspec.json.decode(verbatim.body)
    return {**body, "model": model}


def _chat_body(request: ChatRequest, model: str) -> JsonObject:
    settings = request.settings
    if settings.top_k is not None:
        raise Unsupported("OpenAI has no parameter top_k")
    body: JsonObject = {
        "model": model,
        "messages": [message for each in request.messages for message in _messages(each)],
    }
    if settings.max_tokens is not None:
        body["max_completion_tokens"] = settings.max_tokens
    for name in ("temperature", "top_p", "seed", "reasoning_effort"):
        value = getattr(settings, name)
        if value is not None:
            body[name] = value
    if settings.stop:
        body["stop"] = list(settings.stop)
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": _without_none(name=tool.name, description=tool.description, parameters=tool.parameters),
            }
            for tool in request.tools
        ]
    if request.tool_choice is not None:
        plain = request.tool_choice in ("auto", "none", "required")
        body["tool_choice"] = (
            request.tool_choice if plain else {"type": "function", "function": {"name": request.tool_choice}}
        )
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": _without_none(
                name=request.schema_name or "answer", schema=request.schema, strict=request.schema_strict
            ),
        }
    elif request.json_only:
        body["response_format"] = {"type": "json_object"}
    return body


def _without_none(**fields: Any) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def _messages(message: Message) -> Iterator[JsonObject]:
    if isinstance(message.content, str):
        yield {"role": message.role, "content": message.content}
        return
    parts: list[JsonObject] = []
    calls: list[JsonObject] = []
    for part in message.content:
        match part:
            case Text():
                parts.append({"type": "text", "text": part.text})
            case Image():
                url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
                parts.append({"type": "image_url", "image_url": _without_none(url=url, detail=part.detail)})
            case Document():
                if part.url is not None:
                    raise Unsupported("OpenAI's chat completions take no file by URL; give its data or a file id")
                data = None if part.data is None else f"data:{part.media_type or 'application/pdf'};base64,{part.data}"
                parts.append(
                    {
                        "type": "file",
                        "file": _without_none(file_id=part.file_id, filename=part.name, file_data=data),
                    }
                )
            case ToolCall():
                calls.append(
                    {
                        "id": part.id,
                        "type": "function",
                        "function": {"name": part.name, "arguments": part.arguments},
                    }
                )
            case ToolResult():
                yield {"role": "tool", "tool_call_id": part.call_id, "content": part.content}
            case _:
                assert_never(part)
    if parts or calls:
        yield {"role": message.role, "content": parts or None} | ({"tool_calls": calls} if calls else {})


# answers


class _Error(msgspec.Struct, frozen=True):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None


class _Function(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class _Call(msgspec.Struct, frozen=True):
    id: str = ""
    function: _Function | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Content(msgspec.Struct, frozen=True):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct, frozen=True):
    type: str = ""
    content: list[_Content] | None = None
    name: str | None = None
    arguments: str | None = None
    call_id: str | None = None


class _Vector(msgspec.Struct, frozen=True):
    embedding: list[float]
    index: int = 0


class _Incomplete(msgspec.Struct, frozen=True):
    reason: str | None = None


class _InDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _InDetails | None = None
    input_tokens_details: _InDetails | None = None
    completion_tokens_details: _OutDetails | None = None
    output_tokens_details: _OutDetails | None = None


class _Body(msgspec.Struct, frozen=True):
    object: str | None = None
    model: str | None = None
    status: str | None = None
    choices: list[_Choice] | None = None
    output: list[_Item] | None = None
    data: list[_Vector] | None = None
    incomplete_details: _Incomplete | None = None
    usage: _Usage | None = None
    error: _Error | None = None


class _Response(msgspec.Struct, frozen=True):
    status_code: int = 0
    body: _Body | None = None


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class _LooseResponse(msgspec.Struct, frozen=True):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _LooseLine(msgspec.Struct, frozen=True):
    custom_id: str
    response: _LooseResponse | None = None
    error: _Error | None = None


class _IdOnly(msgspec.Struct, frozen=True):
    custom_id: str


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_id = msgspec.json.Decoder(_IdOnly).decode
_decode_loose = msgspec.json.Decoder(_LooseLine).decode


def wire_id_of(line: bytes) -> str:
    """The wire id of an answer line, without decoding the rest. Raises ValueError where the bytes are not such a line."""
    return _decode_id(line).custom_id


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
    return Result(entry.custom_id, Outcome.SUCCEEDED, text=text)


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
            return Result(custom_id, Outcome.SUCCEEDED, embedding=vectors[0], usage=usage, model=body.model)
        if vectors:
            return Result(custom_id, Outcome.SUCCEEDED, embeddings=vectors, usage=usage, model=body.model)
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
            Outcome.SUCCEEDED,
            text=text,
            tool_calls=calls or None,
            finish_reason=finish,
            usage=usage,
            model=body.model,
        )
    return Result(custom_id, Outcome.ERRORED, finish_reason=finish, usage=usage, error=failure, model=body.model)


def _usage(raw: _Usage) -> Usage:
    before = raw.prompt_tokens_details or raw.input_tokens_details or _InDetails()
    after = raw.completion_tokens_details or raw.output_tokens_details or _OutDetails()
    return Usage(
        input_tokens=raw.prompt_tokens or raw.input_tokens or 0,
        output_tokens=raw.completion_tokens or raw.output_tokens or 0,
        cached_tokens=before.cached_tokens or 0,
        cache_write_tokens=before.cache_write_tokens or 0,
        reasoning_tokens=after.reasoning_tokens or 0,
    )


def split(raw: RawFile) -> Iterator[bytes]:
    """The lines of an output or error file."""
    return iter_lines(raw.path)


# batches


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
        problems=tuple(_problem(each) for each in (batch.errors.data if batch.errors and batch.errors.data else ())),
    )


def _problem(problem: _Problem) -> str:
    where = f" (line {problem.line} of the shard)" if problem.line is not None else ""
    return f"{problem.code or 'error'}{where}: {(problem.message or 'no reason given').rstrip('.')}"


def matches(intent: Intent, snapshot: Snapshot) -> bool:
    """The label in the metadata is proof."""
    return snapshot.label == intent.label
