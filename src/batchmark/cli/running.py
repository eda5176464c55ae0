"""What `batchmark run`, `resume` and `cancel` do once they are called; apart from their declarations, so that `--help` stays quick."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchmark.api import runs as use
from batchmark.api.jobs import settle_down, warm_up
from batchmark.api.runs import RunOptions, RunReport
from batchmark.api.staging import choose_model, discard
from batchmark.api.workspace import Workspace
from batchmark.cli.output import Output
from batchmark.cli.progress import Watch
from batchmark.cli.run_shapes import print_end, print_plan, run_document
from batchmark.domain.target import Target, parse_target
from batchmark.engine.options import DriveOptions
from batchmark.engine.stall import Policy
from batchmark.errors import BadInput, BatchmarkError, Interrupted
from batchmark.ledger.artifacts import ensure_writable
from batchmark.ledger.records import RunRecord
from batchmark.providers.registry import default_models, find
from batchmark.workload.rows import Workload
from batchmark.workload.template import template_of

__all__ = ["cancel", "resume", "run", "said_how_to_return"]


def run(
    path: Path,
    on: str,
    *,
    output: Path | None,
    force: bool,
    prompt: str | None,
    system: str | None,
    max_tokens: int | None,
    requests: int | None,
    attempts: int,
    shard_rows: int | None,
    in_flight: int | None,
    max_cost: float | None,
    stall: str,
    keep_files: bool,
    wait: bool,
    emulate: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Plan a run, say so, and see it through. Returns the exit code."""
    if output is not None:
        ensure_writable(output, replace=force, force_hint=True)
        if path.exists() and output.exists() and path.samefile(output):
            raise BadInput(f"{output} is the input itself, which is left alone", hint="choose another name with -o")
    provider, colon, _ = on.partition(":")
    if not provider.strip():
        raise BadInput(f"no provider in the target {on!r}", hint="write provider:model, such as openai:gpt-5-nano")
    spec = find(provider)
    workload = Workload(path, limit=requests, template=template_of(prompt, system, max_tokens))
    target = parse_target(on, default_models(provider))
    options = RunOptions(
        drive=DriveOptions(
            attempts=attempts,
            stall=Policy(stall),
            max_cost_usd=max_cost,
            in_flight=in_flight,
            keep_files=keep_files,
        ),
        shard_rows=shard_rows,
        output=output,
    )
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        workspace.require_key(spec)
        if not colon:
            target = Target(spec.name, choose_model(spec, workload, None))
        settle_down()
        with Watch(quiet=quiet) as watch:
            staged = use.plan_run(workspace, workload, target, options, watch)
            try:
                print_plan(out, staged, target, options, workspace.answered_by)
                warm_up([spec])  # a run's time must not hold the import of an SDK
            except BaseException:
                discard(workspace, staged)
                raise
            out.note(f"run {staged.run.id}{out.mark}; if anything stops it: batchmark resume {staged.run.id}")
            with said_how_to_return(staged.run.id):
                report = asyncio.run(use.start_run(workspace, staged, watch, wait=wait))
    return _end(out, report, wait=wait)


@contextmanager
def said_how_to_return(run_id: str) -> Iterator[None]:
    """Whatever stops a run says how to go on with it."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "what was sent goes on at the provider, nothing is lost", hint=f"go on with: batchmark resume {run_id}"
        ) from None
    except BatchmarkError as error:
        if "batchmark resume" not in (error.hint or ""):
            hint = f"nothing is lost; go on with: batchmark resume {run_id}"
            error.hint = f"{error.hint}\n{hint}" if error.hint else hint
        raise


def _end(out: Output, report: RunReport, *, wait: bool) -> int:
    if out.json:
        out.document(run_document(report))
    else:
        print_end(out, report, wait=wait)
    if not wait:
        return 0
    return 0 if report.totals.failed == 0 else 1


def resume(run_id: str | None, changes: dict[str, Any], *, as_sent: bool, wait: bool, json: bool, quiet: bool) -> int:
    """Go on with a run. Returns the exit code."""
    run = _peek(run_id, unfinished=run_id is None)
    with Workspace(emulate=run.emulated, heed_environment=False) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        if not as_sent:
            remark = use.ensure_same_input(run)
            if remark:
                out.note(remark)
        jobs = workspace.ledger.jobs(run.id)
        specs = [find(name) for name in dict.fromkeys(job.provider for job in jobs)]
        for spec in specs:
            workspace.require_key(spec)
        if any(value is not None for value in changes.values()):
            workspace.ledger.record_options(run.id, use.options_from(run, changes).document, run.output)
        warm_up(specs)
        settle_down()
        with Watch(quiet=quiet) as watch:
            for report in use.report_run(workspace, run.id).jobs:
                watch.follow(report)
            out.note(f"run {run.id}{out.mark}: {run.source}")
            if run.kind == "compare":
                from batchmark.cli.comparing import go_on
                from batchmark.cli.leaving import Places

                places = Places(html=Path("report.html"), json=Path("comparison.json"))
                places.ensure_writable()
                return go_on(workspace, run, out, watch, places)
            with said_how_to_return(run.id):
                ended = asyncio.run(use.resume_run(workspace, run, watch, wait=wait))
    return _end(out, ended, wait=wait)


def _peek(run_id: str | None, *, unfinished: bool) -> RunRecord:
    workspace = Workspace(heed_environment=False)
    try:
        return use.find_run(workspace, run_id, unfinished=unfinished)
    finally:
        workspace.ledger.close()


def cancel(run_id: str, *, json: bool, quiet: bool) -> int:
    """Stop a run. Returns the exit code."""
    run = _peek(run_id, unfinished=False)
    with Workspace(emulate=run.emulated, heed_environment=False) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        with Watch(quiet=True) as watch:
            report = asyncio.run(use.cancel_run(workspace, run, watch))
    if json:
        out.document(run_document(report))
        return 0
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(report.states.items()))
    out.line(f"run {run.id}{out.mark} is being cancelled: {states}")
    out.note(f"finished rows are kept and paid for; bring them here with: batchmark resume {run.id}")
    return 0
