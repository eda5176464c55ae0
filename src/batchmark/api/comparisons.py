"""What `import batchmark` offers beside runs: compare targets, and look at any report again.

import batchmark

found = batchmark.run_comparison("questions.jsonl", on=["openai", "google"], rounds=8, emulate=True)
found            # in a notebook: the verdicts and the figures
found.save("report.html")
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from batchmark.api.comparison import drive_comparison, plan_comparison, prepare_answers, stage_comparison, targets_of
from batchmark.api.library import Input, as_file, ignore, open_workspace
from batchmark.api.reporting import report_runs, report_timings, target_of_records
from batchmark.api.scoring import Expect, check_expect
from batchmark.engine.events import Event
from batchmark.errors import BadInput
from batchmark.report.comparison import Comparison
from batchmark.workload.rows import Workload
from batchmark.workload.template import template_of

__all__ = ["Comparison", "open_report", "run_comparison", "run_comparison_async"]


def run_comparison(input: Input, on: Sequence[str], **options: Any) -> Comparison:
    """Compare targets and return once every round is over. The same as `run_comparison_async`, for programs without a loop."""
    return asyncio.run(run_comparison_async(input, on, **options))


async def run_comparison_async(
    input: Input,
    on: Sequence[str],
    *,
    rounds: int = 1,
    spread_s: float = 0.0,
    seed: int | None = None,
    expect: str | None = None,
    match: str = "contains",
    prompt: str | None = None,
    system: str | None = None,
    max_tokens: int | None = None,
    requests: int | None = None,
    emulate: bool = False,
    home: str | os.PathLike[str] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Comparison:
    """Run the same rows on two or more targets, `rounds` times, and compare them.

    Rounds begin evenly over `spread_s` seconds; `seed` draws the order of the targets in each. `expect` names the column with the expected
    answer, `match` how it is matched. The other options are those of `run_async`. A comparison that was interrupted goes on with
    `resume(run_id)`, and `open_report(run_id)` then shows it.

    Raises BadInput (nothing was sent), Configuration, and the first error of a provider where no target could do anything at all.
    """
    targets = targets_of(on)
    if len(targets) < 2:
        raise BadInput("a comparison needs two different targets or more")
    tell = on_event or ignore
    with open_workspace(home, emulate=emulate) as workspace:
        workload = Workload(as_file(workspace, input), limit=requests, template=template_of(prompt, system, max_tokens))
        expected = None if expect is None else Expect(field=expect, match=match)
        if expected is not None:
            check_expect(workload, expected)
        plan = plan_comparison(workspace, workload, targets, time_budget_s=None)
        if rounds > 1:
            plan = await prepare_answers(workspace, plan, targets, tell=tell)
        staged = await asyncio.to_thread(
            lambda: stage_comparison(
                workspace, plan, targets, jobs=rounds, spread_s=spread_s, seed=seed, expect=expected, tell=tell
            )
        )
        return Comparison(await drive_comparison(workspace, staged.run, tell=tell))


def open_report(
    *runs: str,
    timings: str | os.PathLike[str] | None = None,
    as_target: str | None = None,
    force: bool = False,
    home: str | os.PathLike[str] | None = None,
) -> Comparison:
    """The report of runs (default: the newest), or of a file of `timings` whose records are of `as_target` where they do not say.

    Nothing is sent. Raises NotFound, and BadInput for runs that are not alike (unless `force`) or a file that cannot be used.
    """
    if timings is not None:
        if runs:
            raise BadInput("a report is of runs or of timings, not of both")
        target = None if as_target is None else target_of_records(as_target)
        return Comparison(report_timings(Path(timings), target))
    with open_workspace(home, emulate=False) as workspace:
        return Comparison(report_runs(workspace, runs, force=force))
