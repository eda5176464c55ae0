"""Options that mean the same on every command."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Emulate", "Json", "Quiet"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress, only data and errors.")]
Emulate = Annotated[
    bool,
    typer.Option(
        "--emulate", help="Use the embedded emulator: no network, no keys, no cost. Also BATCHMARK_EMULATE=1."
    ),
]
