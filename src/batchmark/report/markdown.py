"""A comparison as GitHub-flavoured Markdown: fits a comment on a pull request, and reads well as a plain file too.

Texts of providers and models are foreign: whatever Markdown, HTML or GitHub would act on is written as a character reference, which none
of them does, and names after an at sign stay names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from batchmark.report.content import AnswerCell, Report, SampleRow
from batchmark.report.grids import Grid, breakdown_grids, chances_grid, pairs_grid
from batchmark.report.sections import errors, problems
from batchmark.report.statements import METHOD, conclusion, emulation_notice, facts, kept_out_text
from batchmark.report.table import comparison, emulated_targets
from batchmark.report.verdicts import grouped, sayings
from batchmark.report.words import clip, count, visible

__all__ = ["render_markdown"]

_MOST_COLUMNS = 8
_MOST_SAMPLES = 10
_MOST_LINES = 12
_PROMPT_LIMIT = 240
_ANSWER_LIMIT = 300
_ERROR_LIMIT = 300
# GitHub takes comments of 65,536 characters; samples that would not fit are counted instead
_ROOM = 60_000
_NO_ROOM = "They do not fit here; they are in the HTML page and the JSON file."
# What Markdown or HTML would act on within a line, and what GitHub would make a mention, a reference or a link of.
_ACTIVE = re.compile(
    r"(?P<special>[&<>`*~|\\]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[\[(])"
    r"|(?P<linked>@|#(?=\d)|(?:https?|ftp):(?=//)|www(?=\.)|GH(?=-\d))",
    re.IGNORECASE,
)
# What would begin a heading, a list, a rule or the definition of a link at the start of a line.
_BEGINNING = re.compile(r"^(?:[#+=\[-]|\d+[.)](?= |$))")


def render_markdown(report: Report) -> str:
    """The report as Markdown, ending in a newline."""
    before = [
        _heading(report),
        *_before_the_figures(report),
        _verdicts(report),
        _grid(chances_grid(report)),
        *_figures(report),
        _grid(pairs_grid(report)),
        _list("Records in no figure", [kept_out_text(each) for each in report.kept_out]),
        *(_folded(grid) for grid in breakdown_grids(report)),
        _list("Jobs with a problem", problems(report, _ERROR_LIMIT)),
        _list("Errors", _errors(report)),
    ]
    method = _method()
    room = _ROOM - sum(map(len, before)) - len(method)
    return "\n\n".join(part for part in (*before, _answers(report, room), method) if part) + "\n"


def _inline(text: str) -> str:
    """Any text on one line, with nothing in it that Markdown, HTML or GitHub would act on."""
    return _ACTIVE.sub(_harmless, " ".join(visible(text).split()))


def _harmless(found: re.Match[str]) -> str:
    if found["linked"]:
        # an empty comment is not seen, and what it parts is no mention, reference or link
        return f"{found['linked']}<!-- -->"
    return _reference(found["special"])


def _reference(letter: str) -> str:
    return {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(letter, f"&#{ord(letter)};")


def _text(text: str) -> str:
    """The same for a text that a line begins with."""
    flat = " ".join(visible(text).split())
    begun = _BEGINNING.match(flat)
    if begun is None:
        return _inline(flat)
    return begun.group()[:-1] + _reference(begun.group()[-1]) + _inline(flat[begun.end() :])


def _code(text: str) -> str:
    """A foreign text as it is, with its line ends."""
    lines = [_inline(line).replace("$", "&#36;") for line in visible(text).strip("\n").split("\n")]
    return f"<code>{'<br>'.join(lines)}</code>"


def _heading(report: Report) -> str:
    return "\n".join([f"## {_text(report.title)}", "", "  \n".join(_text(line) for line in facts(report))])


def _before_the_figures(report: Report) -> list[str]:
    parts = []
    notice = emulation_notice(report)
    if notice is not None:
        parts.append(f"> **EMULATED** {_text(notice)}")
    if report.caveats:
        parts.append(_list("Before you read the figures", report.caveats))
    return parts


def _list(title: str, texts: Sequence[str]) -> str:
    """A list under its title, cut where it is long; nothing for an empty one."""
    if not texts:
        return ""
    lines = [f"- {_text(text)}" for text in texts[:_MOST_LINES]]
    if len(texts) > _MOST_LINES:
        lines.append(f"- and {count(len(texts) - _MOST_LINES)} more")
    return "\n".join([f"### {title}", "", *lines])


def _verdicts(report: Report) -> str:
    lines = ["### What may be concluded", "", _text(conclusion(report))]
    found = grouped(sayings(report))
    if found:
        lines.append("")
        lines += [f"- **{label}:** {_text(each.headline)}" for label, each in found]
    evidence = [(label, each.evidence) for label, each in found if each.evidence]
    if evidence:
        lines += ["", "<details><summary>The evidence</summary>", ""]
        for label, texts in evidence:
            shown = [f"  - {_text(text)}" for text in texts[:_MOST_LINES]]
            if len(texts) > _MOST_LINES:
                shown.append(f"  - and {count(len(texts) - _MOST_LINES)} more, in the JSON file")
            lines += [f"- {label}", *shown]
        lines += ["", "</details>"]
    return "\n".join(lines)


def _figures(report: Report) -> list[str]:
    groups = comparison(report)
    emulated = emulated_targets(report)
    places = range(len(report.summaries))
    tables = []
    for first in range(0, len(report.summaries), _MOST_COLUMNS):
        shown = places[first : first + _MOST_COLUMNS]
        names = [
            _inline(str(report.targets[place])) + ("<br>*emulated*" if report.targets[place] in emulated else "")
            for place in shown
        ]
        lines = [_row(["", *names]), _row(["---"] * (len(shown) + 1))]
        for group in groups:
            lines.append(_row([f"**{_inline(group.title)}**", *("" for _ in shown)]))
            for line in group.lines:
                label = _inline(line.label) + (f"<br><sub>{_inline(line.note)}</sub>" if line.note else "")
                lines.append(_row([label, *(_inline(line.cells[place]) for place in shown)]))
        tables.append("\n".join(lines))
    return [f"### Figures\n\n{tables[0]}", *tables[1:]] if tables else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _tables(grid: Grid) -> str:
    """A grid's columns behind that of its row names, eight to a table."""
    tables = []
    for first in range(1, len(grid.columns), _MOST_COLUMNS):
        shown = [0, *range(first, min(first + _MOST_COLUMNS, len(grid.columns)))]
        lines = [_row([_inline(grid.columns[n]) for n in shown]), _row(["---"] * len(shown))]
        lines += [_row([_inline(row[n]) for n in shown]) for row in grid.rows]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def _grid(grid: Grid | None) -> str:
    if grid is None:
        return ""
    note = f"{_inline(grid.note)}\n\n" if grid.note else ""
    return f"### {_inline(grid.title)}\n\n{note}{_tables(grid)}"


