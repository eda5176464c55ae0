"""The bodies inside OpenAI's batch lines: what a request asks, why one is refused, and what its answer looks like."""

from __future__ import annotations

import secrets
from json import dumps
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.answers import Ask, Reply
from batchmark.emulator.answers.free import count_tokens
from batchmark.emulator.catalog import Model
from batchmark.emulator.vectors import vector_base64, vector_text

__all__ = ["ENDPOINTS", "Made", "ask", "body", "embedding_inputs", "refusal"]

ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
)
_MODERATED = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="  # one pixel
_IMAGE_TOKENS = 272  # of the smallest image
_MAX_EMBEDDINGS = 2048  # inputs of one request
_NEEDED = {"/v1/chat/completions": "messages", "/v1/completions": "prompt"}
_ROLES = {"system": "system", "developer": "system", "assistant": "assistant"}


class Made(msgspec.Struct, frozen=True):
    """A finished body as JSON text, and its tokens."""

    text: str
    input_tokens: int
    output_tokens: int


# Reading


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


# Refusing


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
    needed = "prompt" if endpoint.startswith("/v1/images/") else _NEEDED.get(endpoint, "input")
    value = body.get(needed)
    if value is None:
        return _no(f"Missing required parameter: '{needed}'.", param=needed, code="missing_required_parameter")
    if endpoint == "/v1/chat/completions":
        return _chat_refusal(value) or _sampling_refusal(body, model, chat=True)
    if endpoint == "/v1/responses":
        if not isinstance(value, str | list) or not value:
            return _no("Invalid type for 'input': expected a string or an array.", param="input", code="invalid_type")
        limit = body.get("max_output_tokens")
        if limit is not None and (not _is_int(limit) or limit < 16):
            message = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16."
            return _no(message, param="max_output_tokens", code="integer_below_min_value")
        return _sampling_refusal(body, model, chat=False)
    if endpoint == "/v1/embeddings":
        return _embedding_refusal(value, body, model)
    if endpoint == "/v1/moderations":
        if isinstance(value, str) or (isinstance(value, list) and 0 < len(value) <= _MAX_EMBEDDINGS):
            return None
        return _no("'$.input' is invalid. Please check the API reference.", param="input", code=None)
    if endpoint.startswith("/v1/images/"):
        return _image_refusal(value, body)
    if not isinstance(value, str | list):
        return _no("Invalid type for 'prompt'.", param="prompt", code="invalid_type")
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
        if not _is_int(value) or value < 1:
            message = f"Invalid '{name}': integer below minimum value. Expected a value >= 1."
            return _no(message, param=name, code="integer_below_min_value")
        if name == "max_tokens" and chat and model.reasoning:
            message = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead."
            )
            return _no(message, param=name, code="unsupported_parameter")
    return None


def _embedding_refusal(value: object, body: dict[str, Any], model: Model) -> dict[str, Any] | None:
    items: list[Any] = value if isinstance(value, list) else [value]
    if items and all(_is_int(item) for item in items):
        items = [items]
    if not 0 < len(items) <= _MAX_EMBEDDINGS or not all(isinstance(item, str | list) and item for item in items):
        return _no("'$.input' is invalid. Please check the API reference.", param=None, code=None)
    wanted = body.get("dimensions")
    if wanted is not None and (not _is_int(wanted) or not 1 <= wanted <= model.dimensions):
        message = f"Invalid value for 'dimensions': must be between 1 and {model.dimensions}."
        return _no(message, param="dimensions", code="invalid_value")
    return None


def _image_refusal(prompt: object, body: dict[str, Any]) -> dict[str, Any] | None:
    if not isinstance(prompt, str):
        return _no("Invalid type for 'prompt': expected a string.", param="prompt", code="invalid_type")
    count = body.get("n")
    if count is not None and (not _is_int(count) or not 1 <= count <= 10):
        return _no("Invalid 'n': expected 1 to 10.", param="n", code="invalid_value")
    return None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# Answering


