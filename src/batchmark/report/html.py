"""A comparison for a browser: one file that needs no network and no server, and can be shown to a customer.

Prompts, answers and error messages are foreign text: everything is escaped, what could steer a page is spelled out, and the page's own
policy lets run exactly the scripts that are written here, by their hashes, and forbids every kind of loading. Even a hole in the escaping
would run nothing and reach nobody.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from batchmark.report.columns import page_data
from batchmark.report.content import AnswerCell, Report, SampleRow
from batchmark.report.grids import chances_grid
from batchmark.report.marking import marked
from batchmark.report.picture import costs, outcomes, timeline
from batchmark.report.sections import agreements, breakdowns, curve_text, errors, fold, lanes_text, pairs, quantiles
from batchmark.report.statements import METHOD, conclusion, emulation_notice, kept_out_text
from batchmark.report.table import comparison, emulated_targets, marked_targets
from batchmark.report.verdicts import grouped, sayings, share_text
from batchmark.report.words import count, duration, moment, money, plural, state_words, visible

__all__ = ["environment", "render_html"]

# As many rows of answers stand open; the others are folded away but in the page.
_OPEN_SAMPLES = 8
# Above this size the page leaves out what `comparison.json` has too.
_MOST_BYTES = 980_000
_SCRIPTS = ("data", "words", "chart", "curves", "points", "hours", "explorer", "page")
# A target is told by its marker and dashes too, never by its colour alone: one (marker, dashes) for each of the colours in report.css.
_MARKS = (
    ("M0-4A4 4 0 1 0 0 4A4 4 0 1 0 0-4Z", ""),
    ("M-3.6-3.6H3.6V3.6H-3.6Z", "7 3"),
    ("M0-4.8L4.6 3.4H-4.6Z", "2 3"),
    ("M0-5L5 0L0 5L-5 0Z", "10 3 2 3"),
    ("M0 4.8L4.6-3.4H-4.6Z", "14 4"),
    ("M-1.6-4.6H1.6V-1.6H4.6V1.6H1.6V4.6H-1.6V1.6H-4.6V-1.6H-1.6Z", "5 2 2 2 2 2"),
    ("M0-5L1.6-1.6L5 0L1.6 1.6L0 5L-1.6 1.6L-5 0L-1.6-1.6Z", "4 4"),
    ("M-2.4-4.4H2.4L4.8 0L2.4 4.4H-2.4L-4.8 0Z", "1 2"),
)


def render_html(report: Report) -> str:
    """The report as one self-contained HTML document."""
    values = _values(report)
    data = page_data(report)
    text = _rendered(values, data)
    if (over := len(text.encode()) - _MOST_BYTES) > 0:
        text = _rendered(values, page_data(report, save_bytes=over))
    return text


def _rendered(values: Mapping[str, Any], data: dict[str, Any]) -> str:
    template = environment().get_template("report.html.j2")
    return template.render(values, left_out=data["left_out"], data=_embedded(data))


def _values(report: Report) -> dict[str, Any]:
    scripts = _scripts()
    emulated = emulated_targets(report)
    return {
        "report": report,
        "notice": emulation_notice(report),
        "conclusion": conclusion(report),
        "verdicts": grouped(sayings(report)),
        "emulated": emulated,
        # where some are real, the emulated ones are marked in every legend too
        "mixed": marked_targets(report),
        "groups": comparison(report),
        "keys": _keys(report),
        "no_curve": curve_text(report),
        "chances": chances_grid(report),
        "no_lanes": lanes_text(report),
        "quantiles": quantiles(report),
        "timeline": timeline(report),
        "costs": costs(report),
        "outcomes": outcomes(report),
        "errors": errors(report),
        "agreements": agreements(report),
        "breakdowns": breakdowns(report),
        "hour_p90": any(
            group.p90.value_s is not None
            for each in report.analysis.breakdowns
            if each.by == "hour"
            for _, groups in each.parts
            for group in groups
        ),
        "pairs": pairs(report),
        "method": METHOD,
        "open_samples": _OPEN_SAMPLES,
        "scripts": [Markup(script) for script in scripts],
        "script_hashes": " ".join(_hash(script) for script in scripts),
        "chart_style": Markup(_asset("uplot/uPlot.min.css")),
    }


@lru_cache(maxsize=1)
def environment() -> Environment:
    """What renders the page and the notebook's fragment: escapes everything, and spells out what would steer a page."""
    found = Environment(
        loader=PackageLoader("batchmark.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters.update(
        count=count,
        duration=duration,
        kept_out=kept_out_text,
        money=money,
        moment=moment,
        plural=plural,
        share=share_text,
        solid=_solid,
        state_words=state_words,
        percent=lambda value: f"{value:.2f}%",
    )
    found.globals.update(answer=_answer, fold=fold)
    return found


_UNIT = re.compile(r"(?<=\d) (?=(?:ms|s|min|h|days|%)(?:\W|$))")


def _solid(text: str) -> str:
    """A figure's words with its numbers and their units in one piece each."""
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


def _shown(value: object) -> object:
    """Every text on its way into the page, before it is escaped; our own markup passes as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _keys(report: Report) -> dict[Any, dict[str, Any]]:
    """For each target how it is drawn: the number of its colour, its marker and its dashes."""
    return {
        target: {"number": place % len(_MARKS) + 1, "marker": marker, "dashes": dashes}
        for place, target in enumerate(report.targets)
        for marker, dashes in (_MARKS[place % len(_MARKS)],)
    }


def _answer(row: SampleRow, cell: AnswerCell) -> Markup:
    """An answer with what differs from the expected one marked, or from the first target's where nothing is expected."""
    first = row.answers[0]
    against = row.expected if row.expected is not None else (first.text if cell is not first else None)
    return marked(cell.text or "", against)


@lru_cache(maxsize=1)
def _scripts() -> tuple[str, ...]:
    """The chart library, and our own files as one function, so that nothing leaks into the page's global names."""
    own = "\n".join(_asset(f"page/{name}.js") for name in _SCRIPTS)
    return (_asset("uplot/uPlot.iife.min.js"), f'(() => {{\n"use strict";\n{own}}})();\n')


def _asset(name: str) -> str:
    text = resources.files("batchmark.report").joinpath("assets", name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def _hash(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def _embedded(data: dict[str, Any]) -> Markup:
    """JSON that no text inside it can end early: the letters that HTML would act on are written as JSON escapes."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
