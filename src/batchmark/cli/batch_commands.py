"""`list`, `status`, `results`, `cancel`, `delete` and `list-models` of a provider."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from batchmark.api import batches as use
from batchmark.api.jobs import JobReport
from batchmark.api.workspace import Workspace
from batchmark.cli.moments import ago, seconds
from batchmark.cli.output import Output
from batchmark.cli.progress import Watch
from batchmark.cli.shapes import (
    job_document,
    listed_document,
    outcome_words,
    snapshot_document,
)
from batchmark.domain.lifecycle import Counts, Snapshot
from batchmark.errors import BadInput, Interrupted
from batchmark.ledger.artifacts import ensure_writable, whole_file
from batchmark.providers.registry import find
from batchmark.report.words import money

__all__ = ["cancel", "delete", "list_", "list_models", "results", "status"]

_DEFAULT_LIMIT = 20


def list_(name: str, *, limit: int | None, hours: float | None, emulate: bool, json: bool, quiet: bool) -> int:
    """The account's batches, newest first."""
    spec = find(name)
    if limit is None and hours is None:
        limit = _DEFAULT_LIMIT
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        found = asyncio.run(use.list_batches(workspace, spec, limit=limit, hours=hours))
    if json:
        out.document({"provider": name, "emulated": out.emulated, "batches": [listed_document(each) for each in found]})
        return 0
    if not found:
        out.note(f"no batches on this account{out.mark}{f' in the last {hours:g} h' if hours is not None else ''}")
        return 0
    rows = [
        [
            each.snapshot.ref.id,
            each.job_id or "-",
            each.snapshot.state.value,
            each.snapshot.raw_status,
            _counts(each.snapshot.counts),
            ago(each.snapshot.created_at),
            seconds(each.snapshot.created_at, each.snapshot.ended_at),
        ]
        for each in found
    ]
    out.table(
        f"Batches at {spec.title}{out.mark}",
        ["batch", "job", "state", "provider's word", "done", "created (UTC)", "turnaround"],
        rows,
        right=["done", "turnaround"],
    )
    if limit is not None and len(found) == limit:
        out.note(f"the newest {limit}; --limit N or --hours H shows more")
    return 0


def _counts(counts: Counts) -> str:
    total = "?" if counts.total is None else f"{counts.total:,}"
    done = counts.done
    return f"?/{total}" if done is None else f"{done:,}/{total}"


def status(name: str, id_: str, *, emulate: bool, json: bool, quiet: bool) -> int:
    """Where a batch or job stands now."""
    spec = find(name)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        with Watch(quiet=True) as watch:
            found = asyncio.run(use.status(workspace, spec, id_, watch))
    _show(out, name, found)
    return 0


def _show(out: Output, name: str, found: JobReport | Snapshot) -> None:
    if out.json:
        body = {"jobs": [job_document(found)]} if isinstance(found, JobReport) else {"batch": snapshot_document(found)}
        out.document({"provider": name, "emulated": out.emulated, **body})
        return
    if isinstance(found, Snapshot):
        row = [
            found.ref.id,
            found.state.value,
            found.raw_status,
            _counts(found.counts),
            ago(found.created_at),
            seconds(found.created_at, found.ended_at),
        ]
        columns = ["batch", "state", "provider's word", "done", "created (UTC)", "turnaround"]
        out.table(f"Not made by this ledger{out.mark}", columns, [row], right=["done", "turnaround"])
        for problem in found.problems:
            out.line(f"problem: {problem}")
        return
    rows = [
        [
            batch.id,
            batch.state,
            batch.raw_status or "-",
            _counts(
                Counts(total=batch.total, succeeded=batch.succeeded, failed=batch.failed, processing=batch.processing)
            ),
            ago(batch.created_at),
            seconds(batch.created_at, batch.ended_at),
        ]
        for batch in found.batches
    ]
    out.table(
        f"Job {found.job.id}, {found.job.provider}:{found.job.model}, {found.job.rows:,} requests{out.mark}",
        ["batch", "state", "provider's word", "done", "created (UTC)", "turnaround"],
        rows,
        right=["done", "turnaround"],
    )
    for batch in found.batches:
        for problem in batch.problems:
            out.line(f"problem: {problem}")
    if found.unsent:
        out.line(f"{found.unsent} batch(es) not sent yet")
    if found.in_doubt:
        out.line(f"{found.in_doubt} batch(es) may have been made; the create got no clear answer")
        out.note(f"find out with: batchmark {name} results {found.job.id} --wait")
    if found.totals is not None:
        out.line(f"requests: {outcome_words(found.totals)}; cost {money(found.totals.cost_usd)}")
    if found.answers is not None:
        out.line(f"answers: {found.answers}")


