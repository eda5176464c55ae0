"""The page's own tables: quantiles, pairs, breakdowns, errors and scores, each as words that can be read without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchmark.compare.analysis import Breakdown, TargetAnalysis
from batchmark.compare.analysis import Group as Part
from batchmark.compare.difference import Difference
from batchmark.domain.target import Target
from batchmark.domain.totals import ErrorGroup
from batchmark.report.content import Report
from batchmark.report.grids import Grid, hint_cell, p_cell, ratio_cell
from batchmark.report.verdicts import quantile_text, share_text
from batchmark.report.words import clip, count, duration, number, plural

__all__ = [
    "ErrorRow",
    "agreements",
    "breakdowns",
    "curve_text",
    "errors",
    "fold",
    "lanes_text",
    "pairs",
    "problems",
    "quantiles",
]

_NONE = "–"
_PAIRS_OPEN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """Failed requests of one target with one code."""

    target: Target
    code: str
    group: ErrorGroup


def fold(grid: Grid) -> bool:
    """Whether a table is so long that it starts folded away."""
    return len(grid.rows) > _PAIRS_OPEN


def curve_text(report: Report) -> str | None:
    """Why there is no curve to draw; None where there is."""
    analyses = report.analysis.targets
    finished = sum(each.finished for each in analyses)
    if not finished:
        return "No job finished with a time, so there is no curve to draw."
    if not _any_time(report):
        return "Every job was done in less time than the clock tells, so there is no curve to draw."
    if max(each.jobs for each in analyses) < 2:
        times = ", ".join(
            f"{each.target} after {duration(float(each.curve.times_s[0]))}" for each in analyses if each.finished
        )
        return f"One job of a target is a point, not a curve. Done: {times}."
    return None


def lanes_text(report: Report) -> str | None:
    """Why there are no points to draw; None where there are."""
    if sum(each.jobs for each in report.analysis.targets) < 2:
        return "A single point needs no picture: its figures stand in the tables."
    return None if _any_time(report) else "No job took a time that the clock tells."


def _any_time(report: Report) -> bool:
    """A logarithmic axis needs one time above zero; clocks of whole seconds may give none."""
    return any(each.curve.last_s > 0 for each in report.analysis.targets)


def quantiles(report: Report) -> Grid | None:
    """By when half, nine tenths and 99 of 100 jobs are done, as far as any target has enough jobs to say so."""
    names = {"Median": "median", "p90": "p90", "p99": "p99"}
    said = {
        name: field
        for name, field in names.items()
        if any(getattr(each, field).finished >= getattr(each, field).needed for each in report.analysis.targets)
    }
    if not said:
        return None
    return Grid(
        title="Turnaround of each target, by the provider's clock",
        note="with 95 % intervals from six rounds on; unfinished jobs count as not done up to when they were last seen",
        columns=("Target", "Jobs", *said),
        rows=tuple(
            (str(each.target), _jobs(each), *(quantile_text(getattr(each, field)) for field in said.values()))
            for each in report.analysis.targets
        ),
    )


def _jobs(each: TargetAnalysis) -> str:
    text = f"{count(each.finished)} of {count(each.jobs)} finished"
    if each.unfinished:
        text += f"; {', '.join(f'{count(n)} {state}' for state, n in each.unfinished.items())}"
    if each.left_out:
        text += f"; in no curve: {', '.join(f'{count(n)} {reason.value}' for reason, n in each.left_out.items())}"
    return text


def pairs(report: Report) -> Grid | None:
    """Every pair of targets by turnaround: how much they differ, whether it may be chance, and how many rounds more would tell."""
    differences = report.analysis.differences
    if not differences:
        return None
    hints = {frozenset((each.left, each.right)): each for each in report.analysis.hints}

    def more(each: Difference) -> str:
        return hint_cell(each, hints.get(frozenset((each.left, each.right))), none="none") or _NONE

    factor = number(report.analysis.hints[0].factor) if report.analysis.hints else None
    return Grid(
        title="Turnaround of every pair, compared within rounds",
        note="ratio of medians, first over second, with its 95 % interval: below 1 the first is faster"
        + (f"; rounds more: what it would take to tell a difference of {factor} times" if factor else ""),
        columns=("First / second", "Ratio", "Rounds", "p", "p after Holm", *(("Rounds more",) if factor else ())),
        rows=tuple(
            (
                f"{each.left} / {each.right}",
                ratio_cell(each) or "not said",
                count(each.rounds),
                _p(each.p_value),
                _p(each.p_adjusted),
                *((more(each),) if factor else ()),
            )
            for each in differences
        ),
    )


def _p(value: float | None) -> str:
    cell = p_cell(value)
    return "not tested" if cell is None else cell.replace(" ", "\u00a0")


def breakdowns(report: Report) -> tuple[Grid, ...]:
    """Median and p90 by hour, weekday and size, with the number of jobs behind them."""
    return tuple(_breakdown(each, report.targets) for each in report.analysis.breakdowns)


_BREAKDOWNS = {
    "hour": ("By hour of submission (UTC)", "Hour"),
    "weekday": ("By weekday of submission (UTC)", "Weekday"),
    "size": ("By requests per job", "Requests"),
}


def _breakdown(breakdown: Breakdown, targets: Sequence[Target]) -> Grid:
    title, first = _BREAKDOWNS.get(breakdown.by, (f"By {breakdown.by}", breakdown.by))
    return Grid(
        title=title,
        note="median turnaround; p90 where enough jobs finished; n: finished jobs of all",
        columns=(first, *map(str, targets)),
        rows=tuple((name, *(_part(groups, target) for target in targets)) for name, groups in breakdown.parts),
    )


def _part(groups: Sequence[Part], target: Target) -> str:
    group = next((each for each in groups if each.target == target), None)
    if group is None:
        return _NONE
    of = "" if group.finished == group.jobs else f" of {plural(group.jobs, 'job')}"
    n = f"(n={count(group.finished)}{of})"
    if group.finished < group.median.needed:
        return f"{_NONE} {n}"
    text = quantile_text(group.median)
    if group.finished >= group.p90.needed:
        text += f"; p90 {quantile_text(group.p90)}"
    return f"{text} {n}"


def errors(report: Report) -> tuple[ErrorRow, ...]:
    """Failed requests of every target by code, the most frequent first."""
    return tuple(
        ErrorRow(target=summary.target, code=code, group=group)
        for summary in report.summaries
        for code, group in sorted(summary.totals.errors.items(), key=lambda item: (-item[1].count, item[0]))
    )


def problems(report: Report, limit: int) -> list[str]:
    """What went wrong with whole jobs, in the words that were recorded, each cut at `limit` characters."""
    return [
        f"job {each.job.id} on {each.job.target}: {clip(each.job.problem, limit)}"
        for each in report.jobs
        if each.job.problem
    ]


def agreements(report: Report) -> Grid | None:
    """How far targets give the same answer, spaces, case and a final full stop aside."""
    if not report.scores.agreements:
        return None
    return Grid(
        title="Same answer, pair by pair",
        note="of the rows that both answered; spaces, case and a final full stop do not count",
        columns=("First / second", "Same answer"),
        rows=tuple((f"{each.left} / {each.right}", share_text(each.share)) for each in report.scores.agreements),
    )
