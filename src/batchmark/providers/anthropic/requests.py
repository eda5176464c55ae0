"""Requests as Anthropic takes them: elements of `requests` in the create body. Pure."""

from __future__ import annotations

from typing import Any, assert_never

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

__all__ = ["DEFAULT_MAX_TOKENS", "encode", "endpoint", "relabel"]

# max_tokens is required by this API alone; a request that names none gets this many.
DEFAULT_MAX_TOKENS = 1024

_to_json = msgspec.json.Encoder().encode


def endpoint(request: Request) -> str:
    """Always the Messages API: there are no batches of embeddings."""
    if isinstance(request, ChatRequest):
        return "/v1/messages"
    raise _not_taken(request)


def _not_taken(request: EmbeddingRequest | OtherRequest) -> Unsupported:
    match request:
        case EmbeddingRequest():
            return Unsupported("Anthropic has no embeddings")
        case OtherRequest():
            return Unsupported(f"Anthropic has no counterpart of {request.verbatim.endpoint}")
        case _:
            assert_never(request)


def encode(request: Request, wire_id: str, model: str) -> bytes:
    """One element of `requests` in the create body."""
    if not isinstance(request, ChatRequest):
        raise _not_taken(request)
    return b"".join((b'{"custom_id":', _to_json(wire_id), b',"params":', *_params(request, model), b"}"))


def relabel(line: bytes, wire_id: str) -> bytes:
    """An encoded element with another wire id. Raises ValueError where the bytes are not those of `encode`."""
    return with_id(line, b'{"custom_id":"', b'","params":', wire_id)


def _params(request: ChatRequest, model: str) -> tuple[bytes, ...]:
    """The parameters, in pieces."""
    before, after = _around(request, model)
    system, turns = _turns(request.messages)
    if not system:
        return before, b',"messages":', _to_json(turns), after
    return before, b',"system":', _to_json(system), b',"messages":', _to_json(turns), after


def _around_messages(request: ChatRequest, model: str) -> tuple[bytes, bytes]:
    """What stands before the system text, and what after the messages."""
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
    before = {"model": model, "max_tokens": settings.max_tokens or DEFAULT_MAX_TOKENS}
    rest: JsonObject = {}
    if settings.stop:
        rest["stop_sequences"] = list(settings.stop)
    if request.tools:
        rest["tools"] = [
            {"name": tool.name, "input_schema": tool.parameters or {"type": "object"}}
            | ({"description": tool.description} if tool.description else {})
            for tool in request.tools
        ]
    if request.tool_choice is not None:
        plain = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
        rest["tool_choice"] = plain.get(request.tool_choice, {"type": "tool", "name": request.tool_choice})
    if request.schema is not None:
        rest["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
    return _to_json(before)[:-1], b"," + _to_json(rest)[1:] if rest else b"}"


_around = Surroundings(_around_messages)


def _turns(messages: tuple[Message, ...]) -> tuple[str, list[Message | JsonObject]]:
    """System text apart, then the turns. Raises Unsupported where a system message is not at the start."""
    system: list[str] = []
    turns: list[Message | JsonObject] = []
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
        if type(message.content) is str and message.role in ("user", "assistant"):
            # a turn of text is on the wire what it is here
            turns.append(message)
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
