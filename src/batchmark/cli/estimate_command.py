"""`batchmark estimate`: rows, batches, tokens and cost on each target, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import Emulate, Json, MaxTokens, Prompt, Quiet, ShardRows, System

__all__ = ["estimate"]


def estimate(
    input: Annotated[
        Path | None,
        typer.Argument(
            help="A file of rows: JSONL, CSV, or Parquet. Default: the bundled sample questions.", show_default=False
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="TARGET",
            help="A target, provider:model or provider; give any number. Default: every provider.",
            show_default=False,
        ),
    ] = None,
    requests: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="So many requests; repeats the rows where there are fewer. Default: all rows, once.",
            show_default=False,
        ),
    ] = None,
    exact_sample: Annotated[
        int | None,
        typer.Option(
            "--exact-sample",
            min=1,
            max=10_000,
            metavar="N",
            help="Let the provider count the tokens of N random rows (free, needs a key), and scale by that.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Draws the random rows; the same seed draws the same.")] = 0,
    prompt: Prompt = None,
    system: System = None,
    max_tokens: MaxTokens = None,
    shard_rows: ShardRows = None,
    emulate: Emulate = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Say what a workload would take on each target: batches, bytes, tokens, cost, time. Sends no request and needs no key."""
    from batchmark.cli import estimating

    return estimating.estimate(
        input,
        on or [],
        requests=requests,
        exact_sample=exact_sample,
        seed=seed,
        prompt=prompt,
        system=system,
        max_tokens=max_tokens,
        shard_rows=shard_rows,
        emulate=emulate,
        json=json,
        quiet=quiet,
    )
