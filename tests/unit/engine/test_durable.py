"""DBOS runs the engine's work and owns nothing: what it keeps is gone with the process that used it."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from batchmark.engine.dispatch import Dispatcher, Kind
from batchmark.engine.durable import dispatching
from batchmark.errors import Refused

_T = TypeVar("_T")


def on(home: Path, work: Callable[[Dispatcher], Awaitable[_T]]) -> _T:
    async def go() -> _T:
        async with dispatching(home) as dispatcher:
            return await asyncio.wait_for(work(dispatcher), 60)

    return asyncio.run(go())


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "engine").iterdir())


def test_work_gives_what_it_gives_and_raises_what_it_raises_and_is_stopped_when_it_is_no_more_wanted(
    home: Path,
) -> None:
    async def works(dispatcher: Dispatcher) -> None:
        async def three() -> int:
            return 3

        async def refuses() -> None:
            raise Refused("no such model")

        assert await dispatcher.run(Kind.SUBMIT, "bm-job1-0-1", three) == 3
        # the same label once more is another piece of work: what was done is the ledger's to know
        assert await dispatcher.run(Kind.SUBMIT, "bm-job1-0-1", three) == 3
        with pytest.raises(Refused, match="no such model"):
            await dispatcher.run(Kind.COLLECT, "bm-job1-0-1", refuses)

        begun, stopped = asyncio.Event(), asyncio.Event()

        async def for_ever() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        task = asyncio.ensure_future(dispatcher.run(Kind.COLLECT, "bm-job1-1-1", for_ever))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stopped.is_set()

    on(home, works)
    assert left(home) == []


def test_two_in_one_process_share_one_engine(home: Path) -> None:
    async def inner(first: Dispatcher) -> list[str]:
        async with dispatching(home) as second:

            async def mine() -> str:
                return "second"

            both = [await second.run(Kind.SUBMIT, "a", mine)]
            assert len([name for name in left(home) if name.endswith(".sqlite3")]) == 1

        async def still() -> str:
            return "first"

        return [*both, await first.run(Kind.SUBMIT, "b", still)]

    assert on(home, inner) == ["second", "first"]
    assert left(home) == []


def test_what_a_killed_process_left_behind_is_swept_up_by_the_next(home: Path) -> None:
    folder = home / "engine"
    folder.mkdir()
    for suffix in (".sqlite3", ".sqlite3-wal", ".sqlite3-shm", ".lock"):
        (folder / f"4711-abc{suffix}").write_text("")

    async def nothing(_: Dispatcher) -> None:
        assert not [name for name in left(home) if name.startswith("4711")]

    on(home, nothing)
    assert left(home) == []


def test_a_stderr_that_was_replaced_and_closed_since_is_no_trouble(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: Dispatcher) -> None: ...

    for _ in range(2):
        with monkeypatch.context() as patch:
            stderr = io.StringIO()
            patch.setattr(sys, "stderr", stderr)
            on(home, nothing)
            stderr.close()
