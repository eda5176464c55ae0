"""`batchmark estimate`: rows, batches, tokens and cost on each target, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import Json, Quiet

__all__ = ["estimate"]


def estimate(
    input: Annotated[Path, typer.Argument(help="A JSONL file of rows.", show_default=False)],
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="TARGET",
            help="A target, provider:model or provider; give any number. Default: every provider.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Say what a workload would take on each target: batches, bytes, tokens, cost. Sends nothing and needs no key."""
    from batchmark.cli import estimating

    return estimating.estimate(input, on or [], json=json, quiet=quiet)
