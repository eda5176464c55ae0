"""Tables laid out for the width of a terminal: cells break where they read well, and columns that do not fit follow below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from batchmark.compare.measures import TargetSummary
from batchmark.report.content import Report
from batchmark.report.grids import Grid
from batchmark.report.table import Group, Line, emulated_targets

__all__ = ["Say", "chunks", "figures_table", "grid_tables"]

Say = Callable[[str], str]

_LABEL_WIDTH = 20
_WIDE_LABEL_WIDTH = 24
_WIDE = 100
_LEAST_CELL_WIDTH = 17
_LEAST_NAME_WIDTH = 14
_SHORT_HEADING = 8
_GAP = 2
# where a cell that is too wide is broken, and whether the mark stays at the end of its line
_BREAKS = ((" [", False), (", ", True), (" to ", True), (" – ", True), (" (", False))


def _label_width(width: int) -> int:
    return _WIDE_LABEL_WIDTH if width >= _WIDE else _LABEL_WIDTH


def chunks(summaries: Sequence[TargetSummary], width: int) -> list[Sequence[TargetSummary]]:
    """As many targets side by side as fit legibly; the others follow in tables of their own, evenly filled."""
    if not summaries:
        return []
    fitting = max(1, (width - _label_width(width)) // (_LEAST_CELL_WIDTH + _GAP))
    tables = -(-len(summaries) // fitting)
    size = -(-len(summaries) // tables)
    return [summaries[start : start + size] for start in range(0, len(summaries), size)]


def figures_table(
    report: Report, groups: Sequence[Group], shown: Sequence[TargetSummary], say: Say, *, width: int, ascii_only: bool
) -> Table:
    """The comparison of some of the targets, one column each."""
    emulated = emulated_targets(report)
    cell_width = (width - _label_width(width)) // len(shown) - _GAP
    table = _table(ascii_only, expand=True)
    table.add_column("", width=_label_width(width), overflow="fold")
    names = [f"{say(each.target.provider)}:\n{_broken_name(say(each.target.model), cell_width)}" for each in shown]
    height = max((name.count("\n") for name in names), default=0)
    for summary, name in zip(shown, names, strict=True):
        heading = Text(name + "\n" * (height - name.count("\n")), overflow="fold")
        if emulated:
            heading.append("\nemulated" if summary.target in emulated else "\n", style="yellow")
        table.add_column(heading, ratio=1, overflow="fold")
    places = [report.summaries.index(summary) for summary in shown]
    for group in groups:
        table.add_row(Text(group.title, style="bold"), *("" for _ in places))
        for line in group.lines:
            table.add_row(_label(line, say), *(Text(say(_broken(line.cells[place], cell_width))) for place in places))
        table.add_section()
    return table


def _label(line: Line, say: Say) -> Text:
    label = Text(say(line.label))
    if line.note:
        label.append(f"\n{say(line.note)}", style="dim")
    return label


def grid_tables(grid: Grid, say: Say, *, width: int, ascii_only: bool) -> Iterator[Table]:
    """A grid as one table, or as several with some of its columns each."""
    rows = [[say(cell) for cell in row] for row in grid.rows]
    headings = [say(heading) for heading in grid.columns]
    name_width = max((cell_len(row[0]) for row in rows), default=0)
    widths = _widths(headings, rows)
    if name_width + sum(each + _GAP for each in widths) > width:
        broken = [[row[0], *(cell.replace(" [", "\n[") for cell in row[1:])] for row in rows]
        narrow = _widths(headings, broken)
        if _LEAST_NAME_WIDTH + sum(each + _GAP for each in narrow) <= width:
            rows, widths = broken, narrow
    for columns in _fitting(widths, width - min(name_width, _LEAST_NAME_WIDTH)):
        taken = sum(widths[n] + _GAP for n in columns)
        first = min(name_width, max(_LEAST_NAME_WIDTH, width - taken))
        table = _table(ascii_only, expand=False)
        table.add_column("", width=first, overflow="fold")
        for n in columns:
            table.add_column(_broken_name(headings[n + 1], widths[n]), overflow="fold")
        for row in rows:
            table.add_row(Text(_broken_name(row[0], first)), *(Text(row[n + 1]) for n in columns))
        yield table


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column but the first must be for its cells and for the longest piece of its heading that stays whole."""
    found = []
    for n in range(1, len(headings)):
        pieces = [headings[n]] if cell_len(headings[n]) <= _SHORT_HEADING else _pieces(headings[n])
        found.append(_widest([*pieces, *(row[n] for row in rows)]))
    return found


def _fitting(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Columns in groups that fit into the room; one that is wider than all of it is alone."""
    taken: list[int] = []
    for place, width in enumerate(widths):
        if taken and sum(widths[each] + _GAP for each in taken) + width + _GAP > room:
            yield taken
            taken = []
        taken.append(place)
    if taken:
        yield taken


def _table(ascii_only: bool, *, expand: bool) -> Table:
    return Table(
        box=box.ASCII2 if ascii_only else box.HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        expand=expand,
        header_style="bold",
        border_style="dim",
    )


def _widest(texts: Sequence[str]) -> int:
    return max((cell_len(line.rstrip()) for text in texts for line in text.split("\n")), default=0)


def _broken(cell: str, width: int) -> str:
    """A cell's text with line ends where it reads well: between its parts, and within a part that is too wide."""
    lines = cell.split("; ")
    lines = [line + ";" if place < len(lines) - 1 else line for place, line in enumerate(lines)]
    for mark, stays in _BREAKS:
        lines = [piece for line in lines for piece in _parted(line, mark, width, stays=stays)]
    return "\n".join(lines)


def _parted(line: str, mark: str, width: int, *, stays: bool) -> list[str]:
    """A line that is too wide, cut at the first mark; the mark's letter ends the first line or begins the second."""
    head, found, tail = line.partition(mark)
    if cell_len(line) <= width or not found or not head:
        return [line]
    return [head + mark.rstrip(), tail] if stays else [head, mark.lstrip() + tail]


def _pieces(name: str) -> list[str]:
    return re.split(r"(?<=[-/: ])", name)


def _broken_name(name: str, width: int) -> str:
    """A name on as many lines as it needs, broken behind spaces, colons, hyphens and slashes."""
    lines = [""]
    for piece in _pieces(name):
        if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > width:
            lines.append(piece)
        else:
            lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)
