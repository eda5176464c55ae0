"""`batchmark estimate`: rows, batches, tokens and cost on each target, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import Json, MaxTokens, Prompt, Quiet, ShardRows, System

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
    prompt: Prompt = None,
    system: System = None,
    max_tokens: MaxTokens = None,
    shard_rows: ShardRows = None,
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