def results(name: str, id_: str, *, output: Path | None, wait: bool, emulate: bool, json: bool, quiet: bool) -> int:
    """The answers of an ended batch."""
    if output is not None:
        ensure_writable(output)
    spec = find(name)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        with Watch(quiet=quiet or not wait) as watch:
            try:
                found = asyncio.run(use.fetch_results(workspace, spec, id_, wait=wait, tell=watch))
            except KeyboardInterrupt:
                raise Interrupted("the batch goes on at the provider, nothing is lost") from None
        if isinstance(found, Snapshot):
            return _foreign(workspace, name, found, output, out)
        if found.answers is None:
            raise BadInput(f"job {found.job.id} has no answers: {found.job.problem or 'it was never sent'}")
        if output is not None:
            with found.answers.open("rb") as answers, whole_file(output) as copy:
                shutil.copyfileobj(answers, copy, 1 << 20)
        if json:
            out.document({"provider": name, "emulated": out.emulated, "jobs": [job_document(found)]})
        elif output is None:
            with found.answers.open("rb") as answers:
                sys.stdout.flush()
                shutil.copyfileobj(answers, sys.stdout.buffer, 1 << 20)
        totals = found.totals
        if totals is not None:
            out.note(f"job {found.job.id}{out.mark}: {outcome_words(totals)}; cost {money(totals.cost_usd)}")
            for code, group in totals.errors.items():
                out.note(f"{group.count:,} x {code}: {group.message}")
        if output is not None:
            out.note(f"answers: {output}")
    return 0 if totals is not None and totals.failed == 0 else 1


def _foreign(workspace: Workspace, name: str, snapshot: Snapshot, output: Path | None, out: Output) -> int:
    spec = find(name)
    if output is not None:
        with whole_file(output) as file:
            count = asyncio.run(use.copy_foreign(workspace, spec, snapshot, file))
    else:
        count = asyncio.run(use.copy_foreign(workspace, spec, snapshot, sys.stdout.buffer))
        sys.stdout.flush()
    out.note(
        f"{snapshot.ref.id} was not made by this ledger, so no rows are known for it: "
        f"{count:,} of the provider's own lines, as they are{f', in {output}' if output else ''}"
    )
    return 0


def cancel(name: str, id_: str, *, emulate: bool, json: bool, quiet: bool) -> int:
    """Ask the provider to stop a batch."""
    spec = find(name)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        with Watch(quiet=True) as watch:
            found = asyncio.run(use.cancel(workspace, spec, id_, watch))
    _show(out, name, found)
    if spec.cancel_keeps_finished:
        out.note("finished requests are kept and paid for; fetch them with the results command once it has ended")
    else:
        out.note(f"{spec.title} promises no answers of a cancelled batch, not even those of requests that had finished")
    return 0


def delete(name: str, id_: str, *, emulate: bool, json: bool, quiet: bool) -> int:
    """Remove a batch from the account."""
    spec = find(name)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        ids = asyncio.run(use.delete(workspace, spec, id_))
    if json:
        out.document({"provider": name, "emulated": out.emulated, "deleted": ids})
    else:
        for each in ids:
            out.line(f"deleted {each}{out.mark}")
    return 0


def list_models(name: str, *, emulate: bool, json: bool, quiet: bool) -> int:
    """The models that can be batched."""
    spec = find(name)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        found = asyncio.run(use.list_models(workspace, spec))
    if json:
        models = [
            {"id": each.id, "batch": each.batch, "note": each.note, "default": each.id == spec.default_model}
            for each in found
        ]
        out.document({"provider": name, "emulated": out.emulated, "models": models})
        return 0
    rows = [
        [
            each.id + (" (default)" if each.id == spec.default_model else ""),
            "yes" if each.batch else "unknown",
            each.note or "",
        ]
        for each in found
    ]
    out.table(f"Models at {spec.title}{out.mark}", ["model", "batch", "note"], rows)
    return 0
