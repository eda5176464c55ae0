"""What `batchmark show`, `watch` and `export` do once they are called."""

from __future__ import annotations

import time
from pathlib import Path

from batchmark.api import runs as use
from batchmark.api.runs import RunReport
from batchmark.api.workspace import Workspace
from batchmark.cli.moments import ago, seconds
from batchmark.cli.output import Output
from batchmark.cli.run_shapes import error_lines, run_document
from batchmark.cli.shapes import outcome_words
from batchmark.errors import Interrupted
from batchmark.ledger.artifacts import ensure_writable
from batchmark.report.words import money

__all__ = ["export", "show", "watch"]

_SHOWN = 30
_LOOK_EVERY_S = 1.0


def show(run_id: str | None, *, json: bool, quiet: bool) -> int:
    """Where a run stands."""
    workspace = Workspace(heed_environment=False)
    run = use.find_run(workspace, run_id)
    report = use.report_run(workspace, run.id)
    out = Output(json=json, quiet=quiet, emulated=run.emulated)
    late = use.lateness_of(workspace, report)
    if json:
        out.document(run_document(report) | {"late": late})
        return 0
    _print(out, report, late)
    return 0


def _print(out: Output, report: RunReport, late: list[str]) -> None:
    run, totals = report.run, report.totals
    who = "nobody" if report.worked_on_by is None else f"process {report.worked_on_by or '(unknown)'}"
    facts = [
        ("input", run.source),
        ("created", f"{ago(run.created_at)} UTC"),
        ("ended", f"{ago(run.ended_at)} UTC" if run.ended_at else "not yet"),
        ("rows done", f"{report.done_rows:,} of {report.rows:,}"),
        ("batches", ", ".join(f"{count:,} {state}" for state, count in sorted(report.states.items()))),
        ("collected", outcome_words(totals) if totals.submitted else "nothing yet"),
        ("cost so far", money(totals.cost_usd) if totals.submitted else "-"),
        ("driven by", who),
    ]
    on = ", ".join(dict.fromkeys(f"{each.job.provider}:{each.job.model}" for each in report.jobs))
    out.facts(f"Run {run.id} on {on}{out.mark}", facts)
    _print_batches(out, report)
    for line in error_lines(totals, int((run.options or {}).get("attempts") or 1)):
        out.line(line)
    for line in late:
        out.line(line)
    for each in report.jobs:
        if each.job.problem:
            out.line(f"{each.job.id}: {each.job.problem}")
        if each.answers is not None:
            out.line(f"answers: {each.answers}")
    if not report.ended and report.worked_on_by is None:
        out.note(f"go on with: batchmark resume {run.id}")


def _print_batches(out: Output, report: RunReport) -> None:
    rows = []
    for each in report.jobs:
        batches = {batch.shard_id: batch for batch in each.batches}
        for shard in each.shards:
            batch = batches.get(shard.id)
            counts = "-"
            if batch is not None and batch.total:
                counts = f"{(batch.succeeded or 0) + (batch.failed or 0):,}/{batch.total:,}"
            rows.append(
                [
                    f"{shard.number + 1}.{shard.attempt}",
                    batch.id if batch is not None else "-",
                    shard.state,
                    batch.state if batch is not None else "-",
                    f"{shard.rows:,}",
                    counts,
                    seconds(batch.created_at, batch.ended_at) if batch is not None else "-",
                ]
            )
    shown = rows if len(rows) <= _SHOWN else [row for row in rows if row[2] != "collected"][:_SHOWN]
    if shown:
        columns = ["batch.attempt", "id", "here", "there", "rows", "done", "turnaround"]
        out.table("Batches", columns, shown, right=["rows", "done", "turnaround"])
    if len(shown) < len(rows):
        out.note(f"{len(shown)} of {len(rows):,} batches shown; --json has all")


def watch(run_id: str | None, *, json: bool, quiet: bool) -> int:
    """Follow a run until it has ended, or until nobody works on it."""
    workspace = Workspace(heed_environment=False)
    run = use.find_run(workspace, run_id)
    out = Output(json=json, quiet=quiet, emulated=run.emulated)
    told = ""
    said: set[str] = set()
    try:
        while True:
            report = use.report_run(workspace, run.id)
            states = ", ".join(f"{count:,} {state}" for state, count in sorted(report.states.items()))
            words = f"{report.done_rows:,} of {report.rows:,} rows done; {states}"
            if words != told:
                out.note(f"{time.strftime('%H:%M:%S')} run {run.id}{out.mark}: {words}")
                told = words
            for line in use.lateness_of(workspace, report):
                kind = line.partition(",")[0]
                if kind not in said:
                    said.add(kind)
                    out.note(line)
            if report.ended or report.worked_on_by is None:
                break
            time.sleep(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        raise Interrupted("the run itself goes on", hint=f"watch it again with: batchmark watch {run.id}") from None
    if json:
        out.document(run_document(report))
    else:
        _print(out, report, [])
    return 0


def export(run_id: str, output: Path, *, force: bool, partial: bool, json: bool, quiet: bool) -> int:
    """Write a run's answers."""
    ensure_writable(output, replace=force, force_hint=True)
    workspace = Workspace(heed_environment=False)
    run = use.find_run(workspace, run_id)
    out = Output(json=json, quiet=quiet, emulated=run.emulated)
    written, rows = use.export_run(workspace, run, output, partial=partial)
    if json:
        out.document(
            {"run": run.id, "emulated": run.emulated, "output": str(output), "rows_written": written, "rows": rows}
        )
    else:
        out.note(f"{written:,} of {rows:,} answers of run {run.id}{out.mark} in {output}")
    return 0
