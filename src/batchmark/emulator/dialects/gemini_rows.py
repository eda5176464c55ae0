"""Gemini's rows: from a file or inline, each read by itself, and the responses beside their keys."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import IO, Any

import msgspec

from batchmark.emulator.answers import Reply
from batchmark.emulator.catalog import Model
from batchmark.emulator.clock import SECOND
from batchmark.emulator.dialects.failures import row_failure
from batchmark.emulator.dialects.gemini_bodies import embedding, response
from batchmark.emulator.dialects.gemini_requests import (
    INVALID,
    ask,
    field,
    read_numbers,
    row_error,
    why_refused,
    why_refused_embedding,
)
from batchmark.emulator.dialects.plain import gemini_row
from batchmark.emulator.http import decode_object
from batchmark.emulator.life import Phase
from batchmark.emulator.rows import Checked, Row, Twist, Unrun
from batchmark.emulator.service import Service
from batchmark.emulator.world import Batch, Outcome, World

__all__ = ["EMBED", "GENERATE", "GeminiBook"]

GENERATE = "batchGenerateContent"
EMBED = "asyncBatchEmbedContent"
_NOT_FOUND, _UNIMPLEMENTED, _INTERNAL = 5, 12, 13  # more google.rpc codes
_NO_VECTORS = "Embeddings of an upstream server are had through the OpenAI dialect only."

_encode = msgspec.json.Encoder().encode


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
                readable += readable == 0 and decode_object(line) is not None
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
        item = decode_object(line)
        if item is None:
            return Row(id={}, body={}, refusal=row_error(INVALID, "The line is not a valid JSON object."))
        # What identifies the answer is sent back as it came: the key of a line, the metadata of an inline request.
        names = ("metadata",) if batch.spec.get("file") is None else ("key", "metadata")
        mark = {name: item[name] for name in names if item.get(name) is not None}
        request = item.get("request")
        if not isinstance(request, dict):
            return Row(id=mark, body={}, refusal=row_error(INVALID, "The request is missing."))
        name = request.get("model")
        name = name.removeprefix("models/") if isinstance(name, str) and name else batch.model
        model = self._catalog.find(name)
        if model is None or not model.batch:
            message = f"models/{name[:100]} is not found, or is not supported for {batch.endpoint}."
            return Row(id=mark, body={}, refusal=row_error(_NOT_FOUND, message))
        if batch.endpoint == EMBED:
            if self._verbatim:
                return Row(id=mark, body={}, refusal=row_error(_UNIMPLEMENTED, _NO_VECTORS))
            refusal = why_refused_embedding(request, model)
            return Row(id=mark, body={"request": request, "model": model}, refusal=refusal)
        read_numbers(request)
        refusal = why_refused(request)
        question = None if refusal is not None else ask(model.name, request, sampled=self._verbatim)
        # Nothing is made up beside the answers of a server of one's own.
        config = None if self._verbatim else field(request, "generationConfig")
        return Row(id=mark, body={"model": model, "config": config}, ask=question, refusal=refusal)

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
                self._write(row, embedding(model, row.body["request"]))
            return
        self._outcome.input_tokens += reply.input_tokens
        self._outcome.output_tokens += reply.output_tokens
        if self._kept:
            self._write(row, response(model, reply, row.ask, row.body.get("config")))

    def broken(self, row: Row) -> None:
        self._outcome.errored += 1
        self._line({"error": row_error(_INTERNAL, "An internal error has occurred.")}, row)

    def fail(self, row: Row, status: int, code: str | None, message: str | None) -> None:
        self._outcome.errored += 1
        self._line({"error": row_failure("gemini", status, message=message)}, row)

    def hollow(self, row: Row) -> None:
        model = row.body.get("model")
        self._outcome.succeeded += 1
        made = {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1, "serviceTier": "standard"},
            "modelVersion": self._batch.model if model is None else model.dated,
            "responseId": secrets.token_urlsafe(16),
        }
        self._line({"response": made}, row)

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
            self._out.write(line if inline and decode_object(one) is None else one)


def _failed(batch: Batch, message: str) -> Checked:
    return Checked(total=0, model=batch.model, problems=[row_error(INVALID, message)])