def _folded(grid: Grid) -> str:
    note = f"{_inline(grid.note)}\n\n" if grid.note else ""
    return f"<details><summary>{_inline(grid.title)}</summary>\n\n{note}{_tables(grid)}\n\n</details>"


def _errors(report: Report) -> list[str]:
    """Failed requests by target and code, each with the message of the first."""
    return [
        f"{each.target}: {count(each.group.count)} × {each.code} "
        f"(asking again {'may' if each.group.retryable else 'will not'} help): {clip(each.group.message, _ERROR_LIMIT)}"
        for each in errors(report)
    ]


def _answers(report: Report, room: int) -> str:
    """The first rows with every target's answer, as many as there is room for."""
    if not report.samples:
        return ""
    shown: list[str] = []
    for sample in report.samples[:_MOST_SAMPLES]:
        text = _sample(sample)
        room -= len(text) + 2
        if room < 0:
            break
        shown.append(text)
    left = len(report.samples) - len(shown)
    more = [f"{count(left)} rows more are in the HTML page and the JSON file." if shown else _NO_ROOM] if left else []
    return "\n\n".join(
        ["### Answers of the first round", "<details><summary>Show them</summary>", *shown, *more, "</details>"]
    )


def _sample(sample: SampleRow) -> str:
    name = f"row {sample.row}" + (f", {_code(sample.custom_id)}" if sample.custom_id else "")
    lines = [f"**{name}**: {_code(clip(sample.prompt, _PROMPT_LIMIT))}"]
    if sample.expected is not None:
        lines.append(f"<br>expected: {_code(clip(sample.expected, _PROMPT_LIMIT))}")
    lines += ["", *(f"- {_inline(str(cell.target))}{_mark(cell)}: {_answer(cell)}" for cell in sample.answers)]
    return "\n".join(lines)


def _mark(cell: AnswerCell) -> str:
    """A word for how the answer stands: its outcome where there is none, else whether it is as expected."""
    if cell.outcome != "succeeded":
        return f" ({_inline(cell.outcome)})"
    if cell.matches is None:
        return ""
    return " (matches)" if cell.matches else " (differs)"


def _answer(cell: AnswerCell) -> str:
    if cell.text is not None:
        return _code(clip(cell.text, _ANSWER_LIMIT)) if cell.text.strip() else "(empty)"
    return _code(clip(cell.error, _ERROR_LIMIT)) if cell.error else "no answer"


def _method() -> str:
    points = "\n".join(f"- **{title}**: {_text(text)}" for title, text in METHOD)
    return f"<details><summary>How it was measured</summary>\n\n{points}\n\n</details>"
