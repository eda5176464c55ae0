"""The emulator under fire: what is sent to it, what it logs, and whether it is still what it was."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchmark.emulator import Emulator, EmulatorOptions
from tests.fuzz.descriptions import description
from tests.fuzz.wire import DEADLINE_S, Answer, NoAnswer, Request, exchange, multipart

__all__ = ["KEYS", "Finding", "Target", "form", "jsonl", "running"]

KEYS: dict[str, tuple[tuple[str, str], ...]] = {
    "openai": (("authorization", "Bearer fuzz"),),
    "anthropic": (("x-api-key", "fuzz"), ("anthropic-version", "2023-06-01")),
    "gemini": (("x-goog-api-key", "fuzz"),),
}
JSON = ("content-type", "application/json")
# More batches than any account may have, so that no limit hides what is behind it.
_LIMITS = ("openai.batches_per_hour=none", "gemini.max_batches_in_flight=none", "anthropic.queued_requests=none")
_ENDED = ("completed", "failed", "expired", "cancelled", "ended")


class Finding(AssertionError):
    """The emulator did what it may never do."""


class _Tracebacks(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.kept: list[str] = []
        self._lock = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        with self._lock:
            self.kept.append(self.format(record))

    def take(self) -> list[str]:
        with self._lock:
            kept, self.kept = self.kept, []
            return kept


def jsonl(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def form(content: bytes, *, name: str = "in.jsonl", purpose: bytes = b"batch") -> tuple[tuple[str, str], bytes]:
    """An upload as OpenAI takes it: the content type and the body."""
    body = multipart(
        [
            ('content-disposition: form-data; name="purpose"', purpose),
            (f'content-disposition: form-data; name="file"; filename="{name}"', content),
        ]
    )
    return ("content-type", "multipart/form-data; boundary=fuzz"), body


def _short(text: str) -> str:
    """A traceback without its middle: recursion makes it long."""
    lines = text.splitlines()
    return text if len(lines) <= 24 else "\n".join([*lines[:8], "  …", *lines[-15:]])


def _below(folder: Path) -> list[Path]:
    """Everything below a folder, where things come and go."""
    while True:
        with suppress(FileNotFoundError):
            return list(folder.rglob("*"))


@dataclass(slots=True)
class Target:
    """A running emulator and what it may not have done since the last look."""

    cloud: Emulator
    around: Path  # holds nothing but the emulator's home
    log: _Tracebacks

    @property
    def port(self) -> int:
        return int(self.cloud.base_url.rpartition(":")[2])

    # Asking

    def ask(self, request: Request, *, dialect: str | None = None, deadline_s: float = DEADLINE_S) -> Answer:
        """Send a request and hold the answer against the description. Raises Finding."""
        dialect = dialect or request.target.split("/")[1]
        try:
            answer = self.raw([request.head(), request.body], method=request.method, deadline_s=deadline_s)
        except Finding as finding:
            raise Finding(f"{finding}\n  asked: {request}") from None
        objections = description(dialect).objections(request.method, request.target, answer)
        if objections:
            raise self.finding("; ".join(objections[:4]), asked=request, answer=answer)
        return answer

    def raw(
        self, pieces: Iterable[bytes], *, method: str = "POST", half_close: bool = False, deadline_s: float = DEADLINE_S
    ) -> Answer:
        """Send bytes that need not be HTTP; the answer may be anything but a failure. Raises Finding."""
        try:
            answer = exchange(self.port, pieces, method=method, half_close=half_close, deadline_s=deadline_s)
        except NoAnswer as error:
            raise self.finding(str(error)) from error
        if answer.status >= 500:
            raise self.finding("it failed", answer=answer)
        return answer

    def finding(self, what: str, *, asked: object = None, answer: object = None) -> Finding:
        """What went wrong, with everything that helps to find out why."""
        lines = [what]
        lines += [f"  asked: {asked}"] if asked is not None else []
        lines += [f"  answered: {answer}"] if answer is not None else []
        lines += [_short(text) for text in self.log.take()[:3]]
        return Finding("\n".join(lines))

    def call(self, dialect: str, method: str, target: str, body: bytes = b"", *more: tuple[str, str]) -> dict[str, Any]:
        """An ordinary call that must succeed; its JSON."""
        given = {name.lower() for name, _ in more}
        usual = () if "content-type" in given or "x-goog-upload-protocol" in given else (JSON,)
        request = Request(method=method, target=target, headers=(*KEYS[dialect], *usual, *more), body=body)
        answer = self.ask(request)
        if answer.status != 200:
            raise self.finding("an ordinary call was refused", asked=request, answer=answer)
        found: dict[str, Any] = json.loads(answer.body)
        return found

    # Batches

    def upload(self, dialect: str, content: bytes) -> str:
        """A file's id, or its name at Gemini."""
        if dialect == "openai":
            kind, body = form(content)
            return str(self.call("openai", "POST", "/openai/v1/files", body, kind)["id"])
        raw = ("x-goog-upload-protocol", "raw")
        return str(self.call("gemini", "POST", "/gemini/upload/v1/files", content, raw)["file"]["name"])

    def openai_batch(self, lines: Iterable[bytes], endpoint: str = "/v1/chat/completions") -> str:
        asked = {"input_file_id": self.upload("openai", jsonl(lines)), "endpoint": endpoint, "completion_window": "24h"}
        return str(self.call("openai", "POST", "/openai/v1/batches", json.dumps(asked).encode())["id"])

    def anthropic_batch(self, items: Iterable[bytes], *more: tuple[str, str]) -> str:
        body = b'{"requests":[' + b",".join(items) + b"]}"
        return str(self.call("anthropic", "POST", "/anthropic/v1/messages/batches", body, *more)["id"])

    def gemini_batch(self, lines: Iterable[bytes], model: str = "gemini-2.5-flash:batchGenerateContent") -> str:
        asked = {"batch": {"inputConfig": {"fileName": self.upload("gemini", jsonl(lines))}}}
        return self.gemini_create(json.dumps(asked).encode(), model)

    def gemini_create(self, body: bytes, model: str = "gemini-2.5-flash:batchGenerateContent") -> str:
        made = self.call("gemini", "POST", f"/gemini/v1/models/{model}", body)
        return str(made["name"]).removeprefix("batches/")

    def ended(self, dialect: str, batch_id: str, *, deadline_s: float = DEADLINE_S) -> list[Any]:
        """Wait for a batch's end; its results, each of which is held against the description. Raises Finding."""
        ends = time.monotonic() + deadline_s
        while True:
            if dialect == "openai":
                batch = self.call("openai", "GET", f"/openai/v1/batches/{batch_id}")
                over, word = batch["status"] in _ENDED, batch["status"]
            elif dialect == "anthropic":
                batch = self.call("anthropic", "GET", f"/anthropic/v1/messages/batches/{batch_id}")
                over, word = batch["processing_status"] in _ENDED, batch["processing_status"]
            else:
                batch = self.call("gemini", "GET", f"/gemini/v1/batches/{batch_id}")
                over, word = batch.get("done", False), batch["metadata"]["state"]
            if over:
                return self._results(dialect, batch)
            if self.log.kept or time.monotonic() > ends:
                raise self.finding(f"the {dialect} batch {batch_id} does not end: it is {word}")

    def _results(self, dialect: str, batch: dict[str, Any]) -> list[Any]:
        targets: list[str] = []
        if dialect == "openai":
            files = [batch[name] for name in ("output_file_id", "error_file_id") if batch[name]]
            targets = [f"/openai/v1/files/{each}/content" for each in files]
        elif dialect == "anthropic":
            targets = [f"/anthropic/v1/messages/batches/{batch['id']}/results"]
        elif "responsesFile" in batch.get("response", {}):
            targets = [f"/gemini/v1/{batch['response']['responsesFile']}:download?alt=media"]
        else:
            inline: list[Any] = batch.get("response", {}).get("inlinedResponses", {}).get("inlinedResponses", [])
            return inline
        results = []
        for target in targets:
            request = Request(method="GET", target=target, headers=KEYS[dialect])
            answer = self.ask(request)
            for line in answer.body.splitlines():
                objections = description(dialect).bad_values("ResultLine", line)
                if objections:
                    raise self.finding(
                        f"a result is not as described: {objections[:3]}", asked=request, answer=line[:500]
                    )
                try:
                    results.append(json.loads(line))
                except RecursionError:
                    results.append(None)  # an echo that is nested too deeply for us
        return results

    def begin_anew(self) -> None:
        """Empty the world of batches that do not end, and wait until nobody is at them any more."""
        request = Request(method="POST", target="/_emulator/reset", headers=(JSON,), body=b"{}")
        self.raw([request.head(), request.body])
        self.log.take()
        with suppress(Finding):
            self.works()
        self.log.take()

    # Looking back

    def look_back(self) -> None:
        """Nothing outside the home, nothing left of any request, no traceback, and every dialect works. Raises Finding."""
        home = self.cloud.options.home
        strays = [
            path for path in _below(self.around) if home not in path.parents and path not in (home, *home.parents)
        ]
        if strays:
            raise self.finding(f"files outside of the emulator's home: {strays}")
        names = {path.name for path in home.iterdir()}
        known = {"files", "work", "incoming", "world.sqlite3", "world.sqlite3-wal", "world.sqlite3-shm"}
        if names - known:
            raise self.finding(f"unknown files in the emulator's home: {names - known}")
        self.works()
        if self.log.kept:
            raise self.finding("it logged a failure")

    def works(self) -> None:
        """A small batch of each dialect has its answers. Raises Finding."""
        chat = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": chat}
        (answer,) = self.ended("openai", self.openai_batch([json.dumps(row).encode()]))
        assert answer["response"]["status_code"] == 200, answer
        params = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
        item = {"custom_id": "a", "params": params}
        (answer,) = self.ended("anthropic", self.anthropic_batch([json.dumps(item).encode()]))
        assert answer["result"]["type"] == "succeeded", answer
        request = {"contents": [{"parts": [{"text": "hello"}]}]}
        (answer,) = self.ended("gemini", self.gemini_batch([json.dumps({"key": "a", "request": request}).encode()]))
        assert answer["response"]["candidates"], answer


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Target]:
    """An emulator deep inside an otherwise empty folder, watched until the block ends."""
    home = folder / "around" / "one" / "two" / "three" / "cloud"
    home.parent.mkdir(parents=True)
    log = _Tracebacks()
    loggers = [logging.getLogger(name) for name in ("batchmark.emulator", "uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addHandler(log)
    chosen: dict[str, Any] = {
        "profile": "instant",
        "answers": "synthetic",
        "limits": _LIMITS,
        "control": True,
        **options,
    }
    try:
        with Emulator(EmulatorOptions(home=home, **chosen)) as cloud:
            logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # which the emulator keeps quiet
            yield Target(cloud, folder / "around", log)
    finally:
        for logger in loggers:
            logger.removeHandler(log)
