"""Taking jobs from staged to ended: submit what is not yet sent, watch what is under way, collect what has ended, merge what is whole.

Every step reads from the ledger what is still to be done, so driving a job again after any interruption is the same call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from batchmark.domain.lifecycle import FileRef, Intent, State
from batchmark.domain.totals import Totals
from batchmark.engine.calls import repeat
from batchmark.engine.collect import collect
from batchmark.engine.events import BatchSeen, JobEnded, Listener, Trouble
from batchmark.engine.merge import merge
from batchmark.engine.pace import Pace, next_poll_s
from batchmark.engine.points import reach
from batchmark.engine.poll import Poller
from batchmark.engine.reconcile import reconcile
from batchmark.engine.submit import submit
from batchmark.errors import Refused
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.prices.lookup import resolve
from batchmark.providers.seam import Provider, Wire

__all__ = ["Account", "answers_path", "drive", "finish_ended", "send"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the engine needs to act on one provider account; `home` is where the ledger's folders are relative to."""

    provider: Provider
    wire: Wire
    ledger: Ledger
    home: Path
    pace: Pace

    def folder(self, job: JobRecord) -> Path:
        """Where the job's files are."""
        return self.home / job.folder


def answers_path(home: Path, job: JobRecord) -> Path:
    """Where the job's merged answers are, once it has ended."""
    return home / job.folder / "answers.jsonl"


async def send(account: Account, jobs: Sequence[JobRecord], tell: Listener) -> Refused | None:
    """Submit every shard of the jobs that is not at the provider yet, one create at a time for the account.

    A shard that the provider clearly refuses is recorded as failed and the others are sent all the same; the first such refusal is
    returned. Raises whatever concerns more than one shard: a refusal of the account's lists, a key that is no good, no network.
    """
    first: Refused | None = None
    for job in jobs:
        for shard in account.ledger.shards(job.id):
            try:
                await _send_shard(account, job, shard, tell)
            except Refused as error:
                if not any(each.id == shard.id and each.state == "failed" for each in account.ledger.shards(job.id)):
                    raise
                first = first or error
    return first


async def _send_shard(account: Account, job: JobRecord, shard: ShardRecord, tell: Listener) -> None:
    ledger, provider, wire, pace = account.ledger, account.provider, account.wire, account.pace
    if shard.state == "intended":
        # a process was stopped between intent and answer: look first
        assert shard.sent_at is not None and shard.timeout_s is not None
        file = FileRef(job.provider, shard.file_id) if shard.file_id else None
        intent = Intent(label=shard.label, rows=shard.rows, sent_at=shard.sent_at, timeout_s=shard.timeout_s, file=file)
        if await reconcile(provider, wire, ledger, job, shard, intent, pace=pace, tell=tell) is not None:
            return
        shard = next(each for each in ledger.shards(job.id) if each.id == shard.id)
    if shard.state in ("staged", "uploaded"):
        await submit(provider, wire, ledger, job, shard, account.folder(job), pace=pace, tell=tell)


async def drive(account: Account, jobs: Sequence[JobRecord], tell: Listener) -> dict[str, Totals | None]:
    """Bring every job to its end and return what its answers add up to, by job id (None: it ended without answers).

    Raises BadCredentials and Retryable as they come: what is under way at the provider goes on, and driving again takes it up.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    poller = Poller(account.provider, account.ledger, lost_s=account.pace.lost_s)
    ended: dict[str, Totals | None] = {}
    while True:
        # A refusal is recorded as the problem of its job, which ends with the others below. A shard whose batch proved to be somebody
        # else's is unsent again, so sending is part of every turn.
        await send(account, [job for job in jobs if job.id not in ended], tell)
        for job in jobs:
            if job.id not in ended and (done := await finish_ended(account, job, tell)) is not None:
                ended[job.id] = done.totals
        if len(ended) == len(jobs):
            return ended
        watched = [batch for job in jobs if job.id not in ended for batch in _under_way(account.ledger, job)]
        await asyncio.sleep(next_poll_s(account.pace, clock() - began))
        if watched:
            await look(account, poller, jobs, watched, tell)


async def look(
    account: Account, poller: Poller, jobs: Sequence[JobRecord], watched: list[BatchRecord], tell: Listener
) -> None:
    """One poll of the account, with news passed on."""
    shards = {shard.id: (job, shard) for job in jobs for shard in account.ledger.shards(job.id)}
    sent = [shard.sent_at for _, shard in shards.values() if shard.sent_at is not None]
    since = min(sent, default=None)
    seen = await repeat(lambda: poller.look(watched, since), account.pace, warn=lambda text: tell(Trouble(None, text)))
    reach("looked")
    for batch in seen:
        tell(BatchSeen(shards[batch.shard_id][0], batch))


def _under_way(ledger: Ledger, job: JobRecord) -> list[BatchRecord]:
    found = (ledger.batch_of(shard.id) for shard in ledger.shards(job.id) if shard.state == "submitted")
    return [batch for batch in found if batch is not None and not State(batch.state).terminal]


async def finish_ended(account: Account, job: JobRecord, tell: Listener) -> JobEnded | None:
    """Collect the job's ended batches; once all are here, merge them and end the job. None while something is still under way."""
    ledger, folder = account.ledger, account.folder(job)
    if job.ended_at is None:
        for shard in ledger.shards(job.id):
            batch = ledger.batch_of(shard.id)
            if shard.state == "submitted" and batch is not None and State(batch.state).terminal:
                await collect(
                    account.provider, account.wire, ledger, job, shard, batch, folder, pace=account.pace, tell=tell
                )
    shards = ledger.shards(job.id)
    if any(shard.state not in ("collected", "failed") for shard in shards):
        return None
    if job.ended_at is not None and job.totals is not None and answers_path(account.home, job).exists():
        return JobEnded(job, msgspec.convert(job.totals, Totals))
    parts = [(shard, ledger.batch_of(shard.id)) for shard in shards]
    price = resolve(job.provider, job.model, _price_date(parts))
    totals = await asyncio.to_thread(
        merge, job, parts, account.wire, price, folder=folder, into=answers_path(account.home, job)
    )
    reach("merged")
    problem = next((shard.problem for shard in shards if shard.problem), None) or _problem(parts)
    if job.ended_at is None:
        ledger.record_end(job.id, totals=msgspec.to_builtins(totals), problem=problem)
        reach("end-recorded")
    ended = JobEnded(ledger.job(job.id) or job, totals)
    tell(ended)
    return ended


def _problem(parts: list[tuple[ShardRecord, BatchRecord | None]]) -> str | None:
    return next((words for _, batch in parts if batch is not None for words in batch.problems), None)


def _price_date(parts: list[tuple[ShardRecord, BatchRecord | None]]) -> datetime:
    made = [batch.created_at for _, batch in parts if batch is not None and batch.created_at is not None]
    return min(made, default=datetime.now(UTC))
