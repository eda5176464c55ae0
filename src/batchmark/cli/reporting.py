"""What `batchmark report` does once it is called; apart from its declaration, so that `--help` stays quick."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from batchmark.api import reporting as use
from batchmark.api.workspace import Workspace
from batchmark.cli.leaving import Places, expect_of, leave
from batchmark.cli.output import Output
from batchmark.cli.progress import Watch
from batchmark.errors import BadInput

__all__ = ["Places", "report"]

_HOURS = 720.0


def report(
    runs: Sequence[str],
    *,
    history: Sequence[str],
    hours: float | None,
    timings: Path | None,
    as_target: str | None,
    force: bool,
    expect: str | None,
    match: str | None,
    places: Places,
    emulate: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Make the report of one of the three sources. Returns the exit code."""
    given = [name for name, there in (("runs", runs), ("--history", history), ("--timings", timings)) if there]
    if len(given) > 1:
        raise BadInput(
            f"a report is of one kind of source, not of {' and '.join(given)}", hint="make one report of each"
        )
    if as_target is not None and timings is None:
        raise BadInput("--as says what records of --timings are of; there are none here")
    if hours is not None and not history:
        raise BadInput("--hours says how far a history goes back; there is none here", hint="add --history PROVIDER")
    if force and (timings is not None or history):
        raise BadInput("--force compares runs that are not alike; there are no runs here")
    if (expect or match) and given and given != ["runs"]:
        raise BadInput(f"--expect and --match are about answers, and {given[0]} has none")
    places.ensure_writable()
    expected = expect_of(expect, match)
    with Workspace(emulate=emulate, heed_environment=bool(history)) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        if timings is not None:
            target = None if as_target is None else use.target_of_records(as_target)
            found = use.report_timings(timings, target)
        elif history:
            with Watch(quiet=quiet) as watch:
                found = asyncio.run(
                    use.report_history(workspace, list(dict.fromkeys(history)), hours=hours or _HOURS, tell=watch)
                )
        else:
            found = use.report_runs(workspace, runs, force=force, expect=expected)
        leave(out, found, places)
    return 0
