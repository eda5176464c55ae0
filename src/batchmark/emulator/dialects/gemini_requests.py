"""Gemini's requests as they come, in camelCase or snake_case: what one asks, and why it is refused."""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec

from batchmark.emulator.answers import Ask
from batchmark.emulator.answers.free import count_beside
from batchmark.emulator.catalog import Model
from batchmark.emulator.dialects.likelihoods import MOST
from batchmark.emulator.http import is_int

__all__ = [
    "INVALID",
    "ask",
    "dimensions",
    "field",
    "read_numbers",
    "row_error",
    "text_of",
    "texts_of",
    "tokens_beside",
    "why_refused",
    "why_refused_embedding",
]

INVALID = 3  # of the google.rpc codes
_MOST_CANDIDATES = 8
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")

_encode = msgspec.json.encode


def row_error(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message}


def field(value: object, name: str) -> Any:
    """A member of a proto-JSON object, by its camelCase name or the snake_case one."""
    if not isinstance(value, dict):
        return None
    found = value.get(name)
    if found is None:
        found = value.get(_snake(name))
    return found


@functools.cache
def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def text_of(content: object) -> str:
    """The text of one content's parts; other parts leave a short note."""
    if isinstance(content, str):
        return content
    pieces = []
    parts = field(content, "parts")
    for part in parts if isinstance(parts, list) else [parts]:
        if isinstance(part, dict):
            text = part.get("text")
            pieces.append(text if isinstance(text, str) else f"[{next(iter(part), 'something')}]")
        elif isinstance(part, str):
            pieces.append(part)
    return "\n".join(pieces)


