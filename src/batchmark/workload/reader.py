"""One JSON line -> one Row.

Rows of a file mostly have the same keys and the same parameters, so what follows from the names of the keys is worked out once per
*shape* (the keys in their order), and parameters are converted once per set of values. What is left per row is the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from batchmark.domain.request import (
    ChatRequest,
    EmbeddingRequest,
    JsonObject,
    Message,
    OtherRequest,
    Request,
    Row,
    Verbatim,
)
from batchmark.workload import openai_body
from batchmark.workload.columns import column_names
from batchmark.workload.problems import BadRow
from batchmark.workload.template import Template

__all__ = ["RowReader"]

_CHAT_PARAMETERS = frozenset(openai_body.CHAT_PARAMETERS)
# What people write where the common shape says otherwise: taken for columns, a limit on money would be lost in silence.
_MISSPELT = {
    "max_new_tokens": "max_tokens",
    "max_token": "max_tokens",
    "maxTokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "stop_sequences": "stop",
    "temp": "temperature",
    "topP": "top_p",
    "topK": "top_k",
}
# Parameters of OpenAI's that the common shape has no place for: taken for columns they would be dropped in silence.
_ONLY_IN_BODIES = frozenset(
    {
        "frequency_penalty",
        "reasoning",
        "service_tier",
        "verbosity",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "modalities",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "stream",
        "top_logprobs",
    }
)
_SOURCES = ("prompt", "messages", "input")
_BATCH_LINE = ("method", "url", "body")
_TEMPLATE = "template"
# Shapes and sets of parameters that are remembered; a file with more of them is read more slowly, never with more memory.
_MOST_SHAPES = 64
_MOST_VALUES = 16

_Found = tuple[dict[str, Any], tuple[str, ...]]

_decode = msgspec.json.decode
_encode = msgspec.json.Encoder().encode


class _RawBody(msgspec.Struct, frozen=True):
    body: msgspec.Raw


_raw_body = msgspec.json.Decoder(_RawBody).decode


@dataclass(slots=True)
class _Shape:
    """What follows from the keys of a row: `source` holds the text, `columns` are the user's with their names in the answer."""

    source: str
    parameters: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    has_custom_id: bool
    has_model: bool
    has_system: bool
    # the parameters of earlier rows, by the JSON of their values, which alone tells 1 from 1.0 and from true
    seen: dict[bytes, _Found] = field(default_factory=dict)


