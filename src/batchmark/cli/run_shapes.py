"""Runs as the documents that `--json` prints, and as what people read: the plan before, the summary after."""

from __future__ import annotations

import msgspec

from batchmark.api.runs import RunOptions, RunReport
from batchmark.api.staging import StagedRun
from batchmark.cli.moments import seconds, time_text
from batchmark.cli.output import Output
from batchmark.cli.shapes import job_document, outcome_words
from batchmark.domain.target import Target
from batchmark.domain.totals import Totals
from batchmark.engine.estimate import METHOD, Estimate
from batchmark.report.words import money

__all__ = ["cost_words", "error_lines", "print_end", "print_plan", "run_document"]


def run_document(report: RunReport) -> dict[str, object]:
    """A run: its options, its jobs with their batches, and what its answers add up to. Times are ours."""
    run = report.run
    return {
        "run": run.id,
        "kind": run.kind,
        "source": run.source,
        "emulated": run.emulated,
        "created_at": time_text(run.created_at),
        "ended_at": time_text(run.ended_at),
        "rows": report.rows,
        "rows_done": report.done_rows,
        "states": report.states,
        "worked_on_by": report.worked_on_by,
        "digest": run.digest,
        "input": run.input,
        "options": run.options,
        "output": run.output,
        "totals": msgspec.to_builtins(report.totals),
        "jobs": [job_document(each) for each in report.jobs],
    }


def cost_words(estimate: Estimate) -> str:
    """What it may cost, as a range where there is an upper bound."""
    if estimate.input_cost_usd is None:
        return "unknown, no price is known for this model"
    if estimate.most_cost_usd is None:
        return f"from {money(estimate.input_cost_usd)}; no upper bound"
    return f"{money(estimate.input_cost_usd)} to {money(estimate.most_cost_usd)}"


def print_plan(out: Output, staged: StagedRun, target: Target, options: RunOptions, answered_by: str | None) -> None:
    """What is about to be sent, to stderr."""
    estimate = staged.estimate
    if answered_by:
        out.note(f"emulated: no provider is asked, answers come from {answered_by}")
    shards = [shard for _, shards in staged.staged for shard in shards]
    most = max(shard.rows for shard in shards)
    lines = [
        ("target", str(target)),
        ("rows", f"{staged.rows:,} of {staged.run.source}"),
        ("batches", f"{len(shards):,}" + (f", at most {most:,} rows each" if len(shards) > 1 else "")),
        ("size", f"{sum(shard.bytes for shard in shards) / 1e6:,.1f} MB on the wire"),
        (
            "tokens",
            f"about {estimate.input_tokens:,} in, "
            + ("no limit out" if estimate.rows_without_limit else f"at most {estimate.max_output_tokens:,} out"),
        ),
        ("cost", cost_words(estimate)),
    ]
    if options.drive.max_cost_usd is not None:
        lines.append(("at most", f"{options.drive.max_cost_usd:g} USD, then nothing more is sent"))
    if options.output is not None:
        lines.append(("answers", str(options.output)))
    out.note(f"Plan{out.mark}")
    for name, words in lines:
        out.note(f"  {name:<9}{words}")
    out.note(f"  how      {METHOD}")
    for warning in estimate.warnings:
        out.note(f"  note     {warning}")


def error_lines(totals: Totals, attempts: int) -> list[str]:
    """How rows failed, most frequent first."""
    groups = sorted(totals.errors.items(), key=lambda each: -each[1].count)
    return [
        f"{group.count:,} x {code}: {group.message}"
        + (f" (asked {attempts} times)" if group.retryable and attempts > 1 else "")
        for code, group in groups
    ]


def print_end(out: Output, report: RunReport, *, wait: bool) -> None:
    """What a run came to, to stdout, and where its answers are."""
    run, totals = report.run, report.totals
    if not wait:
        states = ", ".join(f"{count:,} {state}" for state, count in sorted(report.states.items()))
        out.line(f"run {run.id}{out.mark}: {states}")
        out.note(f"come back with: batchmark resume {run.id}")
        return
    attempts = int((run.options or {}).get("attempts") or 1)
    target = (
        f"{report.jobs[0].job.provider}:{report.jobs[0].job.model}"
        if len(report.jobs) == 1
        else f"{len(report.jobs)} jobs"
    )
    sent = sum(len(each.batches) for each in report.jobs)
    facts = [
        ("rows", outcome_words(totals)),
        ("batches", f"{sent:,}"),
        ("tokens", f"{totals.usage.input_tokens:,} in, {totals.usage.output_tokens:,} out"),
        ("cost*", money(totals.cost_usd)),
        ("time*", f"{seconds(run.created_at, run.ended_at)} to completion"),
    ]
    out.facts(f"Run {run.id} on {target}{out.mark}", facts)
    for line in error_lines(totals, attempts):
        out.line(f"  {'failed':<9}{line}")
    if totals.duplicates or totals.unknown or totals.unreadable:
        out.note(
            f"result lines left out: {totals.duplicates:,} repeated, {totals.unknown:,} with unknown ids, "
            f"{totals.unreadable:,} unreadable"
        )
    for each in report.jobs:
        if each.job.problem:
            out.line(f"  {'problem':<9}{each.job.problem}")
        if each.answers is not None:
            out.line(f"  {'answers':<9}{each.answers}")
    counted = ", on tokens that the emulator counted" if out.emulated else ""
    out.note(
        f"* cost: all attempts, {totals.price_note or 'no price is known for this model'}{counted}; "
        "time: our clock, from run made to answers here"
    )
