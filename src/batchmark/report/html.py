"""A comparison for a browser: one file that needs no network, no script and no server, and can be shown to a customer.

Prompts, answers and error messages are foreign text: everything is escaped, what could steer a page is spelled out, and the page's own
policy forbids scripts and every kind of loading, so even a hole in the escaping would reach nobody.
"""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from batchmark.report.content import Report
from batchmark.report.json import render_json
from batchmark.report.picture import outcome_parts, timeline
from batchmark.report.statements import METHOD, conclusion, emulation_notice
from batchmark.report.table import comparison, emulated_targets, requests_of
from batchmark.report.words import count, duration, moment, money, plural, share, state_words, visible

__all__ = ["render_html"]

# As many rows of answers stand open; the others are folded away but in the page.
_OPEN_SAMPLES = 8


def render_html(report: Report) -> str:
    """The report as one self-contained HTML document."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        notice=emulation_notice(report),
        conclusion=conclusion(report),
        emulated=emulated_targets(report),
        groups=comparison(report),
        timeline=timeline(report.jobs),
        outcomes=[
            (summary, given, outcome_parts(summary, given))
            for summary in report.summaries
            for given in (requests_of(report, summary),)
        ],
        errors=_errors(report),
        method=METHOD,
        open_samples=_OPEN_SAMPLES,
        data=_embedded(render_json(report)),
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("batchmark.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        count=count,
        duration=duration,
        money=money,
        moment=moment,
        plural=plural,
        state_words=state_words,
        percent=lambda value: f"{value:.3f}%",
    )
    environment.globals.update(share=share)
    return environment


def _shown(value: object) -> object:
    """Every text on its way into the page, before it is escaped; our own markup passes as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _errors(report: Report) -> list[dict[str, object]]:
    """Failed requests of every target by code, the most frequent first."""
    return [
        {"target": summary.target, "code": code, "group": group}
        for summary in report.summaries
        for code, group in sorted(summary.totals.errors.items(), key=lambda item: (-item[1].count, item[0]))
    ]


def _embedded(text: str) -> Markup:
    """JSON that no text inside it can end early: the letters that HTML would act on are written as JSON escapes."""
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
