"""The use cases around runs: plan, run, resume, look at, cancel, export."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchmark.api.batches import cancel_job
from batchmark.api.jobs import JobReport, drive_jobs, report_job
from batchmark.api.staging import StagedRun, discard, new_run, record, stage_run, workload_of
from batchmark.api.workspace import Workspace
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.domain.totals import Totals
from batchmark.engine.events import Listener
from batchmark.engine.merge import merge, sum_up
from batchmark.engine.next_step import is_closed
from batchmark.engine.options import DriveOptions
from batchmark.engine.stage import answers_part
from batchmark.engine.stall import Lateness, lateness, usual_of
from batchmark.engine.watch import age_s, late_words
from batchmark.errors import BadInput, BatchmarkError, NotFound, Refused
from batchmark.ledger.artifacts import exists_artifact, whole_file
from batchmark.ledger.lock import holder
from batchmark.ledger.records import JobRecord, RunRecord
from batchmark.providers import registry
from batchmark.report.words import money
from batchmark.workload.rows import Workload

__all__ = [
    "RunOptions",
    "RunReport",
    "cancel_run",
    "drive_run",
    "ensure_same_input",
    "export_run",
    "find_run",
    "lateness_of",
    "options_from",
    "plan_run",
    "report_run",
    "resume_run",
    "start_run",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run a workload. `drive` goes with the run; the rest is about its beginning."""

    drive: DriveOptions = field(default_factory=lambda: DriveOptions(attempts=3))
    shard_rows: int | None = None
    output: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """Where a run stands, from the ledger alone. `worked_on_by` is the process that drives it now, if any."""

    run: RunRecord
    jobs: tuple[JobReport, ...]
    worked_on_by: int | None

    @property
    def rows(self) -> int:
        return sum(report.job.rows for report in self.jobs)

    @property
    def totals(self) -> Totals:
        """What is collected so far, or the whole once it has ended."""
        whole = Totals(cost_usd=None)
        for report in self.jobs:
            whole.add(report.totals or sum_up(report.shards))
        return whole

    @property
    def ended(self) -> bool:
        return all(report.done for report in self.jobs)

    @property
    def states(self) -> dict[str, int]:
        """Shard attempts by where they are: at the provider by its state, else by ours."""
        found: dict[str, int] = {}
        for report in self.jobs:
            batches = {batch.shard_id: batch for batch in report.batches}
            for shard in report.shards:
                batch = batches.get(shard.id)
                word = (
                    batch.state
                    if shard.state == "submitted" and batch is not None
                    else _WORDS.get(shard.state, shard.state)
                )
                found[word] = found.get(word, 0) + 1
        return found

    @property
    def done_rows(self) -> int:
        """Rows with their last word here, and those that a provider counts as done."""
        done = 0
        for report in self.jobs:
            batches = {batch.shard_id: batch for batch in report.batches}
            for shard in report.shards:
                if shard.answers is not None:
                    done += shard.rows
                elif shard.state == "submitted" and (batch := batches.get(shard.id)) is not None:
                    done += (batch.succeeded or 0) + (batch.failed or 0)
                if shard.attempt > 1:
                    done -= shard.rows
        return done


_WORDS = {
    "staged": "waiting",
    "uploaded": "waiting",
    "intended": "in doubt",
    "fetched": "collecting",
    "failed": "not sent",
}


def plan_run(
    workspace: Workspace, workload: Workload, target: Target, options: RunOptions, tell: Listener
) -> StagedRun:
    """Stage a run and check that it may cost what it may take. Nothing is recorded or sent; `start_run` does that, `discard` takes it back.

    Raises BadInput where a row cannot be used, or where the estimate's upper bound is above `max_cost_usd`.
    """
    run = new_run(workspace, "run", workload, options.drive)
    run = replace(run, output=None if options.output is None else str(options.output.absolute()))
    staged = stage_run(workspace, run, workload, [target], shard_rows=options.shard_rows, tell=tell)
    most = options.drive.max_cost_usd
    if most is not None:
        try:
            _ensure_affordable(staged, target, most)
        except BaseException:
            discard(workspace, staged)
            raise
    return staged


