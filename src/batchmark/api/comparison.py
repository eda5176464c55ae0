"""The use case `compare`: the same rows on several targets, in rounds, then one report."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchmark.api.jobs import drive_jobs, warm_up
from batchmark.api.reporting import report_runs
from batchmark.api.scoring import Expect
from batchmark.api.staging import StagedRun, new_run, record, stage_run
from batchmark.api.workspace import Workspace
from batchmark.domain.target import Target, parse_target
from batchmark.engine.events import Listener
from batchmark.engine.options import DriveOptions
from batchmark.errors import BatchmarkError
from batchmark.ledger.records import RunRecord
from batchmark.providers import registry
from batchmark.report.content import Report
from batchmark.workload.rows import Workload

__all__ = ["Plan", "drive_comparison", "plan_comparison", "prepare_answers", "stage_comparison", "targets_of"]

# What an answer of the small model takes at the speed of writing: 22 tokens were written per answer of the bundled
# sample (at most 48), and reading its prompt takes about as long as writing 8 more.
_TOKENS_PER_ANSWER = 30.0
_FEWEST = 5
_SEEDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large a comparison will be. `notes` are sentences for the user and the report."""

    workload: Workload
    rows: int | None
    notes: tuple[str, ...]


def plan_comparison(
    workspace: Workspace, workload: Workload, targets: Sequence[Target], *, time_budget_s: float | None
) -> Plan:
    """Fit the emulator's real model into a time budget by taking fewer rows; real providers and synthetic answers take all.

    Both the number of rows and the reason are told: a slower machine gives a smaller comparison, not a longer one.
    """
    speed = workspace.answer_speed() if time_budget_s is not None else None
    if speed is None or time_budget_s is None:
        return Plan(workload=workload, rows=workload.limit, notes=())
    rows = workload.limit or sum(1 for _ in workload.rows())
    # the emulator keeps its answers, so a later round of the same rows costs nothing
    room = int(time_budget_s * speed / _TOKENS_PER_ANSWER / len(targets))
    note = f"The emulator's model writes {speed:.0f} tokens/s on this machine"
    if room >= rows:
        return Plan(workload=workload, rows=rows, notes=(note,))
    taken = min(rows, max(_FEWEST, room))
    note = f"{note}, so {taken} of {rows} questions were taken to stay within about {time_budget_s:.0f} s"
    return Plan(workload=Workload(workload.path, limit=taken), rows=taken, notes=(note,))


def stage_comparison(
    workspace: Workspace,
    plan: Plan,
    targets: Sequence[Target],
    *,
    jobs: int,
    spread_s: float = 0.0,
    seed: int | None = None,
    expect: Expect | None = None,
    kind: str = "compare",
    tell: Listener,
) -> StagedRun:
    """Write the files of every job and record the run: `jobs` rounds of one job per target. From here on it can be resumed.

    A run of the kind `warm-up` is one that only prepares the emulator for the real one.

    Raises Configuration where a key is missing, and BadInput where a row cannot be used on some target; then nothing is left behind.
    """
    specs = {target.provider: registry.find(target.provider) for target in targets}
    for spec in specs.values():
        workspace.require_key(spec)
    drawn = secrets.randbelow(_SEEDS) if seed is None else seed
    run = new_run(workspace, kind, plan.workload, DriveOptions(seed=drawn, spread_s=spread_s))
    staged = stage_run(workspace, run, plan.workload, targets, jobs=jobs, tell=tell)
    kept = {**(staged.run.input or {}), "notes": list(plan.notes)}
    if expect is not None:
        kept["expect"] = expect.document
    staged.run = replace(staged.run, input=kept)
    record(workspace, staged, tell)
    return staged


async def prepare_answers(workspace: Workspace, plan: Plan, targets: Sequence[Target], *, tell: Listener) -> Plan:
    """Let the emulator's real model write its answers once, before the rounds: it keeps them, so that the durations of the rounds are those
    of the chosen profile and not of this machine's processor. Does nothing where no model runs here."""
    if workspace.answer_speed() is None:
        return plan
    staged = stage_comparison(workspace, plan, targets, jobs=1, kind="warm-up", tell=tell)
    await _driven(workspace, staged.run, tell)
    note = "The emulator's model wrote its answers before the first round, so durations follow its profile, not this machine"
    return replace(plan, notes=(*plan.notes, note))


async def drive_comparison(workspace: Workspace, run: RunRecord, *, tell: Listener) -> Report:
    """See a comparison through from wherever it is, and report.

    A target that cannot go on (bad key, refusal, unreachable) is told of and stands in the report with what it has; the others finish.
    Raises the first such error where no target could do anything at all.
    """
    errors = await _driven(workspace, run, tell)
    notes = (run.input or {}).get("notes") or ()
    return report_runs(workspace, [run.id], caveats=[*(error.message for error in errors), *notes])


async def _driven(workspace: Workspace, run: RunRecord, tell: Listener) -> list[BatchmarkError]:
    """Drive every job to its end, and return what stopped an account. Raises the first of them where no batch was made at all."""
    jobs = workspace.ledger.jobs(run.id)
    # a job's time must not hold the import of an SDK
    warm_up([registry.find(name) for name in dict.fromkeys(job.provider for job in jobs)])
    errors = await drive_jobs(workspace, jobs, tell)
    jobs = workspace.ledger.jobs(run.id)
    if errors and not any(workspace.ledger.batches(job.id) for job in jobs):
        raise next(iter(errors.values()))
    if all(job.ended_at is not None for job in jobs):
        workspace.ledger.record_run_end(run.id)
    return list(errors.values())


def targets_of(on: Sequence[str]) -> list[Target]:
    """The different targets that a user names, in order: `provider:model`, or a provider for its default model. Raises BadInput."""
    models = registry.default_models(*(text.partition(":")[0] for text in on))
    return list(dict.fromkeys(parse_target(text, models) for text in on))
