"""A comparison for a terminal: what may be concluded first, then the figures, one column per target, wrapped to the width at hand.

Texts of providers and models are foreign: they are shown as text, never read as markup or as commands to the terminal.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from batchmark.report.content import AnswerCell, Report, SampleRow
from batchmark.report.grids import Grid, breakdown_grids, chances_grid, pairs_grid
from batchmark.report.sections import errors, problems
from batchmark.report.statements import METHOD_HINT, conclusion, emulation_notice, facts, kept_out_text
from batchmark.report.table import comparison
from batchmark.report.terminal_tables import Say, chunks, figures_table, grid_tables
from batchmark.report.verdicts import grouped, sayings
from batchmark.report.words import ascii_safe, clip, count, visible

__all__ = ["render_terminal"]

_TARGET_WIDTH = 28
_QUESTION_WIDTH = 15
_LEAST_WIDTH = 40
_MOST_TARGETS_WITH_EVIDENCE = 3
_MOST_PROBLEMS = 10
_MOST_ERRORS = 12
_PROMPT_LIMIT = 240
_ANSWER_LIMIT = 300
_ERROR_LIMIT = 300


def render_terminal(
    report: Report,
    *,
    width: int,
    color: bool,
    ascii_only: bool = False,
    max_samples: int = 5,
    evidence: bool | None = None,
) -> str:
    """The report as text of at most `width` columns (40 at least).

    `color` adds emphasis and never meaning. `ascii_only` is for streams whose encoding has no lines or letters beyond ASCII.
    `max_samples` rows of answers are shown; how many are left out is said. `evidence` shows the figures behind each verdict; by default
    where there are few enough targets to read them all.
    """

    def say(text: str) -> str:
        return ascii_safe(visible(text)) if ascii_only else visible(text)

    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width, _LEAST_WIDTH),
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        force_interactive=False,
        force_jupyter=False,
    )
    if evidence is None:
        evidence = len(report.summaries) <= _MOST_TARGETS_WITH_EVIDENCE
    sections = [
        _heading(report, say),
        *_before_the_figures(report, say),
        _verdicts(report, say, evidence=evidence),
        _grid(chances_grid(report), say, console.width, ascii_only),
        *_figures(report, say, console.width, ascii_only),
        _grid(pairs_grid(report), say, console.width, ascii_only),
        _kept_out(report, say),
        *(_grid(grid, say, console.width, ascii_only) for grid in breakdown_grids(report)),
        _problems(report, say),
        _errors(report, say),
        _answers(report, say, max_samples),
    ]
    for section in sections:
        if section is not None:
            console.print(section)
            console.print()
    console.print(Text(say(METHOD_HINT), style="dim"))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _heading(report: Report, say: Say) -> RenderableType:
    return Group(Text(say(report.title), style="bold"), *(Text(say(line), style="dim") for line in facts(report)))


def _before_the_figures(report: Report, say: Say) -> list[RenderableType]:
    """What has to be read first: that figures are emulated, then the caveats."""
    parts: list[RenderableType] = []
    notice = emulation_notice(report)
    if notice is not None:
        parts.append(Group(Text("EMULATED", style="bold yellow"), _indented(say(notice))))
    if report.caveats:
        points = _points([say(caveat) for caveat in report.caveats])
        parts.append(Group(Text("Before you read the figures", style="bold yellow"), Padding(points, (0, 0, 0, 2))))
    return parts


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 2))


def _points(texts: Sequence[str], *, style: str = "") -> Table:
    points = Table.grid(padding=(0, 1, 0, 0))
    points.add_column(width=1)
    points.add_column(overflow="fold")
    for text in texts:
        points.add_row("-", Text(text, style=style))
    return points


def _verdicts(report: Report, say: Say, *, evidence: bool) -> RenderableType:
    """The conclusion, then the answer to each question with the figures behind it."""
    parts: list[RenderableType] = [
        Text("What may be concluded", style="bold"),
        _indented(say(conclusion(report))),
    ]
    found = grouped(sayings(report))
    if found:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=_QUESTION_WIDTH, overflow="fold")
        table.add_column(ratio=1, overflow="fold")
        for label, each in found:
            answer: list[RenderableType] = [Text(say(each.headline), style="bold" if each.conclusive else "")]
            if evidence and each.evidence:
                answer.append(_points([say(line) for line in each.evidence], style="dim"))
            table.add_row(Text(label), Group(*answer))
        parts += [Text(""), Padding(table, (0, 0, 0, 2))]
    return Group(*parts)


def _figures(report: Report, say: Say, width: int, ascii_only: bool) -> list[RenderableType]:
    groups = comparison(report)
    return [
        figures_table(report, groups, shown, say, width=width, ascii_only=ascii_only)
        for shown in chunks(report.summaries, width)
    ]


def _grid(grid: Grid | None, say: Say, width: int, ascii_only: bool) -> RenderableType | None:
    if grid is None:
        return None
    parts: list[RenderableType] = [Text(say(grid.title), style="bold")]
    if grid.note:
        parts.append(Text(say(grid.note), style="dim"))
    for table in grid_tables(grid, say, width=width, ascii_only=ascii_only):
        parts += [Text(""), table]
    return Group(*parts)


def _kept_out(report: Report, say: Say) -> RenderableType | None:
    if not report.kept_out:
        return None
    points = _points([say(kept_out_text(each)) for each in report.kept_out])
    return Group(Text("Records in no figure", style="bold"), Padding(points, (0, 0, 0, 2)))


def _problems(report: Report, say: Say) -> RenderableType | None:
    """What went wrong with whole jobs, in the words that were recorded."""
    texts = problems(report, _ERROR_LIMIT)
    if not texts:
        return None
    more = [f"and {count(len(texts) - _MOST_PROBLEMS)} more"] if len(texts) > _MOST_PROBLEMS else []
    parts = [_indented(say(text)) for text in (*texts[:_MOST_PROBLEMS], *more)]
    return Group(Text("Jobs with a problem", style="bold"), *parts)


def _errors(report: Report, say: Say) -> RenderableType | None:
    """Failed requests by target and code, each with the message of the first."""
    found = errors(report)
    if not found:
        return None
    parts: list[RenderableType] = [Text("Errors", style="bold")]
    for each in found[:_MOST_ERRORS]:
        again = "asking again may help" if each.group.retryable else "asking again will not help"
        parts.append(_indented(say(f"{each.target}: {count(each.group.count)} × {each.code} ({again})")))
        parts.append(Padding(Text(say(clip(each.group.message, _ERROR_LIMIT)), style="dim"), (0, 0, 0, 4)))
    if len(found) > _MOST_ERRORS:
        parts.append(_indented(f"and {count(len(found) - _MOST_ERRORS)} kinds more"))
    return Group(*parts)


def _answers(report: Report, say: Say, limit: int) -> RenderableType | None:
    if not report.samples or limit <= 0:
        return None
    shown = report.samples[:limit]
    more = len(report.samples) - len(shown)
    title = "Answers of the first round" + (f", {len(shown)} of {count(len(report.samples))} rows" if more else "")
    parts: list[RenderableType] = [Text(say(title), style="bold")]
    for place, sample in enumerate(shown):
        below = 1 if place < len(shown) - 1 else 0
        parts.append(Padding(_question(sample, say), (0, 0, 0, 2)))
        parts.append(Padding(_answer_table(sample, say), (0, 0, below, 4)))
    return Group(*parts)


def _question(sample: SampleRow, say: Say) -> Text:
    name = f"row {sample.row}" + (f", {sample.custom_id}" if sample.custom_id else "")
    text = Text(say(f"{name}: "), style="dim").append(Text(say(clip(sample.prompt, _PROMPT_LIMIT)), style="not dim"))
    if sample.expected is not None:
        text.append(say(f"\nexpected: {clip(sample.expected, _PROMPT_LIMIT)}"))
    return text


def _answer_table(sample: SampleRow, say: Say) -> Table:
    table = Table(box=None, show_header=False, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    widest = max((cell_len(say(str(cell.target))) for cell in sample.answers), default=0)
    table.add_column(width=min(widest, _TARGET_WIDTH), overflow="fold")
    marks = [_mark(cell) for cell in sample.answers]
    if any(mark for mark, _ in marks):
        table.add_column(width=max(len(mark) for mark, _ in marks))
    table.add_column(ratio=1, overflow="fold")
    for cell, (mark, style) in zip(sample.answers, marks, strict=True):
        middle = [Text(mark, style=style)] if len(table.columns) > 2 else []
        table.add_row(Text(say(str(cell.target))), *middle, Text(say(_answer_text(cell))))
    return table


def _mark(cell: AnswerCell) -> tuple[str, str]:
    """A word for how the answer stands: its outcome where there is none, else whether it is as expected."""
    if cell.outcome != "succeeded":
        return cell.outcome, "red"
    if cell.matches is None:
        return "", ""
    return ("matches", "green") if cell.matches else ("differs", "yellow")


def _answer_text(cell: AnswerCell) -> str:
    if cell.text is not None:
        return clip(cell.text, _ANSWER_LIMIT) or "(empty)"
    return clip(cell.error, _ERROR_LIMIT) if cell.error else "no answer"