def texts_of(request: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The conversation of a request in the common shape."""
    found: list[tuple[str, str]] = []
    system = field(request, "systemInstruction")
    if system:
        found.append(("system", text_of(system)))
    contents = request.get("contents")
    for content in contents if isinstance(contents, list) else [contents]:
        role = "assistant" if field(content, "role") == "model" else "user"
        found.append((role, text_of(content)))
    return tuple(found)


def tokens_beside(request: dict[str, Any]) -> int:
    """The tokens of what is sent beside the conversation: tools and a schema."""
    config = field(request, "generationConfig")
    schema = field(config, "responseJsonSchema") or field(config, "responseSchema")
    return count_beside(request.get("tools"), schema)


def read_numbers(request: dict[str, Any]) -> None:
    """Turn numbers that came as text into numbers, as proto-JSON does."""
    config = field(request, "generationConfig")
    for part in (config, field(config, "thinkingConfig")):
        for name, value in part.items() if isinstance(part, dict) else ():
            if isinstance(value, str) and _NUMBER.fullmatch(value):
                part[name] = float(value) if "." in value else int(value)


def why_refused(request: dict[str, Any]) -> dict[str, Any] | None:
    """The error that the service would answer to a request for text, or None."""
    contents = request.get("contents")
    if isinstance(contents, dict):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        return row_error(INVALID, "* GenerateContentRequest.contents: contents is not specified")
    for number, content in enumerate(contents):
        if not isinstance(content, dict) or not field(content, "parts"):
            where = f"* GenerateContentRequest.contents[{number}].parts"
            return row_error(INVALID, f"{where}: contents.parts must not be empty.")
        if content.get("role") not in (None, "", "user", "model", "function"):
            return row_error(INVALID, "Please use a valid role: user, model.")
    config = field(request, "generationConfig")
    if config is None:
        return None
    if not isinstance(config, dict):
        return row_error(INVALID, "Invalid value at 'generation_config'.")
    limit = field(config, "maxOutputTokens")
    if limit is not None and (not is_int(limit) or limit < 1):
        return row_error(INVALID, "max_output_tokens must be positive.")
    for name, least, most in (("candidateCount", 1, _MOST_CANDIDATES), ("logprobs", 0, MOST)):
        value = field(config, name)
        if value is not None and (not is_int(value) or not least <= value <= most):
            message = f"* GenerateContentRequest.generation_config.{_snake(name)}: must be in [{least}, {most}]."
            return row_error(INVALID, message)
    if field(config, "logprobs") is not None and not field(config, "responseLogprobs"):
        return row_error(INVALID, "generation_config.logprobs needs generation_config.response_logprobs.")
    thinking = field(config, "thinkingConfig")
    if thinking is not None:
        budget = field(thinking, "thinkingBudget")
        if not isinstance(thinking, dict) or (budget is not None and (not is_int(budget) or budget < -1)):
            return row_error(INVALID, "Invalid value at 'generation_config.thinking_config'.")
    for name, most in (("temperature", 2), ("topP", 1)):
        value = field(config, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return row_error(INVALID, f"Invalid value at 'generation_config.{name}' (TYPE_FLOAT).")
        if not 0 <= value <= most:
            return row_error(INVALID, f"* GenerateContentRequest.generation_config.{name}: must be in [0, {most}].")
    return None


def why_refused_embedding(request: dict[str, Any], model: Model) -> dict[str, Any] | None:
    if not text_of(request.get("content")):
        return row_error(INVALID, "* EmbedContentRequest.content: content is empty")
    size = dimensions(request, model)
    if not is_int(size) or not 1 <= size <= model.dimensions:
        return row_error(INVALID, f"output_dimensionality must be between 1 and {model.dimensions}.")
    return None


def dimensions(request: dict[str, Any], model: Model) -> Any:
    wanted = field(request, "outputDimensionality")
    if wanted is None:
        wanted = field(field(request, "embedContentConfig"), "outputDimensionality")
    return model.dimensions if wanted is None else wanted


def ask(model: str, request: dict[str, Any], *, sampled: bool) -> Ask:
    config = field(request, "generationConfig")
    schema = field(config, "responseJsonSchema") or field(config, "responseSchema")
    text: str | None = None
    if isinstance(schema, dict):
        text = _encode(_lowered(schema)).decode()
    elif field(config, "responseMimeType") == "application/json":
        text = '{"type":"object"}'
    tool = _forced_tool(request)
    if tool is not None:
        schema = field(tool, "parametersJsonSchema") or field(tool, "parameters")
        text = _encode(_lowered(schema)).decode() if isinstance(schema, dict) else '{"type":"object"}'
    options: list[tuple[str, Any]] = []
    for ours, theirs in (
        ("temperature", "temperature"),
        ("topP", "top_p"),
        ("stopSequences", "stop"),
        ("seed", "seed"),
    ):
        value = field(config, ours) if sampled else None
        if value is not None:
            options.append((theirs, value))
    return Ask(
        model=model,
        messages=texts_of(request),
        max_tokens=field(config, "maxOutputTokens"),
        json_schema=text,
        beside=tokens_beside(request),
        tool=None if tool is None else tool["name"],
        options=tuple(options),
    )


def _forced_tool(request: dict[str, Any]) -> dict[str, Any] | None:
    """The function that must be called, if one must: the first of those that may be."""
    how = field(field(request, "toolConfig"), "functionCallingConfig")
    if str(field(how, "mode")).upper() != "ANY":
        return None
    allowed, tools = field(how, "allowedFunctionNames"), request.get("tools")
    named: list[dict[str, Any]] = []
    for tool in tools if isinstance(tools, list) else (tools,):
        functions = field(tool, "functionDeclarations")
        for function in functions if isinstance(functions, list) else ():
            if isinstance(function, dict) and isinstance(function.get("name"), str):
                named.append(function)
    if isinstance(allowed, list) and allowed:
        named = [function for function in named if function["name"] in allowed]
    return named[0] if named else None


def _lowered(schema: object) -> object:
    """A schema with its type names as JSON Schema writes them: Gemini's own are capitals."""
    if isinstance(schema, list):
        return [_lowered(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else _lowered(value)
        for name, value in schema.items()
    }
