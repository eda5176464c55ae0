"""Requests as OpenAI takes them: lines of a batch input file. Pure."""

from __future__ import annotations

from collections.abc import Iterator
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
    Role,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
    Verbatim,
)
from batchmark.providers.encoding import Surroundings, with_id

__all__ = ["ENDPOINTS", "encode", "endpoint", "relabel"]

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

_to_json = msgspec.json.Encoder().encode
_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_BEFORE_ID = b'{"custom_id":"'
_AFTER_ID = b'","method":"POST",'
_BEFORE_BODY = {each: b',"method":"POST","url":%b,"body":' % _to_json(each) for each in ENDPOINTS}


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
    return b"".join(
        (b'{"custom_id":', _to_json(wire_id), _BEFORE_BODY[endpoint(request)], *_body(request, model), b"}")
    )


def relabel(line: bytes, wire_id: str) -> bytes:
    """An encoded line with another wire id. Raises ValueError where the line is not one of `encode`."""
    return with_id(line, _BEFORE_ID, _AFTER_ID, wire_id)


def _body(request: Request, model: str) -> tuple[bytes | msgspec.Raw, ...]:
    """The body, in pieces."""
    verbatim = request.verbatim
    if verbatim is not None:
        return (verbatim.body if verbatim.model == model else _with_model(verbatim, model),)
    match request:
        case ChatRequest():
            before, after = _around(request, model)
            messages: list[Message | JsonObject] = []
            for message in request.messages:
                if isinstance(message.content, str):
                    # a message of text is on the wire what it is here
                    messages.append(message)
                else:
                    messages.extend(_messages(message.role, message.content))
            return before, _to_json(messages), after
        case EmbeddingRequest():
            body: JsonObject = {
                "model": model,
                "input": request.texts[0] if len(request.texts) == 1 else list(request.texts),
            }
            if request.dimensions is not None:
                body["dimensions"] = request.dimensions
            return (_to_json(body),)
        case OtherRequest():
            raise Unsupported("the request has no body")
        case _:
            assert_never(request)


def _with_model(verbatim: Verbatim, model: str) -> bytes:
    """The body with another model; all else keeps its bytes."""
    return _to_json({**_fields_of(verbatim.body), "model": model})


def _around_messages(request: ChatRequest, model: str) -> tuple[bytes, bytes]:
    """A body in two pieces, between which the messages stand."""
    settings = request.settings
    if settings.top_k is not None:
        raise Unsupported("OpenAI has no parameter top_k")
    rest: JsonObject = {}
    if settings.max_tokens is not None:
        rest["max_completion_tokens"] = settings.max_tokens
    for name in ("temperature", "top_p", "seed", "reasoning_effort"):
        value = getattr(settings, name)
        if value is not None:
            rest[name] = value
    if settings.stop:
        rest["stop"] = list(settings.stop)
    if request.tools:
        rest["tools"] = [
            {
                "type": "function",
                "function": _without_none(name=tool.name, description=tool.description, parameters=tool.parameters),
            }
            for tool in request.tools
        ]
    if request.tool_choice is not None:
        plain = request.tool_choice in ("auto", "none", "required")
        rest["tool_choice"] = (
            request.tool_choice if plain else {"type": "function", "function": {"name": request.tool_choice}}
        )
    if request.schema is not None:
        rest["response_format"] = {
            "type": "json_schema",
            "json_schema": _without_none(
                name=request.schema_name or "answer", schema=request.schema, strict=request.schema_strict
            ),
        }
    elif request.json_only:
        rest["response_format"] = {"type": "json_object"}
    return b'{"model":%b,"messages":' % _to_json(model), b"," + _to_json(rest)[1:] if rest else b"}"


_around = Surroundings(_around_messages)


def _without_none(**fields: Any) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def _messages(role: Role, content: tuple[Part, ...]) -> Iterator[JsonObject]:
    """The messages that one of ours with parts becomes: OpenAI has each tool's result in a message of its own."""
    parts: list[JsonObject] = []
    calls: list[JsonObject] = []
    for part in content:
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
        yield {"role": role, "content": parts or None} | ({"tool_calls": calls} if calls else {})
