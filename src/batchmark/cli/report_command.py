"""`batchmark report`: what runs, an account's own history, or anybody's records say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import DataPath, Emulate, Expected, Json, MarkdownPath, Match, Quiet, ReportPath

__all__ = ["report"]


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs of the same workload. Default: the newest.", show_default=False),
    ] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            "--history",
            metavar="PROVIDER",
            help="The account's own past batches, by list calls: sends nothing, costs nothing. May be repeated.",
            show_default=False,
        ),
    ] = None,
    hours: Annotated[
        float | None, typer.Option(min=0.01, help="How far back the history goes. Default: 720.", show_default=False)
    ] = None,
    timings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Anybody's records of batches: CSV or JSONL.", show_default=False),
    ] = None,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="PROVIDER:MODEL", help="What records are of that do not say it.", show_default=False
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare runs that are not alike; the report says so first.")
    ] = False,
    expect: Expected = None,
    match: Match = None,
    html: ReportPath = Path("report.html"),
    data: DataPath = Path("comparison.json"),
    markdown: MarkdownPath = None,
    emulate: Emulate = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make a report of runs, of an account's own history, or of records in a file. Sends nothing and costs nothing."""
    from batchmark.cli import reporting

    return reporting.report(
        runs or [],
        history=history or [],
        hours=hours,
        timings=timings,
        as_target=as_,
        force=force,
        expect=expect,
        match=match,
        places=reporting.Places(html=html, json=data, markdown=markdown),
        emulate=emulate,
        json=json,
        quiet=quiet,
    )
