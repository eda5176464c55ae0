"""What `batchmark clean` does once it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from batchmark.api import cleaning as use
from batchmark.api.cleaning import Leftover
from batchmark.api.workspace import Workspace
from batchmark.cli.output import Output
from batchmark.errors import BatchmarkError

__all__ = ["clean"]


def clean(
    ids: Sequence[str],
    *,
    older_than_days: float,
    local: bool,
    batches: bool,
    yes: bool,
    emulate: bool,
    json: bool,
    quiet: bool,
) -> int:
    """List what may go, and with `yes` delete it. Returns the exit code."""
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        runs = use.runs_to_clean(workspace, ids, older_than_days=older_than_days)
        # providers first: without the files here it could not be told what is ours there
        found: list[Leftover] = []
        deleted = 0
        first: BatchmarkError | None = None
        for name in [] if local else use.providers_of(workspace, runs):
            try:
                there, gone = asyncio.run(use.clean_there(workspace, name, runs, batches=batches, delete=yes))
            except BatchmarkError as error:
                out.note(f"{name}: {error.message}")
                first = first or error
                continue
            found += there
            deleted += gone
        here = use.find_here(workspace, runs)
        if not ids:
            here += use.find_unborn(workspace)
        for leftover in here if yes else ():
            use.remove_here(workspace, leftover)
            deleted += 1
        found += here
    if json:
        entries = [
            {"where": each.where, "what": each.what, "name": each.name, "bytes": each.bytes, "job": each.job_id}
            for each in found
        ]
        out.document({"emulated": out.emulated, "deleted": deleted if yes else 0, "found": entries})
    elif not found:
        out.note(f"nothing to clean{out.mark}")
    else:
        rows = [
            [each.where, each.what, each.name, "-" if each.bytes is None else f"{each.bytes:,}", each.job_id or "-"]
            for each in found
        ]
        title = f"{'Deleted' if yes else 'May be deleted'}{out.mark}"
        out.table(title, ["where", "what", "name", "bytes", "job"], rows, right=["bytes"])
        if not yes:
            out.note("nothing was deleted; --yes deletes it. Answers are kept in any case")
    if first is not None and not found:
        raise first
    return 0
