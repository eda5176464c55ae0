"""The small tables beside the figures: the chance of being done in time, the pairs of targets, and turnaround by hour or size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from batchmark.compare.analysis import Band, Breakdown, TargetAnalysis
from batchmark.compare.analysis import Group as Part
from batchmark.compare.difference import Difference
from batchmark.compare.intervals import MIN_FINISHED
from batchmark.compare.power import PowerHint
from batchmark.compare.scoring import Agreement
from batchmark.compare.survival import Curve, done_by
from batchmark.domain.target import Target
from batchmark.report.content import Report
from batchmark.report.table import marked_targets
from batchmark.report.verdicts import interval_text, p_text, share_text
from batchmark.report.words import count, number, percent, round_time

__all__ = [
    "Grid",
    "breakdown_grids",
    "chances",
    "chances_grid",
    "hint_cell",
    "p_cell",
    "pairs_grid",
    "ratio_cell",
]

_MOST_TIMES = 6
_FEWEST_TIMES = 4
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_COARSE = (
    *(1, 2, 5, 10, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 30)),
    *(_HOUR * n for n in (1, 2, 4, 8, 12, 24, 48, 96)),
    *(_DAY * n for n in (8, 16, 32, 64)),
)
_FINE = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8),
    *(1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 35, 40, 45, 50),
    *(_MINUTE * n for n in (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 45, 50)),
    *(_HOUR * n for n in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 30, 36, 48, 60, 72, 96)),
    *(_DAY * n for n in (5, 6, 8, 10, 12, 16, 24, 32, 64)),
)
_NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A titled table: the first column names the rows. `note` says how to read it."""

    title: str
    note: str | None
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def chances_grid(report: Report) -> Grid | None:
    """P(done by t) of every target at a handful of round times. None where every target has too few jobs for a share to say anything."""
    analyses = report.analysis.targets
    times = chances([each for each in analyses if each.jobs >= MIN_FINISHED[0.5]])
    if not times:
        return None
    banded = any(each.band is not None for each in analyses)
    marked = marked_targets(report)
    note = "share of the n jobs in the curve that are done so long after they were accepted (provider's clock)"
    if banded:
        note += ", with 95 % intervals"
    if any(cell == _NOTHING for each in analyses for cell in _chance_cells(each, times)):
        note += f"; {_NOTHING} beyond the last observation, or with fewer than {MIN_FINISHED[0.5]} jobs"
    return Grid(
        title="Done within",
        note=note,
        columns=("", "n", *(round_time(at) for at in times)),
        rows=tuple(
            (
                f"{each.target}{' (emulated)' if each.target in marked else ''}",
                count(each.jobs),
                *_chance_cells(each, times),
            )
            for each in analyses
        ),
    )


def chances(analyses: Sequence[TargetAnalysis]) -> tuple[float, ...]:
    """Round times at which the curves say the most: from where the first jobs are done to where the last ones are, six at most."""
    curves = [each.curve for each in analyses if each.curve.events]
    if not curves:
        return ()
    first = min(float(curve.times_s[np.searchsorted(curve.done, min(0.1, curve.done[-1]))]) for curve in curves)
    last = max(float(curve.times_s[-1]) for curve in curves)
    coarse = _between(_COARSE, first, last)
    return coarse if len(coarse) >= _FEWEST_TIMES else _between(_FINE, first, last)


def _between(ladder: Sequence[float], first: float, last: float) -> tuple[float, ...]:
    low = max((place for place, at in enumerate(ladder) if at <= first), default=0)
    high = next((place for place, at in enumerate(ladder) if at >= last), len(ladder) - 1)
    places = np.unique(np.linspace(low, max(low, high), _MOST_TIMES).round().astype(int))
    return tuple(float(ladder[place]) for place in places)


def _chance_cells(each: TargetAnalysis, times: Sequence[float]) -> list[str]:
    return [_chance(each.curve, each.band, at) for at in times]


def _chance(curve: Curve, band: Band | None, at_s: float) -> str:
    value = done_by(curve, at_s)
    if curve.jobs < MIN_FINISHED[0.5] or (at_s > curve.last_s and value < 1):
        return _NOTHING
    text = percent(value, decimals=0)
    place = -1 if band is None else int(np.searchsorted(band.times_s, at_s, side="right")) - 1
    if band is None or place < 0:
        return text
    # where the band is known at some of the curve's steps only, the next one bounds it from above
    above = place if len(band.times_s) == len(curve.times_s) else min(place + 1, len(band.times_s) - 1)
    low, high = f"{100 * float(band.low[place]):.0f}", f"{100 * float(band.high[above]):.0f}"
    return text if low == high else f"{text} [{low}–{high}]"


