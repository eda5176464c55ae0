"""The use cases around jobs and batches of one provider: create, list, status, results, cancel, delete, models."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import msgspec

from batchmark.api.workspace import Workspace
from batchmark.compare.measures import BatchFacts, JobFacts
from batchmark.domain.lifecycle import BatchRef, ModelInfo, Snapshot, State
from batchmark.domain.request import EmbeddingRequest
from batchmark.domain.target import Target
from batchmark.domain.totals import Totals
from batchmark.engine.collect import lines_of
from batchmark.engine.drive import Account, answers_path, drive, finish_ended, look, send
from batchmark.engine.events import JobStaged, Listener
from batchmark.engine.pace import next_poll_s
from batchmark.engine.points import reach
from batchmark.engine.poll import Poller
from batchmark.engine.stage import stage
from batchmark.errors import BadInput, NotFound, Refused
from batchmark.ledger.lock import held_all
from batchmark.ledger.records import CANCELLED_UNSENT, BatchRecord, JobRecord, RunRecord, ShardRecord
from batchmark.providers import registry
from batchmark.providers.seam import ProviderSpec
from batchmark.workload.rows import Workload

__all__ = [
    "JobReport",
    "Listed",
    "cancel",
    "choose_model",
    "copy_foreign",
    "delete",
    "fetch_results",
    "job_facts",
    "list_batches",
    "list_models",
    "new_run",
    "report_job",
    "run_jobs",
    "stage_jobs",
    "status",
    "submit_jobs",
]


# How long `cancel` watches for the end before it answers "cancelling".
_SETTLE_S = 4.0
_SETTLE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """Where a job of ours stands: its record, the batches of its shards as last seen, and its totals once it has ended.

    `unsent` shards are certainly not at the provider; of those `in_doubt` a batch may exist, and sending them again is no answer.
    """

    job: JobRecord
    batches: tuple[BatchRecord, ...]
    unsent: int
    in_doubt: int
    totals: Totals | None
    answers: Path | None

    @property
    def done(self) -> bool:
        """No more can come: the answers are durable here, or there are none to be had."""
        return self.job.ended_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A batch on the account, and the job it belongs to where it is ours."""

    snapshot: Snapshot
    job_id: str | None


def new_id() -> str:
    """A short id for a run or job: 40 random bits, without look-alike characters."""
    return "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(8))


def choose_model(spec: ProviderSpec, workload: Workload, model: str | None) -> str:
    """The model to ask: the user's, else the one that the first row names, else the provider's default."""
    if model is not None:
        if not model.strip() or any(character.isspace() for character in model.strip()):
            raise BadInput(f"{model!r} is no model name")
        return model.strip()
    first = next(workload.rows())
    if first.model is None and isinstance(first.request, EmbeddingRequest):
        raise BadInput(
            f"{workload.name} holds texts to embed, and {spec.default_model}, the default model, answers questions",
            hint="name an embedding model with --model",
        )
    return first.model or spec.default_model


def new_run(workspace: Workspace, kind: str, workload: Workload) -> RunRecord:
    """A run that is about to begin; it is recorded with its first jobs."""
    return RunRecord(
        id=new_id(), kind=kind, source=workload.name, emulated=workspace.emulate, created_at=datetime.now(UTC)
    )


def stage_jobs(
    workspace: Workspace,
    run: RunRecord,
    workload: Workload,
    targets: Sequence[Target],
    *,
    jobs: int,
    tell: Listener,
    one_model: bool = False,
) -> list[JobRecord]:
    """Read the workload, write every job's shard files and record run, jobs and shards. Nothing is sent.

    Raises BadInput, with nothing left behind, where a row cannot be used for one of the targets.
    """
    staged = []
    try:
        for number in range(1, jobs + 1):
            for target in targets:
                staged.append(_stage_one(workspace, run, workload, target, number, one_model))
    except BaseException:
        for job, _ in staged:
            shutil.rmtree(workspace.home / job.folder, ignore_errors=True)
        raise
    workspace.ledger.record_staged(replace(run, digest=workload.digest), staged)
    for job, shards in staged:
        tell(JobStaged(job, len(shards)))
    reach("staged")
    return [job for job, _ in staged]


def _stage_one(
    workspace: Workspace, run: RunRecord, workload: Workload, target: Target, number: int, one_model: bool
) -> tuple[JobRecord, list[ShardRecord]]:
    spec = registry.find(target.provider)
    job_id = new_id()
    folder = Path("runs") / run.id / job_id
    shards = stage(
        workload.rows(),
        registry.wire_of(spec),
        spec.limits,
        source=workload.name,
        model=target.model,
        job_id=job_id,
        folder=workspace.home / folder,
        one_model=one_model,
    )
    job = JobRecord(
        id=job_id,
        run_id=run.id,
        provider=target.provider,
        model=target.model,
        round=number,
        rows=sum(shard.rows for shard in shards),
        folder=str(folder),
        emulated=workspace.emulate,
        created_at=datetime.now(UTC),
    )
    return job, shards


async def submit_jobs(workspace: Workspace, spec: ProviderSpec, jobs: Sequence[JobRecord], tell: Listener) -> None:
    """Send staged jobs of one provider and return as soon as their batches exist."""
    with _locked(workspace, jobs):
        async with workspace.account(spec) as account:
            refused = await send(account, jobs, tell)
    if refused is not None:
        raise refused