class RowReader:
    """Reads the lines of one workload. Not for several threads at once."""

    def __init__(self, template: Template | None = None) -> None:
        self._template = template
        self._fill = template.fill if template is not None and template.prompt is not None else None
        self._max_tokens = template.max_tokens if template else None
        self._system = Message("system", template.system) if template and template.system is not None else None
        self._defaults = [name for name in ("system", "max_tokens") if template and getattr(template, name) is not None]
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._bodies: dict[tuple[str, ...], _Shape] = {}

    def read(self, number: int, line_number: int, line: bytes) -> Row:
        """The row of a line. Raises BadRow."""
        try:
            entry = _decode(line)
        except UnicodeDecodeError:
            raise BadRow("the line is not UTF-8 text", "save the file as UTF-8") from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise _no_json(line, error) from None
        if type(entry) is not dict:
            raise BadRow("the line is JSON, but no object", 'for example {"prompt": "What is 2 + 2?"}')
        keys = tuple(entry)
        shape = self._shapes.get(keys) or self._shape(keys, entry)
        custom_id = entry["custom_id"] if shape.has_custom_id else None
        if type(custom_id) is not str and custom_id is not None and type(custom_id) is not int:
            raise BadRow("custom_id must be text or a whole number")
        request, model = self._batch_line(shape, entry, line) if shape.source == "body" else self._plain(shape, entry)
        columns = _encode({theirs: entry[ours] for ours, theirs in shape.columns}) if shape.columns else None
        return Row(number, line_number, request, custom_id, columns, model)

    def _shape(self, keys: tuple[str, ...], entry: JsonObject) -> _Shape:
        """The shape of a row with keys not met before. It is remembered where the keys alone tell which of them holds the text."""
        if self._fill is not None:
            if all(key in entry for key in _BATCH_LINE) and isinstance(entry["body"], dict):
                raise BadRow("a prompt with columns cannot be used on a line of OpenAI's batch format")
            return _remember(self._shapes, keys, _shape_of(keys, _TEMPLATE, ()))
        if all(key in entry for key in _BATCH_LINE):
            return _remember(self._shapes, keys, _shape_of(keys, "body", _BATCH_LINE))
        named = [key for key in _SOURCES if key in entry]
        present = [key for key in named if entry[key] is not None]
        if not present:
            raise BadRow("the row has neither prompt nor messages nor input")
        if len(present) > 1:
            raise BadRow(f"the row has both {present[0]} and {present[1]}; give one")
        shape = _shape_of(keys, present[0], _SOURCES)
        return _remember(self._shapes, keys, shape) if len(named) == 1 else shape

    # rows in our own shape

    def _plain(self, shape: _Shape, entry: JsonObject) -> tuple[Request, str | None]:
        model = _typed(entry, "model", str, "text") if shape.has_model else None
        source = shape.source
        if source == "input":
            return self._embedding(entry), model
        system = _typed(entry, "system", str, "text") if shape.has_system else None
        if source == "messages":
            value = entry["messages"]
            if value is None:
                raise BadRow("the row has neither prompt nor messages nor input")
            messages, unknown = openai_body.messages(value)
            if unknown:
                raise BadRow(f"cannot use {', '.join(unknown)}")
        else:
            messages = (Message("user", self._prompt(source, entry)),)
        if system is not None:
            messages = (Message("system", system), *messages)
        elif self._system is not None:
            messages = (self._system, *messages)
        known, strange = _parameters(shape, entry, self._max_tokens)
        if strange:
            raise BadRow(f"cannot use {', '.join(strange)}")
        return ChatRequest(messages, **known), model

    def _prompt(self, source: str, entry: JsonObject) -> str:
        if self._fill is None:
            prompt = entry[source]
            if prompt is None:
                raise BadRow("the row has neither prompt nor messages nor input")
            if type(prompt) is not str or not prompt or prompt.isspace():
                raise BadRow("prompt must be text, and not empty")
            return prompt
        prompt = self._fill(entry)
        if not prompt or prompt.isspace():
            raise BadRow("the prompt is empty with this row's columns in it")
        return prompt

    def _embedding(self, entry: JsonObject) -> EmbeddingRequest:
        texts = entry["input"]
        if texts is None:
            raise BadRow("the row has neither prompt nor messages nor input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            raise BadRow("input must be a text or a list of texts, none of them empty")
        if self._defaults:
            raise self._no_place("texts to embed")
        return EmbeddingRequest(tuple(texts), dimensions=_typed(entry, "dimensions", int, "a whole number"))

    def _no_place(self, what: str) -> BadRow:
        """Defaults that cannot be honoured are refused, never dropped."""
        return BadRow(f"a default {' or '.join(self._defaults)} cannot be given for {what}")

    # OpenAI's batch lines

    def _batch_line(self, shape: _Shape, entry: JsonObject, line: bytes) -> tuple[Request, str | None]:
        url, body = entry["url"], entry["body"]
        if entry["method"] != "POST":
            raise BadRow(f'method must be "POST", not {entry["method"]!r}')
        if type(url) is not str or type(body) is not dict:
            raise BadRow("url must be text and body an object")
        if self._defaults:
            raise self._no_place("lines of OpenAI's batch format; write it into their bodies")
        if body.get("stream"):
            raise BadRow("stream cannot be used in a batch")
        model = body.get("model")
        if model is not None and type(model) is not str:
            raise BadRow("body.model must be text")
        verbatim = Verbatim(url, _raw_body(line).body, model)
        if url == "/v1/chat/completions":
            messages, strange = openai_body.messages(body.get("messages"))
            keys = tuple(body)
            inner = self._bodies.get(keys) or _remember(
                self._bodies, keys, _Shape("body", _without(keys, "model", "messages"), (), False, False, False)
            )
            parameters, unknown = _parameters(inner, body, None)
            unknown = (*strange, *unknown) if strange else unknown
            return ChatRequest(messages, unknown=unknown, verbatim=verbatim, **parameters), model
        if url == "/v1/responses":
            messages, found, more = openai_body.responses(body)
            return ChatRequest(messages, unknown=tuple(more), verbatim=verbatim, **found), model
        if url == "/v1/embeddings":
            texts, dimensions, more = openai_body.embeddings(body)
            return EmbeddingRequest(texts, dimensions, unknown=tuple(more), verbatim=verbatim), model
        return OtherRequest(verbatim), model


def _shape_of(keys: tuple[str, ...], source: str, taken: Iterable[str]) -> _Shape:
    """Work out what is a parameter and what is a column. Raises BadRow for a name that is neither and would do harm as a column."""
    ours = {"custom_id", *taken}
    parameters: tuple[str, ...] = ()
    is_chat = source in ("prompt", "messages", _TEMPLATE)
    if is_chat:
        parameters = tuple(key for key in keys if key in _CHAT_PARAMETERS)
        ours |= {"model", "system", *parameters}
    elif source == "input":
        ours |= {"model", "dimensions"}
    # with a template, any other name is a column: `n` and `temp` are good names for one
    if source in ("prompt", "messages"):
        strange = sorted(_ONLY_IN_BODIES.intersection(keys))
        if strange:
            raise BadRow(
                f"{', '.join(strange)} can be asked of OpenAI only, in a line of its batch format (method, url, body)"
            )
        for name in keys:
            if name in _MISSPELT:
                raise BadRow(f"{name} is no parameter here; did you mean {_MISSPELT[name]}?")
    return _Shape(
        source,
        parameters,
        column_names(key for key in keys if key not in ours),
        has_custom_id="custom_id" in keys,
        has_model="model" in keys and source != "body",
        has_system=is_chat and "system" in keys,
    )


def _parameters(shape: _Shape, entry: JsonObject, max_tokens: int | None) -> _Found:
    """The parameters of a chat row as the common shape has them, and the names of those that it has no place for."""
    key = _encode([entry[name] for name in shape.parameters]) if shape.parameters else b""
    found = shape.seen.get(key)
    if found is None:
        body = {name: entry[name] for name in shape.parameters}
        if max_tokens is not None and all(body.get(name) is None for name in openai_body.MAX_TOKENS):
            body["max_tokens"] = max_tokens
        known, unknown = openai_body.chat_parameters(body)
        if len(shape.seen) >= _MOST_VALUES:
            shape.seen.clear()
        found = shape.seen[key] = (known, tuple(unknown))
    return found


def _remember(shapes: dict[tuple[str, ...], _Shape], keys: tuple[str, ...], shape: _Shape) -> _Shape:
    if len(shapes) >= _MOST_SHAPES:
        shapes.clear()
    shapes[keys] = shape
    return shape


def _without(keys: tuple[str, ...], *names: str) -> tuple[str, ...]:
    return tuple(key for key in keys if key not in names)


def _typed(entry: JsonObject, key: str, kind: type, kind_name: str) -> Any:
    value = entry.get(key)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise BadRow(f"{key} must be {kind_name}")
    return value


def _no_json(line: bytes, error: Exception) -> BadRow:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return BadRow("the line is not UTF-8 text", "save the file as UTF-8")
    reason = str(error).removeprefix("JSON is malformed: ")
    return BadRow(f"the line is not valid JSON ({reason})", "every line must be one JSON object")
