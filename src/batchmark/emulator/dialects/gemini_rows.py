"""Gemini's rows: requests in camelCase or snake_case, from a file or inline, and the responses beside their keys."""

from __future__ import annotations

import functools
import re
import secrets
from collections.abc import Iterable
from typing import IO, Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.answers import Ask, Reply
from batchmark.emulator.answers.free import PIXEL, count_beside, count_tokens
from batchmark.emulator.catalog import Model
from batchmark.emulator.clock import SECOND
from batchmark.emulator.dialects.failures import row_failure
from batchmark.emulator.dialects.likelihoods import MOST, gemini_logprobs
from batchmark.emulator.dialects.plain import gemini_row
from batchmark.emulator.dialects.thoughts import spent, text_of_thoughts
from batchmark.emulator.http import decode
from batchmark.emulator.life import Phase
from batchmark.emulator.rows import Checked, Row, Twist, Unrun
from batchmark.emulator.service import Service
from batchmark.emulator.vectors import vector_text
from batchmark.emulator.world import Batch, Outcome, World

__all__ = [
    "EMBED",
    "GENERATE",
    "GeminiBook",
    "field",
    "read_numbers",
    "text_of",
    "texts_of",
    "tokens_beside",
    "why_refused",
]

GENERATE = "batchGenerateContent"
EMBED = "asyncBatchEmbedContent"
_INVALID, _NOT_FOUND, _UNIMPLEMENTED, _INTERNAL = 3, 5, 12, 13  # google.rpc codes
_MOST_CANDIDATES = 8
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_NO_VECTORS = "Embeddings of an upstream server are had through the OpenAI dialect only."

_encode = msgspec.json.Encoder().encode


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


class GeminiBook:
    """How Gemini reads a batch: a file without requests fails as a whole, a bad line only itself."""

    def __init__(self, service: Service) -> None:
        self._world = service.world
        self._catalog = service.catalogs["gemini"]
        self._verbatim = service.verbatim
        self._output_kept_s = service.limits["gemini"]["output_kept_s"]

    def check(self, batch: Batch, lines: Iterable[bytes]) -> Checked:
        if batch.spec.get("file") is None:
            refused = sum(self.read(batch, line).refusal is not None for line in lines)
            return Checked(total=batch.total, model=batch.model, refused=refused)
        total = readable = refused = 0
        for line in lines:
            if line.strip():
                total += 1
                if batch.endpoint == GENERATE and not self._verbatim and gemini_row(line) is not None:
                    readable += 1
                    continue
                readable += readable == 0 and _decoded(line) is not None
                refused += self.read(batch, line).refusal is not None
        if total == 0:
            return _failed(batch, "The input file contains no requests.")
        if readable == 0:
            return _failed(batch, "The input file could not be parsed: no line is a JSON object.")
        return Checked(total=total, model=batch.model, refused=refused)

    def read(self, batch: Batch, line: bytes) -> Row:
        if batch.endpoint == GENERATE and batch.spec.get("file") is not None and not self._verbatim:
            plain = gemini_row(line)
            own = None if plain is None else self._catalog.find(batch.model)
            if plain is not None and own is not None and own.batch:
                return Row(id={"key": plain.key}, body={"model": own}, ask=plain.ask(own))
        if not line.strip():
            return Row(id=None, body={})
        item = _decoded(line)
        if item is None:
            return Row(id={}, body={}, refusal=_error(_INVALID, "The line is not a valid JSON object."))
        # What identifies the answer is sent back as it came: the key of a line, the metadata of an inline request.
        names = ("metadata",) if batch.spec.get("file") is None else ("key", "metadata")
        mark = {name: item[name] for name in names if item.get(name) is not None}
        request = item.get("request")
        if not isinstance(request, dict):
            return Row(id=mark, body={}, refusal=_error(_INVALID, "The request is missing."))
        name = request.get("model")
        name = name.removeprefix("models/") if isinstance(name, str) and name else batch.model
        model = self._catalog.find(name)
        if model is None or not model.batch:
            message = f"models/{name[:100]} is not found, or is not supported for {batch.endpoint}."
            return Row(id=mark, body={}, refusal=_error(_NOT_FOUND, message))
        if batch.endpoint == EMBED:
            if self._verbatim:
                return Row(id=mark, body={}, refusal=_error(_UNIMPLEMENTED, _NO_VECTORS))
            refusal = _embed_refusal(request, model)
            return Row(id=mark, body={"request": request, "model": model}, refusal=refusal)
        read_numbers(request)
        refusal = why_refused(request)
        ask = None if refusal is not None else _ask(model.name, request, sampled=self._verbatim)
        # Nothing is made up beside the answers of a server of one's own.
        config = None if self._verbatim else field(request, "generationConfig")
        return Row(id=mark, body={"model": model, "config": config}, ask=ask, refusal=refusal)

    def sheet(self, batch: Batch, end: Phase, at_ns: int) -> GeminiSheet:
        return GeminiSheet(self, self._world, batch, end, at_ns, kept_s=self._output_kept_s)


