"""Taking jobs from staged to ended: send what is not yet sent, watch what is under way, collect what has ended, merge what is whole.

One conductor per provider account. Each turn it asks of every open shard attempt what it needs next, starts as much of that as there is
room for, and waits until something has ended or it is time to look again. All that it knows is in the ledger, so driving a job again
after any interruption is the same call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from batchmark.domain.lifecycle import BatchRef, Snapshot, State
from batchmark.domain.totals import Totals
from batchmark.engine.account import Account, answers_path
from batchmark.engine.admission import load_of
from batchmark.engine.board import Board
from batchmark.engine.calls import repeat
from batchmark.engine.collect import close_unsent, collect
from batchmark.engine.dispatch import Dispatcher, Kind
from batchmark.engine.events import BatchSeen, Listener, Trouble
from batchmark.engine.finish import finish
from batchmark.engine.next_step import Step, next_step
from batchmark.engine.options import DriveOptions
from batchmark.engine.pace import next_poll_s
from batchmark.engine.poll import Poller
from batchmark.engine.rebuild import Rebuild
from batchmark.engine.reconcile import intent_of, reconcile
from batchmark.engine.sending import Sending
from batchmark.engine.submit import DamagedShard, submit
from batchmark.engine.turns import Turns
from batchmark.engine.watch import Watchman
from batchmark.errors import (
    Ambiguous,
    BatchmarkError,
    RateLimited,
    Refused,
    Retryable,
)
from batchmark.ledger.points import reach
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.ledger.store import changes_of

__all__ = ["Conductor"]

# Shards whose answers are brought here at the same time: one downloads while another is decoded.
_COLLECTED_AT_ONCE = 2
# How often it is written down that batches were looked at: what is lost by a kill is no more than that.
_NOTED_EVERY_S = 300.0
# While a round is waited for nothing is looked at, but the user may cancel.
_HEEDED_EVERY_S = 2.0
# What an idle turn takes where nothing says when the next one is due.
_BREATH_S = 0.05
# The look at batches, among the pieces of work that are named by their shard.
_LOOKING = 0


class Conductor:
    """Drives jobs of one account. `outputs` names where a job's answers go, if not to its own folder; `rebuild` makes a damaged shard
    file again; `turns` says when a job may be sent, where several accounts are compared."""

    def __init__(
        self,
        account: Account,
        jobs: Sequence[JobRecord],
        dispatcher: Dispatcher,
        tell: Listener,
        *,
        options: DriveOptions | None = None,
        outputs: Mapping[str, Path] | None = None,
        rebuild: Rebuild | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._account = account
        self._options = options or DriveOptions()
        self._dispatcher = dispatcher
        self._tell = tell
        self._outputs = dict(outputs or {})
        self._rebuild = rebuild
        self._board = Board(jobs)
        self._sending = Sending(account, self._board, self._options, turns)
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._put_off: dict[int, tuple[BatchmarkError, float]] = {}
        self._ended: dict[str, Totals | None] = {}
        self._finishing: dict[str, asyncio.Task[None]] = {}
        self._stop: BatchmarkError | None = None
        self._first_refusal: Refused | None = None
        self._poll_at_s = 0.0
        self._looked_at: datetime | None = None
        self._noted_s = self._heeded_s = 0.0
        self._full_at: int | None = None
        self._wants_something = False
        self._submitted_at_s: dict[int, float] = {}
        self._poller = Poller(account.provider, account.ledger, lost_s=account.pace.lost_s)
        self._watchman = Watchman(account, self._options, tell)

    # the two things that are asked of it

    async def drive(self) -> dict[str, Totals | None]:
        """Bring every job to its end and return what its answers add up to, by job id (None: it ended without answers).

        Raises BadCredentials and Retryable as they come, BadInput where the run may cost no more, and Ambiguous once nothing else is left
        to do: what is under way at the provider goes on, and driving again takes it up.
        """
        await self._turn_until("ended")
        return self._ended

    async def send(self, *, something: bool = False) -> Refused | None:
        """Bring every shard to the provider for which there is room, and return without waiting for answers.

        With `something`, room is waited for until one batch at least is there. A shard that the provider clearly refuses is recorded as
        failed and the others are sent all the same; the first such refusal is returned. Raises like `drive`.
        """
        self._wants_something = something
        await self._turn_until("sent")
        return self._first_refusal

    async def _turn_until(self, goal: Literal["ended", "sent"]) -> None:
        self._load()
        try:
            while True:
                self._heed_cancels()
                started = self._start_work(sending_only=goal == "sent")
                idle = not self._busy and not self._finishing
                if idle and self._stop is not None:
                    raise self._stop
                if idle and goal == "sent" and not started and self._is_sent():
                    return
                if idle and len(self._ended) == len(self._board.jobs):
                    return
                if idle and not started:
                    self._ensure_something_is_left()
                await self._wait()
        finally:
            self._sending.leave()
            await self._let_go()
            self._note_look()

    def _is_sent(self) -> bool:
        """Whether all is at the provider that it has room for."""
        if self._put_off:
            raise next(iter(self._put_off.values()))[0]
        return not self._board.unsent or bool(self._board.watched) or not self._wants_something

    def _load(self) -> None:
        self._board.load(self._account.ledger)
        now = self._now()
        for shard in self._board.open.values():
            if shard.state == "submitted" and shard.sent_at is not None:
                age_s = (datetime.now(UTC) - shard.sent_at).total_seconds()
                self._submitted_at_s[shard.id] = now - max(age_s, 0.0)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # a turn

    def _start_work(self, *, sending_only: bool) -> bool:
        """Start whatever may be started; returns whether anything was."""
        if self._stop is not None:
            return False
        started = False
        to_send: list[ShardRecord] = []
        now = self._now()
        for shard in list(self._board.open.values()):
            if shard.id in self._busy:
                continue
            if shard.id in self._put_off and self._put_off[shard.id][1] > now:
                continue
            step = next_step(shard, self._board.batches.get(shard.id))
            match step:
                case Step.SUBMIT:
                    to_send.append(shard)
                case Step.RECONCILE:
                    started |= self._sending.has_a_place() and self._start(
                        shard, step, Kind.SUBMIT, partial(self._reconcile, shard)
                    )
                case Step.COLLECT | Step.SETTLE | Step.CLOSE if not sending_only:
                    if len(self._board.doing) - len(self._board.sending) < _COLLECTED_AT_ONCE:
                        started |= self._start(shard, step, Kind.COLLECT, partial(self._collect, shard, step))
                case _:
                    pass
        for shard in self._sending.chosen(to_send, now):
            started |= self._start(shard, Step.SUBMIT, Kind.SUBMIT, partial(self._submit, shard))
        if not sending_only:
            started |= self._finish_what_is_whole()
            started |= self._look_if_due()
        return started

    def _start(self, shard: ShardRecord, step: Step, kind: Kind, work: Callable[[], Awaitable[None]]) -> bool:
        async def dispatched() -> None:
            await self._dispatcher.run(kind, shard.label, work)

        self._board.doing[shard.id] = step
        self._put_off.pop(shard.id, None)
        self._busy[shard.id] = asyncio.ensure_future(dispatched())
        return True

    def _ensure_something_is_left(self) -> None:
        """Nothing runs and nothing could be started: either a batch is watched or room is waited for, or this is the end for now."""
        watched = self._board.watched
        lost = self._poller.lost
        if any(batch.id not in lost for batch in watched):
            return
        if watched and not self._sending.waits_for_a_turn():
            error = lost[watched[0].id]
            error.hint = f"if it is gone for good, give up what is missing: batchmark cancel {self._board.run_id}, then resume it"
            raise error
        if self._put_off and not self._sending.waits_for_a_turn():
            raise min(self._put_off.values(), key=lambda each: each[1])[0]
        self._sending.ensure_affordable()

    async def _wait(self) -> None:
        """Until a piece of work has ended, or it is time to look at batches or to try again."""
        now = self._now()
        times = [at_s for _, at_s in self._put_off.values()]
        if self._board.watched and _LOOKING not in self._busy:
            times.append(self._poll_at_s)
        times.extend(self._sending.opens_at_s(now))
        if self._sending.waits_for_a_turn():
            times.append(now + _HEEDED_EVERY_S)
        # what is due already, but could not be started, is tried again in a moment
        timeout = min((max(at_s - now, _BREATH_S) for at_s in times), default=None)
        tasks = {*self._busy.values(), *self._finishing.values()}
        if not tasks:
            await asyncio.sleep(_BREATH_S if timeout is None else timeout)
            return
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for shard_id, task in list(self._busy.items()):
            if task in done:
                del self._busy[shard_id]
                step = self._board.doing.pop(shard_id, None)
                self._take_in(shard_id, step, task)
        for job_id, finishing in list(self._finishing.items()):
            if finishing in done:
                del self._finishing[job_id]
                self._take_in_end(finishing)

    async def _let_go(self) -> None:
        """Leave nothing running: what a create is about to be told is still written down."""
        tasks = [*self._busy.values(), *self._finishing.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()

    # what became of a piece of work

    def _take_in(self, shard_id: int, step: Step | None, task: asyncio.Task[None]) -> None:
        error = task.exception()
        if error is not None and not isinstance(error, BatchmarkError):
            raise error
        if shard_id == _LOOKING:
            if error is not None:
                self._halt(error)
            return
        shard = self._account.ledger.shard(shard_id)
        self._board.note(shard)
        if shard.state == "submitted" and step in (Step.SUBMIT, Step.RECONCILE):
            self._now_at_provider(shard)
        if error is None:
            return
        job = self._board.jobs[shard.job_id]
        match error:
            case RateLimited() if step in (Step.SUBMIT, Step.RECONCILE):
                others = [each for each in self._board.taking_room(job.model) if each.id != shard_id]
                self._sending.admission.refused(job.model, load_of(others), self._now(), error.retry_after_s)
                if self._full_at != len(others):
                    # said once for each number: it comes up again at every wave
                    self._full_at = len(others)
                    self._tell(
                        Trouble(job, f"{error.message}; {len(others)} batches are under way, the others wait for room")
                    )
            case Refused() if shard.state == "failed":
                self._first_refusal = self._first_refusal or error
                self._tell(Trouble(job, error.message))
            case DamagedShard():
                self._mend(job, shard, error)
            case Ambiguous() | Refused():
                self._delay(job, shard, error)
            case Retryable() if step in (Step.COLLECT, Step.SETTLE):
                self._delay(job, shard, error)
            case _:
                self._halt(error)

    def _now_at_provider(self, shard: ShardRecord) -> None:
        now = self._now()
        batch = self._account.ledger.batch_of(shard.id)
        if batch is not None:
            self._board.batches[shard.id] = batch
        self._submitted_at_s[shard.id] = now
        self._sending.admission.accepted(self._board.jobs[shard.job_id].model, now)
        due = now + self._account.pace.young_s
        self._poll_at_s = min(self._poll_at_s, due) if self._poll_at_s else due

    def _delay(self, job: JobRecord, shard: ShardRecord, error: BatchmarkError) -> None:
        """This shard cannot go on now; the others can."""
        self._tell(Trouble(job, error.message))
        self._put_off[shard.id] = (error, self._now() + max(self._account.pace.grace_s, self._account.pace.young_s))

    def _mend(self, job: JobRecord, shard: ShardRecord, error: DamagedShard) -> None:
        if self._rebuild is None or not self._rebuild(job, shard):
            self._halt(error)
            return
        self._tell(Trouble(job, f"the shard file of {shard.label} was damaged, and has been made again"))

    def _halt(self, error: BatchmarkError) -> None:
        """Start nothing more, and raise it once what is running has ended."""
        self._stop = self._stop or error

    # pieces of work

    async def _submit(self, shard: ShardRecord) -> None:
        await submit(self._account, self._board.jobs[shard.job_id], shard, self._tell)

    async def _reconcile(self, shard: ShardRecord) -> None:
        job = self._board.jobs[shard.job_id]
        await reconcile(self._account, job, shard, intent_of(shard, job.provider), tell=self._tell)

    async def _collect(self, shard: ShardRecord, step: Step) -> None:
        job = self._board.jobs[shard.job_id]
        if step is Step.CLOSE:
            self._tell(await close_unsent(self._account, job, shard))
            return
        batch = self._account.ledger.batch_of(shard.id)
        assert batch is not None
        if (
            step is Step.COLLECT
            and State(batch.state) is State.FAILED
            and await self._was_turned_away(job, shard, batch)
        ):
            return
        closed = await collect(self._account, job, shard, batch, attempts=self._options.attempts, tell=self._tell)
        if closed is None:
            self._board.batches.pop(shard.id, None)
            fresh = self._account.ledger.batch_of(shard.id)
            if fresh is not None:
                self._board.batches[shard.id] = fresh
            return
        if closed.following is not None:
            self._board.note(closed.following)
        self._tell(closed)

    async def _was_turned_away(self, job: JobRecord, shard: ShardRecord, batch: BatchRecord) -> bool:
        """Whether the batch failed for want of room alone: then that is no attempt, and the shard waits for its turn."""
        account = self._account

        def warn(message: str) -> None:
            self._tell(Trouble(job, message))

        snapshot = await repeat(
            lambda: account.provider.get(BatchRef(batch.provider, batch.id)), account.pace, warn=warn
        )
        if not snapshot.queue_full or not account.ledger.turn_away(shard, batch):
            return False
        self._board.batches.pop(shard.id, None)
        self._board.note(account.ledger.shard(shard.id))
        others = self._accepted_beside(snapshot, job.model)
        self._sending.admission.refused(job.model, load_of(others), self._now())
        if self._full_at != len(others):
            self._full_at = len(others)
            words = "; ".join(snapshot.problems)
            warn(f"{batch.id} found no room: {words}. Nothing of it ran; it is sent again when there is room")
        return True

    def _accepted_beside(self, refused: Snapshot, model: str) -> list[ShardRecord]:
        """The shards whose batches the provider had taken and not finished when it turned another away, on its clock: what was sent since
        may be turned away too, and says nothing about the room."""
        at = refused.ended_at or refused.created_at
        shards = self._board.open | self._board.closed
        return [
            shards[shard_id]
            for shard_id, batch in self._board.batches.items()
            if shard_id in shards
            and self._board.jobs[shards[shard_id].job_id].model == model
            and State(batch.state) not in (State.QUEUED, State.FAILED)
            and (at is None or batch.created_at is None or batch.created_at <= at)
            and (at is None or batch.ended_at is None or batch.ended_at >= at)
        ]

    # looking

    def _look_if_due(self) -> bool:
        watched = self._board.watched
        if not watched or _LOOKING in self._busy or self._now() < self._poll_at_s:
            return False
        self._busy[_LOOKING] = asyncio.ensure_future(self._look(watched))
        return True

    async def _look(self, watched: list[BatchRecord]) -> None:
        account = self._account
        sent = [self._board.open[batch.shard_id].sent_at for batch in watched if batch.shard_id in self._board.open]
        since = min((each for each in sent if each is not None), default=None)
        seen = await account.meter.timed(
            "poll",
            repeat(
                lambda: self._poller.look(watched, since),
                account.pace,
                warn=lambda text: self._tell(Trouble(None, text)),
            ),
        )
        reach("looked")
        for batch in watched:
            snapshot = seen.get(batch.id)
            if snapshot is not None:
                self._see(batch, snapshot)
        self._looked_at = account.provider.server_time
        if self._now() - self._noted_s >= _NOTED_EVERY_S:
            self._note_look()
        self._heed_cancels(at_once=True)
        await self._cancel_unwanted()
        now = self._now()
        ages = [now - self._submitted_at_s.get(batch.shard_id, now) for batch in watched]
        self._poll_at_s = now + next_poll_s(account.pace, min(ages, default=0.0))
        stop = await self._watchman.look(
            [
                (self._board.jobs[self._board.open[batch.shard_id].job_id], self._board.batches[batch.shard_id])
                for batch in self._board.watched
            ]
        )
        if stop is not None:
            self._halt(stop)

    def _note_look(self) -> None:
        """Write down until when batches certainly had not ended."""
        watched = {self._board.open[batch.shard_id].job_id for batch in self._board.watched}
        if self._looked_at is not None and watched:
            self._account.ledger.record_looks(sorted(watched), self._looked_at)
        self._noted_s = self._now()

    def _heed_cancels(self, *, at_once: bool = False) -> None:
        """Take in what the user has cancelled meanwhile, in another process."""
        waits = self._sending.waits_for_a_turn()
        if not at_once and not (waits and self._now() - self._heeded_s >= _HEEDED_EVERY_S):
            return
        self._heeded_s = self._now()
        board, ledger = self._board, self._account.ledger
        for job_id in ledger.cancelled_jobs(board.run_id) & board.jobs.keys() - board.cancelled - self._ended.keys():
            board.cancelled.add(job_id)
            for shard in ledger.shards(job_id):
                if shard.id not in self._busy:
                    board.note(shard)

    async def _cancel_unwanted(self) -> None:
        """A batch whose create was still being answered when the user cancelled its job."""
        for batch in self._board.watched:
            job_id = self._board.open[batch.shard_id].job_id
            if (
                job_id in self._board.cancelled
                and batch.standing == "confirmed"
                and State(batch.state) in (State.QUEUED, State.RUNNING)
            ):
                with suppress(Refused, Retryable):
                    await self._account.provider.cancel(BatchRef(batch.provider, batch.id))

    def _see(self, batch: BatchRecord, snapshot: Snapshot) -> None:
        known = self._board.batches.get(batch.shard_id)
        shard = self._board.open.get(batch.shard_id)
        if known is None or known.id != batch.id or shard is None:
            return
        self._board.batches[batch.shard_id] = now = replace(known, **changes_of(known, snapshot))
        if State(now.state).terminal and not State(known.state).terminal:
            self._sending.admission.freed(self._board.jobs[shard.job_id].model, self._now())
        self._tell(BatchSeen(self._board.jobs[shard.job_id], now))

    # the end of a job

    def _finish_what_is_whole(self) -> bool:
        """Merge jobs of which every shard is closed."""
        open_jobs = {shard.job_id for shard in self._board.open.values()}
        started = False
        for job in self._board.jobs.values():
            if job.id not in open_jobs and job.id not in self._ended and job.id not in self._finishing:
                self._finishing[job.id] = asyncio.ensure_future(self._finish(job))
                started = True
        return started

    def _take_in_end(self, task: asyncio.Task[None]) -> None:
        error = task.exception()
        if error is not None:
            if not isinstance(error, BatchmarkError):
                raise error
            self._halt(error)

    async def _finish(self, job: JobRecord) -> None:
        into = self._outputs.get(job.id) or answers_path(self._account.home, job)
        self._board.jobs[job.id], self._ended[job.id] = await finish(
            self._account, job, into, keep_files=self._options.keep_files, tell=self._tell
        )
