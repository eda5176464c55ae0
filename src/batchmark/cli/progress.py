"""Live progress on stderr: one bar per job on a terminal, dated lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, assert_never

from batchmark.domain.lifecycle import State
from batchmark.domain.totals import Totals
from batchmark.engine.events import (
    BatchSeen,
    Event,
    JobEnded,
    JobStaged,
    ShardClosed,
    Staging,
    Submitted,
    Trouble,
    Uploading,
)
from batchmark.ledger.records import BatchRecord, JobRecord

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from batchmark.api.jobs import JobReport

__all__ = ["Watch"]

_COUNTS_EVERY_S = 15.0
# More jobs than this have a bar only while they are under way: the others would fill the screen.
_MOST_BARS = 12


@dataclass(slots=True)
class _Seen:
    """What is known of one job's progress."""

    rows: int
    shards: int = 1
    closed_rows: int = 0
    closed: int = 0
    batches: dict[int, BatchRecord] = field(default_factory=dict)
    asked_again: int = 0
    why: dict[str, int] = field(default_factory=dict)
    told_at: float = -1e9

    @property
    def done(self) -> int:
        """Rows that have ended, where that is known: collected ones, and those that the provider counts."""
        return self.closed_rows + sum(_counted(batch) for batch in self.batches.values())

    @property
    def words(self) -> str:
        """The states of all batches, for jobs of more than one."""
        states: dict[str, int] = {}
        for batch in self.batches.values():
            states[batch.state] = states.get(batch.state, 0) + 1
        parts = [f"{count} {states_name}" for states_name, count in sorted(states.items())]
        return f"{self.done:,} of {self.rows:,} rows, {', '.join([*parts, f'{self.closed} of {self.shards} batches collected'])}"


class Watch:
    """A listener that shows what happens. Use as a context manager."""

    def __init__(self, *, quiet: bool, live: bool | None = None) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and "CI" not in os.environ if live is None else live
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, tuple[str, float]] = {}
        self._submitted: dict[str, str] = {}
        self._jobs: dict[str, _Seen] = {}
        self._ended: set[str] = set()

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
            case Staging():
                self._staging(event.rows)
            case JobStaged():
                self._jobs[event.job.id] = _Seen(event.job.rows, shards=event.shards)
                shards = f" in {event.shards:,} batches" if event.shards > 1 else ""
                self._show(event.job, f"{event.job.rows:,} requests ready{shards}", 0)
            case Uploading():
                self._submitted[event.job.id] = event.job.provider
                if self._of(event.job).shards == 1:
                    self._show(event.job, "uploading", None)
            case Submitted():
                if self._of(event.job).shards == 1:
                    self._show(event.job, f"submitted as {event.batch_id}", None)
            case BatchSeen():
                seen = self._of(event.job)
                seen.batches[event.batch.shard_id] = event.batch
                if seen.shards == 1:
                    words, done = _seen(event.batch, event.job.rows)
                    self._show(event.job, words, done)
                else:
                    self._show(event.job, seen.words, seen.done)
            case ShardClosed():
                self._closed(event)
            case JobEnded():
                self._last.pop(event.job.id, None)
                self._ended.add(event.job.id)
                self._tell_asked_again(event.job, self._of(event.job), last=True)
                self._show(event.job, _ended(event.job, event.totals), event.job.rows)
            case Trouble():
                self._say(f"{self._name(event.job)}: {event.message}" if event.job else event.message)
            case _:
                assert_never(event)

    def follow(self, report: JobReport) -> None:
        """Know how far a job is that is gone on with."""
        closed = [shard for shard in report.shards if shard.answers is not None]
        again = sum(shard.rows for shard in report.shards if shard.attempt > 1)
        self._jobs[report.job.id] = _Seen(
            report.job.rows,
            shards=len(report.shards),
            closed=len(closed),
            closed_rows=sum(shard.rows for shard in closed) - again,
            batches={batch.shard_id: batch for batch in report.batches if not State(batch.state).terminal},
        )

    def submitted_jobs(self) -> list[tuple[str, str]]:
        """Job id and provider of every job of which something is, or may be, at the provider."""
        return list(self._submitted.items())

    def _of(self, job: JobRecord) -> _Seen:
        return self._jobs.setdefault(job.id, _Seen(job.rows))

    def _closed(self, event: ShardClosed) -> None:
        seen = self._of(event.job)
        seen.batches.pop(event.shard.id, None)
        seen.closed += 1
        seen.closed_rows += event.shard.rows
        if event.following is not None:
            seen.shards += 1
            seen.closed_rows -= event.following.rows
            seen.asked_again += event.following.rows
            for code, group in event.totals.errors.items():
                if group.retryable:
                    seen.why[code] = seen.why.get(code, 0) + group.count
            self._tell_asked_again(event.job, seen)
        if seen.shards > 1:
            self._show(event.job, seen.words, seen.done)

    def _tell_asked_again(self, job: JobRecord, seen: _Seen, *, last: bool = False) -> None:
        """How many rows are asked again so far, now and then: batches may be many."""
        now = time.monotonic()
        if not seen.asked_again or not (last or now - seen.told_at >= _COUNTS_EVERY_S):
            return
        seen.told_at = now
        kinds = ", ".join(f"{count:,} x {code}" for code, count in seen.why.items()) or "their batch was stopped"
        self._say(f"{self._name(job)}: {seen.asked_again:,} rows are asked again: {kinds}")
        seen.asked_again, seen.why = 0, {}

    def _staging(self, rows: int) -> None:
        told, at = self._last.get("", ("", 0.0))
        if self._quiet or time.monotonic() - at < _COUNTS_EVERY_S / 3:
            return
        self._last[""] = (told, time.monotonic())
        if at:
            self._say(f"{rows:,} rows read")

    def _name(self, job: JobRecord) -> str:
        return f"{job.provider}:{job.model} {job.id}"

    def _show(self, job: JobRecord, words: str, done: int | None) -> None:
        if self._quiet:
            return
        if self._progress is None:
            # a change of state is told at once, counts now and then: a log must not grow by a line a second
            told, at = self._last.get(job.id, ("", 0.0))
            several = self._of(job).shards > 1 and words[:1].isdigit() and told[:1].isdigit()
            same_state = several or told.partition(",")[0] == words.partition(",")[0]
            if told != words and not (same_state and time.monotonic() - at < _COUNTS_EVERY_S):
                self._last[job.id] = (words, time.monotonic())
                self._say(f"{self._name(job)}: {words}")
            return
        task = self._tasks.get(job.id)
        crowded = len(self._jobs) > _MOST_BARS
        if crowded and done is not None and task is None and done in (0, job.rows):
            return  # not sent yet, or over
        if task is None:
            # on a terminal the width is dear: the job's id is told with the summary
            name = f"{job.provider}:{job.model}" + (f" #{job.round}" if job.round > 1 else "")
            task = self._tasks[job.id] = self._progress.add_task("", total=job.rows, name=name, words=words)
        self._progress.update(task, completed=None if done is None else float(done), words=words)
        if crowded and done == job.rows and job.id in self._ended:
            self._progress.remove_task(self._tasks.pop(job.id))
            self._progress.console.print(f"{self._name(job)} #{job.round}: {words}", markup=False)

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


def _counted(batch: BatchRecord) -> int:
    """Requests of a batch that the provider counts as done; none where it counts at the end only."""
    if State(batch.state).terminal or batch.succeeded is None:
        return 0
    return batch.succeeded + (batch.failed or 0)


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
