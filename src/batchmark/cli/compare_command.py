"""`batchmark compare`: the same workload on several targets, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import DataPath, Emulate, Expected, Json, MarkdownPath, Match, Quiet, ReportPath

__all__ = ["compare"]


def compare(
    input: Annotated[
        Path | None,
        typer.Argument(help="A JSONL file of rows. Default: the bundled sample questions.", show_default=False),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="TARGET",
            help="A target, provider:model or provider. Give two or more. Default: every provider with a key.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Rounds: so many times one job per target with all rows. Verdicts need 6 or more."
        ),
    ] = 1,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Requests per job; repeats the rows where there are fewer.")
    ] = None,
    spread: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Spread the rounds evenly over this time, such as 24h, 90m or 2d. Default: one by one."
        ),
    ] = "0",
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Draws the order of the targets in each round. Default: a new one, kept with the run.",
            show_default=False,
        ),
    ] = None,
    expect: Expected = None,
    match: Match = None,
    report: ReportPath = Path("report.html"),
    data: DataPath = Path("comparison.json"),
    markdown: MarkdownPath = None,
    time_budget: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            metavar="SECONDS",
            help="Emulated only: take fewer rows so that the local model is done in about this time.",
        ),
    ] = None,
    emulate: Emulate = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run the same workload on two or more targets, in rounds, and compare them."""
    from batchmark.cli import comparing

    return comparing.compare(
        input,
        on or [],
        jobs=jobs,
        requests=requests,
        spread=spread,
        seed=seed,
        expect=expect,
        match=match,
        places=comparing.Places(html=report, json=data, markdown=markdown),
        time_budget_s=time_budget,
        emulate=emulate,
        json=json,
        quiet=quiet,
    )
