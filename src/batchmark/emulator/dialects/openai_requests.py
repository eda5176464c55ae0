"""The bodies inside OpenAI's batch lines as they come: what a request asks, and why one is refused."""

from __future__ import annotations

from json import dumps
from typing import Any

import msgspec

from batchmark.emulator.answers import Ask
from batchmark.emulator.answers.free import count_beside
from batchmark.emulator.catalog import Model
from batchmark.emulator.dialects.likelihoods import MOST
from batchmark.emulator.http import is_int

__all__ = ["ENDPOINTS", "ask", "embedding_inputs", "refusal"]

ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)
_MAX_INPUTS = 2048  # texts of one request
_NEEDED = {"/v1/chat/completions": "messages", "/v1/completions": "prompt"}
_ROLES = {"system": "system", "developer": "system", "assistant": "assistant"}


def ask(endpoint: str, body: dict[str, Any]) -> Ask | None:
    """The question that a body asks of a model; None for embeddings. The body has been checked by `refusal`."""
    model = body["model"]
    if endpoint == "/v1/chat/completions":
        limit = body.get("max_completion_tokens")
        limit = body.get("max_tokens") if limit is None else limit
        form = body.get("response_format")
        schema = form.get("json_schema") if isinstance(form, dict) else None
        inner = schema.get("schema") if isinstance(schema, dict) else None
        tool, arguments = _forced_tool(body, nested=True)
        return Ask(
            model=model,
            messages=_messages(body["messages"]),
            max_tokens=limit,
            json_schema=arguments or _schema(form, inner),
            beside=count_beside(body.get("tools"), inner),
            tool=tool,
        )
    if endpoint == "/v1/responses":
        messages = _messages(body["input"])
        if isinstance(body.get("instructions"), str):
            messages = (("system", body["instructions"]), *messages)
        text = body.get("text")
        form = text.get("format") if isinstance(text, dict) else None
        inner = form.get("schema") if isinstance(form, dict) else None
        tool, arguments = _forced_tool(body, nested=False)
        return Ask(
            model=model,
            messages=messages,
            max_tokens=body.get("max_output_tokens"),
            json_schema=arguments or _schema(form, inner),
            beside=count_beside(body.get("tools"), inner),
            tool=tool,
        )
    if endpoint == "/v1/completions":
        prompt = body["prompt"]
        text = prompt if isinstance(prompt, str) else dumps(prompt)
        limit = body.get("max_tokens")
        return Ask(model=model, messages=(("user", text),), max_tokens=16 if limit is None else limit)
    return None


def _schema(form: object, inner: object) -> str | None:
    if not isinstance(form, dict):
        return None
    if form.get("type") == "json_schema" and isinstance(inner, dict):
        return msgspec.json.encode(inner).decode()
    return '{"type":"object"}' if form.get("type") == "json_object" else None


def _forced_tool(body: dict[str, Any], *, nested: bool) -> tuple[str | None, str | None]:
    """The function that must be called, if one must, and the schema of its arguments. `nested`: Chat's way to write both."""
    choice = body.get("tool_choice")
    if choice is None or choice in ("auto", "none"):
        return None, None
    wanted = choice.get("function", {}) if nested and isinstance(choice, dict) else choice
    name = wanted.get("name") if isinstance(wanted, dict) else None
    if choice != "required" and not isinstance(name, str):
        return None, None
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        made = tool.get("function") if nested and isinstance(tool, dict) else tool
        if isinstance(made, dict) and isinstance(made.get("name"), str) and name in (None, made["name"]):
            schema = made.get("parameters")
            return made["name"], _encoded(schema) if isinstance(schema, dict) else '{"type":"object"}'
    return None, None


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _messages(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, str):
        return (("user", value),)
    found: list[tuple[str, str]] = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            role = item.get("role")
            found.append((_ROLES.get(role, "user") if isinstance(role, str) else "user", _text(item.get("content"))))
    return tuple(found)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    pieces = []
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            text = part.get("text")
            pieces.append(text if isinstance(text, str) else f"[{part.get('type', 'something')}]")
    return "\n".join(pieces)


def embedding_inputs(body: dict[str, Any]) -> int:
    value = body.get("input")
    if isinstance(value, list) and value and not isinstance(value[0], int):
        return len(value)
    return 1


def _no(message: str, *, param: str | None, code: str | None, status: int = 400) -> dict[str, Any]:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return {"status": status, "error": error}


def refusal(endpoint: str, body: dict[str, Any], model: Model | None) -> dict[str, Any] | None:
    """Why the service would refuse to run this body, or None."""
    if model is None:
        return _no(
            f"The model `{str(body.get('model'))[:100]}` does not exist or you do not have access to it.",
            param="model",
            code="model_not_found",
            status=404,
        )
    if body.get("stream"):
        return _no("Streaming is not supported in the Batch API.", param="stream", code="unsupported_parameter")
    needed = "prompt" if endpoint.startswith(("/v1/images/", "/v1/videos")) else _NEEDED.get(endpoint, "input")
    value = body.get(needed)
    if value is None:
        return _no(f"Missing required parameter: '{needed}'.", param=needed, code="missing_required_parameter")
    if endpoint == "/v1/chat/completions":
        found = _chat_refusal(value) or _sampling_refusal(body, model, chat=True)
        return found or _likelihood_refusal(body, model, chat=True)
    if endpoint == "/v1/responses":
        if not isinstance(value, str | list) or not value:
            return _no("Invalid type for 'input': expected a string or an array.", param="input", code="invalid_type")
        limit = body.get("max_output_tokens")
        if limit is not None and (not is_int(limit) or limit < 16):
            message = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16."
            return _no(message, param="max_output_tokens", code="integer_below_min_value")
        return _sampling_refusal(body, model, chat=False) or _likelihood_refusal(body, model, chat=False)
    if endpoint == "/v1/embeddings":
        return _embedding_refusal(value, body, model)
    if endpoint == "/v1/moderations":
        if isinstance(value, str) or (isinstance(value, list) and 0 < len(value) <= _MAX_INPUTS):
            return None
        return _no("'$.input' is invalid. Please check the API reference.", param="input", code=None)
    if endpoint.startswith("/v1/images/"):
        return _image_refusal(value, body)
    if endpoint == "/v1/videos":
        return _video_refusal(value, body)
    if not isinstance(value, str | list):
        return _no("Invalid type for 'prompt'.", param="prompt", code="invalid_type")
    top = body.get("logprobs")
    if top is not None and (not is_int(top) or not 0 <= top <= 5):
        return _no("Invalid 'logprobs': expected an integer from 0 to 5.", param="logprobs", code="invalid_value")
    return _sampling_refusal(body, model, chat=False)


