"""Anthropic's rows: what each request asks or why it errs, and the lines of the results, in no particular order."""

from __future__ import annotations

import base64
import os
import random
from array import array
from collections.abc import Iterable
from typing import IO, Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.answers import Ask, Reply
from batchmark.emulator.answers.free import count_beside
from batchmark.emulator.catalog import Catalog, Model
from batchmark.emulator.dialects.failures import row_failure
from batchmark.emulator.dialects.plain import anthropic_row
from batchmark.emulator.dialects.thoughts import spent, text_of_thoughts
from batchmark.emulator.http import decode, decode_object, is_int
from batchmark.emulator.life import Phase
from batchmark.emulator.rows import Checked, Row, Twist, Unrun
from batchmark.emulator.service import Service
from batchmark.emulator.world import Batch, Outcome, World

__all__ = ["NEW_VERSION", "AnthropicBook", "messages_of", "refusal", "tokens_beside"]

NEW_VERSION = "2026-10-21"
_SAMPLING = ("temperature", "top_p", "top_k")
_THINKING = ("enabled", "disabled", "adaptive", "between_tools")
_TAGS = ", ".join(f"'{tag}'" for tag in _THINKING)
_LEAST_BUDGET = 1_024
_LONG_OUTPUT, _LONGEST = "output-300k-2026-03-24", 300_000  # a beta, for some models, in batches only

_encode = msgspec.json.Encoder().encode


class AnthropicBook:
    """How Anthropic reads a batch: the envelope was checked at creation, the parameters are checked row by row."""

    def __init__(self, service: Service) -> None:
        self._world = service.world
        self._catalog = service.catalogs["anthropic"]
        self._verbatim = service.verbatim

    def check(self, batch: Batch, lines: Iterable[bytes]) -> Checked:
        return Checked(total=batch.total, model=batch.model)

    def read(self, batch: Batch, line: bytes) -> Row:
        plain = None if self._verbatim else anthropic_row(line)
        if plain is not None and (question := plain.ask()) is not None:
            return Row(id=plain.custom_id, body={}, ask=question)
        try:
            item = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:  # the envelope alone was readable
            envelope = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
            name = msgspec.json.decode(envelope["custom_id"])
            why = "nested too deeply" if isinstance(broken, RecursionError) else "Input should be valid JSON in UTF-8"
            return Row(id=name, body={}, refusal=_invalid(f"params: {why}"))
        params: dict[str, Any] = item["params"]
        model = self._catalog.find(params.get("model"))
        spec = batch.spec
        long = _LONG_OUTPUT in spec.get("betas", ())
        error = refusal(params, model, version=spec["version"], batched=True, long=long)
        ask: Ask | None = None
        if error is None:
            tool = _forced_tool(params)
            ask = Ask(
                model=params["model"],
                messages=messages_of(params),
                max_tokens=params["max_tokens"],
                json_schema=_schema(params) if tool is None else _arguments(tool),
                beside=tokens_beside(params),
                tool=None if tool is None else tool["name"],
                options=_options(params) if self._verbatim else (),
            )
        # Nothing is made up beside the answers of a server of one's own.
        return Row(id=item["custom_id"], body={} if self._verbatim else params, ask=ask, refusal=error)

    def sheet(self, batch: Batch, end: Phase, at_ns: int) -> AnthropicSheet:
        return AnthropicSheet(self, self._world, batch, self._catalog)


