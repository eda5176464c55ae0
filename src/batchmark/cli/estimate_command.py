"""`batchmark estimate`: rows, batches, tokens and cost on each target, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import Json, Quiet

__all__ = ["estimate"]


def estimate(
    input: Annotated[Path, typer.Argument(help="A file of rows: JSONL, CSV, or Parquet.", show_default=False)],
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="TARGET",
            help="A target, provider:model or provider; give any number. Default: every provider.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE", help="The prompt, with columns of the file in braces: '{question}'.", show_default=False
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message of rows that have none.", show_default=False)
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="The longest answer of rows that set no limit.", show_default=False),
    ] = None,
    shard_rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="At most so many rows a batch. Default: the provider's limit.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Say what a workload would take on each target: batches, bytes, tokens, cost. Sends nothing and needs no key."""
    from batchmark.cli import estimating

    return estimating.estimate(
        input,
        on or [],
        prompt=prompt,
        system=system,
        max_tokens=max_tokens,
        shard_rows=shard_rows,
        json=json,
        quiet=quiet,
    )
