"""Where the time goes: processor and wall seconds by stage, for the benchmark.

A coroutine's processor time is what its own steps took, however many others ran in between.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

__all__ = ["Meter"]

_T = TypeVar("_T")


class Meter:
    """Sums by stage. `document` is what the benchmark reads."""

    def __init__(self) -> None:
        self._cpu_s: dict[str, float] = {}
        self._wall_s: dict[str, float] = {}
        self._bytes: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str, size: int = 0) -> Iterator[None]:
        """Book what this thread does inside the block."""
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            yield
        finally:
            self.book(name, cpu_s=time.thread_time() - cpu, wall_s=time.perf_counter() - wall, size=size)

    def timed(self, name: str, work: Coroutine[Any, Any, _T], size: int = 0) -> Awaitable[_T]:
        """Book the steps of a coroutine while it is awaited."""
        return _Timed(work, lambda cpu_s, wall_s: self.book(name, cpu_s=cpu_s, wall_s=wall_s, size=size))

    def book(self, name: str, *, cpu_s: float, wall_s: float, size: int = 0) -> None:
        """Add to a stage."""
        self._cpu_s[name] = self._cpu_s.get(name, 0.0) + cpu_s
        self._wall_s[name] = self._wall_s.get(name, 0.0) + wall_s
        self._bytes[name] = self._bytes.get(name, 0) + size

    @property
    def document(self) -> dict[str, dict[str, float]]:
        """Each stage's figures."""
        return {
            name: {"cpu_s": cpu, "wall_s": self._wall_s[name], "bytes": self._bytes[name]}
            for name, cpu in self._cpu_s.items()
        }


class _Timed(Generic[_T]):
    def __init__(self, work: Coroutine[Any, Any, _T], book: Callable[[float, float], None]) -> None:
        self._work = work
        self._book = book

    def __await__(self) -> Generator[Any, Any, _T]:
        steps = self._work.__await__()
        began, cpu = time.perf_counter(), 0.0
        send: Callable[[], Any] = lambda: steps.send(None)  # noqa: E731  what resumes the coroutine changes with each step
        try:
            while True:
                step = time.thread_time()
                try:
                    yielded = send()
                except StopIteration as end:
                    result: _T = end.value
                    return result
                finally:
                    cpu += time.thread_time() - step
                try:
                    value = yield yielded
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # noqa: BLE001  handed to the coroutine, whose business it is
                    send = lambda thrown=error: steps.throw(thrown)  # type: ignore[misc]  # noqa: E731
                else:
                    send = lambda given=value: steps.send(given)  # type: ignore[misc]  # noqa: E731
        finally:
            self._book(cpu, time.perf_counter() - began)
