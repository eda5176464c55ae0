"""Reading a workload: one JSON object a line, each with a prompt, messages or texts to embed, or a line in OpenAI's batch format.

The whole file is a stream: one line is held at a time. Whatever is wrong with a line is said with its line and row number, before
anything is sent. Keys that are no parameter of ours are the user's own columns and come out beside the answer untouched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

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
from batchmark.errors import BadInput, LocalTrouble, RowError
from batchmark.workload import openai_body

__all__ = ["ANSWER_FIELDS", "MAX_LINE_BYTES", "Workload", "sample_path"]

# OpenAI's limit for a whole file: no provider could take a row beyond it, so it is not read into memory either.
MAX_LINE_BYTES = 200_000_000
# What an answer line is made of; a user's column of the same name comes out with `input_` before it.
ANSWER_FIELDS = frozenset(
    {
        "custom_id",
        "row",
        "outcome",
        "text",
        "embedding",
        "embeddings",
        "parsed",
        "tool_calls",
        "finish_reason",
        "usage",
        "cost_usd",
        "provider",
        "model",
        "batch_id",
        "attempt",
        "error",
    }
)
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
_seen_parameters: dict[str, dict[str, Any]] = {}
_SOURCES = ("prompt", "messages", "input")
_BATCH_LINE = ("method", "url", "body")

_T = TypeVar("_T")

_decode = msgspec.json.decode
_encode = msgspec.json.Encoder().encode


class _RawBody(msgspec.Struct, frozen=True):
    body: msgspec.Raw


_raw_body = msgspec.json.Decoder(_RawBody).decode


def sample_path() -> Path:
    """The bundled workload: short questions of five kinds, written for this project."""
    return Path(__file__).parent / "samples" / "questions.jsonl"


class Workload:
    """A file of rows. `rows` may be walked any number of times, each time from the disk.

    `limit` takes that many rows, repeating the file in order where it holds fewer. After a whole walk, `digest` is the SHA-256 of
    the bytes that were used. Raises BadInput on construction where there is no such file to read.
    """

    def __init__(self, path: Path, *, limit: int | None = None) -> None:
        self.path = path
        self.limit = limit
        self.digest: str | None = None
        self.is_sample = path == sample_path()
        _check_readable(path)

    @property
    def name(self) -> str:
        """What messages call it."""
        return "the bundled sample" if self.is_sample else str(self.path)

    def rows(self) -> Iterator[Row]:
        """The rows in order, numbered from 0. Raises RowError for the first line that cannot be used."""
        sha = hashlib.sha256()
        number = -1
        # closed at once where a row is bad, not whenever the error's traceback is let go
        with closing(self._lines(sha)) as lines:
            for number, (line_number, line) in enumerate(islice(lines, self.limit)):
                yield self._row(number, line_number, line)
        if number < 0:
            raise BadInput(
                f"{self.name} is empty: it holds no row", hint='a row is a line such as {"prompt": "What is 2 + 2?"}'
            )
        self.digest = sha.hexdigest()

    def _lines(self, sha: Any) -> Generator[tuple[int, bytes], None, None]:
        while True:
            found = False
            with self.path.open("rb", buffering=1 << 20) as file:
                number = 0
                while line := file.readline(MAX_LINE_BYTES):
                    number += 1
                    if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                        raise BadInput(
                            f"{self.name} line {number} is longer than {MAX_LINE_BYTES // 1_000_000} MB, "
                            "which no provider takes. Nothing was sent",
                            hint="a row is one line; is this a JSONL file?",
                        )
                    if number == 1:
                        line = line.removeprefix(b"\xef\xbb\xbf")
                    line = line.strip()
                    if line:
                        found = True
                        sha.update(line)
                        sha.update(b"\n")
                        yield number, line
            if not found or self.limit is None:
                return

    def _row(self, number: int, line_number: int, line: bytes) -> Row:
        def wrong(reason: str, hint: str | None = None) -> RowError:
            return RowError(reason, path=self.name, line=line_number, row=number, hint=hint)

        try:
            entry = _decode(line)
        except UnicodeDecodeError:
            raise wrong("the line is not UTF-8 text", "save the file as UTF-8") from None
        except (msgspec.DecodeError, RecursionError) as error:
            if not _is_utf8(line):
                raise wrong("the line is not UTF-8 text", "save the file as UTF-8") from None
            raise wrong(
                f"the line is not valid JSON ({_reason(error)})", "every line must be one JSON object"
            ) from None
        if not isinstance(entry, dict):
            raise wrong("the line is JSON, but no object", 'for example {"prompt": "What is 2 + 2?"}')
        try:
            if all(key in entry for key in _BATCH_LINE):
                return _batch_line(number, line_number, entry, line)
            return _plain_row(number, line_number, entry)
        except _Wrong as error:
            raise wrong(str(error)) from None


class _Wrong(ValueError):
    pass


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _reason(error: Exception) -> str:
    return str(error).removeprefix("JSON is malformed: ")


def _check_readable(path: Path) -> None:
    try:
        if path.is_dir():
            raise BadInput(f"{path} is a folder, not a file of rows", hint="name a JSONL file")
        if path.exists() and not path.is_file():
            raise BadInput(
                f"{path} is no regular file: a workload is read more than once",
                hint="save what comes through the pipe first",
            )
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}", hint="check the path; a workload is a JSONL file") from None
    except PermissionError:
        raise BadInput(f"{path} may not be read by this user", hint="check its permissions") from None
    except OSError as error:
        raise LocalTrouble(f"{path} cannot be read: {error.strerror or error}") from None


# rows in our own shape


def _custom_id(entry: JsonObject) -> str | int | None:
    value = entry.pop("custom_id", None)
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value
    raise _Wrong("custom_id must be text or a whole number")


def _columns(entry: JsonObject) -> bytes | None:
    if not entry:
        return None
    if not ANSWER_FIELDS.isdisjoint(entry):
        taken = {*ANSWER_FIELDS, *entry}
        entry = {_free_name(name, taken): value for name, value in entry.items()}
    return _encode(entry)


def _free_name(name: str, taken: set[str]) -> str:
    """The column's own name where no field of an answer has it, else one with `input_` before it that is still free."""
    if name not in ANSWER_FIELDS:
        return name
    while name in taken:
        name = f"input_{name}"
    taken.add(name)
    return name


