"""Requests as Gemini takes them: lines of an input file, or elements of an inline create. Pure."""

from __future__ import annotations

from typing import assert_never

import msgspec

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
from batchmark.providers.encoding import Surroundings, with_id

__all__ = ["EMBED", "GENERATE", "encode", "endpoint", "inline_item", "relabel"]

GENERATE = "batchGenerateContent"
EMBED = "asyncBatchEmbedContent"

_to_json = msgspec.json.Encoder().encode


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
            return b"".join((b'{"key":', _to_json(wire_id), b',"request":', *_generate(request), b"}"))
        case EmbeddingRequest():
            return _to_json({"key": wire_id, "request": _embed(request)})
        case OtherRequest():
            raise Unsupported(f"Gemini has no counterpart of {request.verbatim.endpoint}")
        case _:
            assert_never(request)


def relabel(line: bytes, wire_id: str) -> bytes:
    """An encoded line with another wire id. Raises ValueError where the line is not one of `encode`."""
    return with_id(line, b'{"key":"', b'","request":', wire_id)


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


def _generate(request: ChatRequest) -> tuple[bytes, ...]:
    """The request in pieces. The model is not among them: it stands in the address of the create."""
    after = _around(request, "")
    system, contents = _contents(request.messages)
    if not system:
        return b'{"contents":', _to_json(contents), after
    return b'{"contents":', _to_json(contents), b',"systemInstruction":{"parts":', _to_json(system), b"}", after


def _after_messages(request: ChatRequest, _model: str) -> bytes:
    """What follows the messages, and the brace that ends the request."""
    if request.unknown:
        raise Unsupported(f"Gemini cannot honour {', '.join(request.unknown)}")
    settings = request.settings
    if settings.reasoning_effort is not None:
        raise Unsupported("Gemini cannot honour reasoning_effort")
    rest: JsonObject = {}
    if request.tools:
        rest["tools"] = [
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
        rest["toolConfig"] = {"functionCallingConfig": config}
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
        rest["generationConfig"] = generation
    return b"," + _to_json(rest)[1:] if rest else b"}"


_around = Surroundings(_after_messages)


def _declaration(name: str, description: str | None, parameters: JsonObject | None) -> JsonObject:
    entry: JsonObject = {"name": name}
    if description:
        entry["description"] = description
    if parameters:
        entry["parametersJsonSchema"] = parameters
    return entry


class _Text(msgspec.Struct, frozen=True):
    text: str


class _Turn(msgspec.Struct, frozen=True):
    role: str
    parts: list[_Text] | list[JsonObject]


def _contents(messages: tuple[Message, ...]) -> tuple[list[_Text], list[_Turn]]:
    """The system's texts apart, then the turns."""
    system: list[_Text] = []
    contents: list[_Turn] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "system":
            if contents:
                raise Unsupported("Gemini takes system messages only before the conversation")
            if isinstance(message.content, str):
                system.append(_Text(message.content))
            elif all(isinstance(part, Text) for part in message.content):
                system.extend(_Text(part.text) for part in message.content if isinstance(part, Text))
            else:
                raise Unsupported("Gemini's system message takes text only")
            continue
        role = "model" if message.role == "assistant" else "user"
        if isinstance(message.content, str):
            contents.append(_Turn(role, [_Text(message.content)]))
        else:
            names.update({part.id: part.name for part in message.content if isinstance(part, ToolCall)})
            contents.append(_Turn(role, [_part(part, names) for part in message.content]))
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
