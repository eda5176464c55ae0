"""Jobs of ours: driving them, and where they stand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from batchmark.api.staging import restage
from batchmark.api.workspace import Workspace
from batchmark.domain.totals import Totals
from batchmark.engine.account import Account, answers_path
from batchmark.engine.dispatch import Dispatcher
from batchmark.engine.drive import Conductor
from batchmark.engine.events import Listener, Trouble
from batchmark.engine.options import DriveOptions
from batchmark.engine.rebuild import rebuild
from batchmark.engine.turns import Turns
from batchmark.errors import BatchmarkError, NotFound
from batchmark.ledger.lock import held_all
from batchmark.ledger.records import BatchRecord, JobRecord, RunRecord, ShardRecord
from batchmark.providers import registry
from batchmark.providers.seam import ProviderSpec

__all__ = [
    "JobReport",
    "drive_jobs",
    "locked",
    "outputs_of",
    "report_job",
    "run_jobs",
    "settle_down",
    "submit_jobs",
    "warm_up",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """Where a job of ours stands: its record, its shard attempts with their batches as last seen, and its totals once it has ended.

    `unsent` attempts are certainly not at the provider; of those `in_doubt` a batch may exist, and sending them again is no answer.
    """

    job: JobRecord
    shards: tuple[ShardRecord, ...]
    batches: tuple[BatchRecord, ...]
    unsent: int
    in_doubt: int
    totals: Totals | None
    answers: Path | None

    @property
    def done(self) -> bool:
        """No more can come: the answers are durable here, or there are none to be had."""
        return self.job.ended_at is not None


def warm_up(specs: Sequence[ProviderSpec]) -> None:
    """Import what driving needs: the SDKs and DBOS take up to 1.5 s each, which no measured time should hold."""
    import importlib

    for spec in specs:
        registry.load_client(spec)
    importlib.import_module("batchmark.engine.durable")


def settle_down() -> None:
    """Take what was imported out of the garbage collector's rounds, for a process that does nothing but drive: a run makes millions of
    short-lived values, and every full round would walk all of the SDKs."""
    import gc

    gc.freeze()


def outputs_of(workspace: Workspace, jobs: Sequence[JobRecord]) -> dict[str, Path]:
    """Where the answers of jobs go that do not go to the job's own folder: a run of one job may name a file."""
    run = workspace.ledger.run(jobs[0].run_id) if jobs else None
    return {jobs[0].id: Path(run.output)} if run is not None and run.output and len(jobs) == 1 else {}


def conductor(
    workspace: Workspace,
    account: Account,
    jobs: Sequence[JobRecord],
    dispatcher: Dispatcher,
    tell: Listener,
    turns: Turns | None = None,
) -> Conductor:
    """What drives jobs of one account, in the way that their run was begun with."""
    run = workspace.ledger.run(jobs[0].run_id)
    assert run is not None

    def again(job: JobRecord, shard: ShardRecord) -> bool:
        return rebuild(
            job,
            shard,
            account.ledger,
            account.wire,
            account.folder(job),
            lambda job, folder: restage(workspace, run, job, folder),
            account.prices,
        )

    return Conductor(
        account,
        jobs,
        dispatcher,
        tell,
        options=DriveOptions.read(run.options),
        outputs=outputs_of(workspace, jobs),
        rebuild=again,
        turns=turns,
    )


async def submit_jobs(workspace: Workspace, spec: ProviderSpec, jobs: Sequence[JobRecord], tell: Listener) -> None:
    """Send staged jobs of one provider and return as soon as their batches exist."""
    from batchmark.engine.durable import dispatching

    with locked(workspace, jobs):
        async with workspace.account(spec) as account, dispatching(workspace.home) as dispatcher:
            refused = await conductor(workspace, account, jobs, dispatcher, tell).send(something=True)
    if refused is not None:
        raise refused