def _plain_row(number: int, line_number: int, entry: JsonObject) -> Row:
    present = [key for key in _SOURCES if entry.get(key) is not None]
    if not present:
        raise _Wrong("the row has neither prompt nor messages nor input")
    if len(present) > 1:
        raise _Wrong(f"the row has both {present[0]} and {present[1]}; give one")
    custom_id = _custom_id(entry)
    model = _take(entry, "model", str, "text")
    request: Request
    if present[0] == "input":
        texts = entry.pop("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            raise _Wrong("input must be a text or a list of texts, none of them empty")
        request = EmbeddingRequest(tuple(texts), dimensions=_take(entry, "dimensions", int, "a whole number"))
    else:
        request = _chat(entry, present[0])
    for key in _SOURCES:
        entry.pop(key, None)
    return Row(number, line_number, request, custom_id, _columns(entry), model)


def _chat(entry: JsonObject, source: str) -> ChatRequest:
    system = _take(entry, "system", str, "text")
    if source == "prompt":
        prompt = entry.pop("prompt")
        if not isinstance(prompt, str) or not prompt.strip():
            raise _Wrong("prompt must be text, and not empty")
        messages: tuple[Message, ...] = (Message("user", prompt),)
        unknown: list[str] = []
    else:
        messages, unknown = _try(lambda: openai_body.messages(entry.pop("messages")))
    if unknown:
        raise _Wrong(f"cannot use {', '.join(unknown)}")
    strange = sorted(_ONLY_IN_BODIES.intersection(entry))
    if strange:
        raise _Wrong(
            f"{', '.join(strange)} can be asked of OpenAI only, in a line of its batch format (method, url, body)"
        )
    for name in _MISSPELT.keys() & entry.keys():
        raise _Wrong(f"{name} is no parameter here; did you mean {_MISSPELT[name]}?")
    if system is not None:
        messages = (Message("system", system), *messages)
    return ChatRequest(messages, **_parameters({key: entry.pop(key) for key in _CHAT_PARAMETERS.intersection(entry)}))


def _parameters(body: JsonObject) -> dict[str, Any]:
    """The parameters of a chat row. Rows of a file mostly share them, so the last few sets are remembered."""
    if not body:
        return body
    key = repr(sorted(body.items()))
    known = _seen_parameters.get(key)
    if known is None:
        known, unknown = _try(lambda: openai_body.chat_parameters(body))
        if unknown:
            raise _Wrong(f"cannot use {', '.join(unknown)}")
        if len(_seen_parameters) >= 64:
            _seen_parameters.clear()
        _seen_parameters[key] = known
    return known


def _take(entry: JsonObject, key: str, kind: type, kind_name: str) -> Any:
    value = entry.pop(key, None)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise _Wrong(f"{key} must be {kind_name}")
    return value


def _try(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except openai_body.BadBody as error:
        raise _Wrong(str(error)) from None


# OpenAI's batch lines


def _batch_line(number: int, line_number: int, entry: JsonObject, line: bytes) -> Row:
    custom_id = _custom_id(entry)
    method, url, body = (entry.pop(key) for key in _BATCH_LINE)
    if method != "POST":
        raise _Wrong(f'method must be "POST", not {method!r}')
    if not isinstance(url, str) or not isinstance(body, dict):
        raise _Wrong("url must be text and body an object")
    if body.get("stream"):
        raise _Wrong("stream cannot be used in a batch")
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise _Wrong("body.model must be text")
    verbatim = Verbatim(url, _raw_body(line).body, model)
    request: Request
    if url == "/v1/chat/completions":
        messages, strange = _try(lambda: openai_body.messages(body.get("messages")))
        parameters, unknown = _try(lambda: openai_body.chat_parameters(body))
        request = ChatRequest(messages, unknown=(*strange, *unknown), verbatim=verbatim, **parameters)
    elif url == "/v1/responses":
        messages, parameters, unknown = _try(lambda: openai_body.responses(body))
        request = ChatRequest(messages, unknown=tuple(unknown), verbatim=verbatim, **parameters)
    elif url == "/v1/embeddings":
        texts, dimensions, unknown = _try(lambda: openai_body.embeddings(body))
        request = EmbeddingRequest(texts, dimensions, unknown=tuple(unknown), verbatim=verbatim)
    else:
        request = OtherRequest(verbatim)
    return Row(number, line_number, request, custom_id, _columns(entry), model)