class AnthropicSheet:
    """Writes the results of a batch: in input order first, then shuffled by the batch's seed."""

    def __init__(self, book: AnthropicBook, world: World, batch: Batch, catalog: Catalog) -> None:
        self._catalog = catalog
        self._book = book
        self._batch = batch
        self._folder = batch.folder
        self._ordered = self._folder / "ordered.part"
        self._home = world.home
        self._out: IO[bytes] = self._ordered.open("wb", buffering=1 << 18)
        self._starts = array("Q", [0])
        self._end = 0
        self._outcome = Outcome()
        self.twist: Twist | None = None

    def read(self, line: bytes) -> Row:
        return self._book.read(self._batch, line)

    def answered(self, row: Row, reply: Reply | None) -> None:
        if row.refusal is not None or reply is None:
            self._outcome.errored += 1
            error = {"type": "error", "error": row.refusal, "request_id": None}
            self._line(row, {"type": "errored", "error": error})
            return
        if reply.status >= 400:
            self.fail(row, reply.status, None, reply.text)
            return
        self._outcome.succeeded += 1
        self._outcome.input_tokens += reply.input_tokens
        self._outcome.output_tokens += reply.output_tokens  # nothing tells these, so without the reasoning
        assert row.ask is not None
        self._put(
            b'{"custom_id":%b,"result":{"type":"succeeded","message":%b}}\n'
            % (_encode(row.id), _message(self._catalog.named(row.ask.model), reply, row.ask, row.body.get("thinking")))
        )

    def broken(self, row: Row) -> None:
        self._outcome.errored += 1
        error = {"type": "api_error", "message": "Internal server error"}
        self._line(row, {"type": "errored", "error": {"type": "error", "error": error, "request_id": None}})

    def fail(self, row: Row, status: int, code: str | None, message: str | None) -> None:
        self._outcome.errored += 1
        error = row_failure("anthropic", status, code=code, message=message)
        self._line(row, {"type": "errored", "error": {"type": "error", "error": error, "request_id": None}})

    def hollow(self, row: Row) -> None:
        self.broken(row)

    def unrun(self, row: Row, why: Unrun) -> None:
        if why == "expired":
            self._outcome.expired += 1
            self._line(row, {"type": "expired"})
        else:
            self._outcome.cancelled += 1
            self._line(row, {"type": "canceled"})

    def finish(self) -> Outcome:
        self._out.close()
        order = list(range(len(self._starts) - 1))
        random.Random(self._batch.seed).shuffle(order)
        shuffled = self._folder / "results.part"
        starts = self._starts
        with self._ordered.open("rb") as source, shuffled.open("wb", buffering=1 << 18) as out:
            number = source.fileno()
            for index in order:
                out.write(os.pread(number, starts[index + 1] - starts[index], starts[index]))
        self._ordered.unlink()
        results = shuffled.replace(self._folder / "results.jsonl")
        self._outcome.results_path = results.relative_to(self._home).as_posix()
        return self._outcome

    def abandon(self) -> None:
        self._out.close()
        for name in ("ordered.part", "results.part"):
            (self._folder / name).unlink(missing_ok=True)

    def _line(self, row: Row, result: dict[str, Any]) -> None:
        self._put(_encode({"custom_id": row.id, "result": result}) + b"\n")

    def _put(self, line: bytes) -> None:
        for one in (line,) if self.twist is None else self.twist.lines(line):
            self._out.write(one)
            self._end += len(one)
            self._starts.append(self._end)


def _message(model: Model, reply: Reply, ask: Ask, thinking: Any) -> bytes:
    tool = ask.tool
    # Assembled by hand: encoding a dictionary of all this would cost several times as much.
    stop = b"max_tokens" if reply.finish == "length" else b"end_turn" if tool is None else b"tool_use"
    if tool is None:
        content = b'{"type":"text","text":%b}' % _encode(reply.text)
    else:
        given = decode_object(reply.text.encode()) or {}  # a call that was cut has no arguments
        content = _encode({"type": "tool_use", "id": f"toolu_01{ids.base58(22)}", "name": tool, "input": given})
    out, thoughts = reply.output_tokens, 0
    if thinking is not None and thinking["type"] in ("enabled", "adaptive"):
        thoughts = spent(reply, ask.max_tokens)
        shown = "" if thinking.get("display") == "omitted" else text_of_thoughts(thoughts)
        mark = base64.b64encode(os.urandom(96)).decode()
        content = _encode({"type": "thinking", "thinking": shown, "signature": mark}) + b"," + content
        out += thoughts
    # Recorded answers of models up to 4.5 lack it; those of 2026 are said to have it.
    details = b',"output_tokens_details":{"thinking_tokens":%d}' % thoughts if thoughts or model.reasoning else b""
    return (
        b'{"model":%b,"id":"msg_01%b","type":"message","role":"assistant","content":[%b],'
        b'"stop_reason":"%b","stop_sequence":null,"stop_details":null,"usage":{"input_tokens":%d,'
        b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
        b'"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":%d%b,'
        b'"service_tier":"batch","inference_geo":"not_available"}}'
    ) % (_encode(model.dated), ids.base58(22).encode(), content, stop, reply.input_tokens, out, details)


def tokens_beside(params: dict[str, Any]) -> int:
    """The tokens of what is sent beside the conversation: tools and a schema."""
    return count_beside(params.get("tools"), _schema(params))