async def run_jobs(
    workspace: Workspace, spec: ProviderSpec, jobs: Sequence[JobRecord], tell: Listener
) -> Mapping[str, Totals | None]:
    """Bring jobs of one provider to their end: sent, waited for, answers merged."""
    from batchmark.engine.durable import dispatching

    with locked(workspace, jobs):
        async with workspace.account(spec) as account, dispatching(workspace.home) as dispatcher:
            return await conductor(workspace, account, jobs, dispatcher, tell).drive()


async def drive_jobs(
    workspace: Workspace, jobs: Sequence[JobRecord], tell: Listener, *, wait: bool = True
) -> dict[str, BatchmarkError]:
    """Drive the jobs of one run, all accounts at once, each to its own end; with `wait` to the answers, else until all is sent that can be.

    Returns what stopped an account, by provider; the others have gone on.
    """
    from batchmark.engine.durable import dispatching

    names = list(dict.fromkeys(job.provider for job in jobs))
    run = workspace.ledger.run(jobs[0].run_id)
    assert run is not None
    turns = _turns(workspace, run, jobs)
    found: dict[str, BatchmarkError] = {}
    with locked(workspace, jobs):
        async with dispatching(workspace.home) as dispatcher:

            async def one(name: str) -> None:
                mine = [job for job in jobs if job.provider == name]
                try:
                    async with workspace.account(registry.find(name)) as account:
                        driver = conductor(workspace, account, mine, dispatcher, tell, turns)
                        if wait:
                            await driver.drive()
                        elif (refused := await driver.send()) is not None:
                            found[name] = refused
                except BatchmarkError as error:
                    found[name] = error
                    if len(names) > 1:
                        # the others may go on for a day
                        tell(Trouble(mine[0], f"{error.message}. {error.hint}" if error.hint else error.message))
                finally:
                    if turns is not None:
                        for job in mine:
                            turns.passed(job.id)

            await asyncio.gather(*map(one, names))
    return found


def _turns(workspace: Workspace, run: RunRecord, jobs: Sequence[JobRecord]) -> Turns | None:
    """In what order and when the jobs of a comparison are sent; None for other runs. The spread is on the service's clock, and begins with
    the first job that was sent."""
    options = DriveOptions.read(run.options)
    if options.seed is None:
        return None
    rounds = max(job.round for job in jobs)
    begun = [at for job in jobs if (at := workspace.ledger.begun_at(job.id)) is not None]
    age_s = (datetime.now(UTC) - min(begun)).total_seconds() if begun else 0.0
    every_s = options.spread_s / workspace.time_scale / rounds
    return Turns(
        jobs,
        seed=options.seed,
        starts_s={number: (number - 1) * every_s - age_s for number in range(1, rounds + 1)},
        clock=time.monotonic,
    )


def locked(workspace: Workspace, jobs: Sequence[JobRecord]) -> AbstractContextManager[None]:
    """The right of this process alone to act on the jobs. Raises LocalTrouble naming the process that has it."""
    return held_all([(workspace.home / job.folder / "lock", f"job {job.id} of run {job.run_id}") for job in jobs])


def report_job(workspace: Workspace, job_id: str) -> JobReport:
    """Where a job of ours stands, from the ledger alone."""
    ledger = workspace.ledger
    job = ledger.job(job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id}", hint="see what there is with the list command")
    shards = ledger.shards(job_id)
    batches = ledger.batches(job_id)
    place = outputs_of(workspace, [job]).get(job_id)
    answers = place if place is not None and place.exists() else answers_path(workspace.home, job)
    return JobReport(
        job=job,
        shards=tuple(shards),
        batches=tuple(batches[shard.id] for shard in shards if shard.id in batches),
        unsent=sum(shard.state in ("staged", "uploaded") for shard in shards),
        in_doubt=sum(shard.state == "intended" for shard in shards),
        totals=msgspec.convert(job.totals, Totals) if job.totals is not None else None,
        answers=answers if job.ended_at is not None and answers.exists() else None,
    )
