"""The use cases around batches of one provider: list, status, results, cancel, delete, models; ours and any other on the account."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from batchmark.api.jobs import JobReport, conductor, locked, report_job
from batchmark.api.workspace import Workspace
from batchmark.domain.lifecycle import BatchRef, ModelInfo, Snapshot, State
from batchmark.engine.account import Account
from batchmark.engine.collect import lines_of
from batchmark.engine.events import Listener
from batchmark.engine.look import look_once
from batchmark.engine.pace import next_poll_s
from batchmark.errors import BadInput, NotFound, Refused
from batchmark.ledger.records import CANCELLED_UNSENT, BatchRecord, JobRecord
from batchmark.providers.seam import ProviderSpec

__all__ = [
    "Listed",
    "cancel",
    "cancel_job",
    "copy_foreign",
    "delete",
    "fetch_results",
    "list_batches",
    "list_models",
    "status",
]

# How long `cancel` watches for the end before it answers "cancelling".
_SETTLE_S = 4.0
_SETTLE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A batch on the account, and the job it belongs to where it is ours."""

    snapshot: Snapshot
    job_id: str | None


def find_job(workspace: Workspace, spec: ProviderSpec, id_: str) -> JobRecord | None:
    """The job that an id means: our job's, or that of a batch that we made. None for a batch that is not ours.

    Raises BadInput where the id is a job of another provider or of the other world (real or emulated).
    """
    if not id_ or len(id_) > 256 or any(character.isspace() or not character.isprintable() for character in id_):
        raise BadInput(f"{id_[:80]!r} is no id of a batch or job")
    job = workspace.ledger.job(id_) or workspace.ledger.job_of_batch(spec.name, id_, emulated=workspace.emulate)
    if job is None:
        return None
    if job.provider != spec.name:
        raise BadInput(
            f"job {id_} is on {job.provider}, not on {spec.name}", hint=f"batchmark {job.provider} status {id_}"
        )
    if job.emulated != workspace.emulate:
        how = "was emulated: add --emulate" if job.emulated else "is a real one: leave --emulate out"
        raise BadInput(f"job {id_} {how}")
    return job


async def list_batches(
    workspace: Workspace, spec: ProviderSpec, *, limit: int | None = None, hours: float | None = None
) -> list[Listed]:
    """The account's batches, newest first: the `limit` newest, or those of the last `hours`."""
    ours = workspace.ledger.jobs_by_batch(spec.name, emulated=workspace.emulate)
    found: list[Listed] = []
    async with workspace.account(spec) as account:
        since = None if hours is None else await account.provider.now() - timedelta(hours=hours)
        async for snapshot in account.provider.list_batches(since):
            if since is not None and snapshot.created_at is not None and snapshot.created_at < since:
                continue
            found.append(Listed(snapshot=snapshot, job_id=ours.get(snapshot.ref.id)))
            if limit is not None and len(found) >= limit:
                break
    return found


async def status(workspace: Workspace, spec: ProviderSpec, id_: str, tell: Listener) -> JobReport | Snapshot:
    """Where a job of ours, or any batch on the account, stands now."""
    job = find_job(workspace, spec, id_)
    async with workspace.account(spec) as account:
        if job is None:
            return await account.provider.get(BatchRef(spec.name, id_))
        await look_once(account, job, tell)
    return report_job(workspace, job.id)


async def fetch_results(
    workspace: Workspace, spec: ProviderSpec, id_: str, *, wait: bool, tell: Listener
) -> JobReport | Snapshot:
    """Bring the answers of a job of ours here, merged; see `copy_foreign` for batches that are not ours.

    Raises Refused where the batch has not ended, unless `wait`.
    """
    job = find_job(workspace, spec, id_)
    if job is None:
        return await _ended_foreign(workspace, spec, id_, wait=wait)
    report = report_job(workspace, job.id)
    if report.answers is not None:
        return report
    from batchmark.engine.durable import dispatching

    async with workspace.account(spec) as account:
        if wait:
            with locked(workspace, [job]):
                async with dispatching(workspace.home) as dispatcher:
                    await conductor(workspace, account, [job], dispatcher, tell).drive()
            return report_job(workspace, job.id)
        await look_once(account, job, tell)
        report = report_job(workspace, job.id)
        running = [batch for batch in report.batches if not State(batch.state).terminal]
        if running:
            raise _too_early(spec, id_, State(running[0].state), running[0].raw_status)
        if report.unsent or report.in_doubt:
            raise Refused(
                f"{report.unsent} batch(es) of job {job.id} are not at {spec.name} yet, and {report.in_doubt} may be",
                hint=f"look for them, send what is missing and wait: batchmark {spec.name} results {job.id} --wait",
            )
        with locked(workspace, [job]):
            async with dispatching(workspace.home) as dispatcher:
                await conductor(workspace, account, [job], dispatcher, tell).drive()
    return report_job(workspace, job.id)


async def _ended_foreign(workspace: Workspace, spec: ProviderSpec, id_: str, *, wait: bool) -> Snapshot:
    """A batch that is not ours, once it has ended."""
    clock = asyncio.get_running_loop().time
    async with workspace.account(spec) as account:
        began = clock()
        snapshot = await account.provider.get(BatchRef(spec.name, id_))
        while wait and not snapshot.state.terminal:
            await asyncio.sleep(next_poll_s(account.pace, clock() - began))
            snapshot = await account.provider.get(snapshot.ref)
    if not snapshot.state.terminal:
        raise _too_early(spec, id_, snapshot.state, snapshot.raw_status)
    return snapshot


