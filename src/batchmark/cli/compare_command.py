"""`batchmark compare`: the same workload on several targets, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import Emulate, Json, Quiet

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
    jobs: Annotated[int, typer.Option(min=1, max=1000, help="Jobs per target, each with all rows.")] = 1,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Requests per job; repeats the rows where there are fewer.")
    ] = None,
    report: Annotated[Path, typer.Option("--report", help="Where to write the HTML report.")] = Path("report.html"),
    data: Annotated[Path, typer.Option("--data", help="Where to write all raw values as JSON.")] = Path(
        "comparison.json"
    ),
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
    """Run the same workload on two or more targets at once and compare them."""
    from batchmark.cli import comparing

    return comparing.compare(
        input,
        on or [],
        jobs=jobs,
        requests=requests,
        report_path=report,
        data_path=data,
        time_budget_s=time_budget,
        emulate=emulate,
        json=json,
        quiet=quiet,
    )
