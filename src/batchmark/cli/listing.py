"""What `batchmark runs` does once it is called. Apart from the other commands on runs: it needs the ledger only, and should be quick."""

from __future__ import annotations

from batchmark.api.workspace import Workspace
from batchmark.cli.moments import ago, seconds, time_text
from batchmark.cli.output import Output
from batchmark.ledger.records import RunLine

__all__ = ["runs"]


def runs(*, limit: int | None, json: bool, quiet: bool) -> int:
    """The runs, newest first."""
    workspace = Workspace(heed_environment=False)
    out = Output(json=json, quiet=quiet)
    found = workspace.ledger.runs(limit=limit)
    if json:
        out.document({"runs": [_line_document(each) for each in found]})
        return 0
    if not found:
        out.note("no runs yet; begin one with: batchmark run FILE --on PROVIDER")
        return 0
    rows = [
        [
            each.id,
            each.kind + (" (emulated)" if each.emulated else ""),
            f"{each.provider}:{each.model}" if each.jobs == 1 else f"{each.jobs} jobs",
            f"{each.rows:,}",
            _how_far(each),
            ago(each.created_at),
            seconds(each.created_at, each.ended_at),
            each.source,
        ]
        for each in found
    ]
    columns = ["run", "kind", "on", "rows", "state", "created (UTC)", "took", "input"]
    out.table("Runs", columns, rows, right=["rows", "took"])
    if limit is not None and len(found) == limit:
        out.note(f"the newest {limit}; --limit N or --all shows more")
    return 0


def _how_far(line: RunLine) -> str:
    if line.ended_at is not None or line.jobs_ended == line.jobs:
        return "ended"
    doubt = f", {line.in_doubt} in doubt" if line.in_doubt else ""
    return f"{line.shards_closed:,} of {line.shards:,} batches collected{doubt}"


def _line_document(line: RunLine) -> dict[str, object]:
    return {
        "run": line.id,
        "kind": line.kind,
        "source": line.source,
        "emulated": line.emulated,
        "created_at": time_text(line.created_at),
        "ended_at": time_text(line.ended_at),
        "output": line.output,
        "jobs": line.jobs,
        "rows": line.rows,
        "provider": line.provider,
        "model": line.model,
        "batches": line.shards,
        "batches_collected": line.shards_closed,
        "batches_in_doubt": line.in_doubt,
    }