class GeminiSheet:
    """Writes the responses in input order: a file of its own for a batch from a file, else kept with the batch."""

    def __init__(
        self, book: GeminiBook, world: World, batch: Batch, end: Phase, at_ns: int, *, kept_s: int | None
    ) -> None:
        self._kept_s = kept_s
        self._book = book
        self._world = world
        self._batch = batch
        self._at_ns = at_ns
        self._kept = end is Phase.SUCCEEDED  # a batch that was cancelled or expired gives nothing
        self._folder = batch.folder
        self._path = self._folder / "results.part"
        self._out: IO[bytes] = self._path.open("wb", buffering=1 << 18)
        self._outcome = Outcome()
        self.twist: Twist | None = None

    def read(self, line: bytes) -> Row:
        return self._book.read(self._batch, line)

    def answered(self, row: Row, reply: Reply | None) -> None:
        if row.id is None:
            return
        if row.refusal is not None:
            self._outcome.errored += 1
            self._line({"error": row.refusal}, row)
            return
        if reply is not None and reply.status >= 400:
            self.fail(row, reply.status, None, reply.text)
            return
        self._outcome.succeeded += 1
        model: Model = row.body["model"]
        if reply is None:
            if self._kept:
                self._write(row, _embedding(model, row.body["request"]))
            return
        self._outcome.input_tokens += reply.input_tokens
        self._outcome.output_tokens += reply.output_tokens
        if self._kept:
            self._write(row, _response(model, reply, row.ask, row.body.get("config")))

    def broken(self, row: Row) -> None:
        self._outcome.errored += 1
        self._line({"error": _error(_INTERNAL, "An internal error has occurred.")}, row)

    def fail(self, row: Row, status: int, code: str | None, message: str | None) -> None:
        self._outcome.errored += 1
        self._line({"error": row_failure("gemini", status, message=message)}, row)

    def hollow(self, row: Row) -> None:
        model = row.body.get("model")
        self._outcome.succeeded += 1
        response = {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1, "serviceTier": "standard"},
            "modelVersion": self._batch.model if model is None else model.dated,
            "responseId": secrets.token_urlsafe(16),
        }
        self._line({"response": response}, row)

    def unrun(self, row: Row, why: Unrun) -> None:
        if row.id is None:
            return
        if why == "expired":
            self._outcome.expired += 1
        else:
            self._outcome.cancelled += 1

    def finish(self) -> Outcome:
        self._out.close()
        if self.twist is not None:
            self.twist.file(self._path)
        if not self._kept:
            self._path.unlink()
        elif self._batch.spec.get("file") is None:
            results = self._path.replace(self._folder / "results.jsonl")
            self._outcome.results_path = results.relative_to(self._world.home).as_posix()
        else:
            stored = self._world.add_file(
                id=f"batch-{self._batch.id}",
                dialect="gemini",
                name="",
                purpose="generated",
                mime="application/jsonl",
                source=self._path,
                created_at=self._at_ns,
                expires_at=None if self._kept_s is None else self._at_ns + self._kept_s * SECOND,
            )
            self._outcome.output_file = stored.id
        return self._outcome

    def abandon(self) -> None:
        self._out.close()
        self._path.unlink(missing_ok=True)

    def _write(self, row: Row, response: bytes) -> None:
        mark = _encode(row.id)
        tail = b"," + mark[1:] if len(mark) > 2 else b"}"
        self._put(b'{"response":%b%b\n' % (response, tail))

    def _line(self, item: dict[str, Any], row: Row) -> None:
        if self._kept:
            self._put(_encode({**item, **row.id}) + b"\n")

    def _put(self, line: bytes) -> None:
        if self.twist is None:
            self._out.write(line)
            return
        inline = self._batch.spec.get("file") is None
        for one in self.twist.lines(line):
            # Inline results are part of one JSON answer, where no service can break a line of its own.
            self._out.write(line if inline and _decoded(one) is None else one)


