"""Live progress on stderr: one bar per job on a terminal, dated lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, assert_never

from batchmark.domain.lifecycle import State
from batchmark.domain.totals import Totals
from batchmark.engine.events import BatchSeen, Event, JobEnded, JobStaged, Submitted, Trouble, Uploading
from batchmark.ledger.records import BatchRecord, JobRecord

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Watch"]

_COUNTS_EVERY_S = 15.0


class Watch:
    """A listener that shows what happens. Use as a context manager."""

    def __init__(self, *, quiet: bool, live: bool | None = None) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and "CI" not in os.environ if live is None else live
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._names: dict[str, str] = {}
        self._last: dict[str, tuple[str, float]] = {}
        self._submitted: dict[str, str] = {}

    def __enter__(self) -> Watch:
        if self._live and not self._quiet:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.fields[name]}"),
                BarColumn(bar_width=16),
                TextColumn("{task.fields[words]}"),
                TimeElapsedColumn(),
                console=Console(file=sys.stderr, no_color="NO_COLOR" in os.environ, highlight=False),
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case JobStaged():
                shards = f" in {event.shards} batches" if event.shards > 1 else ""
                self._show(event.job, f"{event.job.rows:,} requests ready{shards}", 0)
            case Uploading():
                self._submitted[event.job.id] = event.job.provider
                self._show(event.job, "uploading", None)
            case Submitted():
                self._show(event.job, f"submitted as {event.batch_id}", None)
            case BatchSeen():
                words, done = _seen(event.batch, event.job.rows)
                self._show(event.job, words, done)
            case JobEnded():
                self._show(event.job, _ended(event.job, event.totals), event.job.rows)
            case Trouble():
                self._say(f"{self._name(event.job)}: {event.message}" if event.job else event.message)
            case _:
                assert_never(event)

    def submitted_jobs(self) -> list[tuple[str, str]]:
        """Job id and provider of every job of which something is, or may be, at the provider."""
        return list(self._submitted.items())

    def _name(self, job: JobRecord) -> str:
        return f"{job.provider}:{job.model} {job.id}"

    def _show(self, job: JobRecord, words: str, done: int | None) -> None:
        if self._quiet:
            return
        if self._progress is None:
            # a change of state is told at once, counts now and then: a log must not grow by a line a second
            told, at = self._last.get(job.id, ("", 0.0))
            same_state = told.partition(",")[0] == words.partition(",")[0]
            if told != words and not (same_state and time.monotonic() - at < _COUNTS_EVERY_S):
                self._last[job.id] = (words, time.monotonic())
                self._say(f"{self._name(job)}: {words}")
            return
        task = self._tasks.get(job.id)
        if task is None:
            # on a terminal the width is dear: the job's id is told with the summary
            name = f"{job.provider}:{job.model}" + (f" #{job.round}" if job.round > 1 else "")
            task = self._tasks[job.id] = self._progress.add_task("", total=job.rows, name=name, words=words)
        self._progress.update(task, completed=None if done is None else float(done), words=words)

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._progress is not None:
            self._progress.console.print(text, markup=False)
        else:
            # whoever read the progress may have gone, which is no reason to stop the work
            with suppress(OSError):
                sys.stderr.write(f"{datetime.now().astimezone():%H:%M:%S} {text}\n")
                sys.stderr.flush()


def _seen(batch: BatchRecord, rows: int) -> tuple[str, int | None]:
    """What a poll says in words, and how many requests are done where the provider tells."""
    state = State(batch.state)
    words = (
        state.value
        if state is not State.UNKNOWN
        else f"in state {batch.raw_status!r}, which is unknown here; polling on"
    )
    if state.terminal:
        return words, None
    if batch.processing is not None and batch.total is not None and batch.succeeded is None:
        return f"{words}, no counts before the end", None
    done = (batch.succeeded or 0) + (batch.failed or 0)
    return (f"{words}, {done:,} of {batch.total:,} done", done) if batch.total else (words, None)


def _ended(job: JobRecord, totals: Totals | None) -> str:
    if totals is None:
        return job.problem or "ended"
    return f"{totals.succeeded:,} of {totals.submitted:,} answered" + (f"; {job.problem}" if job.problem else "")