def body(
    endpoint: str, model: Model, asked: dict[str, Any], reply: Reply | None, created_s: int, tool: str | None = None
) -> Made:
    """The answer's body, in the full shape of the real one; with `tool` it is a call of that function."""
    if endpoint == "/v1/moderations":
        return _moderation(model, asked)
    if endpoint.startswith("/v1/images/"):
        return _images(asked, created_s)
    if endpoint == "/v1/embeddings" or reply is None:
        return _embeddings(model, asked)
    if endpoint == "/v1/responses":
        return _response(model, asked, reply, created_s, tool)
    if endpoint == "/v1/completions":
        return _completion(model, asked, reply, created_s)
    return _chat(model, asked, reply, created_s, tool)


def _chat(model: Model, asked: dict[str, Any], reply: Reply, created_s: int, tool: str | None) -> Made:
    wanted = asked.get("n")
    count = min(max(wanted, 1), 128) if isinstance(wanted, int) else 1
    finish: str = reply.finish
    content, calls = quoted(reply.text), ""
    if tool is not None:
        call = {"name": tool, "arguments": reply.text}
        content = "null"
        calls = f'"tool_calls": {dumps([{"id": f"call_{ids.base62(24)}", "type": "function", "function": call}])}, '
        if finish == "stop" and asked.get("tool_choice") == "required":  # a call that was asked for by name is "stop"
            finish = "tool_calls"
    said = (
        f', "message": {{"role": "assistant", "content": {content}, {calls}"refusal": null, '
        f'"annotations": []}}, "logprobs": null, "finish_reason": "{finish}"}}'
    )
    choices = f'{{"index": 0{said}'
    for index in range(1, count):
        choices += f', {{"index": {index}{said}'
    out = reply.output_tokens * count
    made = (
        f'{{"id": "chatcmpl-{ids.base62(29)}", "object": "chat.completion", "created": {created_s}, '
        f'"model": "{model.dated}", "choices": [{choices}], "usage": {{"prompt_tokens": {reply.input_tokens}, '
        f'"completion_tokens": {out}, "total_tokens": {reply.input_tokens + out}, '
        '"prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}, "completion_tokens_details": '
        '{"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, '
        '"rejected_prediction_tokens": 0}}, "service_tier": "default", "system_fingerprint": null}'
    )
    return Made(made, reply.input_tokens, out)


def _completion(model: Model, asked: dict[str, Any], reply: Reply, created_s: int) -> Made:
    prompt, wanted = asked.get("prompt"), asked.get("n")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not _is_int(prompt[0]) else 1
    count = prompts * (min(max(wanted, 1), 128) if isinstance(wanted, int) else 1)
    out = reply.output_tokens * count
    made = {
        "id": f"cmpl-{ids.base62(29)}",
        "object": "text_completion",
        "created": created_s,
        "model": model.dated,
        "choices": [
            {"text": reply.text, "index": index, "logprobs": None, "finish_reason": reply.finish}
            for index in range(count)
        ],
        "usage": {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": out,
            "total_tokens": reply.input_tokens + out,
        },
    }
    return Made(dumps(made), reply.input_tokens, out)


