"""A comparison for a terminal: one column per target, then their answers under each other, wrapped to the width at hand.

Texts of providers and models are foreign: they are shown as text, never read as markup or as commands to the terminal.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from batchmark.compare.measures import TargetSummary
from batchmark.report.content import AnswerCell, Report, SampleRow
from batchmark.report.statements import conclusion, emulation_notice
from batchmark.report.table import Line, comparison, emulated_targets
from batchmark.report.words import ascii_safe, clip, count, moment, plural, visible

__all__ = ["render_terminal"]

_LABEL_WIDTH = 20
_LEAST_CELL_WIDTH = 17
_GAP = 2
_TARGET_WIDTH = 28
_LEAST_WIDTH = 40
_PROMPT_LIMIT = 240
_ANSWER_LIMIT = 300
_ERROR_LIMIT = 300

_Say = Callable[[str], str]


def render_terminal(report: Report, *, width: int, color: bool, ascii_only: bool = False, max_samples: int = 5) -> str:
    """The report as text of at most `width` columns (40 at least).

    `color` adds emphasis and never meaning. `ascii_only` is for streams whose encoding has no lines or letters beyond ASCII.
    `max_samples` rows of answers are shown; how many are left out is said.
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
    console.print(_heading(report, say))
    for part in _before_the_figures(report, say):
        console.print(part)
    for summaries in _chunks(report.summaries, console.width):
        console.print(_figures(report, summaries, say, width=console.width, ascii_only=ascii_only))
        console.print()
    for section in (_problems(report, say), _errors(report, say), _answers(report, say, max_samples)):
        if section is not None:
            console.print(section)
            console.print()
    console.print(Text("What may be concluded", style="bold"))
    console.print(_indented(say(conclusion(report))))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _heading(report: Report, say: _Say) -> RenderableType:
    sizes = f"{report.workload} · {plural(report.rows, 'request')} per job · {plural(report.rounds, 'round')}"
    return Group(
        Text(say(report.title), style="bold"),
        Text(say(sizes)),
        Text(say(f"run {report.run_id} · {moment(report.created_at)}"), style="dim"),
        Text(""),
    )


def _before_the_figures(report: Report, say: _Say) -> list[RenderableType]:
    """What has to be read first: that figures are emulated, then the caveats."""
    parts: list[RenderableType] = []
    notice = emulation_notice(report)
    if notice is not None:
        parts.append(Group(Text("EMULATED", style="bold yellow"), _indented(say(notice)), Text("")))
    if report.caveats:
        points = Table.grid(padding=(0, 1, 0, 0))
        for caveat in report.caveats:
            points.add_row("  -", Text(say(caveat)))
        parts.append(Group(Text("Before you read the figures", style="bold yellow"), points, Text("")))
    return parts


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 2))


