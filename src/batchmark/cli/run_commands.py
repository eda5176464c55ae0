"""`batchmark run | runs | show | watch | resume | cancel | export | clean`: declarations only, so that `--help` stays quick."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import Emulate, Json, MaxTokens, Prompt, Quiet, ShardRows, System

__all__ = ["cancel", "clean", "export", "resume", "run", "runs", "show", "watch"]


class Stall(StrEnum):
    """What to do about a batch that is stuck."""

    warn = "warn"
    cancel_and_retry = "cancel-and-retry"
    stop = "stop"


RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, or of one of its jobs.")]
AnyRun = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="The id of a run. Default: the newest.", show_default=False)
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        min=0.0, metavar="USD", help="Refuse to send, or stop sending, where the run may cost more.", show_default=False
    ),
]
InFlight = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Batches under way at once. Default: as many as the provider takes.",
        show_default=False,
    ),
]


def run(
    input: Annotated[Path, typer.Argument(help="A file of rows: JSONL, CSV, or Parquet.", show_default=False)],
    on: Annotated[
        str, typer.Option("--on", metavar="TARGET", help="provider:model, or a provider for its default model.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to write the answers. Default: the run's own folder.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file once the new one is whole.")] = False,
    prompt: Prompt = None,
    system: System = None,
    max_tokens: MaxTokens = None,
    requests: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="So many rows; repeats the file where it holds fewer.", show_default=False
        ),
    ] = None,
    attempts: Annotated[
        int, typer.Option(min=1, max=9, help="How often a row is asked, where asking again may help.")
    ] = 3,
    shard_rows: ShardRows = None,
    in_flight: InFlight = None,
    max_cost: MaxCost = None,
    stall: Annotated[Stall, typer.Option(help="What to do about a batch that is stuck.")] = Stall.warn,
    keep_files: Annotated[
        bool, typer.Option("--keep-files", help="Leave uploaded input files on the account.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="See the run through, or return once its batches are sent.")
    ] = True,
    emulate: Emulate = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run a workload of any size on one target. Killed at any moment, `batchmark resume` goes on and buys nothing twice."""
    from batchmark.cli import running

    return running.run(
        input,
        on,
        output=output,
        force=force,
        prompt=prompt,
        system=system,
        max_tokens=max_tokens,
        requests=requests,
        attempts=attempts,
        shard_rows=shard_rows,
        in_flight=in_flight,
        max_cost=max_cost,
        stall=stall.value,
        keep_files=keep_files,
        wait=wait,
        emulate=emulate,
        json=json,
        quiet=quiet,
    )


def resume(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", help="The id of a run. Default: the newest that has not ended.", show_default=False
        ),
    ] = None,
    attempts: Annotated[
        int | None, typer.Option(min=1, max=9, help="How often a row is asked from now on.", show_default=False)
    ] = None,
    in_flight: InFlight = None,
    max_cost: MaxCost = None,
    stall: Annotated[
        Stall | None, typer.Option(help="What to do about a batch that is stuck.", show_default=False)
    ] = None,
    as_sent: Annotated[
        bool, typer.Option("--as-sent", help="Go on with the rows as they were, though the input file has changed.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="See the run through, or return once its batches are sent.")
    ] = True,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Go on with a run from wherever it was left: look for batches that may exist, send what is missing, collect the rest."""
    from batchmark.cli import running

    changes = {
        "attempts": attempts,
        "in_flight": in_flight,
        "max_cost_usd": max_cost,
        "stall": None if stall is None else stall.value,
    }
    return running.resume(run, changes, as_sent=as_sent, wait=wait, json=json, quiet=quiet)


def runs(
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    all_: Annotated[bool, typer.Option("--all", help="All runs there are.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List the runs, newest first."""
    from batchmark.cli import listing

    return listing.runs(limit=None if all_ else limit, json=json, quiet=quiet)


def show(run: AnyRun = None, json: Json = False, quiet: Quiet = False) -> int:
    """Show where a run stands, from what is known here; asks no provider."""
    from batchmark.cli import showing

    return showing.show(run, json=json, quiet=quiet)


def watch(run: AnyRun = None, json: Json = False, quiet: Quiet = False) -> int:
    """Follow a run that another process drives, until it has ended or nobody drives it any more."""
    from batchmark.cli import showing

    return showing.watch(run, json=json, quiet=quiet)


def cancel(run: RunId, json: Json = False, quiet: Quiet = False) -> int:
    """Stop a run: ask the provider to stop its batches, and send nothing more. What is finished is kept and paid for."""
    from batchmark.cli import running

    return running.cancel(run, json=json, quiet=quiet)


def export(
    run: RunId,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the answers.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file once the new one is whole.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write what there is of a run that has not ended.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write a run's answers to a file, from what is kept here."""
    from batchmark.cli import showing

    return showing.export(run, output, force=force, partial=partial, json=json, quiet=quiet)


def clean(
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="These runs. Default: all that have ended.", show_default=False),
    ] = None,
    older_than: Annotated[float, typer.Option(min=0.0, metavar="DAYS", help="Only runs that ended so long ago.")] = 0.0,
    local: Annotated[bool, typer.Option("--local", help="Here only; no provider is asked.")] = False,
    batches: Annotated[
        bool, typer.Option("--batches", help="Also delete the batches themselves from accounts whose API can.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete. Without it, only list.")] = False,
    emulate: Emulate = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List, and with --yes delete, what ended runs left behind: files here, uploaded inputs at the providers. Answers are kept."""
    from batchmark.cli import cleaning

    return cleaning.clean(
        run or [],
        older_than_days=older_than,
        local=local,
        batches=batches,
        yes=yes,
        emulate=emulate,
        json=json,
        quiet=quiet,
    )
