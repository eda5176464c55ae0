"""The object that users hold: a report that knows how to show itself, in a notebook, in a terminal and as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from batchmark.errors import BadInput
from batchmark.ledger.artifacts import ensure_writable, whole_file
from batchmark.report.content import Report
from batchmark.report.html import environment, render_html
from batchmark.report.json import render_json, to_dict
from batchmark.report.markdown import render_markdown
from batchmark.report.statements import conclusion, emulation_notice
from batchmark.report.table import comparison
from batchmark.report.terminal import render_terminal
from batchmark.report.verdicts import grouped, sayings
from batchmark.report.words import plural, visible

__all__ = ["Comparison"]

_TEXT_WIDTH = 120


class Comparison:
    """A comparison of targets, or the figures of one. `report` holds every value; the methods give it a form."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in the shape of `comparison.json`."""
        return to_dict(self.report)

    def to_json(self) -> str:
        """The same as JSON text."""
        return render_json(self.report)

    def to_html(self) -> str:
        """A whole page in one file that needs no network."""
        return render_html(self.report)

    def to_markdown(self) -> str:
        """GitHub-flavoured Markdown."""
        return render_markdown(self.report)

    def to_terminal(self, *, width: int = _TEXT_WIDTH, color: bool = False) -> str:
        """Lines for a terminal of some width."""
        return render_terminal(self.report, width=width, color=color)

    def save(self, path: str | Path) -> Path:
        """Write it as the suffix says: .html, .md, .json or .txt. The file is there whole or not at all.

        Raises BadInput for another suffix or a place that cannot be written to, and LocalTrouble where the disk refuses.
        """
        place = Path(path)
        forms: dict[str, Callable[[], str]] = {
            ".html": self.to_html,
            ".md": self.to_markdown,
            ".json": self.to_json,
            ".txt": self.to_terminal,
        }
        form = forms.get(place.suffix.lower())
        if form is None:
            raise BadInput(
                f"no form of a comparison is called {place.name!r}", hint=f"end the name with {', '.join(forms)}"
            )
        ensure_writable(place, replace=True)
        with whole_file(place) as file:
            file.write(form().encode())
        return place

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdicts and the figures, styled within its own elements, without a script."""
        report = self.report
        return (
            environment()
            .get_template("notebook.html.j2")
            .render(
                report=report,
                notice=emulation_notice(report),
                conclusion=conclusion(report),
                verdicts=grouped(sayings(report)),
                groups=comparison(report),
            )
        )

    def __repr__(self) -> str:
        jobs = plural(len(self.report.jobs), "job")
        return f"<Comparison {visible(self.report.title)}: {jobs}, {plural(self.report.rounds, 'round')}>"
