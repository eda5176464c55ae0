"""`batchmark PROVIDER create`: the whole path for one provider."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from batchmark.api.jobs import JobReport, report_job, run_jobs, submit_jobs, warm_up
from batchmark.api.staging import choose_model, new_run, stage_jobs
from batchmark.api.workspace import Workspace
from batchmark.cli.moments import seconds
from batchmark.cli.output import Output
from batchmark.cli.progress import Watch
from batchmark.cli.shapes import job_document, outcome_words
from batchmark.domain.target import Target
from batchmark.errors import BadInput, BatchmarkError, Interrupted, Refused
from batchmark.ledger.artifacts import ensure_writable, whole_file
from batchmark.providers.registry import find
from batchmark.report.words import money
from batchmark.workload.rows import Workload, sample_path

__all__ = ["create"]


def create(
    name: str,
    path: Path | None,
    *,
    model: str | None,
    jobs: int,
    requests: int | None,
    wait: bool,
    output: Path | None,
    emulate: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Make batches and, unless told otherwise, see them through. Returns the exit code."""
    if output is not None:
        if jobs > 1 or not wait:
            raise BadInput(
                "-o goes with one batch that is waited for",
                hint="fetch others with: batchmark PROVIDER results ID -o F",
            )
        ensure_writable(output)
    spec = find(name)
    workload = Workload(path or sample_path(), limit=requests)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        workspace.require_key(spec)
        warm_up([spec])  # a job's time must not hold the import of an SDK
        target = Target(name, choose_model(spec, workload, model))
        if workspace.answered_by:
            out.note(f"emulated: no provider is asked, answers come from {workspace.answered_by}")
        with Watch(quiet=quiet) as watch:
            run = new_run(workspace, "create", workload)
            records = stage_jobs(workspace, run, workload, [target], jobs=jobs, tell=watch, one_model=model is None)
            ids = [job.id for job in records]
            try:
                if wait:
                    asyncio.run(run_jobs(workspace, spec, records, watch))
                else:
                    asyncio.run(submit_jobs(workspace, spec, records, watch))
            except KeyboardInterrupt:
                raise _interrupted(name, [report_job(workspace, each) for each in ids], workspace.emulate) from None
            except BatchmarkError as error:
                _say_how_to_return(error, name, ids, workspace)
                raise
        if wait:
            workspace.ledger.record_run_end(run.id)
        reports = [report_job(workspace, each) for each in ids]
        if output is not None and reports[0].answers is not None:
            with reports[0].answers.open("rb") as answers, whole_file(output) as copy:
                shutil.copyfileobj(answers, copy, 1 << 20)
        if json:
            out.document({"run": run.id, "emulated": run.emulated, "jobs": [job_document(each) for each in reports]})
        elif wait and not _refused(reports):
            _print_summary(out, reports, output)
        elif not wait:
            _print_submitted(out, name, reports, workspace.emulate)
    return _exit_code(reports) if wait else 0


def _flag(emulated: bool) -> str:
    return " --emulate" if emulated else ""


def _interrupted(name: str, reports: list[JobReport], emulated: bool) -> Interrupted:
    hints = _ways_back(name, reports, emulated)
    if not hints:
        return Interrupted("nothing was submitted yet")
    if any(report.in_doubt for report in reports):
        return Interrupted(
            "a batch may have been made, so do not create it again; nothing is lost", hint="\n".join(hints)
        )
    return Interrupted("the batches go on at the provider, nothing is lost", hint="\n".join(hints))


def _ways_back(name: str, reports: list[JobReport], emulated: bool) -> list[str]:
    started = [report.job.id for report in reports if report.batches or report.in_doubt]
    return [f"fetch the answers with: batchmark {name} results {each} --wait{_flag(emulated)}" for each in started]


def _say_how_to_return(error: BatchmarkError, name: str, ids: list[str], workspace: Workspace) -> None:
    """An error after something was, or may have been, submitted says so, and how to come back without buying it again."""
    reports = [report_job(workspace, each) for each in ids]
    hints = _ways_back(name, reports, workspace.emulate)
    if hints:
        doubt = any(report.in_doubt for report in reports)
        first = "a batch may have been made, so do not create it again" if doubt else "what was submitted goes on"
        error.hint = "\n".join([*([error.hint] if error.hint else []), first, *hints])


def _print_submitted(out: Output, name: str, reports: list[JobReport], emulated: bool) -> None:
    rows = [
        [batch.id, report.job.id, f"{report.job.rows:,}", report.job.model]
        for report in reports
        for batch in report.batches
    ]
    out.table(f"Submitted{out.mark}", ["batch", "job", "requests", "model"], rows, right=["requests"])
    out.note(f"come back with: batchmark {name} results {reports[0].job.id} --wait{_flag(emulated)}")


def _print_summary(out: Output, reports: list[JobReport], output: Path | None) -> None:
    from batchmark.domain.lifecycle import State

    rows = []
    for report in reports:
        batches, totals = report.batches, report.totals
        starts = [batch.created_at for batch in batches if batch.created_at]
        ends = [batch.ended_at for batch in batches if batch.ended_at]
        whole = bool(batches) and all(State(batch.state).terminal for batch in batches) and starts and ends
        rows.append(
            [
                report.job.id,
                "\n".join(batch.id for batch in batches) or "-",
                "\n".join(batch.state for batch in batches) or "failed",
                "-" if totals is None else outcome_words(totals),
                seconds(min(starts), max(ends)) if whole else "-",
                seconds(report.job.created_at, report.job.ended_at),
                "-" if totals is None else f"{totals.usage.input_tokens:,} / {totals.usage.output_tokens:,}",
                "-" if totals is None else money(totals.cost_usd),
            ]
        )
    first = reports[0].job
    out.table(
        f"{first.provider}:{first.model}{out.mark}",
        ["job", "batch", "state", "requests", "turnaround*", "time to completion*", "tokens in / out", "cost*"],
        rows,
        right=["turnaround*", "time to completion*", "tokens in / out", "cost*"],
    )
    notes = {report.totals.price_note or "no price is known for this model" for report in reports if report.totals}
    out.note(
        "* turnaround: the provider's clock, which may tell whole seconds only; time to completion: ours, from job made to answers here; "
        f"cost: {', '.join(sorted(notes)) or 'unknown'}{', on tokens that the emulator counted' if out.emulated else ''}"
    )
    for report in reports:
        if report.job.problem:
            out.note(f"{report.job.id}: {report.job.problem}")
        for code, group in (report.totals.errors if report.totals else {}).items():
            out.note(f"{report.job.id}: {group.count:,} x {code}: {group.message}")
        odd = report.totals and (report.totals.duplicates or report.totals.unknown or report.totals.unreadable)
        if odd and report.totals:
            out.note(
                f"{report.job.id}: result lines left out: {report.totals.duplicates} repeated, "
                f"{report.totals.unknown} with unknown ids, {report.totals.unreadable} unreadable"
            )
    for report in reports:
        where = output or report.answers
        if where is not None:
            out.line(f"answers: {where}")


def _refused(reports: list[JobReport]) -> bool:
    """Whether the provider took none of the batches."""
    return all(batch.state == "failed" for report in reports for batch in report.batches)


def _exit_code(reports: list[JobReport]) -> int:
    if _refused(reports):
        job, batches = reports[0].job, reports[0].batches
        problem = job.problem or "no reason was given"
        raise Refused(f"{job.provider} failed the batch {batches[0].id}: {problem}" if batches else problem)
    return 0 if all(report.totals is not None and report.totals.failed == 0 for report in reports) else 1
