"""The comparison table in words: the lines that the terminal and the page both show, one cell per target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from batchmark.compare.measures import JobMeasures, Spread, TargetSummary, spread
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.report.content import Report
from batchmark.report.words import count, duration, money, plural, rate, share, spread_text, state_words

__all__ = ["Group", "Line", "comparison", "emulated_targets", "matches_expected", "requests_of"]

_Pick = Callable[[JobMeasures], float | None]
_TOO_SHORT = "too short for a rate"
_NOT_TOLD = "not told by the provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measure of every target, in the order of the report's summaries. `note` says whose clock or which unit."""

    label: str
    note: str | None
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Lines that belong together under one heading."""

    title: str
    lines: tuple[Line, ...]


def emulated_targets(report: Report) -> frozenset[Target]:
    """The targets with at least one emulated job, so that a mixed report marks the right columns."""
    marked = {each.job.target for each in report.jobs if each.job.emulated}
    if report.emulated and not marked:
        marked = {summary.target for summary in report.summaries}
    return frozenset(marked)


def matches_expected(report: Report, target: Target) -> tuple[int, int]:
    """How many sampled rows a target answered as expected, and of how many. A row without an answer counts as not matching."""
    cells = [
        cell for row in report.samples if row.expected is not None for cell in row.answers if cell.target == target
    ]
    return sum(cell.matches is True for cell in cells), len(cells)


def requests_of(report: Report, summary: TargetSummary) -> int:
    """How many requests a target was given. Jobs that are not over have rows but no totals yet, and stay in the denominator."""
    rows = sum(each.job.rows for each in report.jobs if each.job.target == summary.target)
    return max(rows, summary.totals.submitted)


def comparison(report: Report) -> tuple[Group, ...]:
    """Every group of lines that has something to say about at least one target."""
    jobs = {
        summary.target: [each for each in report.jobs if each.job.target == summary.target]
        for summary in report.summaries
    }
    groups = (
        Group(title="Outcome", lines=_outcome_lines(report)),
        Group(title="Time", lines=_time_lines(report.summaries, jobs)),
        Group(title="Throughput", lines=_throughput_lines(report.summaries, jobs)),
        Group(title="Tokens and cost", lines=_cost_lines(report.summaries)),
        Group(title="Answers", lines=_answer_lines(report)),
    )
    return tuple(group for group in groups if group.lines)


def _outcome_lines(report: Report) -> tuple[Line, ...]:
    summaries = report.summaries
    given = [requests_of(report, each) for each in summaries]
    lines = [
        _line("Jobs", None, [_jobs_text(each) for each in summaries]),
        _line("Requests", None, [count(n) for n in given]),
        _line(
            "Succeeded",
            None,
            [share(each.totals.succeeded, n) for each, n in zip(summaries, given, strict=True)],
        ),
    ]
    for label, name in (
        ("Errored", "errored"),
        ("Expired", "expired"),
        ("Cancelled", "cancelled"),
        ("Missing", "missing"),
    ):
        lines.extend(_count_line(label, [getattr(each.totals, name) for each in summaries]))
    pending = [n - each.totals.submitted for each, n in zip(summaries, given, strict=True)]
    lines.extend(_count_line("No result yet", pending))
    for label, name in (
        ("Repeated lines", "duplicates"),
        ("Lines not ours", "unknown"),
        ("Unreadable lines", "unreadable"),
    ):
        lines.extend(_count_line(label, [getattr(each.totals, name) for each in summaries]))
    return tuple(lines)


def _count_line(label: str, values: Sequence[int]) -> list[Line]:
    """A line for something that went wrong, where it did for anyone."""
    return [_line(label, None, [count(value) for value in values])] if any(values) else []


def _jobs_text(summary: TargetSummary) -> str:
    return ", ".join(f"{n} {state_words(state)}" for state, n in summary.states.items()) or "0"


def _time_lines(summaries: Sequence[TargetSummary], jobs: dict[Target, list[JobMeasures]]) -> tuple[Line, ...]:
    def part(label: str, pick: _Pick) -> list[Line]:
        spreads = [spread([pick(each) for each in jobs[summary.target]]) for summary in summaries]
        if not any(each.n for each in spreads):
            return []
        return [_line(label, None, [_part_text(each) for each in spreads])]

    def turnaround(each: JobMeasures) -> float | None:
        return each.turnaround_s

    def completion(each: JobMeasures) -> float | None:
        return each.completion_s

    return (
        _line(
            "Turnaround",
            "provider's clock",
            [_spread_cell(each.turnaround_s, duration, jobs[each.target], turnaround, _NOT_TOLD) for each in summaries],
        ),
        *part("of which queue", lambda each: each.queue_s),
        *part("of which run", lambda each: each.run_s),
        *part("of which finalize", lambda each: each.finalize_s),
        _line(
            "Time-to-completion",
            "our clock",
            [
                _spread_cell(each.completion_s, duration, jobs[each.target], completion, "not recorded")
                for each in summaries
            ],
        ),
    )


def _part_text(figures: Spread) -> str:
    """A part of the turnaround. Why jobs have none is said beside the turnaround, so here n is enough."""
    return spread_text(replace(figures, without=0), duration) if figures.n else "not told"


def _throughput_lines(summaries: Sequence[TargetSummary], jobs: dict[Target, list[JobMeasures]]) -> tuple[Line, ...]:
    def requests(each: JobMeasures) -> float | None:
        return each.requests_per_s

    def tokens(each: JobMeasures) -> float | None:
        return each.output_tokens_per_s

    return (
        _line(
            "Requests",
            "per second",
            [_spread_cell(each.requests_per_s, rate, jobs[each.target], requests, _TOO_SHORT) for each in summaries],
        ),
        _line(
            "Output tokens",
            "per second",
            [_spread_cell(each.output_tokens_per_s, rate, jobs[each.target], tokens, _TOO_SHORT) for each in summaries],
        ),
    )


def _spread_cell(
    figures: Spread, form: Callable[[float], str], jobs: Sequence[JobMeasures], pick: _Pick, why: str
) -> str:
    """A spread with the reasons of the jobs that gave no value: their state, or `why` where they did finish."""
    reasons = Counter(
        _why(each, why) if each.state is State.SUCCEEDED else state_words(each.state)
        for each in jobs
        if pick(each) is None
    )
    return spread_text(figures, form, reasons=reasons)


def _why(job: JobMeasures, why: str) -> str:
    return _NOT_TOLD if why == _TOO_SHORT and job.turnaround_s is None else why


def _cost_lines(summaries: Sequence[TargetSummary]) -> tuple[Line, ...]:
    def tokens(total: int, *parts: tuple[int, str]) -> str:
        within = ", ".join(f"{count(n)} {word}" for n, word in parts if n)
        return f"{count(total)} ({within})" if within else count(total)

    used = [each.totals.usage for each in summaries]
    lines = [
        _line(
            "Input tokens",
            None,
            [
                tokens(each.input_tokens, (each.cached_tokens, "cached"), (each.cache_write_tokens, "cache write"))
                for each in used
            ],
        ),
        _line(
            "Output tokens", None, [tokens(each.output_tokens, (each.reasoning_tokens, "reasoning")) for each in used]
        ),
        _line("Cost", "batch price", [money(each.cost_usd) for each in summaries]),
        _line("Cost per 1,000", "succeeded requests", [money(each.cost_per_1000_usd) for each in summaries]),
    ]
    if any(each.price_note for each in summaries):
        lines.append(_line("Price from", None, [each.price_note or "no price known" for each in summaries]))
    return tuple(lines)


def _answer_lines(report: Report) -> tuple[Line, ...]:
    scores = [matches_expected(report, summary.target) for summary in report.summaries]
    if not any(of for _, of in scores):
        return ()
    rows = sum(row.expected is not None for row in report.samples)
    cells = [share(hits, of) if of else "none" for hits, of in scores]
    return (_line("As expected", f"of {plural(rows, 'row')}, round 1", cells),)


def _line(label: str, note: str | None, cells: Sequence[str]) -> Line:
    return Line(label=label, note=note, cells=tuple(cells))