def messages_of(params: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The conversation in the common shape."""
    found: list[tuple[str, str]] = []
    system = params.get("system")
    if system:
        found.append(("system", _text(system)))
    found += [(item["role"], _text(item.get("content"))) for item in params["messages"]]
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


def _schema(params: dict[str, Any]) -> str | None:
    config = params.get("output_config")
    form = config.get("format") if isinstance(config, dict) else params.get("output_format")
    schema = form.get("schema") if isinstance(form, dict) else None
    return _encode(schema).decode() if isinstance(schema, dict) else None


def _invalid(message: str) -> dict[str, Any]:
    return {"type": "invalid_request_error", "message": message}


def _forced_tool(params: dict[str, Any]) -> dict[str, Any] | None:
    """The tool that must be called, if one must: the one that is named, or else the first."""
    choice, tools = params.get("tool_choice"), params.get("tools")
    if not isinstance(choice, dict) or choice.get("type") not in ("tool", "any") or not isinstance(tools, list):
        return None
    named = [tool for tool in tools if isinstance(tool, dict) and isinstance(tool.get("name"), str)]
    if choice["type"] == "tool":
        named = [tool for tool in named if tool["name"] == choice.get("name")]
    return named[0] if named else None


def _arguments(tool: dict[str, Any]) -> str:
    schema = tool.get("input_schema")
    return _encode(schema).decode() if isinstance(schema, dict) else '{"type":"object"}'


def _options(params: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """How to sample, in OpenAI's words."""
    names = (("temperature", "temperature"), ("top_p", "top_p"), ("stop_sequences", "stop"))
    return tuple((theirs, params[ours]) for ours, theirs in names if params.get(ours) is not None)


def refusal(
    params: dict[str, Any], model: Model | None, *, version: str, batched: bool, long: bool = False
) -> dict[str, Any] | None:
    """The error that the Messages API would answer to these parameters, or None. `long`: answers may be longer than usual."""
    name = params.get("model")
    if name is None:
        return _invalid("model: Field required")
    if not isinstance(name, str):
        return _invalid("model: Input should be a valid string")
    found = _messages_refusal(params.get("messages"), version)
    if found is not None:
        return found
    system = params.get("system")
    if system is not None and not isinstance(system, str | list):
        return _invalid("system: Input should be a valid string or list")
    if model is None:
        return {"type": "not_found_error", "message": f"model: {name[:100]}"}
    if not batched:
        return None
    if not model.batch:
        return _invalid(f"model: {name} is not supported by the Message Batches API")
    limit = params.get("max_tokens")
    if limit is None:
        return _invalid("max_tokens: Field required")
    if not is_int(limit):
        return _invalid("max_tokens: Input should be a valid integer")
    if limit < 1:
        return _invalid("max_tokens: Input should be greater than or equal to 1")
    most = max(model.output, _LONGEST) if long and model.reasoning else model.output
    if limit > most:
        return _invalid(
            f"max_tokens: {limit} > {most}, which is the maximum allowed number of output tokens for {name}"
        )
    if params.get("stream"):
        return _invalid("stream: Streaming is not supported in the Message Batches API")
    if params.get("speed") is not None:
        return _invalid("speed: Fast mode is not supported in the Message Batches API")
    choice = params.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "tool" and _forced_tool(params) is None:
        return _invalid(f"tool_choice: Tool '{str(choice.get('name'))[:100]}' not found in provided tools")
    return _thinking_refusal(params) or _sampling_refusal(params, model, version)


def _thinking_refusal(params: dict[str, Any]) -> dict[str, Any] | None:
    thinking = params.get("thinking")
    if thinking is None:
        return None
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind not in _THINKING:
        return _invalid(f"thinking: Input tag found using 'type' does not match any of the expected tags: {_TAGS}")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if budget is None:
            return _invalid("thinking.enabled.budget_tokens: Field required")
        if not is_int(budget):
            return _invalid("thinking.enabled.budget_tokens: Input should be a valid integer")
        if budget < _LEAST_BUDGET:
            message = f"Input should be greater than or equal to {_LEAST_BUDGET}"
            return _invalid(f"thinking.enabled.budget_tokens: {message}")
        if budget >= params["max_tokens"]:
            return _invalid("`max_tokens` must be greater than `thinking.budget_tokens`")
    choice = params.get("tool_choice")
    if kind in ("enabled", "adaptive") and isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
        return _invalid("Thinking may not be enabled when tool_choice forces tool use.")
    return None


def _messages_refusal(messages: object, version: str) -> dict[str, Any] | None:
    if messages is None:
        return _invalid("messages: Field required")
    if not isinstance(messages, list):
        return _invalid("messages: Input should be a valid list")
    if not messages:
        return _invalid("messages: at least one message is required")
    for number, item in enumerate(messages):
        if not isinstance(item, dict):
            return _invalid(f"messages.{number}: Input should be a valid dictionary")
        role, content = item.get("role"), item.get("content")
        if role not in ("user", "assistant", "system"):
            return _invalid(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        if content is None:
            return _invalid(f"messages.{number}.content: Field required")
        if not isinstance(content, str | list):
            return _invalid(f"messages.{number}.content: Input should be a valid string or list")
        if not content:
            return _invalid(f"messages.{number}: all messages must have non-empty content")
        for index, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                return _invalid(f"messages.{number}.content.{index}.type: Field required")
            if part["type"] == "text" and not isinstance(part.get("text"), str):
                return _invalid(f"messages.{number}.content.{index}.text: Field required")
            if version != NEW_VERSION:
                continue
            if role == "assistant" and part["type"] == "document":
                return _invalid(
                    f"messages.{number}.content.{index}: document blocks are not supported in assistant messages"
                )
            if role == "user" and part["type"] == "text" and part.get("citations"):
                return _invalid(f"messages.{number}.content.{index}.citations: not supported in user messages")
    return None


def _sampling_refusal(params: dict[str, Any], model: Model, version: str) -> dict[str, Any] | None:
    for name in _SAMPLING:
        value = params.get(name)
        if name not in params:
            continue
        if version == NEW_VERSION:
            return _invalid(f"{name}: this parameter is not supported in API version {NEW_VERSION}")
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _invalid(f"{name}: Input should be a valid number")
        if model.default_sampling and not (name != "top_k" and value == 1):
            return _invalid(f"{name}: this model supports only the default value")
        if name != "top_k" and not 0 <= value <= 1:
            return _invalid(f"{name}: range: 0..1")
    return None
