"""The eye on batches that take too long: says so, with what can be done, and does what the user chose."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from batchmark.domain.lifecycle import BatchRef, State
from batchmark.domain.limits import Usual
from batchmark.engine.account import Account
from batchmark.engine.events import Listener, Trouble
from batchmark.engine.options import DriveOptions
from batchmark.engine.stall import Lateness, Policy, lateness, later, must_rescue, must_stop, usual_of
from batchmark.errors import BatchmarkError, Refused, Retryable
from batchmark.ledger.records import BatchRecord, JobRecord

__all__ = ["Watchman", "age_s", "late_words"]


def age_s(batch: BatchRecord, now: datetime | None) -> float:
    """How old a batch is on the provider's clock; 0 where that is not known."""
    if now is None or batch.created_at is None:
        return 0.0
    return max((now - batch.created_at).total_seconds(), 0.0)


def late_words(count: int, what: Lateness, usual: Usual, oldest: str, oldest_s: float) -> str:
    """That batches are late, in words."""
    subject = f"{count} batches are" if count > 1 else f"{oldest} is"
    how = f"later than 95 % of earlier ones ({_hours(usual.p95_s)}; {usual.n:,}: {usual.source})"
    if what is not Lateness.LATE:
        how = f"still not done, and {what.value}"
    oldest_words = (
        f"; the oldest, {oldest}, was made {_hours(oldest_s)} ago" if count > 1 else f", made {_hours(oldest_s)} ago"
    )
    return f"{subject} {how}{oldest_words}. Nothing is lost"


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class Watchman:
    """Looks at how old batches are. Each is spoken of once for every step that it gets later."""

    def __init__(self, account: Account, options: DriveOptions, tell: Listener) -> None:
        self._account = account
        self._options = options
        self._tell = tell
        self._said: dict[str, Lateness] = {}
        self._usual: dict[str, Usual] = {}

    async def look(self, running: Sequence[tuple[JobRecord, BatchRecord]]) -> BatchmarkError | None:
        """Speak of late batches, cancel those that are to be given up, and return the error that the run is to stop with, if any."""
        spec, now = self._account.provider.spec, self._account.provider.server_time
        news: dict[Lateness, list[tuple[JobRecord, BatchRecord, float]]] = {}
        stop: BatchmarkError | None = None
        for job, batch in running:
            age = age_s(batch, now)
            if must_rescue(age, spec.limits, expiry_keeps_finished=spec.expiry_keeps_finished):
                await self._cancel(job, batch, "it is about to expire, which gives no answers at all")
                continue
            usual = self._usual_of(job)
            late = lateness(age, spec.limits, usual)
            if later(late, self._said.get(batch.id, Lateness.ON_TIME)):
                self._said[batch.id] = late
                news.setdefault(late, []).append((job, batch, age))
            begun = batch.started_at is not None or State(batch.state) is not State.QUEUED
            if not must_stop(age, spec.limits, usual, begun=begun, cancel_keeps_finished=spec.cancel_keeps_finished):
                continue
            if self._options.stall is Policy.CANCEL_AND_RETRY:
                await self._cancel(job, batch, "it is stuck; what it has finished is kept, and the rest is asked again")
            elif self._options.stall is Policy.STOP:
                stop = stop or Retryable(
                    f"stopped: {batch.id} has been under way for {_hours(age)}; it goes on at {spec.name}, and nothing is lost",
                    hint=f"wait for it with: batchmark resume {job.run_id} --stall warn",
                )
        for late, found in news.items():
            job, oldest, age = max(found, key=lambda each: each[2])
            words = late_words(len(found), late, self._usual_of(job), oldest.id, age)
            advice = f"batchmark cancel {job.run_id} gives it up"
            if self._options.stall is Policy.WARN:
                advice += f", and batchmark resume {job.run_id} --stall cancel-and-retry asks again by itself"
            self._tell(Trouble(job, f"{words}. To do: wait, or {advice}"))
        return stop

    def _usual_of(self, job: JobRecord) -> Usual:
        known = self._usual.get(job.model)
        if known is None:
            mine = self._account.ledger.turnarounds_s(job.provider, job.model, emulated=job.emulated)
            known = self._usual[job.model] = usual_of(mine, self._account.provider.spec.usual)
        return known

    async def _cancel(self, job: JobRecord, batch: BatchRecord, why: str) -> None:
        if batch.cancel_asked_at is not None or State(batch.state) is State.CANCELLING or batch.standing != "confirmed":
            return
        # recorded first: rows that the batch did not get to are asked again only if the cancel is known to be ours
        self._account.ledger.record_cancel(batch)
        self._tell(Trouble(job, f"{batch.id} is cancelled: {why}"))
        with suppress(Refused, Retryable):
            await self._account.provider.cancel(BatchRef(batch.provider, batch.id))
