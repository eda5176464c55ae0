"""Requests as OpenAI's count endpoint takes them, which knows the Responses shape alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import msgspec

from batchmark.domain.request import (
    ChatRequest,
    Document,
    Image,
    JsonObject,
    Message,
    Part,
    Request,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
)

__all__ = ["counted"]

_RESPONSES = "/v1/responses"
# Of the parameters of a response, those that the count endpoint takes too.
_COUNTED = (
    "conversation",
    "input",
    "instructions",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
)


def counted(request: Request, model: str) -> JsonObject:
    """What to ask for the tokens of a request. Raises Unsupported where OpenAI counts none of its kind."""
    verbatim = request.verbatim
    if verbatim is not None and verbatim.endpoint == _RESPONSES:
        body: JsonObject = msgspec.json.decode(verbatim.body)
        return {name: body[name] for name in _COUNTED if body.get(name) is not None} | {"model": model}
    if not isinstance(request, ChatRequest):
        raise Unsupported("OpenAI counts the tokens of conversations only")
    asked: JsonObject = {
        "model": model,
        "input": [item for message in request.messages for item in _items(message)],
    }
    if request.tools:
        asked["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": False,
            }
            for tool in request.tools
        ]
    if request.tool_choice is not None:
        plain = request.tool_choice in ("auto", "none", "required")
        asked["tool_choice"] = request.tool_choice if plain else {"type": "function", "name": request.tool_choice}
    if request.schema is not None:
        asked["text"] = {
            "format": {
                "type": "json_schema",
                "name": request.schema_name or "answer",
                "schema": request.schema,
                "strict": bool(request.schema_strict),
            }
        }
    elif request.json_only:
        asked["text"] = {"format": {"type": "json_object"}}
    if request.settings.reasoning_effort is not None:
        asked["reasoning"] = {"effort": request.settings.reasoning_effort}
    return asked


def _items(message: Message) -> Iterator[JsonObject]:
    """The items that a message becomes: calls of tools and what they gave back stand beside messages."""
    if isinstance(message.content, str):
        yield {"role": message.role, "content": message.content}
        return
    said: list[JsonObject] = []
    beside: list[JsonObject] = []
    for part in message.content:
        match part:
            case ToolCall():
                beside.append(
                    {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
                )
            case ToolResult():
                beside.append({"type": "function_call_output", "call_id": part.call_id, "output": part.content})
            case _:
                said.append(_part(part, message.role == "assistant"))
    if said:
        yield {"role": message.role, "content": said}
    yield from beside


def _part(part: Part, from_model: bool) -> JsonObject:
    match part:
        case Text():
            return {"type": "output_text" if from_model else "input_text", "text": part.text}
        case Image():
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case Document():
            if part.file_id is not None:
                return {"type": "input_file", "file_id": part.file_id}
            if part.url is not None:
                return {"type": "input_file", "file_url": part.url}
            data = f"data:{part.media_type or 'application/pdf'};base64,{part.data}"
            return {"type": "input_file", "filename": part.name or "file", "file_data": data}
        case ToolCall() | ToolResult():
            raise AssertionError("stands beside messages")
        case _:
            assert_never(part)