def _chunks(summaries: Sequence[TargetSummary], width: int) -> list[Sequence[TargetSummary]]:
    """As many targets side by side as fit legibly; the others follow in tables of their own, evenly filled."""
    if not summaries:
        return []
    fitting = max(1, (width - _LABEL_WIDTH) // _LEAST_CELL_WIDTH)
    tables = -(-len(summaries) // fitting)
    size = -(-len(summaries) // tables)
    return [summaries[start : start + size] for start in range(0, len(summaries), size)]


def _figures(report: Report, shown: Sequence[TargetSummary], say: _Say, *, width: int, ascii_only: bool) -> Table:
    emulated = emulated_targets(report)
    cell_width = (width - _LABEL_WIDTH) // len(shown) - _GAP
    table = Table(
        box=box.ASCII2 if ascii_only else box.HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        expand=True,
        header_style="bold",
        border_style="dim",
    )
    table.add_column("", width=_LABEL_WIDTH, overflow="fold")
    for summary in shown:
        name = _broken_name(say(summary.target.model), cell_width)
        heading = Text(f"{say(summary.target.provider)}:\n{name}", overflow="fold")
        if summary.target in emulated:
            heading.append("\nemulated", style="yellow")
        table.add_column(heading, ratio=1, overflow="fold")
    places = [report.summaries.index(summary) for summary in shown]
    for group in comparison(report):
        for line in group.lines:
            table.add_row(_label(line, say), *(Text(say(_broken(line.cells[place], cell_width))) for place in places))
        table.add_section()
    return table


def _broken(cell: str, width: int) -> str:
    """A cell's text with line ends where it reads well: before the jobs without a figure, behind a median, within a long range."""
    lines = cell.split("; ")
    for mark in ("median ", " – "):
        lines = [piece for line in lines for piece in _parted(line, mark, width)]
    return "\n".join(lines)


def _parted(line: str, mark: str, width: int) -> list[str]:
    """A line that is too wide, cut behind its median or behind the dash of its range."""
    cut = ", " if mark == "median " else mark
    if len(line) <= width or mark not in line or cut not in line:
        return [line]
    head, _, tail = line.partition(cut)
    return [head + cut.rstrip(), tail]


def _broken_name(name: str, width: int) -> str:
    """A model's name on as many lines as it needs, broken behind its hyphens and slashes."""
    lines = [""]
    for piece in re.split(r"(?<=[-/])", name):
        if lines[-1] and cell_len(lines[-1] + piece) > width:
            lines.append(piece)
        else:
            lines[-1] += piece
    return "\n".join(lines)


def _label(line: Line, say: _Say) -> Text:
    label = Text(say(line.label))
    if line.note:
        label.append(f"\n{say(line.note)}", style="dim")
    return label


def _problems(report: Report, say: _Say) -> RenderableType | None:
    """What went wrong with whole jobs, in the words that were recorded."""
    parts = [
        _indented(say(f"job {each.job.id} on {each.job.target}: {clip(each.job.problem, _ERROR_LIMIT)}"))
        for each in report.jobs
        if each.job.problem
    ]
    return Group(Text("Jobs with a problem", style="bold"), *parts) if parts else None


def _errors(report: Report, say: _Say) -> RenderableType | None:
    """Failed requests by target and code, each with the message of the first."""
    parts: list[RenderableType] = []
    for summary in report.summaries:
        for code, group in sorted(summary.totals.errors.items(), key=lambda item: (-item[1].count, item[0])):
            again = "asking again may help" if group.retryable else "asking again will not help"
            parts.append(_indented(say(f"{summary.target}: {count(group.count)} × {code} ({again})")))
            parts.append(Padding(Text(say(clip(group.message, _ERROR_LIMIT)), style="dim"), (0, 0, 0, 4)))
    return Group(Text("Errors", style="bold"), *parts) if parts else None


def _answers(report: Report, say: _Say, limit: int) -> RenderableType | None:
    if not report.samples or limit <= 0:
        return None
    shown = report.samples[:limit]
    more = len(report.samples) - len(shown)
    title = "Answers of the first round" + (f", {len(shown)} of {count(len(report.samples))} rows" if more else "")
    parts: list[RenderableType] = [Text(say(title), style="bold")]
    for sample in shown:
        parts.extend((Padding(_question(sample, say), (0, 0, 0, 2)), Padding(_answer_table(sample, say), (0, 0, 1, 4))))
    return Group(*parts)


def _question(sample: SampleRow, say: _Say) -> Text:
    name = f"row {sample.row}" + (f", {sample.custom_id}" if sample.custom_id else "")
    text = Text(say(f"{name}: "), style="dim").append(Text(say(clip(sample.prompt, _PROMPT_LIMIT)), style="not dim"))
    if sample.expected is not None:
        text.append(say(f"\nexpected: {clip(sample.expected, _PROMPT_LIMIT)}"))
    return text


def _answer_table(sample: SampleRow, say: _Say) -> Table:
    table = Table(box=None, show_header=False, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    widest = max((cell_len(say(str(cell.target))) for cell in sample.answers), default=0)
    table.add_column(width=min(widest, _TARGET_WIDTH), overflow="fold")
    table.add_column(width=9)
    table.add_column(ratio=1, overflow="fold")
    for cell in sample.answers:
        mark, style = _mark(cell)
        table.add_row(Text(say(str(cell.target))), Text(mark, style=style), Text(say(_answer_text(cell))))
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