def pairs_grid(report: Report) -> Grid | None:
    """Every pair of targets: by how much they differ, whether that may be chance, and how far their answers agree."""
    differences = report.analysis.differences
    agreements = {frozenset((each.left, each.right)): each for each in report.scores.agreements}
    hints = {frozenset((each.left, each.right)): each for each in report.analysis.hints}
    columns = {
        "ratio of medians": [ratio_cell(each) or _NOTHING for each in differences],
        "p": [p_cell(each.p_adjusted) or _NOTHING for each in differences],
        "more rounds": [hint_cell(each, hints.get(_pair(each)), none="0") or _NOTHING for each in differences],
        "same answer": [_agreement_text(agreements.get(_pair(each))) for each in differences],
    }
    said = {name: cells for name, cells in columns.items() if any(cell != _NOTHING for cell in cells)}
    if not said:
        return None
    notes = []
    if "ratio of medians" in said:
        notes.append("turnaround of the first over that of the second, so below 1 the first is faster")
    if "p" in said:
        pairs = len(differences)
        notes.append("p: the chance of such a difference between equals" + (", after Holm" if pairs > 1 else ""))
    if "more rounds" in said and hints:
        notes.append(f"more rounds: how many would tell a difference of {next(iter(hints.values())).factor:g} times")
    if "same answer" in said:
        notes.append("same answer: of the rows that both answered")
    return Grid(
        title="Pairs",
        note="; ".join(notes) or None,
        columns=("", *said),
        rows=tuple(
            (f"{each.left} / {each.right}", *(cells[place] for cells in said.values()))
            for place, each in enumerate(differences)
        ),
    )


def _pair(each: Difference) -> frozenset[Target]:
    return frozenset((each.left, each.right))


def ratio_cell(each: Difference) -> str | None:
    """The ratio of medians with its interval; None where nothing is known of it."""
    ratio = each.ratio
    if ratio is None or (ratio.value is None and ratio.low is None and ratio.high is None):
        return None
    bounds = interval_text(*(None if bound is None else number(bound) for bound in (ratio.low, ratio.high)))
    return f"{'not known' if ratio.value is None else number(ratio.value)}{bounds}"


def p_cell(value: float | None) -> str | None:
    """A p-value without its letter; None where nothing was tested."""
    return None if value is None else p_text(value).removeprefix("p ").removeprefix("= ")


def hint_cell(each: Difference, hint: PowerHint | None, *, none: str) -> str | None:
    """How many rounds more would tell (`none`: the word for no more); None where the pair is told apart or nothing is known."""
    if each.significant or hint is None:
        return None
    if hint.more is None:
        return "more than anybody sends"
    return f"about {count(hint.more)}" if hint.more else none


def _agreement_text(each: Agreement | None) -> str:
    return _NOTHING if each is None else share_text(each.share)


def breakdown_grids(report: Report) -> tuple[Grid, ...]:
    """Median turnaround by hour, weekday and size, where at least one part has enough finished jobs for a median."""
    grids = (_breakdown_grid(each, report.targets) for each in report.analysis.breakdowns)
    return tuple(grid for grid in grids if grid is not None)


def _breakdown_grid(breakdown: Breakdown, targets: Sequence[Target]) -> Grid | None:
    medians = [group.median.value_s for _, groups in breakdown.parts for group in groups]
    known = [value for value in medians if value is not None]
    if not known:
        return None
    size, unit = _unit(median(known))
    by = "requests per job" if breakdown.by == "size" else f"{breakdown.by} of submission (UTC)"
    return Grid(
        title=f"Median turnaround in {unit}, by {by}",
        note="with 95 % interval and the number of finished jobs; fewer than six give no median",
        columns=("", *map(str, targets)),
        rows=tuple(
            (name, *(_part_cell(groups, target, size) for target in targets)) for name, groups in breakdown.parts
        ),
    )


def _unit(seconds: float) -> tuple[float, str]:
    """One unit for a whole table, so that its cells are short and can be compared at a glance."""
    if seconds < 2 * _MINUTE:
        return 1.0, "seconds"
    return (_MINUTE, "minutes") if seconds < 2 * _HOUR else (_HOUR, "hours")


def _part_cell(groups: Sequence[Part], target: Target, size: float) -> str:
    group = next((each for each in groups if each.target == target), None)
    if group is None:
        return _NOTHING
    n = f"n={count(group.finished)}" + ("" if group.finished == group.jobs else f" of {count(group.jobs)}")
    found = group.median
    if found.finished < found.needed:
        return f"({n})"
    low, high = (None if bound is None else number(bound / size) for bound in (found.low_s, found.high_s))
    value = "not reached" if found.value_s is None else number(found.value_s / size)
    bounds = f" [{low or '0'}–{high}]" if high is not None else interval_text(low, None)
    return f"{value}{bounds} ({n})"