async def run_jobs(workspace: Workspace, spec: ProviderSpec, jobs: Sequence[JobRecord], tell: Listener) -> None:
    """Bring jobs of one provider to their end: sent, waited for, answers merged."""
    with _locked(workspace, jobs):
        async with workspace.account(spec) as account:
            await drive(account, jobs, tell)


def _locked(workspace: Workspace, jobs: Sequence[JobRecord]) -> AbstractContextManager[None]:
    """The right of this process alone to act on the jobs. Raises LocalTrouble naming the process that has it."""
    return held_all([(workspace.home / job.folder / "lock", f"job {job.id}") for job in jobs])


def report_job(workspace: Workspace, job_id: str) -> JobReport:
    """Where a job of ours stands, from the ledger alone."""
    ledger = workspace.ledger
    job = ledger.job(job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id}", hint="see what there is with the list command")
    shards = ledger.shards(job_id)
    batches = tuple(batch for batch in (ledger.batch_of(shard.id) for shard in shards) if batch is not None)
    answers = answers_path(workspace.home, job)
    return JobReport(
        job=job,
        batches=batches,
        unsent=sum(shard.state in ("staged", "uploaded") for shard in shards),
        in_doubt=sum(shard.state == "intended" for shard in shards),
        totals=msgspec.convert(job.totals, Totals) if job.totals is not None else None,
        answers=answers if job.ended_at is not None and answers.exists() else None,
    )


def job_facts(workspace: Workspace, job_id: str) -> JobFacts:
    """What the comparison needs to know of an ended job."""
    ledger = workspace.ledger
    job = ledger.job(job_id)
    assert job is not None
    batches = []
    for shard in ledger.shards(job_id):
        batch = ledger.batch_of(shard.id)
        if batch is not None:
            batches.append(
                BatchFacts(
                    id=batch.id,
                    state=State(batch.state),
                    raw_status=batch.raw_status,
                    rows=shard.rows,
                    created_at=batch.created_at,
                    started_at=batch.started_at,
                    finalizing_at=batch.finalizing_at,
                    ended_at=batch.ended_at,
                )
            )
    return JobFacts(
        id=job.id,
        target=Target(job.provider, job.model),
        round=job.round,
        rows=job.rows,
        emulated=job.emulated,
        created_at=job.created_at,
        ended_at=job.ended_at,
        problem=job.problem,
        totals=msgspec.convert(job.totals, Totals) if job.totals is not None else Totals(),
        batches=tuple(batches),
    )


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
        await refresh(account, job, tell)
    return report_job(workspace, job.id)


async def refresh(account: Account, job: JobRecord, tell: Listener) -> None:
    """Look once at every batch of the job that is not known to be over."""
    ledger = account.ledger
    found = (ledger.batch_of(shard.id) for shard in ledger.shards(job.id))
    watched = [batch for batch in found if batch is not None and not State(batch.state).terminal]
    if watched:
        await look(account, Poller(account.provider, ledger, lost_s=account.pace.lost_s), [job], watched, tell)


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
    async with workspace.account(spec) as account:
        if wait:
            with _locked(workspace, [job]):
                await drive(account, [job], tell)
            return report_job(workspace, job.id)
        await refresh(account, job, tell)
        report = report_job(workspace, job.id)
        running = [batch for batch in report.batches if not State(batch.state).terminal]
        if running:
            raise _too_early(spec, id_, State(running[0].state), running[0].raw_status)
        with _locked(workspace, [job]):
            if await finish_ended(account, job, tell) is None:
                raise Refused(
                    f"{report.unsent} batch(es) of job {job.id} are not at {spec.name} yet, and {report.in_doubt} may be",
                    hint=f"look for them, send what is missing and wait: batchmark {spec.name} results {job.id} --wait",
                )
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
                with lines_of(raw, account.wire).open("rb") as lines:
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
        await refresh(account, job, tell)
        dropped = _drop_unsent(workspace, job)
        report = report_job(workspace, job.id)
        running = [batch for batch in report.batches if not State(batch.state).terminal]
        doubtful = [batch.id for batch in running if batch.standing == "unconfirmed"]
        if report.in_doubt or doubtful:
            raise Refused(
                f"job {job.id} has a create without a clear answer{f' ({doubtful[0]} may be its batch)' if doubtful else ''}, "
                "so nothing at the provider was cancelled",
                hint=f"find out first: batchmark {spec.name} results {job.id} --wait",
            )
        if not running and not dropped:
            words = ", ".join(sorted({batch.state for batch in report.batches})) or "nothing was sent"
            raise Refused(
                f"{id_} cannot be cancelled: it is over ({words})", hint=f"see: batchmark {spec.name} status {id_}"
            )
        for batch in running:
            if State(batch.state) is not State.CANCELLING:
                # one that has just ended is no reason to let the others run
                with suppress(Refused):
                    await account.provider.cancel(BatchRef(spec.name, batch.id))
        await refresh(account, job, tell)
        while _unsettled(workspace, job.id) and loop.time() < settled_at:
            await asyncio.sleep(_SETTLE_EVERY_S)
            await refresh(account, job, tell)
    return report_job(workspace, job.id)


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
