"""Where a report goes: a page, the raw values, Markdown, and the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from batchmark.api.scoring import DEFAULT_EXPECT, Expect
from batchmark.cli.output import Output
from batchmark.compare.scoring import parse_match
from batchmark.errors import BadInput
from batchmark.ledger.artifacts import ensure_writable, whole_file
from batchmark.report.content import Report
from batchmark.report.html import render_html
from batchmark.report.json import render_json, to_dict
from batchmark.report.markdown import render_markdown
from batchmark.report.terminal import render_terminal

__all__ = ["Places", "expect_of", "leave", "parse_span"]

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The files that a report is written to."""

    html: Path
    json: Path
    markdown: Path | None = None

    def ensure_writable(self) -> None:
        """Raise BadInput now rather than after a day of waiting."""
        for path in (self.html, self.json, self.markdown):
            if path is not None:
                ensure_writable(path, replace=True)


def leave(out: Output, report: Report, places: Places) -> None:
    """Write the report's files, each whole or not at all, and print it."""
    with whole_file(places.html) as file:
        file.write(render_html(report).encode())
    with whole_file(places.json) as file:
        file.write(render_json(report).encode())
    if places.markdown is not None:
        with whole_file(places.markdown) as file:
            file.write(render_markdown(report).encode())
    if out.json:
        out.document(to_dict(report))
    else:
        width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        out.line(render_terminal(report, width=width, color=color).rstrip("\n"))
    out.note(f"report: {places.html.absolute()}")
    out.note(f"raw values: {places.json.absolute()}")
    if places.markdown is not None:
        out.note(f"Markdown: {places.markdown.absolute()}")


def parse_span(text: str, option: str) -> float:
    """Seconds from a length of time as users write it: 24h, 90m, 45s, 2d, or a plain number of seconds. Raises BadInput."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?", text.strip())
    if found is None:
        raise BadInput(f"{option} {text!r} is no length of time", hint="write for example 24h, 90m or 2d")
    return float(found[1]) * _UNITS[found[2] or "s"]


def expect_of(field: str | None, match: str | None) -> Expect | None:
    """What the user says about expected answers; None where nothing is said. Raises BadInput for an unknown way of matching."""
    if field is None and match is None:
        return None
    if match is not None:
        parse_match(match)
    return Expect(field=field or DEFAULT_EXPECT.field, match=match or DEFAULT_EXPECT.match)