def _ensure_affordable(staged: StagedRun, target: Target, most_usd: float) -> None:
    estimate = staged.estimate
    if estimate.most_cost_usd is None:
        reason = "no price is known for it" if estimate.input_cost_usd is None else "; ".join(estimate.warnings)
        raise BadInput(
            f"what {target} may cost has no upper bound, so --max-cost {most_usd:g} cannot be kept: {reason}. Nothing was sent",
            hint="set max_tokens in the rows, or for all of them with --max-tokens N",
        )
    if estimate.most_cost_usd > most_usd:
        raise BadInput(
            f"{target} may cost up to {money(estimate.most_cost_usd)}, which is above --max-cost {most_usd:g}. Nothing was sent",
            hint="raise --max-cost, lower max_tokens, or take fewer rows with --requests",
        )


async def start_run(workspace: Workspace, staged: StagedRun, tell: Listener, *, wait: bool = True) -> RunReport:
    """Record a planned run, send it, and with `wait` see it through to its answers."""
    jobs = record(workspace, staged, tell)
    return await drive_run(workspace, jobs, tell, wait=wait)


async def drive_run(workspace: Workspace, jobs: Sequence[JobRecord], tell: Listener, *, wait: bool) -> RunReport:
    """Drive the jobs of one run, all accounts at once. Raises the first error once every account has come to its own end."""
    run_id = jobs[0].run_id
    errors = await drive_jobs(workspace, jobs, tell, wait=wait)
    report = report_run(workspace, run_id)
    if report.ended and report.run.ended_at is None:
        workspace.ledger.record_run_end(run_id)
        report = report_run(workspace, run_id)
    for error in errors.values():
        raise error
    return report


async def resume_run(workspace: Workspace, run: RunRecord, tell: Listener, *, wait: bool = True) -> RunReport:
    """Go on with a run from wherever it was left. One that has ended is merged again where its answers are gone."""
    jobs = workspace.ledger.jobs(run.id)
    if not jobs:
        raise NotFound(f"run {run.id} has no jobs")
    return await drive_run(workspace, jobs, tell, wait=wait)


def ensure_same_input(run: RunRecord) -> str | None:
    """Raise BadInput where the user's file is no longer the one that the run was made of; returns a remark where it is gone.

    The rows travel with their shards, so a run does not need the file; but who changed it should know that the run goes on without.
    """
    kept = run.input
    if kept is None:
        return None
    path = Path(kept["path"])
    if not path.exists():
        return f"{path} is gone; the run goes on with its rows as they were"
    try:
        workload = workload_of(kept)
        now = workload.stamp()
        if (now["bytes"], now["modified_ns"]) == (kept["bytes"], kept["modified_ns"]):
            return None
        rows = sum(1 for _ in workload.rows())
        if workload.digest == run.digest:
            return None
        what = f"{rows:,} rows and {now['bytes']:,} bytes"
    except BatchmarkError as error:
        what = f"something else ({error.message})"
    raise BadInput(
        f"{path} was changed since run {run.id} began: it held {kept['rows']:,} rows and {kept['bytes']:,} bytes, and now holds {what}. "
        "Nothing was sent",
        hint=f"put it back, or go on with the rows as they were: batchmark resume {run.id} --as-sent",
    )


def find_run(workspace: Workspace, run_id: str | None, *, unfinished: bool = False) -> RunRecord:
    """The run of an id, which may be that of one of its jobs; without one the newest, or the newest that has not ended.

    Raises NotFound where there is none.
    """
    ledger = workspace.ledger
    if run_id is None:
        for line in ledger.runs(limit=None if unfinished else 1):
            if not unfinished or line.ended_at is None:
                found = ledger.run(line.id)
                assert found is not None
                return found
        raise NotFound(
            "there is no unfinished run" if unfinished else "there is no run yet", hint="see: batchmark runs"
        )
    run = ledger.run(run_id)
    if run is None and (job := ledger.job(run_id)) is not None:
        run = ledger.run(job.run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id[:80]!r}", hint="see: batchmark runs")
    return run


