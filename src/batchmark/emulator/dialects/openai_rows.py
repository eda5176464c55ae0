"""OpenAI's rows: the checks of a batch input file, and the lines of its output and error files."""

from __future__ import annotations

import random
from collections.abc import Iterable
from json import dumps
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import IO, Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.answers import Ask, Reply
from batchmark.emulator.catalog import Model
from batchmark.emulator.clock import SECOND, seconds
from batchmark.emulator.dialects import openai_bodies as bodies
from batchmark.emulator.dialects import openai_requests as requests
from batchmark.emulator.dialects.failures import row_failure
from batchmark.emulator.dialects.plain import openai_row
from batchmark.emulator.http import decode
from batchmark.emulator.life import Phase
from batchmark.emulator.rows import Checked, Row, Twist, Unrun
from batchmark.emulator.service import Service
from batchmark.emulator.world import Batch, Outcome, World

__all__ = ["OpenAIBook", "peek_model"]

_MAX_PROBLEMS = 100
_STRAGGLERS = 20  # one row in so many
_CHAT = "/v1/chat/completions"
_NOTHING_MORE: dict[str, Any] = {}  # all that a plain body asks is in its question

_UNRUN: dict[Unrun, str] = {
    "expired": "This request could not be executed before the completion window expired.",
    "cancelled": "This request was not executed because the batch was cancelled.",
}


class _Carried(msgspec.Struct, frozen=True, gc=False):
    """Of a line only what is needed to pass it on."""

    custom_id: str
    body: msgspec.Raw


_carried = msgspec.json.Decoder(_Carried).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class OpenAIBook:
    """How OpenAI reads a batch: every line is checked before any is run."""

    def __init__(self, service: Service) -> None:
        self._world = service.world
        self._catalog = service.catalogs["openai"]
        self._verbatim = service.verbatim
        self._max_rows = service.most("openai", "max_rows")
        self._max_models = service.most("openai", "models_per_file")
        self._max_inputs = service.most("openai", "max_embedding_inputs")
        self._output_kept_s = service.limits["openai"]["output_kept_s"]

    def check(self, batch: Batch, lines: Iterable[bytes]) -> Checked:
        problems: list[dict[str, Any]] = []
        seen: set[str] = set()
        model: str | None = None
        models: set[str] = set()
        total = inputs = number = refused = 0
        chat = batch.endpoint == _CHAT

        def bad(code: str, message: str, *, line: int | None, param: str | None = None) -> None:
            problems.append({"code": code, "message": message, "param": param, "line": line})

        for number, raw in enumerate(lines, start=1):
            if len(problems) >= _MAX_PROBLEMS:
                break
            if not raw.strip():
                continue
            total += 1
            plain = openai_row(raw) if chat else None
            if (
                plain is not None
                and plain.body.model in models
                and total <= self._max_rows
                and plain.custom_id not in seen
            ):
                seen.add(plain.custom_id)
                if not plain.is_good():
                    refused += self._refused(batch.endpoint, decode(raw)["body"])
                continue
            if total > self._max_rows:
                message = f"The batch input file contains more requests than the limit of {self._max_rows}."
                problems.clear()
                bad("too_many_tasks", message, line=None)
                break
            try:
                line = decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                line = None
            if not isinstance(line, dict):
                bad("invalid_json_line", "This line is not parseable as valid JSON.", line=number)
                continue
            missing = next((name for name in ("custom_id", "method", "url", "body") if name not in line), None)
            if missing is not None:
                message = f"Missing required parameter: '{missing}'."
                bad("missing_required_parameter", message, line=number, param=missing)
                continue
            custom_id, body = line["custom_id"], line["body"]
            if not isinstance(custom_id, str) or not custom_id:
                bad("invalid_custom_id", "The custom_id must be a non-empty string.", line=number, param="custom_id")
                continue
            if custom_id in seen:
                message = f"The custom_id '{_short(custom_id)}' is a duplicate of another request in the file."
                bad("duplicate_custom_id", message, line=number, param="custom_id")
                continue
            seen.add(custom_id)
            if line["method"] != "POST":
                bad("invalid_method", "The only supported method is 'POST'.", line=number, param="method")
                continue
            if line["url"] != batch.endpoint:
                message = (
                    f"The URL provided for this request does not match the batch endpoint. Expected '{batch.endpoint}'."
                )
                bad("url_mismatch", message, line=number, param="url")
                continue
            if not isinstance(body, dict):
                bad("invalid_request", "The body must be a JSON object.", line=number, param="body")
                continue
            name = body.get("model")
            if not isinstance(name, str) or not name:
                message = "Missing required parameter: 'body.model'."
                bad("missing_required_parameter", message, line=number, param="body.model")
                continue
            if name not in models and len(models) < self._max_models:
                model = name if model is None else model
                models.add(name)
                if not self._verbatim and not _serves(self._catalog.find(name), batch.endpoint):
                    message = (
                        f"The provided model '{_short(name)}' is not supported by the Batch API or does not exist."
                    )
                    bad("model_not_found", message, line=number, param="body.model")
            elif name not in models and model is not None:
                message = (
                    f"The provided model '{_short(name)}' does not match the model '{_short(model)}' "
                    "of the other requests in the file."
                )
                bad("model_mismatch", message, line=number, param="body.model")
            if batch.endpoint == "/v1/embeddings":
                inputs += requests.embedding_inputs(body)
            refused += self._refused(batch.endpoint, body)
        if total == 0 and not problems:
            bad("empty_file", "The batch input file is empty.", line=None)
        if inputs > self._max_inputs and not problems:
            message = f"The file asks for {inputs} embeddings; a batch may ask for {self._max_inputs}."
            bad("too_many_tasks", message, line=None)
        known = self._catalog.find(model)
        name = known.dated if known else batch.model
        return Checked(total=total, model=name, problems=problems, refused=refused)

    def _refused(self, endpoint: str, body: dict[str, Any]) -> bool:
        if self._verbatim:
            return False
        return requests.refusal(endpoint, body, self._catalog.find(body.get("model"))) is not None

    def read(self, batch: Batch, line: bytes) -> Row:
        if self._verbatim:
            return _verbatim(batch.endpoint, line)
        plain = openai_row(line) if batch.endpoint == _CHAT else None
        if plain is not None and (question := plain.ask()) is not None:
            return Row(id=plain.custom_id, body=_NOTHING_MORE, ask=question)
        if not line.strip():
            return Row(id=None, body={})
        decoded = decode(line)
        body: dict[str, Any] = decoded["body"]
        refusal = requests.refusal(batch.endpoint, body, self._catalog.find(body.get("model")))
        ask: Ask | None = None
        if refusal is None:
            ask = requests.ask(batch.endpoint, body)
        return Row(id=decoded["custom_id"], body=body, ask=ask, refusal=refusal)

    def model(self, name: str) -> Model | None:
        return self._catalog.find(name)

    def sheet(self, batch: Batch, end: Phase, at_ns: int) -> OpenAISheet:
        model = self._catalog.named(batch.model)
        return OpenAISheet(self, self._world, batch, end, at_ns, model=model, kept_s=self._output_kept_s)


