"""Options that mean the same on every command."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Emulate", "Json", "MaxTokens", "Prompt", "Quiet", "ShardRows", "System"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress, only data and errors.")]
Emulate = Annotated[
    bool,
    typer.Option(
        "--emulate", help="Use the embedded emulator: no network, no keys, no cost. Also BATCHMARK_EMULATE=1."
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE", help="The prompt, with columns of the file in braces: '{question}'.", show_default=False
    ),
]
System = Annotated[
    str | None, typer.Option(metavar="TEXT", help="The system message of rows that have none.", show_default=False)
]
MaxTokens = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="The longest answer of rows that set no limit.", show_default=False),
]
ShardRows = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="At most so many rows a batch. Default: the provider's limit.",
        show_default=False,
    ),
]
