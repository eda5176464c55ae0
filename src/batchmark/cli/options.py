"""Options that mean the same on every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "DataPath",
    "Emulate",
    "Expected",
    "Json",
    "MarkdownPath",
    "Match",
    "MaxTokens",
    "Prompt",
    "Quiet",
    "ReportPath",
    "ShardRows",
    "System",
]

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
Expected = Annotated[
    str | None,
    typer.Option(
        metavar="FIELD",
        help="The column that holds the expected answer. Default: `expected`, where there is one.",
        show_default=False,
    ),
]
Match = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="How an answer is matched: contains, exact, numeric, regex, or json:FIELD. Default: contains.",
        show_default=False,
    ),
]
ReportPath = Annotated[Path, typer.Option("--report", metavar="FILE", help="Where to write the HTML report.")]
DataPath = Annotated[Path, typer.Option("--data", metavar="FILE", help="Where to write all raw values as JSON.")]
MarkdownPath = Annotated[
    Path | None,
    typer.Option("--markdown", metavar="FILE", help="Where to write the report as Markdown too.", show_default=False),
]