def report_run(workspace: Workspace, run_id: str) -> RunReport:
    """Where a run stands."""
    run = workspace.ledger.run(run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}", hint="see: batchmark runs")
    jobs = workspace.ledger.jobs(run_id)
    numbers = (holder(workspace.home / job.folder / "lock") for job in jobs)
    return RunReport(
        run=run,
        jobs=tuple(report_job(workspace, job.id) for job in jobs),
        worked_on_by=next((number for number in numbers if number is not None), None),
    )


def lateness_of(workspace: Workspace, report: RunReport) -> list[str]:
    """Which batches of a run take too long, in sentences. By our clock, which is close enough for hours."""
    found = []
    now = datetime.now(UTC)
    for each in report.jobs:
        job, spec = each.job, registry.find(each.job.provider)
        running = [batch for batch in each.batches if not State(batch.state).terminal]
        if not running or workspace.time_scale != 1.0:
            continue
        mine = workspace.ledger.turnarounds_s(job.provider, job.model, emulated=job.emulated)
        usual = usual_of(mine, spec.usual)
        by_step: dict[Lateness, list[tuple[float, str]]] = {}
        for batch in running:
            age = age_s(batch, now)
            by_step.setdefault(lateness(age, spec.limits, usual), []).append((age, batch.id))
        for step, batches in by_step.items():
            if step is not Lateness.ON_TIME:
                age, oldest = max(batches)
                found.append(late_words(len(batches), step, usual, oldest, age))
    return found


async def cancel_run(workspace: Workspace, run: RunRecord, tell: Listener) -> RunReport:
    """Ask the providers to stop every batch of a run, and send nothing more of it. Finished rows are kept."""
    first: Refused | None = None
    cancelled = False
    for job in workspace.ledger.jobs(run.id):
        if job.ended_at is not None:
            continue
        async with workspace.account(registry.find(job.provider)) as account:
            try:
                await cancel_job(workspace, account, job, tell)
                cancelled = True
            except Refused as error:
                first = first or error
    if first is not None and not cancelled:
        raise first
    if first is None and not cancelled:
        raise Refused(f"run {run.id} cannot be cancelled: it is over", hint=f"see: batchmark show {run.id}")
    return report_run(workspace, run.id)


def export_run(workspace: Workspace, run: RunRecord, into: Path, *, partial: bool = False) -> tuple[int, int]:
    """Write a run's answers to a file, whole or not at all; returns the rows written and the rows of the run.

    With `partial`, the answers that are here of a run that has not ended. Raises BadInput where it has not ended or has several jobs.
    """
    jobs = workspace.ledger.jobs(run.id)
    if len(jobs) != 1:
        ids = ", ".join(job.id for job in jobs)
        raise BadInput(
            f"run {run.id} has {len(jobs)} jobs, each with answers of its own: {ids}",
            hint=f"for one of them: batchmark {jobs[0].provider} results {jobs[0].id} -o FILE" if jobs else None,
        )
    job = jobs[0]
    shards = workspace.ledger.shards(job.id)
    whole = all(is_closed(shard) for shard in shards)
    if not whole and not partial:
        raise BadInput(
            f"run {run.id} has not ended: not all of its answers are here",
            hint=f"finish it with: batchmark resume {run.id}, or write what there is with --partial",
        )
    closed = [shard for shard in shards if shard.answers is not None]
    folder = workspace.home / job.folder
    if all(exists_artifact(answers_part(folder, shard.label)) for shard in closed):
        merge(closed, folder=folder, into=into)
    else:
        _copy_merged(workspace, run, job, into)
    return sum(shard.rows for shard in closed if shard.attempt == 1), job.rows


def _copy_merged(workspace: Workspace, run: RunRecord, job: JobRecord, into: Path) -> None:
    """What is left of a run that was cleaned: its merged answers."""
    answers = report_job(workspace, job.id).answers
    if answers is None:
        raise BadInput(
            f"the answers of run {run.id} are no longer here",
            hint="they were written to the file that `batchmark runs --json` names",
        )
    with answers.open("rb") as source, whole_file(into) as copy:
        shutil.copyfileobj(source, copy, 1 << 20)


def options_from(run: RunRecord, changes: dict[str, Any]) -> DriveOptions:
    """A run's options with some of them changed."""
    document = (run.options or {}) | {name: value for name, value in changes.items() if value is not None}
    return DriveOptions.read(document)