def _too_early(spec: ProviderSpec, id_: str, state: State, raw_status: str) -> Refused:
    return Refused(
        f"{id_} has not ended yet: it is {state.value} ({raw_status or 'not seen yet'}); no answers can be read before the end",
        hint=f"wait for it with: batchmark {spec.name} results {id_} --wait",
    )


async def copy_foreign(workspace: Workspace, spec: ProviderSpec, snapshot: Snapshot, out: BinaryIO) -> int:
    """Write the result lines of a batch that is not ours, verbatim, and return their number. No rows of ours are known for it."""
    count = 0
    async with workspace.account(spec) as account:
        with TemporaryDirectory(prefix="batchmark-") as folder:
            for raw in await account.provider.fetch(snapshot, Path(folder)):
                with lines_of(raw, account.wire).path.open("rb") as lines:
                    for line in lines:
                        if line.strip():
                            out.write(line if line.endswith(b"\n") else line + b"\n")
                            count += 1
    return count


async def cancel(workspace: Workspace, spec: ProviderSpec, id_: str, tell: Listener) -> JobReport | Snapshot:
    """Ask the provider to stop a job of ours or any batch on the account. Finished requests are kept and can be fetched.

    Cancelling takes from seconds to ten minutes; a quick end is waited for, so that the answer is the last word where it can be.
    """
    job = find_job(workspace, spec, id_)
    loop = asyncio.get_running_loop()
    settled_at = loop.time() + _SETTLE_S
    async with workspace.account(spec) as account:
        if job is None:
            ref = BatchRef(spec.name, id_)
            await account.provider.cancel(ref)
            snapshot = await account.provider.get(ref)
            while not snapshot.state.terminal and loop.time() < settled_at:
                await asyncio.sleep(_SETTLE_EVERY_S)
                snapshot = await account.provider.get(ref)
            return snapshot
        return await cancel_job(workspace, account, job, tell)


async def cancel_job(workspace: Workspace, account: Account, job: JobRecord, tell: Listener) -> JobReport:
    """Ask the provider to stop every batch of a job of ours, and send nothing more of it, also where another process drives it."""
    provider = job.provider
    loop = asyncio.get_running_loop()
    settled_at = loop.time() + _SETTLE_S
    await look_once(account, job, tell)
    workspace.ledger.record_cancel_asked(job.id)
    dropped = _drop_unsent(workspace, job)
    report = report_job(workspace, job.id)
    running = [batch for batch in report.batches if not State(batch.state).terminal]
    doubtful = [batch.id for batch in running if batch.standing == "unconfirmed"]
    sure = [batch for batch in running if batch.standing != "unconfirmed"]
    if (report.in_doubt or doubtful) and not sure:
        raise Refused(
            f"job {job.id} has a create without a clear answer{f' ({doubtful[0]} may be its batch)' if doubtful else ''}, "
            "so nothing at the provider was cancelled",
            hint=f"find out first: batchmark {provider} results {job.id} --wait",
        )
    if not running and not dropped:
        words = ", ".join(sorted({batch.state for batch in report.batches})) or "nothing was sent"
        raise Refused(
            f"job {job.id} cannot be cancelled: it is over ({words})", hint=f"see: batchmark {provider} status {job.id}"
        )
    for batch in sure:
        if State(batch.state) is not State.CANCELLING:
            try:
                await account.provider.cancel(BatchRef(provider, batch.id))
            except NotFound:
                if not await _is_there(account, batch):
                    workspace.ledger.record_gone(batch)
            except Refused:
                pass  # one that has just ended is no reason to let the others run
    await look_once(account, job, tell)
    while _unsettled(workspace, job.id) and loop.time() < settled_at:
        await asyncio.sleep(_SETTLE_EVERY_S)
        await look_once(account, job, tell)
    return report_job(workspace, job.id)


async def _is_there(account: Account, batch: BatchRecord) -> bool:
    """Whether the provider shows a batch at all, asked more than once: it may deny one for moments."""
    for _ in range(3):
        with suppress(NotFound):
            await account.provider.get(BatchRef(batch.provider, batch.id))
            return True
        await asyncio.sleep(_SETTLE_EVERY_S)
    return False


def _drop_unsent(workspace: Workspace, job: JobRecord) -> int:
    """What is not sent yet never will be: a cancelled job buys nothing more. Returns how many shards that were."""
    ledger = workspace.ledger
    return sum(
        ledger.record_failed(shard, shard.state, CANCELLED_UNSENT)
        for shard in ledger.shards(job.id)
        if shard.state in ("staged", "uploaded")
    )


def _unsettled(workspace: Workspace, job_id: str) -> bool:
    return any(not State(batch.state).terminal for batch in report_job(workspace, job_id).batches)


async def delete(workspace: Workspace, spec: ProviderSpec, id_: str) -> list[str]:
    """Remove a job's batches, or any batch, from the account and return their ids. Answers already here are kept."""
    job = find_job(workspace, spec, id_)
    if job is not None and job.ended_at is None:
        raise Refused(
            f"job {id_} is not over, or its answers are not here yet, so nothing is deleted: they are paid for",
            hint=f"fetch them first: batchmark {spec.name} results {job.id} --wait",
        )
    batches = report_job(workspace, job.id).batches if job else ()
    ids = [batch.id for batch in batches] if job else [id_]
    async with workspace.account(spec) as account:
        for batch_id in ids:
            # of a job's several batches some may have been deleted before
            with suppress(NotFound) if len(ids) > 1 else nullcontext():
                await account.provider.delete(BatchRef(spec.name, batch_id))
    return ids


async def list_models(workspace: Workspace, spec: ProviderSpec) -> list[ModelInfo]:
    """The models of the account that can be batched, and those of which nothing says so."""
    async with workspace.account(spec) as account:
        return [model async for model in account.provider.models()]