def _response(model: Model, asked: dict[str, Any], reply: Reply, created_s: int, tool: str | None) -> Made:
    stem = f"{secrets.token_hex(8)}00{created_s:08x}"
    cut = reply.finish == "length"
    output: list[dict[str, Any]] = []
    if model.reasoning:
        output.append({"id": f"rs_{stem}{secrets.token_hex(11)}", "type": "reasoning", "content": [], "summary": []})
    call = {
        "id": f"fc_{stem}{secrets.token_hex(11)}",
        "type": "function_call",
        "status": "incomplete" if cut else "completed",
        "arguments": reply.text,
        "call_id": f"call_{ids.base62(24)}",
        "name": tool,
    }
    output.append(
        call
        if tool is not None
        else {
            "id": f"msg_{stem}{secrets.token_hex(11)}",
            "type": "message",
            "status": "incomplete" if cut else "completed",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}],
            "role": "assistant",
        }
    )
    text = asked.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    reasoning = asked.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    made = {
        "id": f"resp_{stem}{secrets.token_hex(11)}",
        "object": "response",
        "created_at": created_s,
        "status": "incomplete" if cut else "completed",
        "background": False,
        "billing": {"payer": "developer"},
        "completed_at": None if cut else created_s + 1,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": model.dated,
        "moderation": None,
        "output": output,
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "prompt_cache_retention": "in_memory",
        "reasoning": {
            "context": "current_turn",
            "effort": effort or ("medium" if model.reasoning else None),
            "mode": "standard",
            "summary": None,
        },
        "safety_identifier": None,
        "service_tier": "default",
        "store": asked.get("store", True),
        "temperature": asked.get("temperature", 1.0),
        "text": {"format": form or {"type": "text"}, "verbosity": "medium"},
        "tool_choice": asked.get("tool_choice", "auto"),
        "tool_usage": {
            "image_gen": {
                "input_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "output_tokens": 0,
                "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "total_tokens": 0,
            },
            "web_search": {"num_requests": 0},
        },
        "tools": asked.get("tools") or [],
        "top_logprobs": 0,
        "top_p": asked.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": reply.input_tokens,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.input_tokens + reply.output_tokens,
        },
        "user": asked.get("user"),
        "metadata": asked.get("metadata") or {},
    }
    return Made(dumps(made), reply.input_tokens, reply.output_tokens)


def _embeddings(model: Model, asked: dict[str, Any]) -> Made:
    value = asked.get("input")
    items = value if isinstance(value, list) else [value]
    if items and all(_is_int(item) for item in items):
        items = [items]
    size = asked.get("dimensions") or model.dimensions
    in_base64 = asked.get("encoding_format") == "base64"
    tokens = 0
    data = []
    for index, item in enumerate(items):
        text = item if isinstance(item, str) else dumps(item)
        tokens += count_tokens(text) if isinstance(item, str) else len(item)
        if in_base64:
            vector = f'"{vector_base64(model.name, text, size)}"'
        else:
            vector = vector_text(model.name, text, size, separator=", ")
        data.append(f'{{"object": "embedding", "embedding": {vector}, "index": {index}}}')
    made = (
        f'{{"object": "list", "data": [{", ".join(data)}], "model": {quoted(model.dated)}, '
        f'"usage": {{"prompt_tokens": {tokens}, "total_tokens": {tokens}}}}}'
    )
    return Made(made, tokens, 0)


def _moderation(model: Model, asked: dict[str, Any]) -> Made:
    """Nothing is ever flagged here; the scores are those of a harmless text."""
    value = asked.get("input")
    texts = value if isinstance(value, list) and all(isinstance(one, str) for one in value) else [value]
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_MODERATED, False),
        "category_scores": dict.fromkeys(_MODERATED, 1e-06),
        "category_applied_input_types": {name: ["text"] for name in _MODERATED},
    }
    made = {"id": f"modr-{ids.base62(24)}", "model": model.dated, "results": [result] * len(texts)}
    return Made(dumps(made), 0, 0)


def _images(asked: dict[str, Any], created_s: int) -> Made:
    """One transparent pixel for each image that was asked for."""
    count = asked.get("n") or 1
    given, made = count_tokens(asked["prompt"]), _IMAGE_TOKENS * count
    body = {
        "created": created_s,
        "background": "transparent",
        "data": [{"b64_json": _IMAGE}] * count,
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
        "usage": {
            "input_tokens": given,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": given},
            "output_tokens": made,
            "total_tokens": given + made,
        },
    }
    return Made(dumps(body), given, made)
