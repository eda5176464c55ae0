"""The end of a job: its answers merged and durable, what they add up to recorded, and what is no longer needed cleaned up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from batchmark.domain.totals import Totals
from batchmark.engine.account import Account
from batchmark.engine.events import JobEnded, Listener
from batchmark.engine.merge import merge, sum_up
from batchmark.engine.tidy import tidy
from batchmark.ledger.points import reach
from batchmark.ledger.records import JobRecord

__all__ = ["finish"]


async def finish(
    account: Account, job: JobRecord, into: Path, *, keep_files: bool, tell: Listener
) -> tuple[JobRecord, Totals]:
    """End a job of which every shard is closed. Repeatable: one that has ended is merged again only where its answers are gone.

    Raises LocalTrouble where the disk refuses, or where answers are not as they were written.
    """
    ledger, folder = account.ledger, account.folder(job)
    if job.ended_at is not None and job.totals is not None and into.exists():
        return job, msgspec.convert(job.totals, Totals)
    shards = ledger.shards(job.id)

    def work() -> None:
        with account.meter.stage("merge", sum(int((shard.answers or {}).get("bytes") or 0) for shard in shards)):
            merge(shards, folder=folder, into=into)

    await asyncio.to_thread(work)
    reach("merged")
    totals = sum_up(shards)
    words = [shard.problem for shard in shards if shard.problem]
    words += [each for batch in ledger.batches(job.id).values() for each in batch.problems]
    # what a later attempt has made good is no problem of the job
    problem = words[0] if words and totals.failed else None
    if job.ended_at is None:
        ledger.record_end(job.id, totals=msgspec.to_builtins(totals), problem=problem)
        reach("end-recorded")
    job = ledger.job(job.id) or job
    await tidy(account, job, shards, keep_files=keep_files, tell=tell)
    tell(JobEnded(job, totals))
    return job, totals