def _chat_refusal(messages: object) -> dict[str, Any] | None:
    if not isinstance(messages, list):
        message = "Invalid type for 'messages': expected an array of objects."
        return _no(message, param="messages", code="invalid_type")
    if not messages:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        return _no(message, param="messages", code="empty_array")
    for number, item in enumerate(messages):
        if not isinstance(item, dict):
            where = f"messages[{number}]"
            return _no(f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type")
        if item.get("role") not in ("system", "developer", "user", "assistant", "tool", "function"):
            where = f"messages[{number}].role"
            return _no(f"Invalid value for '{where}'.", param=where, code="invalid_value")
        content = item.get("content")
        if not isinstance(content, str | list) and not (content is None and item["role"] == "assistant"):
            where = f"messages[{number}].content"
            return _no(f"Invalid type for '{where}': expected a string or an array.", param=where, code="invalid_type")
    return None


def _sampling_refusal(body: dict[str, Any], model: Model, *, chat: bool) -> dict[str, Any] | None:
    for name, low, high in (("temperature", 0, 2), ("top_p", 0, 1)):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _no(f"Invalid type for '{name}': expected a decimal.", param=name, code="invalid_type")
        if not low <= value <= high:
            which, code = (
                ("below minimum", "decimal_below_min_value")
                if value < low
                else (
                    "above maximum",
                    "decimal_above_max_value",
                )
            )
            return _no(f"Invalid '{name}': decimal {which} value.", param=name, code=code)
        if model.default_sampling and value != 1:
            message = (
                f"Unsupported value: '{name}' does not support {value} with this model. "
                "Only the default (1) value is supported."
            )
            return _no(message, param=name, code="unsupported_value")
    limits = ("max_tokens", "max_completion_tokens") if chat else ("max_tokens",)
    for name in limits:
        value = body.get(name)
        if value is None:
            continue
        if not is_int(value) or value < 1:
            message = f"Invalid '{name}': integer below minimum value. Expected a value >= 1."
            return _no(message, param=name, code="integer_below_min_value")
        if name == "max_tokens" and chat and model.reasoning:
            message = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead."
            )
            return _no(message, param=name, code="unsupported_parameter")
    return None


def _likelihood_refusal(body: dict[str, Any], model: Model, *, chat: bool) -> dict[str, Any] | None:
    """Whether the probabilities of tokens may be had in this way."""
    on, top = body.get("logprobs") if chat else None, body.get("top_logprobs")
    if on is not None and not isinstance(on, bool):
        return _no("Invalid type for 'logprobs': expected a boolean.", param="logprobs", code="invalid_type")
    if top is not None and (not is_int(top) or not 0 <= top <= MOST):
        message = f"Invalid 'top_logprobs': expected an integer from 0 to {MOST}."
        return _no(message, param="top_logprobs", code="invalid_value")
    if chat and top is not None and not on:
        message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        return _no(message, param="top_logprobs", code="invalid_value")
    if on and model.reasoning:
        message = "Unsupported parameter: 'logprobs' is not supported with this model."
        return _no(message, param="logprobs", code="unsupported_parameter")
    return None


def _embedding_refusal(value: object, body: dict[str, Any], model: Model) -> dict[str, Any] | None:
    items: list[Any] = value if isinstance(value, list) else [value]
    if items and all(is_int(item) for item in items):
        items = [items]
    if not 0 < len(items) <= _MAX_INPUTS or not all(isinstance(item, str | list) and item for item in items):
        return _no("'$.input' is invalid. Please check the API reference.", param=None, code=None)
    wanted = body.get("dimensions")
    if wanted is not None and (not is_int(wanted) or not 1 <= wanted <= model.dimensions):
        message = f"Invalid value for 'dimensions': must be between 1 and {model.dimensions}."
        return _no(message, param="dimensions", code="invalid_value")
    return None


def _image_refusal(prompt: object, body: dict[str, Any]) -> dict[str, Any] | None:
    if not isinstance(prompt, str):
        return _no("Invalid type for 'prompt': expected a string.", param="prompt", code="invalid_type")
    count = body.get("n")
    if count is not None and (not is_int(count) or not 1 <= count <= 10):
        return _no("Invalid 'n': expected 1 to 10.", param="n", code="invalid_value")
    return None


def _video_refusal(prompt: object, body: dict[str, Any]) -> dict[str, Any] | None:
    if not isinstance(prompt, str):
        return _no("Invalid type for 'prompt': expected a string.", param="prompt", code="invalid_type")
    for name in ("seconds", "size"):
        if body.get(name) is not None and not isinstance(body[name], str):
            return _no(f"Invalid type for '{name}': expected a string.", param=name, code="invalid_type")
    return None
