"""Gemini's bytes: request lines, answer lines, operations. Pure.

Sources: google-genai 3.4 converters, the Batch API reference, recorded traffic of August 2026. Facts that shape this file: int64 are
strings and zeros are absent; the output stands in `metadata.output` and in `response`; inline output is nested twice; a refused prompt
is a response without candidates; states are BATCH_STATE_* on the wire and JOB_STATE_* in the SDK and on Vertex AI.
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
    Part,
    Request,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
)
from batchmark.domain.result import Failure, Outcome, Result
from batchmark.domain.usage import Usage
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
    "snapshot",
    "split",
    "state",
    "wire_id_of",
]

FRAME = Frame()
GENERATE = "batchGenerateContent"
EMBED = "asyncBatchEmbedContent"
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
# google.rpc.Code: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE, UNKNOWN and CANCELLED may pass by waiting.
_RETRYABLE_RPC = frozenset({1, 2, 4, 8, 10, 13, 14})

_to_json = msgspec.json.Encoder().encode


# requests


def endpoint(request: Request) -> str:
    """The method on the model that makes the batch."""
    match request:
        case ChatRequest():
            return GENERATE
        case EmbeddingRequest():
            return EMBED
        case OtherRequest():
            raise Unsupported(f"Gemini has no counterpart of {request.verbatim.endpoint}")
        case _:
            assert_never(request)


def encode(request: Request, wire_id: str, model: str) -> bytes:
    """One line of an input file; `inline_item` turns it into an element of an inline create."""
    match request:
        case ChatRequest():
            return _to_json({"key": wire_id, "request": _generate(request)})
        case EmbeddingRequest():
            return _to_json({"key": wire_id, "request": _embed(request)})
        case OtherRequest():
            raise Unsupported(f"Gemini has no counterpart of {request.verbatim.endpoint}")
        case _:
            assert_never(request)


def inline_item(line: bytes) -> JsonObject:
    """A line of the shard file as the create call takes it inline: the key moves into `metadata`."""
    entry: JsonObject = msgspec.json.decode(line)
    return {"request": entry["request"], "metadata": {"key": entry["key"]}}


def _embed(request: EmbeddingRequest) -> JsonObject:
    if request.unknown:
        raise Unsupported(f"Gemini cannot honour {', '.join(request.unknown)}")
    if len(request.texts) != 1:
        raise Unsupported("Gemini embeds one text per row; give each text a row of its own")
    body: JsonObject = {"content": {"parts": [{"text": request.texts[0]}]}}
    if request.dimensions is not None:
        body["outputDimensionality"] = request.dimensions
    return body


def _generate(request: ChatRequest) -> JsonObject:
    if request.unknown:
        raise Unsupported(f"Gemini cannot honour {', '.join(request.unknown)}")
    settings = request.settings
    if settings.reasoning_effort is not None:
        raise Unsupported("Gemini cannot honour reasoning_effort")
    system, contents = _contents(request.messages)
    body: JsonObject = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    if request.tools:
        body["tools"] = [
            {
                "functionDeclarations": [
                    _declaration(tool.name, tool.description, tool.parameters) for tool in request.tools
                ]
            }
        ]
    if request.tool_choice is not None:
        plain = {"auto": "AUTO", "none": "NONE", "required": "ANY"}.get(request.tool_choice)
        config: JsonObject = {"mode": plain or "ANY"}
        if plain is None:
            config["allowedFunctionNames"] = [request.tool_choice]
        body["toolConfig"] = {"functionCallingConfig": config}
    generation: JsonObject = {}
    for ours, theirs in (
        ("max_tokens", "maxOutputTokens"),
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("top_k", "topK"),
        ("seed", "seed"),
    ):
        value = getattr(settings, ours)
        if value is not None:
            generation[theirs] = value
    if settings.stop:
        generation["stopSequences"] = list(settings.stop)
    if request.schema is not None or request.json_only:
        generation["responseMimeType"] = "application/json"
        if request.schema is not None:
            generation["responseJsonSchema"] = request.schema
    if generation:
        body["generationConfig"] = generation
    return body


def _declaration(name: str, description: str | None, parameters: JsonObject | None) -> JsonObject:
    entry: JsonObject = {"name": name}
    if description:
        entry["description"] = description
    if parameters:
        entry["parametersJsonSchema"] = parameters
    return entry


def _contents(messages: tuple[Message, ...]) -> tuple[list[str], list[JsonObject]]:
    system: list[str] = []
    contents: list[JsonObject] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "system":
            if contents:
                raise Unsupported("Gemini takes system messages only before the conversation")
            if isinstance(message.content, str):
                system.append(message.content)
            elif all(isinstance(part, Text) for part in message.content):
                system.extend(part.text for part in message.content if isinstance(part, Text))
            else:
                raise Unsupported("Gemini's system message takes text only")
            continue
        role = "model" if message.role == "assistant" else "user"
        if isinstance(message.content, str):
            parts: list[JsonObject] = [{"text": message.content}]
        else:
            names.update({part.id: part.name for part in message.content if isinstance(part, ToolCall)})
            parts = [_part(part, names) for part in message.content]
        contents.append({"role": role, "parts": parts})
    if not contents:
        raise Unsupported("Gemini needs at least one user message")
    return system, contents


def _part(part: Part, names: dict[str, str]) -> JsonObject:
    match part:
        case Text():
            return {"text": part.text}
        case Image() | Document():
            media_type = part.media_type or ("image/png" if isinstance(part, Image) else "application/pdf")
            if part.data is not None:
                return {"inlineData": {"mimeType": media_type, "data": part.data}}
            if part.url is not None:
                return {"fileData": {"mimeType": media_type, "fileUri": part.url}}
            raise Unsupported("a file id of another provider means nothing to Gemini; give the data or a URL")
        case ToolCall():
            try:
                arguments = msgspec.json.decode(part.arguments or "{}")
            except msgspec.DecodeError:
                raise Unsupported(f"the arguments of tool call {part.id} are not JSON") from None
            return {"functionCall": {"name": part.name, "args": arguments}}
        case ToolResult():
            name = names.get(part.call_id)
            if name is None:
                raise Unsupported(f"the tool result for {part.call_id} answers no earlier tool call")
            return {"functionResponse": {"name": name, "response": {"result": part.content}}}
        case _:
            assert_never(part)


# answers


class _Call(msgspec.Struct, frozen=True):
    name: str = ""
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Piece(msgspec.Struct, frozen=True, rename="camel"):
    text: str | None = None
    thought: bool = False
    function_call: _Call | None = None


class _Content(msgspec.Struct, frozen=True):
    parts: list[_Piece] | None = None


class _Candidate(msgspec.Struct, frozen=True, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _Usage(msgspec.Struct, frozen=True, rename="camel"):
    prompt_token_count: int | str | None = None
    candidates_token_count: int | str | None = None
    thoughts_token_count: int | str | None = None
    cached_content_token_count: int | str | None = None
    tool_use_prompt_token_count: int | str | None = None


class _Feedback(msgspec.Struct, frozen=True, rename="camel"):
    block_reason: str | None = None


class _Embedding(msgspec.Struct, frozen=True):
    values: list[float] | None = None


class _Response(msgspec.Struct, frozen=True, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    embedding: _Embedding | None = None
    token_count: int | str | None = None


class _Status(msgspec.Struct, frozen=True):
    code: int | str | None = None
    message: str | None = None
    status: str | None = None


class _Line(msgspec.Struct, frozen=True):
    key: str | None = None
    metadata: dict[str, Any] | None = None
    response: _Response | None = None
    error: _Status | None = None
    status: _Status | str | None = None
    code: int | None = None
    message: str | None = None


class _IdOnly(msgspec.Struct, frozen=True):
    key: str | None = None
    metadata: dict[str, Any] | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_id = msgspec.json.Decoder(_IdOnly).decode
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length"}
_REFUSED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"})


def wire_id_of(line: bytes) -> str:
    """The wire id of an answer line, without decoding the rest. Raises ValueError where the bytes are not such a line."""
    return _key(_decode_id(line))


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
        entry.error
        or (entry.status if isinstance(entry.status, _Status) else None)
        or _Status(entry.code, entry.message)
    )
    code = str(status.status or (f"rpc_{status.code}" if status.code is not None else "unknown_error"))
    number = int(status.code) if status.code is not None and str(status.code).lstrip("-").isdigit() else None
    retryable = number in _RETRYABLE_RPC or number in (429, 499, 500, 503, 504)
    failure = Failure(code, status.message or "no reason was given", retryable)
    return Result(key, Outcome.ERRORED, error=failure)


def _answer(key: str, response: _Response) -> Result:
    usage = _usage(response.usage_metadata) if response.usage_metadata else None
    if response.embedding is not None:
        usage = usage or Usage(input_tokens=_int(response.token_count))
        if not response.embedding.values:
            failure = Failure("empty_answer", "the vector is empty", False)
            return Result(key, Outcome.ERRORED, usage=usage, error=failure, model=response.model_version)
        return Result(
            key,
            Outcome.SUCCEEDED,
            embedding=response.embedding.values,
            usage=usage,
            model=response.model_version,
        )
    candidate = response.candidates[0] if response.candidates else None
    if candidate is None:
        reason = (response.prompt_feedback and response.prompt_feedback.block_reason) or "no candidates"
        failure = Failure("refused", f"the prompt was blocked ({reason})", False)
        return Result(key, Outcome.ERRORED, usage=usage, error=failure, model=response.model_version)
    pieces = (candidate.content and candidate.content.parts) or []
    text = "".join(piece.text for piece in pieces if piece.text is not None and not piece.thought)
    calls = [
        {"id": call.id or "", "name": call.name, "arguments": bytes(call.args).decode()}
        for call in (piece.function_call for piece in pieces)
        if call is not None
    ]
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
            Outcome.SUCCEEDED,
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


def _int(value: int | str | None) -> int:
    return int(value) if value is not None else 0


def _usage(raw: _Usage) -> Usage:
    """Thoughts are billed as output but counted beside the candidates; ours includes them, as the other providers' do."""
    thoughts = _int(raw.thoughts_token_count)
    return Usage(
        input_tokens=_int(raw.prompt_token_count) + _int(raw.tool_use_prompt_token_count),
        output_tokens=_int(raw.candidates_token_count) + thoughts,
        cached_tokens=_int(raw.cached_content_token_count),
        reasoning_tokens=thoughts,
    )


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


# batches


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
    error: _Status | None = None


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
    total = None if stats.request_count is None else _int(stats.request_count)
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
            succeeded=_int(stats.successful_request_count),
            failed=_int(stats.failed_request_count),
            processing=_int(stats.pending_request_count),
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