class OpenAISheet:
    """Writes the two result files of a batch."""

    def __init__(
        self,
        book: OpenAIBook,
        world: World,
        batch: Batch,
        end: Phase,
        at_ns: int,
        *,
        model: Model,
        kept_s: int | None,
    ) -> None:
        self._book = book
        self._world = world
        self._batch = batch
        self._at_ns = at_ns
        self._at_s = seconds(at_ns)
        facts = batch.facts
        # A batch cancelled while it was validated has no files and no counts, as if nobody had read it.
        self._silent = facts.cancel_at is not None and (
            facts.validated_at is None or facts.validated_at > facts.cancel_at
        )
        self._created_s = min(self._at_s, seconds(facts.begun_at or facts.created_at))
        finished = facts.answered_at or facts.cancel_at or facts.expires_at
        self._last_s = max(self._created_s, min(self._at_s, seconds(finished)))
        self._luck = random.Random(batch.seed)
        self._kept_s = kept_s
        self._model = model
        self._folder = world.scratch()
        self._outcome = Outcome()
        self._open: dict[str, IO[bytes]] = {}
        self.twist: Twist | None = None

    def read(self, line: bytes) -> Row:
        return self._book.read(self._batch, line)

    def answered(self, row: Row, reply: Reply | None) -> None:
        if row.id is None:
            return
        if reply is not None and reply.body is not None:  # it was answered: what another source would say is no matter
            self._passed_on(row, reply, reply.body)
            return
        if row.refusal is not None:
            self._outcome.errored += 1
            self._line("error", row, row.refusal["status"], dumps({"error": row.refusal["error"]}))
            return
        model = self._model if row.ask is None else self._book.model(row.ask.model) or self._model
        made = bodies.body(self._batch.endpoint, model, row.body, reply, self._created(), row.ask)
        outcome = self._outcome
        outcome.succeeded += 1
        outcome.input_tokens += made.input_tokens
        outcome.output_tokens += made.output_tokens
        outcome.reasoning_tokens += made.reasoning_tokens
        self._line("output", row, 200, made.text)

    def _created(self) -> int:
        """When the answer of the next row was made: along the run, now and then much later than its neighbours, as recorded."""
        luck = self._luck.random()
        place = self._outcome.succeeded / max(1, self._batch.total)
        part = place + (1 - place) * luck * _STRAGGLERS if luck * _STRAGGLERS < 1 else place
        return self._created_s + int(part * (self._last_s - self._created_s))

    def _passed_on(self, row: Row, reply: Reply, body: str) -> None:
        """Write what another server has answered."""
        outcome = self._outcome
        good = reply.status < 300
        outcome.succeeded += good
        outcome.errored += not good
        outcome.input_tokens += reply.input_tokens
        outcome.output_tokens += reply.output_tokens
        self._line("output" if good else "error", row, reply.status, body)

    def broken(self, row: Row) -> None:
        self._outcome.errored += 1
        error = {
            "message": "The server had an error while processing your request.",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        self._line("error", row, 500, dumps({"error": error}))

    def fail(self, row: Row, status: int, code: str | None, message: str | None) -> None:
        self._outcome.errored += 1
        error = row_failure("openai", status, code=code, message=message)["error"]
        self._line("error", row, status, dumps({"error": error}))

    def hollow(self, row: Row) -> None:
        self._outcome.succeeded += 1  # the counts of such a batch said that all went well
        self._put(
            "error",
            f'{{"id": "batch_req_{ids.stamped_hex(self._at_s)}", "custom_id": {dumps(row.id)}, '
            f'"response": {{"status_code": 0, "request_id": "", "body": {{}}}}, "error": null}}\n',
        )

    def unrun(self, row: Row, why: Unrun) -> None:
        if row.id is None or self._silent:
            return
        if why == "expired":
            self._outcome.expired += 1
        else:
            self._outcome.cancelled += 1
        self._put(
            "error",
            f'{{"id": "batch_req_{ids.stamped_hex(self._at_s)}", "custom_id": {dumps(row.id)}, "response": null, '
            f'"error": {{"code": "batch_{why}", "message": "{_UNRUN[why]}"}}}}\n',
        )

    def finish(self) -> Outcome:
        for opened in self._open.values():
            opened.close()
        kept = self._batch.spec.get("output_expires_after_s", self._kept_s)
        for kind in self._open:
            if self.twist is not None:
                self.twist.file(self._path(kind))
            stored = self._world.add_file(
                id=f"file-{ids.base62(22)}",
                dialect="openai",
                name=f"{self._batch.id}_{kind}.jsonl",
                purpose="batch_output",
                source=self._path(kind),
                created_at=self._at_ns,
                expires_at=self._at_ns + int(kept) * SECOND if isinstance(kept, int) else None,
                sha256="",
            )
            if kind == "output":
                self._outcome.output_file = stored.id
            else:
                self._outcome.error_file = stored.id
        self._folder.rmdir()
        return self._outcome

    def abandon(self) -> None:
        for kind, opened in self._open.items():
            opened.close()
            self._path(kind).unlink(missing_ok=True)
        if self._folder.exists():
            self._folder.rmdir()

    def _path(self, kind: str) -> Path:
        return self._folder / f"{kind}.jsonl"

    def _file(self, kind: str) -> IO[bytes]:
        opened = self._open.get(kind)
        if opened is None:
            opened = self._open[kind] = self._path(kind).open("wb", buffering=1 << 18)
        return opened

    def _line(self, kind: str, row: Row, status: int, body: str) -> None:
        # Assembled by hand, in the style of the real files (a space after `:` and `,`): encoding whole lines
        # would cost several times as much.
        self._put(
            kind,
            f'{{"id": "batch_req_{ids.stamped_hex(self._at_s)}", "custom_id": {quoted(row.id)}, '
            f'"response": {{"status_code": {status}, "request_id": "{ids.request_uuid()}", "body": {body}}}, "error": null}}\n',
        )

    def _put(self, kind: str, line: str) -> None:
        out = self._file(kind)
        if self.twist is None:
            out.write(line.encode())
        else:
            out.writelines(self.twist.lines(line.encode()))


def _verbatim(endpoint: str, line: bytes) -> Row:
    """A line for a server that takes it as it is."""
    if not line.strip():
        return Row(id=None, body={})
    try:
        item = _carried(line)
    except _UNREADABLE:  # what a decoder of typed values does not take, such as a custom_id twice
        item = None
    if item is None:
        decoded = decode(line)
        item = _Carried(custom_id=decoded["custom_id"], body=msgspec.Raw(msgspec.json.encode(decoded["body"])))
    ask = Ask(model="", messages=(), max_tokens=None, endpoint=endpoint, body=bytes(item.body))
    return Row(id=item.custom_id, body=_NOTHING_MORE, ask=ask)


_KINDS = {
    "/v1/embeddings": "embedding",
    "/v1/moderations": "moderation",
    "/v1/images/generations": "image",
    "/v1/images/edits": "image",
    "/v1/videos": "video",
}


def _serves(model: Model | None, endpoint: str) -> bool:
    if model is None or not model.batch:
        return False
    return model.kind == _KINDS.get(endpoint, "text")


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "..."


def peek_model(path: Path) -> str:
    """The model that the first line asks for, or nothing: it only seeds the schedule."""
    with path.open("rb") as opened:
        first = opened.readline(1 << 20)
    try:
        body = msgspec.json.decode(first).get("body", {})
        model = body.get("model", "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        return ""
    return model if isinstance(model, str) else ""
