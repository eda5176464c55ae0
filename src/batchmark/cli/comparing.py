"""What `batchmark compare` does once it is called; apart from its declaration, so that `--help` stays quick."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from batchmark.api.comparison import drive_comparison, plan_comparison, prepare_answers, stage_comparison, targets_of
from batchmark.api.scoring import check_expect
from batchmark.api.workspace import Workspace
from batchmark.cli.leaving import Places, expect_of, leave, parse_span
from batchmark.cli.output import Output
from batchmark.cli.progress import Watch
from batchmark.cli.running import said_how_to_return
from batchmark.domain.target import Target
from batchmark.errors import BadInput, Configuration
from batchmark.ledger.records import RunRecord
from batchmark.providers.registry import BUILT_IN, find
from batchmark.report.content import Report
from batchmark.report.words import duration, plural
from batchmark.workload.rows import Workload, sample_path

__all__ = ["Places", "compare", "go_on"]


def compare(
    path: Path | None,
    on: Sequence[str],
    *,
    jobs: int,
    requests: int | None,
    spread: str,
    seed: int | None,
    expect: str | None,
    match: str | None,
    places: Places,
    time_budget_s: float | None,
    emulate: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Compare targets and leave the report. Returns the exit code."""
    places.ensure_writable()
    spread_s = parse_span(spread, "--spread")
    expected = expect_of(expect, match)
    workload = Workload(path or sample_path(), limit=requests)
    if expected is not None:
        check_expect(workload, expected)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        targets = _targets(workspace, on)
        plan = plan_comparison(workspace, workload, targets, time_budget_s=time_budget_s)
        for note in plan.notes:
            out.note(note)
        with Watch(quiet=quiet) as watch:
            if jobs > 1 and workspace.answer_speed() is not None:
                out.note(
                    "first the emulator's model writes its answers, once and unmeasured; the rounds find them ready"
                )
                plan = asyncio.run(prepare_answers(workspace, plan, targets, tell=watch))
            staged = stage_comparison(
                workspace, plan, targets, jobs=jobs, spread_s=spread_s, seed=seed, expect=expected, tell=watch
            )
            over = f", sent over {duration(spread_s)}" if spread_s and jobs > 1 else ""
            out.note(
                f"run {staged.run.id}{out.mark}: {plural(jobs, 'round')} of {len(targets)} targets{over}; "
                f"if anything stops it: batchmark resume {staged.run.id}"
            )
            with said_how_to_return(staged.run.id):
                report = asyncio.run(drive_comparison(workspace, staged.run, tell=watch))
    leave(out, report, places)
    return _exit_code(report)


def go_on(workspace: Workspace, run: RunRecord, out: Output, watch: Watch, places: Places) -> int:
    """See a comparison through that was begun before, and leave the report. Returns the exit code."""
    with said_how_to_return(run.id):
        report = asyncio.run(drive_comparison(workspace, run, tell=watch))
    leave(out, report, places)
    return _exit_code(report)


def _targets(workspace: Workspace, on: Sequence[str]) -> list[Target]:
    if on:
        for text in on:
            find(text.partition(":")[0])
        targets = targets_of(on)
        if len(targets) < 2:
            raise BadInput("a comparison needs two different targets or more", hint="add another --on provider:model")
        return targets
    configured = workspace.configured()
    if len(configured) < 2:
        raise Configuration(
            f"a comparison needs two targets, and {len(configured)} provider(s) have a key",
            hint=f"name targets with --on, set keys for two of {', '.join(BUILT_IN)}, or add --emulate",
        )
    return [Target(spec.name, spec.default_model) for spec in configured]


def _exit_code(report: Report) -> int:
    ended = all(each.job.ended_at is not None for each in report.jobs)
    return 0 if ended and all(summary.totals.failed == 0 for summary in report.summaries) else 1
