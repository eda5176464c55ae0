"""What `batchmark compare` does once it is called; apart from its declaration, so that `--help` stays quick."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from batchmark.api.comparison import compare as run_comparison
from batchmark.api.comparison import plan_comparison
from batchmark.api.workspace import Workspace
from batchmark.cli.output import Output
from batchmark.cli.progress import Watch
from batchmark.domain.target import Target, parse_target
from batchmark.errors import BadInput, Configuration, Interrupted
from batchmark.ledger.artifacts import ensure_writable, whole_file
from batchmark.providers.registry import BUILT_IN, default_models, find
from batchmark.report.content import Report
from batchmark.report.html import render_html
from batchmark.report.json import render_json, to_dict
from batchmark.report.terminal import render_terminal
from batchmark.workload.rows import Workload, sample_path

__all__ = ["compare"]


def compare(
    path: Path | None,
    on: Sequence[str],
    *,
    jobs: int,
    requests: int | None,
    report_path: Path,
    data_path: Path,
    time_budget_s: float | None,
    emulate: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Compare targets and leave the report. Returns the exit code."""
    ensure_writable(report_path, replace=True)
    ensure_writable(data_path, replace=True)
    workload = Workload(path or sample_path(), limit=requests)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        targets = _targets(workspace, on)
        plan = plan_comparison(workspace, workload, targets, jobs=jobs, time_budget_s=time_budget_s)
        for note in plan.notes:
            out.note(note)
        with Watch(quiet=quiet) as watch:
            try:
                _, report = asyncio.run(run_comparison(workspace, plan, targets, jobs=jobs, tell=watch))
            except KeyboardInterrupt:
                raise _interrupted(watch, workspace.emulate) from None
    with whole_file(report_path) as file:
        file.write(render_html(report).encode())
    with whole_file(data_path) as file:
        file.write(render_json(report).encode())
    if json:
        out.document(to_dict(report))
    else:
        width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        out.line(render_terminal(report, width=width, color=color).rstrip("\n"))
    out.note(f"report: {report_path.absolute()}")
    out.note(f"raw values: {data_path.absolute()}")
    return _exit_code(report)


def _targets(workspace: Workspace, on: Sequence[str]) -> list[Target]:
    if on:
        for text in on:
            find(text.partition(":")[0])
        models = default_models(*(text.partition(":")[0] for text in on))
        targets = list(dict.fromkeys(parse_target(text, models) for text in on))
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


def _interrupted(watch: Watch, emulated: bool) -> Interrupted:
    flag = " --emulate" if emulated else ""
    hints = [
        f"fetch answers with: batchmark {provider} results {job_id} --wait{flag}"
        for job_id, provider in watch.submitted_jobs()
    ]
    if not hints:
        return Interrupted("nothing was submitted yet")
    return Interrupted("batches that were submitted go on at the providers, nothing is lost", hint="\n".join(hints))


def _exit_code(report: Report) -> int:
    ended = all(each.job.ended_at is not None for each in report.jobs)
    return 0 if ended and all(summary.totals.failed == 0 for summary in report.summaries) else 1
