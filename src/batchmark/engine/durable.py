"""Dispatching the engine's two pieces of work through DBOS. The only file that imports it.

Each piece is one short workflow: `submit` brings one shard to the provider, `collect` brings its answers here. Between the two nothing runs
for a shard. DBOS owns no state that anybody needs: what a workflow does is recorded in the ledger, and every run asks the ledger what
is left. So each process has a database of its own, which is thrown away afterwards; one that was left behind is swept up by the next.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from dbos import DBOS, SetWorkflowID
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from batchmark.engine.dispatch import Dispatcher, Kind
from batchmark.errors import LocalTrouble
from batchmark.ledger.artifacts import make_folder
from batchmark.ledger.lock import held, holder

__all__ = ["dispatching"]

# DBOS runs only workflows of its own version, which by default is a digest of the code: any upgrade would strand what is under way.
_VERSION = "batchmark-1"
_TIDY_S = 0.05

_T = TypeVar("_T")
_waiting: dict[str, Callable[[], Awaitable[None]]] = {}
_users = 0


@DBOS.workflow(name="submit")
async def _submit(label: str, token: str) -> str:
    return await _perform(token)


@DBOS.workflow(name="collect")
async def _collect(label: str, token: str) -> str:
    return await _perform(token)


_WORKFLOWS = {Kind.SUBMIT: _submit, Kind.COLLECT: _collect}


async def _perform(token: str) -> str:
    work = _waiting.pop(token, None)
    if work is None:
        return "left to the ledger"
    await work()
    return "done"


class _Dbos(Dispatcher):
    async def run(self, kind: Kind, label: str, work: Callable[[], Awaitable[_T]]) -> _T:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[_T] = loop.create_future()
        started: list[asyncio.Task[_T]] = []

        async def perform() -> None:
            task: asyncio.Task[_T] = asyncio.ensure_future(work())
            started.append(task)
            await asyncio.wait({task})
            if outcome.done():
                return
            if task.cancelled():
                outcome.cancel()
            elif (error := task.exception()) is not None:
                # errors go to whoever waits, by way of this process alone: DBOS would write their words down
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())

        token = secrets.token_hex(8)
        _waiting[token] = perform
        try:
            try:
                with SetWorkflowID(f"{kind}:{label}:{token}"):
                    handle = await DBOS.start_workflow_async(_WORKFLOWS[kind], label, token)
            except sqlalchemy.exc.SQLAlchemyError as error:
                raise _unusable("the engine's database", error) from None
            ending = asyncio.ensure_future(handle.get_result())
            ending.add_done_callback(lambda task: task.cancelled() or task.exception())
            # Not awaited itself, since what interrupts this must not interrupt it; and DBOS's own book-keeping is not waited for once the
            # work is done, since nobody needs it. Work that was never begun ends the workflow without an outcome.
            either: set[asyncio.Future[Any]] = {outcome, ending}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not outcome.done():
                raise _unusable("the engine's database", ending.exception() or RuntimeError("the work was not begun"))
            return outcome.result()
        except asyncio.CancelledError:
            _waiting.pop(token, None)
            for task in started:
                task.cancel()
                await asyncio.wait({task})
            raise
        finally:
            if outcome.done() and not outcome.cancelled():
                outcome.exception()


@asynccontextmanager
async def dispatching(home: Path) -> AsyncIterator[Dispatcher]:
    """DBOS while the block runs, on a database under `home`. Blocks in one process share the first one's.

    Raises LocalTrouble where its database cannot be used.
    """
    await asyncio.to_thread(_enter, home)
    try:
        yield _Dbos()
    finally:
        await asyncio.to_thread(_leave)


def _enter(home: Path) -> None:
    global _users
    with _gate:
        if _users == 0:
            _running.append(_Running(home))
        _users += 1


def _leave() -> None:
    global _users
    with _gate:
        _users -= 1
        if _users == 0:
            _running.pop().close()


class _Running:
    """A launched DBOS with its database."""

    def __init__(self, home: Path) -> None:
        folder = make_folder(home / "engine")
        _sweep(folder)
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._path = path = folder / f"{name}.sqlite3"
        self._lock = held(path.with_suffix(".lock"), "the engine")
        self._lock.__enter__()
        try:
            engine = sqlalchemy.create_engine(
                f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": 30.0, "check_same_thread": False}
            )
            event.listen(engine, "connect", _prepare)
            logger = logging.getLogger("dbos")
            logger.setLevel(logging.CRITICAL)
            # its own handler keeps the stderr of its first use, and flushes that even when it was closed since
            logger.handlers[:] = [logging.NullHandler()]
            DBOS(
                config={
                    "name": "batchmark",
                    "system_database_engine": engine,
                    "system_database_url": f"sqlite:///{path}",
                    "application_version": _VERSION,
                    "executor_id": name,
                    "log_level": "CRITICAL",
                    "notification_listener_polling_interval_sec": _TIDY_S,
                }
            )
            DBOS.launch()
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            self.close()
            raise _unusable(f"the engine's database {path}", error) from None

    def close(self) -> None:
        DBOS.destroy()
        _remove(self._path)
        self._lock.__exit__(None, None, None)
        self._path.with_suffix(".lock").unlink(missing_ok=True)


_gate = threading.Lock()
_running: list[_Running] = []


def _unusable(what: str, error: BaseException) -> LocalTrouble:
    reason = str(getattr(error, "orig", error)).partition("\n")[0]
    return LocalTrouble(
        f"{what} cannot be used: {reason}; what was saved is safe",
        hint="see that the disk has room; that database itself may be deleted, all that matters is in the ledger",
    )


def _sweep(folder: Path) -> None:
    """Remove what processes left behind that are gone."""
    for lock in folder.glob("*.lock"):
        if holder(lock) is None:
            _remove(lock.with_suffix(".sqlite3"))
            lock.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