def _failed(batch: Batch, message: str) -> Checked:
    return Checked(total=0, model=batch.model, problems=[_error(_INVALID, message)])


def _error(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message}


def _decoded(line: bytes) -> dict[str, Any] | None:
    try:
        value = decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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


def tokens_beside(request: dict[str, Any]) -> int:
    """The tokens of what is sent beside the conversation: tools and a schema."""
    config = field(request, "generationConfig")
    schema = field(config, "responseJsonSchema") or field(config, "responseSchema")
    return count_beside(request.get("tools"), schema)


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


def read_numbers(request: dict[str, Any]) -> None:
    """Turn numbers that came as text into numbers, as proto-JSON does."""
    config = field(request, "generationConfig")
    for part in (config, field(config, "thinkingConfig")):
        for name, value in part.items() if isinstance(part, dict) else ():
            if (
                isinstance(value, str)
                and _NUMBER.fullmatch(value)
                and name not in ("responseMimeType", "response_mime_type")
            ):
                part[name] = float(value) if "." in value else int(value)


def why_refused(request: dict[str, Any]) -> dict[str, Any] | None:
    """The error that the service would answer to a request for text, or None."""
    contents = request.get("contents")
    if isinstance(contents, dict):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        return _error(_INVALID, "* GenerateContentRequest.contents: contents is not specified")
    for number, content in enumerate(contents):
        if not isinstance(content, dict) or not field(content, "parts"):
            where = f"* GenerateContentRequest.contents[{number}].parts"
            return _error(_INVALID, f"{where}: contents.parts must not be empty.")
        if content.get("role") not in (None, "", "user", "model", "function"):
            return _error(_INVALID, "Please use a valid role: user, model.")
    config = field(request, "generationConfig")
    if config is None:
        return None
    if not isinstance(config, dict):
        return _error(_INVALID, "Invalid value at 'generation_config'.")
    limit = field(config, "maxOutputTokens")
    if limit is not None and (not _is_int(limit) or limit < 1):
        return _error(_INVALID, "max_output_tokens must be positive.")
    for name, least, most in (("candidateCount", 1, _MOST_CANDIDATES), ("logprobs", 0, MOST)):
        value = field(config, name)
        if value is not None and (not _is_int(value) or not least <= value <= most):
            message = f"* GenerateContentRequest.generation_config.{_snake(name)}: must be in [{least}, {most}]."
            return _error(_INVALID, message)
    if field(config, "logprobs") is not None and not field(config, "responseLogprobs"):
        return _error(_INVALID, "generation_config.logprobs needs generation_config.response_logprobs.")
    thinking = field(config, "thinkingConfig")
    if thinking is not None:
        budget = field(thinking, "thinkingBudget")
        if not isinstance(thinking, dict) or (budget is not None and (not _is_int(budget) or budget < -1)):
            return _error(_INVALID, "Invalid value at 'generation_config.thinking_config'.")
    for name, most in (("temperature", 2), ("topP", 1)):
        value = field(config, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _error(_INVALID, f"Invalid value at 'generation_config.{name}' (TYPE_FLOAT).")
        if not 0 <= value <= most:
            return _error(_INVALID, f"* GenerateContentRequest.generation_config.{name}: must be in [0, {most}].")
    return None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _embed_refusal(request: dict[str, Any], model: Model) -> dict[str, Any] | None:
    if not text_of(request.get("content")):
        return _error(_INVALID, "* EmbedContentRequest.content: content is empty")
    size = _dimensions(request, model)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= model.dimensions:
        return _error(_INVALID, f"output_dimensionality must be between 1 and {model.dimensions}.")
    return None


def _dimensions(request: dict[str, Any], model: Model) -> Any:
    wanted = field(request, "outputDimensionality")
    if wanted is None:
        wanted = field(field(request, "embedContentConfig"), "outputDimensionality")
    return model.dimensions if wanted is None else wanted


def _ask(model: str, request: dict[str, Any], *, sampled: bool) -> Ask:
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


def _response(model: Model, reply: Reply, ask: Ask | None, config: object) -> bytes:
    # Assembled by hand: encoding a dictionary of all this would cost several times as much.
    tool, limit = (None, None) if ask is None else (ask.tool, ask.max_tokens)
    parts = b'{"text":%b}' % _encode(reply.text) if reply.text else b""
    if tool is not None:  # a call that was cut has no arguments
        parts = _encode({"functionCall": {"name": tool, "args": _decoded(reply.text.encode()) or {}}})
    if model.kind == "image":
        picture = b'{"inlineData":{"mimeType":"image/png","data":"%b"}}' % PIXEL.encode()
        parts = parts + b"," + picture if parts else picture
    thoughts, count, more = (spent(reply, limit) if model.thinks else 0), 1, b""
    if config is not None:
        thinking = field(config, "thinkingConfig")
        thoughts = spent(reply, limit) if _thinks(model, thinking) else 0
        if thoughts and field(thinking, "includeThoughts"):
            shown = b'{"text":%b,"thought":true}' % _encode(text_of_thoughts(thoughts))
            parts = shown + b"," + parts if parts else shown
        count = field(config, "candidateCount") or 1
        if field(config, "responseLogprobs") and tool is None:
            more = _likelihoods(reply.text, field(config, "logprobs") or 0)
    said = b'{"content":{%b"role":"model"},"finishReason":"%b"%b,"index":' % (
        b'"parts":[%b],' % parts if parts else b"",
        b"MAX_TOKENS" if reply.finish == "length" else b"STOP",
        more,
    )
    candidates = b",".join([b"%b%d}" % (said, index) for index in range(count)])
    out = reply.output_tokens * count
    return (
        b'{"candidates":[%b],"usageMetadata":{"promptTokenCount":%d,%b"totalTokenCount":%d,'
        b'"promptTokensDetails":[{"modality":"TEXT","tokenCount":%d}],%b"serviceTier":"standard"},'
        b'"modelVersion":"%b","responseId":"%b"}'
    ) % (
        candidates,
        reply.input_tokens,
        b'"candidatesTokenCount":%d,' % out if out else b"",
        reply.input_tokens + out + thoughts,
        reply.input_tokens,
        b'"thoughtsTokenCount":%d,' % thoughts if thoughts else b"",
        model.dated.encode(),
        ids.base62(22).encode(),
    )


def _thinks(model: Model, thinking: object) -> bool:
    """Whether it reasons before this answer: by itself, or because a budget or a level says so."""
    budget, level = field(thinking, "thinkingBudget"), field(thinking, "thinkingLevel")
    asked = budget != 0 if budget is not None else level is not None
    return model.reasoning and (model.thinks if budget is None and level is None else asked)


def _likelihoods(text: str, top: int) -> bytes:
    result = gemini_logprobs(text, top)
    chosen = [each["logProbability"] for each in result["chosenCandidates"]]
    mean = sum(chosen) / len(chosen) if chosen else 0.0
    return b',"avgLogprobs":%b,"logprobsResult":%b' % (_encode(mean), _encode(result))


def _embedding(model: Model, request: dict[str, Any]) -> bytes:
    text = text_of(request.get("content"))
    values = vector_text(model.name, text, _dimensions(request, model)).encode()
    return b'{"embedding":{"values":%b},"tokenCount":"%d"}' % (values, count_tokens(text))
