"""The work behind the service: takes each batch through checking, answering and writing its results when that is due.

Several processes may share a world. A batch is worked on by whoever holds its lease; the lease of a dead process, or of one
that stopped renewing it, is taken over, and the work goes on from what is on disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from batchmark.emulator import fault_life
from batchmark.emulator.answers import AnswersClosed, AnswerSource
from batchmark.emulator.bench import Bench, Benches
from batchmark.emulator.clock import ns
from batchmark.emulator.courier import Courier
from batchmark.emulator.dialects.failures import trouble
from batchmark.emulator.dialects.news import news
from batchmark.emulator.fault_lines import FaultySheet, failing_rows
from batchmark.emulator.hooks import Hooks
from batchmark.emulator.life import Phase, progress, standing
from batchmark.emulator.results import write_results
from batchmark.emulator.rows import Book, Writer, read_lines
from batchmark.emulator.world import Batch, Outcome, World

__all__ = ["Works"]

log = logging.getLogger(__name__)

_LEASE_S = 15.0  # a holder renews every few seconds; past this it is taken for dead
_RENEW_S = 3.0
_TICK_S = 0.5
_PATIENCE_S = 0.25  # how long an answer waits for work whose time has come,
_PATIENCE_BATCHES = 8  # if it is for so few batches
_PATIENCE_BYTES = 2_000_000  # and these are so small that it will soon be done: a call that waits holds a thread
_BENCHES = 64  # batches answered at once by a slow source
_WORKERS = 2
_TIDY_S = 30.0


class _Stopped(Exception):
    """The emulator is stopping, or the lease was lost: leave the step as it is."""


class Works:
    """Background threads that bring batches forward. `start`, and later `stop`; `fresh` before showing a batch."""

    def __init__(
        self, world: World, source: AnswerSource, books: Mapping[str, Book], hooks: Hooks, *, remote: bool = False
    ) -> None:
        """`remote`: whether webhooks on other machines may be called."""
        self.world = world
        self.source = source
        self.courier = Courier(world, hooks, remote=remote)
        self._hooks = hooks
        self._books = books
        # Answers that cost nothing are made while the results are written, with no log between.
        self._free = source.free
        self._me = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._benches = Benches(source, finished=self._bench_finished, failed=self._bench_failed)
        self._changed = threading.Condition()
        self._generation = 0
        self._busy: set[int] = set()
        self._stopping = False
        self._renewed_at = 0.0
        self._tidied_at = time.monotonic()
        self._freed_at = -_TICK_S
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for number in range(_WORKERS):
            thread = threading.Thread(target=self._run, name=f"emulator-work-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self.courier.start()

    def stop(self) -> bool:
        """Stop within about a second; whether every thread has ended."""
        self._stopping = True
        self._benches.stop()
        self.source.close()
        self.nudge()
        deadline = time.monotonic() + 1.0
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._benches.join(max(0.05, deadline - time.monotonic()))
        told = self.courier.stop()
        self.world.store.run("UPDATE batches SET owner = NULL WHERE owner = ?", (self._me,))
        return told and not any(thread.is_alive() for thread in self._threads)

    def nudge(self) -> None:
        """Something may be due now."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def fresh(self, batches: list[Batch]) -> tuple[list[Batch], int]:
        """The batches as they may be shown, and the moment of it.

        Where only a little free work of our own is missing for a state whose time has come, wait a moment for it. A batch shown as
        still at it although its schedule has passed is noted, so that its next times are not dated before this look.
        """
        deadline = time.monotonic() + _PATIENCE_S
        nudged = False
        while True:
            now = self.world.now()
            held = [batch for batch in batches if batch.step != "done" and standing(batch.facts, now).held]
            if not held:
                return batches, now
            patient = self._free and not self._stopping and time.monotonic() < deadline
            if not patient or len(held) > _PATIENCE_BATCHES or sum(one.input_bytes for one in held) > _PATIENCE_BYTES:
                self.world.saw(held, now)
                return batches, now
            with self._changed:
                if not nudged:
                    self._generation += 1
                    self._changed.notify_all()
                    nudged = True
                self._changed.wait(0.01)
            current = {batch.seq: self._reload(batch.seq) for batch in held}
            batches = [current.get(batch.seq) or batch for batch in batches]

    def count(self, batch: Batch, now: int) -> tuple[int, int]:
        """How many rows of a running batch show as answered and as failed at `now`: as many as were a while before, where
        counts lag."""
        stand = standing(batch.facts, now)
        if stand.finalizing_at is not None and not batch.facts.expired:
            done = batch.total
        else:
            done = int(batch.total * progress(batch.facts, now - ns(batch.facts.schedule.lag_s)))
            done = done if self._free else min(done, batch.answered)
        if self._free:
            failed = done * batch.failing // batch.total if batch.total else 0
        else:
            failed = min(batch.failing, done)
        return done - failed, failed

    # The loop

    def _run(self) -> None:
        while not self._stopping:
            generation = self._generation
            try:
                self._look_after_benches()
                self._tidy()
                worked = self._work_due()
                wait_s = 0.0 if worked else self._until_next()
            except _Stopped:
                continue
            except sqlite3.ProgrammingError:  # the store was closed under us: the emulator is gone
                return
            except Exception:
                log.exception("the emulator's worker failed; going on")
                wait_s = _TICK_S
            if wait_s > 0:
                with self._changed:
                    if generation == self._generation and not self._stopping:
                        self._changed.wait(wait_s)

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied_at > _TIDY_S:
            self._tidied_at = time.monotonic()
            self.world.drop_expired_files()
            self.world.drop_expired_uploads()

    def _until_next(self) -> float:
        row = self.world.store.one("SELECT min(due_at) AS due FROM batches WHERE step <> 'done' AND owner IS NULL")
        if row is None or row["due"] is None:
            return _TICK_S
        left = self.world.clock().real_seconds_until(row["due"], time.time_ns())
        return min(_TICK_S, max(left, 0.005))

    def _work_due(self) -> bool:
        self._free_dead_leases()
        rows = self.world.store.all(
            "SELECT seq, dialect, id FROM batches"
            " WHERE step <> 'done' AND due_at <= ? AND (owner IS NULL OR owner_until < ?)"
            " ORDER BY due_at LIMIT 50",
            (self.world.now(), time.time()),
        )
        worked = False
        for row in rows:
            if self._stopping:
                raise _Stopped
            seq = int(row["seq"])
            if self._claim(seq):
                worked = True
                keep = False
                try:
                    keep = self._advance(seq)
                except (_Stopped, sqlite3.ProgrammingError):
                    raise
                except Exception:
                    if self._reload(seq) is not None:  # else deleted at its turn, its folder with it: nothing failed
                        log.exception("a step of a batch failed; it is tried again", extra={"seq": seq})
                        self._postpone(seq)
                finally:
                    if not keep:
                        self._release(seq)
                    self.nudge()
                if not keep and self._reload(seq) is None:  # what was written while it was being deleted
                    self.world.discard_work(row["dialect"], row["id"])
        return worked

    def _claim(self, seq: int) -> bool:
        with self._changed:
            if seq in self._busy:
                return False
            self._busy.add(seq)
        changed = self.world.store.run(
            "UPDATE batches SET owner = ?, owner_pid = ?, owner_until = ?"
            " WHERE seq = ? AND step <> 'done' AND (owner IS NULL OR owner_until < ?)",
            (self._me, os.getpid(), time.time() + _LEASE_S, seq, time.time()),
        )
        if changed != 1:
            self._busy.discard(seq)
        return changed == 1

    def _release(self, seq: int) -> None:
        self.world.store.run("UPDATE batches SET owner = NULL WHERE seq = ? AND owner = ?", (seq, self._me))
        self._busy.discard(seq)

    def _renew(self) -> None:
        """Keep all our leases, at most every few seconds."""
        if time.monotonic() - self._renewed_at > _RENEW_S:
            self._renewed_at = time.monotonic()
            self.world.store.run(
                "UPDATE batches SET owner_until = ? WHERE step <> 'done' AND owner = ?",
                (time.time() + _LEASE_S, self._me),
            )

    def _free_dead_leases(self) -> None:
        if time.monotonic() - self._freed_at < _TICK_S:
            return
        self._freed_at = time.monotonic()
        rows = self.world.store.all(
            "SELECT DISTINCT owner, owner_pid FROM batches WHERE step <> 'done' AND owner IS NOT NULL AND owner <> ?",
            (self._me,),
        )
        for row in rows:
            if not _alive(row["owner_pid"]):
                self.world.store.run("UPDATE batches SET owner = NULL WHERE owner = ?", (row["owner"],))

    # The steps of one batch

    def _reload(self, seq: int) -> Batch | None:
        row = self.world.store.one("SELECT * FROM batches WHERE seq = ? AND deleted = 0", (seq,))
        return None if row is None else self.world.decode_batch(row)

    def _advance(self, seq: int) -> bool:
        """Do all that is due for one batch; whether its lease must be kept, because its answers are being made."""
        while True:
            batch = self._reload(seq)
            if batch is None or batch.step == "done":
                return False
            due = self._due(batch)
            if self.world.now() < due:
                # A cancel request may come in at the same moment; then look again rather than sleep over it.
                changed = self.world.store.run(
                    "UPDATE batches SET due_at = ? WHERE seq = ? AND cancel_at IS ?",
                    (due, seq, batch.facts.cancel_at),
                )
                if changed == 1:
                    return False
                continue
            if batch.step == "check":
                self._check(batch)
            elif batch.step == "settle":
                self._settle(batch)
            elif batch.facts.cancel_at is not None:
                self._step(batch, "settle")
            elif self._free:
                at = self._dated(batch, due)
                self._answered(batch, at, expired=at >= batch.facts.expires_at)
            elif self.world.now() >= batch.facts.expires_at:
                self._answered(batch, None, expired=True)
            elif len(self._benches.active()) >= _BENCHES:
                self._postpone(seq)
                return False
            else:
                book = self._books[batch.dialect]
                self._benches.add(Bench(batch, partial(book.read, batch)))
                return True
            self.nudge()

    def _due(self, batch: Batch) -> int:
        """When the next step of a batch may be done."""
        facts, plan = batch.facts, batch.facts.schedule
        if batch.step == "check":
            return facts.created_at
        if facts.cancel_at is not None:
            return facts.cancel_at + ns(plan.cancel_s)
        finish = facts.finish_due
        if batch.step == "answer":
            start = finish if self._free else facts.begun_at
            return facts.expires_at if start is None else min(start, facts.expires_at)
        if facts.expired or finish is None or facts.answered_at is None:
            return facts.expires_at + ns(plan.drain_s)
        return max(finish, facts.answered_at) + ns(plan.finalize_s)

    def _postpone(self, seq: int) -> None:
        """Try again in a second of the machine's time."""
        scale = self.world.clock().scale
        if scale == 0:  # no later moment will come by itself
            with self._changed:
                self._changed.wait(_TICK_S)
        later = self.world.now() + ns(scale)
        self.world.store.run("UPDATE batches SET due_at = ? WHERE seq = ?", (later, seq))

    def _dated(self, batch: Batch, due: int) -> int:
        """The time to record for work done late: when it was due, unless somebody has seen it undone after that."""
        current = self._reload(batch.seq)
        return due if current is None or current.seen_at <= due else self.world.now()

    def _check(self, batch: Batch) -> None:
        facts = batch.facts
        if facts.cancel_at is not None:  # cancelled before anybody read it
            self._step(batch, "settle")
            return
        book = self._books[batch.dialect]
        checked = book.check(batch, self._lines(batch.input_path))
        code = fault_life.problem(batch) if batch.faults else None
        if code is not None:
            checked = replace(
                checked, problems=[trouble(batch.dialect, code, batch.model, fault_life.queue_tokens(batch))]
            )
        failing = checked.refused if self._free else 0
        if batch.faults and self._free and not checked.problems:
            rows = (book.read(batch, line) for line in self._lines(batch.input_path))
            failing = failing_rows(batch, fault_life.rules_of(batch), rows)
        at = self._dated(batch, facts.validated_due)
        problems = msgspec.json.encode(checked.problems).decode() if checked.problems else None
        with self.world.store.transaction():
            changed = self.world.store.run(
                "UPDATE batches SET total = ?, model = ?, problems = ?, checked_at = ?, step = ?, settled_at = ?, failing = ?"
                " WHERE seq = ? AND cancel_at IS NULL AND step = 'check'",
                (
                    0 if problems else checked.total,
                    checked.model,
                    problems,
                    at,
                    "done" if problems else "answer",
                    at if problems else None,
                    failing,
                    batch.seq,
                ),
            )
            if changed == 1 and problems:
                self._tell(batch.seq, Phase.FAILED, max(at, facts.validated_due))
        if problems:
            self.courier.nudge()

    def _answered(self, batch: Batch, at: int | None, *, expired: bool) -> None:
        self.world.store.run(
            "UPDATE batches SET answered_at = ?, expired = ?, answered = ?, step = 'settle', due_at = 0"
            " WHERE seq = ? AND step = 'answer' AND cancel_at IS NULL",
            (None if expired else at, int(expired), batch.answered if expired else batch.total, batch.seq),
        )

    def _step(self, batch: Batch, step: str) -> None:
        self.world.store.run(
            "UPDATE batches SET step = ?, due_at = 0 WHERE seq = ? AND step = ?", (step, batch.seq, batch.step)
        )

    def _look_after_benches(self) -> None:
        """Keep the leases of batches being answered, publish their progress, and stop those that were cut."""
        self._renew()
        active = self._benches.active()
        ours = self._ours() if active else set()
        for bench in active:
            seq = bench.batch.seq
            batch = self._reload(seq)
            cut = batch is None or batch.facts.cancel_at is not None or self.world.now() >= batch.facts.expires_at
            if batch is not None and (bench.count, bench.failed) != (batch.answered, batch.failing):
                self.world.store.run(
                    "UPDATE batches SET answered = ?, failing = ? WHERE seq = ?", (bench.count, bench.failed, seq)
                )
            if cut:
                self._benches.drop(bench)
                self._release(seq)
            elif seq not in ours:  # we slept, and another process has taken it over: it would be asked twice
                self._benches.drop(bench)
                self._busy.discard(seq)

    def _ours(self) -> set[int]:
        """The batches whose lease we hold."""
        rows = self.world.store.all("SELECT seq FROM batches WHERE step <> 'done' AND owner = ?", (self._me,))
        return {int(row["seq"]) for row in rows}

    def _bench_finished(self, bench: Bench) -> None:
        if self._stopping:
            return
        try:
            self._answered(bench.batch, self.world.now(), expired=False)
        except sqlite3.Error:
            log.exception("cannot record the end of a batch's answers", extra={"batch": bench.batch.id})
        with contextlib.suppress(sqlite3.Error):  # what was not recorded is found again in the log of its answers
            self._release(bench.batch.seq)
        self.nudge()

    def _bench_failed(self, bench: Bench) -> None:
        """Its input could not be read or its answers not be kept: try again later, unless the batch is gone."""
        if not self._stopping:
            with contextlib.suppress(sqlite3.Error):
                self._postpone(bench.batch.seq)
                self._release(bench.batch.seq)

    def _tell(self, seq: int, end: Phase, at_ns: int) -> None:
        """Put the news of a batch's end on its way, in the transaction that ends it."""
        batch = self._reload(seq)
        event = None if batch is None else news(batch, end, at_ns)
        if batch is not None and event is not None:
            self._hooks.send(batch.dialect, seq, event, at_ns)

    # Writing results

    def _settle(self, batch: Batch) -> None:
        facts = batch.facts
        end = Phase.CANCELLED if facts.cancel_at is not None else Phase.EXPIRED if facts.expired else Phase.SUCCEEDED
        due = self._due(batch)
        outcome = Outcome()
        book = self._books[batch.dialect]
        if facts.checked_at is not None or batch.total:
            own = book.sheet(batch, end, due)
            sheet: Writer = FaultySheet(own, batch, fault_life.rules_of(batch)) if batch.faults else own
            try:
                write_results(batch, sheet, end, self.source, self._lines(batch.input_path))
                outcome = sheet.finish()
            except AnswersClosed as error:
                sheet.abandon()
                raise _Stopped from error
            except BaseException:
                sheet.abandon()
                raise
        settled = self._dated(batch, due)
        with self.world.store.transaction():
            changed = self.world.store.run(
                "UPDATE batches SET outcome = ?, settled_at = ?, step = 'done'"
                " WHERE seq = ? AND step = 'settle' AND deleted = 0 AND cancel_at IS ? AND owner = ?",
                (msgspec.json.encode(outcome).decode(), settled, batch.seq, facts.cancel_at, self._me),
            )
            if changed == 1:
                self._tell(batch.seq, end, max(settled, due))
        self.courier.nudge()
        if changed != 1:  # cancelled or deleted while we wrote: these files tell an old story
            for file_id in (outcome.output_file, outcome.error_file):
                stored = None if file_id is None else self.world.file(batch.dialect, file_id)
                if stored is not None:
                    self.world.delete_file(stored)
            return
        with contextlib.suppress(OSError):
            batch.input_path.unlink()
        with contextlib.suppress(OSError):
            batch.log_path.unlink()

    def _lines(self, path: Path) -> Iterator[bytes]:
        """The input, with a look now and then at whether to stop and at our lease."""
        return read_lines(path, between=self._look_up)

    def _look_up(self) -> None:
        if self._stopping:
            raise _Stopped
        self._renew()


def _alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
