"""Reading request bodies in OpenAI's shape into the common one.

What the common shape cannot hold is not an error here: it is named in a list, because OpenAI itself can honour it. A value of the wrong
kind is an error, `BadBody`.
"""

from __future__ import annotations

from typing import Any

from batchmark.domain.request import (
    Document,
    Image,
    JsonObject,
    Message,
    Part,
    Role,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from batchmark.workload.problems import BadBody

__all__ = ["CHAT_PARAMETERS", "MAX_TOKENS", "BadBody", "chat_parameters", "embeddings", "messages", "responses"]

MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
CHAT_PARAMETERS = (
    *MAX_TOKENS,
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "seed",
    "reasoning_effort",
    "tools",
    "tool_choice",
    "response_format",
)
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_OF_TEXT = {name: role for name, role in _ROLES.items() if role != "tool"}
_NO_PARAMETERS = Settings()


def messages(value: Any) -> tuple[tuple[Message, ...], list[str]]:
    """A list of chat messages, and the names of what the common shape cannot hold."""
    if not isinstance(value, list) or not value:
        raise BadBody("messages must be a list with at least one message")
    unknown: list[str] = []
    found: list[Message] = []
    for index, each in enumerate(value):
        # most messages by far are a role and a text
        if type(each) is dict and len(each) == 2:
            named, content = each.get("role"), each.get("content")
            if type(content) is str and type(named) is str and named in _OF_TEXT:
                found.append(Message(_OF_TEXT[named], content))
                continue
        found.append(_message(index, each, unknown))
    return tuple(found), unknown


def _message(index: int, value: Any, unknown: list[str]) -> Message:
    if not isinstance(value, dict):
        raise BadBody(f"messages[{index}] must be an object with role and content")
    named, content = value.get("role"), value.get("content")
    role = _ROLES.get(named) if isinstance(named, str) else None
    if role is None:
        raise BadBody(f"messages[{index}].role must be one of {', '.join(_ROLES)}, not {named!r}")
    parts: list[Part] = []
    if role == "tool":
        said = _plain(content)
        if said is None or not isinstance(value.get("tool_call_id"), str):
            raise BadBody(f"messages[{index}] of role tool needs content and tool_call_id as text")
        parts.append(ToolResult(value["tool_call_id"], said))
    elif isinstance(content, str):
        parts.append(Text(content))
    elif isinstance(content, list):
        parts.extend(
            part
            for at, each in enumerate(content)
            if (part := _part(f"messages[{index}].content[{at}]", each, unknown))
        )
    elif content is not None or not value.get("tool_calls"):
        raise BadBody(f"messages[{index}].content must be text or a list of parts")
    calls = value.get("tool_calls") or ()
    if not isinstance(calls, list | tuple):
        raise BadBody(f"messages[{index}].tool_calls must be a list")
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadBody(f"messages[{index}].tool_calls must hold functions with a name")
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            raise BadBody(f"messages[{index}].tool_calls must hold arguments as JSON text")
        parts.append(ToolCall(str(call.get("id") or ""), function["name"], arguments or "{}"))
    unknown.extend(
        f"messages[{index}].{key}"
        for key in value
        if key not in ("role", "content", "tool_calls")
        and not (key == "tool_call_id" and role == "tool")
        and value[key] is not None
    )
    return Message(role, tuple(parts))


def _plain(content: Any) -> str | None:
    """Text that stands as such or in text parts; None where it is anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts: list[str] = []
    for each in content:
        if not isinstance(each, dict) or each.get("type") != "text" or not isinstance(each.get("text"), str):
            return None
        texts.append(each["text"])
    return "".join(texts)


def _part(where: str, value: Any, unknown: list[str]) -> Part | None:
    if not isinstance(value, dict):
        raise BadBody(f"{where} must be an object")
    kind = value.get("type")
    if kind in ("text", "input_text", "output_text") and isinstance(value.get("text"), str):
        return Text(value["text"])
    if kind in ("image_url", "input_image"):
        image = value.get("image_url")
        image = {"url": image} if isinstance(image, str) else image
        if isinstance(image, dict) and isinstance(image.get("url"), str):
            media_type, data = _data_url(image["url"])
            detail = _text(image, "detail", where)
            return Image(url=None if data else image["url"], data=data, media_type=media_type, detail=detail)
    if kind in ("file", "input_file"):
        file = value.get("file", value)
        if isinstance(file, dict) and (file.get("file_data") or file.get("file_id")):
            given = _text(file, "file_data", where)
            media_type, data = _data_url(given or "")
            return Document(
                file_id=_text(file, "file_id", where),
                data=data or given,
                media_type=media_type,
                name=_text(file, "filename", where),
            )
    unknown.append(f"{where} of type {kind}")
    return None


def _text(fields: JsonObject, key: str, where: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise BadBody(f"{where}.{key} must be text")
    return value


def _data_url(url: str) -> tuple[str | None, str | None]:
    if not url.startswith("data:"):
        return None, None
    head, _, data = url[5:].partition(",")
    return head.removesuffix(";base64") or None, data


def chat_parameters(body: JsonObject) -> tuple[dict[str, Any], list[str]]:
    """The keyword arguments of a ChatRequest beyond its messages, and the names of what the common shape cannot hold."""
    limits = [body[name] for name in MAX_TOKENS if body.get(name) is not None]
    if len({str(each) for each in limits}) > 1:
        raise BadBody(
            f"{' and '.join(name for name in MAX_TOKENS if body.get(name) is not None)} contradict each other"
        )
    max_tokens = limits[0] if limits else None
    if max_tokens is not None and (not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1):
        raise BadBody(f"max_tokens must be a whole number above 0, not {max_tokens!r}")
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise BadBody("stop must be text or a list of texts")
    effort = body.get("reasoning_effort")
    if effort is not None and not isinstance(effort, str):
        raise BadBody(f"reasoning_effort must be text, not {effort!r}")
    settings = Settings(
        max_tokens=max_tokens,
        temperature=_number(body, "temperature"),
        top_p=_number(body, "top_p"),
        top_k=_whole(body, "top_k"),
        stop=tuple(stops),
        seed=_whole(body, "seed"),
        reasoning_effort=effort,
    )
    found: dict[str, Any] = {} if settings == _NO_PARAMETERS else {"settings": settings}
    unknown: list[str] = []
    if body.get("tools"):
        found["tools"] = _tools(body["tools"], unknown)
    if body.get("tool_choice") is not None:
        found |= _choice(body["tool_choice"], unknown)
    if body.get("response_format") is not None:
        found |= _format(body["response_format"])
    ours = {*CHAT_PARAMETERS, "model", "messages"}
    # n: 1 and stream: false ask for what happens anyway
    idle = {"n": 1, "stream": False}
    unknown.extend(key for key in body if key not in ours and body[key] is not None and idle.get(key) != body[key])
    return found, unknown


def _number(body: JsonObject, key: str) -> float | None:
    value = body.get(key)
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise BadBody(f"{key} must be a number, not {value!r}")
    return value


def _whole(body: JsonObject, key: str) -> int | None:
    value = body.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise BadBody(f"{key} must be a whole number, not {value!r}")
    return value


def _tools(value: Any, unknown: list[str]) -> tuple[Tool, ...]:
    if not isinstance(value, list):
        raise BadBody("tools must be a list")
    tools: list[Tool] = []
    for index, each in enumerate(value):
        if not isinstance(each, dict):
            raise BadBody(f"tools[{index}] must be an object")
        function = each.get("function", each if each.get("type") == "function" else None)
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            unknown.append(f"tools[{index}] of type {each.get('type')}")
            continue
        parameters = function.get("parameters")
        if parameters is not None and not isinstance(parameters, dict):
            raise BadBody(f"tools[{index}].parameters must be a JSON schema")
        tools.append(Tool(function["name"], _text(function, "description", f"tools[{index}]"), parameters))
    return tuple(tools)


def _choice(choice: Any, unknown: list[str]) -> dict[str, Any]:
    if isinstance(choice, str):
        return {"tool_choice": choice}
    if isinstance(choice, dict) and isinstance(choice.get("type"), str):
        function = choice.get("function", choice) if choice["type"] == "function" else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            return {"tool_choice": function["name"]}
        if function is None:
            unknown.append(f"tool_choice of type {choice['type']}")
            return {}
    raise BadBody("tool_choice must be auto, none, required or name a function")


def _format(value: Any) -> dict[str, Any]:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"json_only": True}
    if kind == "json_schema":
        inner = value.get("json_schema", value)
        if isinstance(inner, dict) and isinstance(inner.get("schema"), dict):
            strict = inner.get("strict")
            if strict is not None and not isinstance(strict, bool):
                raise BadBody(f"response_format.strict must be true or false, not {strict!r}")
            name = _text(inner, "name", "response_format")
            return {"schema": inner["schema"], "schema_name": name} | (
                {} if strict is None else {"schema_strict": strict}
            )
    raise BadBody("response_format must be text, json_object or a json_schema with its schema")


def responses(body: JsonObject) -> tuple[tuple[Message, ...], dict[str, Any], list[str]]:
    """A body of OpenAI's Responses API: messages, keyword arguments, and what the common shape cannot hold."""
    value = body.get("input")
    unknown: list[str] = []
    if isinstance(value, str):
        turns: tuple[Message, ...] = (Message("user", value),)
    elif isinstance(value, list) and all(isinstance(each, dict) and "role" in each for each in value) and value:
        turns, unknown = messages([{key: each[key] for key in ("role", "content") if key in each} for each in value])
    else:
        turns, unknown = (), ["input"]
    instructions = body.get("instructions")
    if isinstance(instructions, str):
        turns = (Message("system", instructions), *turns)
    elif instructions is not None:
        raise BadBody("instructions must be text")
    rest = {key: each for key, each in body.items() if key not in ("input", "instructions", "text", "reasoning")}
    # what these two groups hold beside the one field of the common shape is named, never dropped
    for group, field, ours in (("text", "format", "response_format"), ("reasoning", "effort", "reasoning_effort")):
        fields = body.get(group)
        if fields is None:
            continue
        if not isinstance(fields, dict):
            raise BadBody(f"{group} must be an object")
        if fields.get(field) is not None:
            rest[ours] = fields[field]
        unknown.extend(f"{group}.{key}" for key in fields if key != field and fields[key] is not None)
    found, more = chat_parameters(rest)
    return turns, found, unknown + more


def embeddings(body: JsonObject) -> tuple[tuple[str, ...], int | None, list[str]]:
    """A body of the embeddings API: texts, dimensions, and what the common shape cannot hold."""
    value = body.get("input")
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    unknown = [key for key in body if key not in ("model", "input", "dimensions") and body[key] is not None]
    if not texts or not all(isinstance(each, str) for each in texts):
        texts, unknown = (), [*unknown, "input"]
    return texts, _whole(body, "dimensions"), unknown
