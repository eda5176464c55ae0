"""Small tools that several test files share."""

from __future__ import annotations

import asyncio
import json
import selectors
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from batchmark.domain.request import ChatRequest, EmbeddingRequest, Message, Request, Row
from batchmark.emulator import Emulator
from batchmark.engine.dispatch import Kind
from batchmark.providers import registry
from batchmark.providers.seam import Wire

__all__ = [
    "Inline",
    "VirtualTimeLoop",
    "answers_in",
    "chat",
    "in_virtual_time",
    "journal",
    "row",
    "rows_of",
    "until",
    "vector",
    "wire",
    "write_lines",
]

_T = TypeVar("_T")


def until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for a condition, so long at most."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def wire(provider: str) -> Wire:
    """A provider's wire rules."""
    return registry.wire_of(registry.find(provider))


def chat(text: str = "hello", **more: Any) -> ChatRequest:
    """A conversation of one user message."""
    return ChatRequest((Message("user", text),), **more)


def vector(*texts: str, **more: Any) -> EmbeddingRequest:
    """Texts to embed."""
    return EmbeddingRequest(texts or ("hello",), **more)


def row(number: int, request: Request | None = None, **more: Any) -> Row:
    """A row of a workload."""
    return Row(number, number + 1, request or chat(f"question {number}"), **more)


def rows_of(count: int) -> list[Row]:
    """So many rows, each with a custom_id of its own."""
    return [row(number, custom_id=f"user-{number}") for number in range(count)]


def journal(cloud: Emulator, operation: str) -> list[dict[str, Any]]:
    """What an emulator received of an operation (with wildcards), oldest first."""
    query = urllib.parse.urlencode({"operation": operation})
    with urllib.request.urlopen(f"{cloud.base_url}/_emulator/journal?{query}") as answer:
        found: list[dict[str, Any]] = json.load(answer)["entries"]
    return found


def write_lines(path: Path, lines: Iterable[object]) -> Path:
    """A JSONL file; text is written as it stands."""
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines))
    return path


def answers_in(path: Path) -> list[dict[str, Any]]:
    """The answers in a file of answers."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class Inline:
    """A dispatcher that runs each piece of work where it is asked to, and remembers which there were."""

    def __init__(self) -> None:
        self.ran: list[tuple[Kind, str]] = []

    async def run(self, kind: Kind, label: str, work: Callable[[], Awaitable[_T]]) -> _T:
        self.ran.append((kind, label))
        return await work()


class _Skipping(selectors.DefaultSelector):
    """A selector that does not wait for a timeout: it reports it as passed."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        found = super().select(0)
        if not found:
            self.passed_s += max(timeout, 0.0)
        return found


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on which every wait takes no time, but is seen to have passed."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.passed_s

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:  # type: ignore[override]
        """At once and in this thread: no time passes over it, so what a test sees is the same every time."""
        outcome: asyncio.Future[_T] = self.create_future()
        try:
            outcome.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  handed to whoever awaits it
            outcome.set_exception(error)
        return outcome


def in_virtual_time(work: Coroutine[Any, Any, _T]) -> tuple[_T, float]:
    """Run `work` where waiting is free; its result, and the seconds that it believes have passed."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(work)
        return result, runner.get_loop().time()
