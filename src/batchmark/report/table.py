"""The comparison table in words: the lines that every rendering shows, one cell per target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from batchmark.compare.analysis import TargetAnalysis
from batchmark.compare.intervals import Quantile, Share
from batchmark.compare.measures import JobMeasures, TargetSummary, spread
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.report.content import Report
from batchmark.report.verdicts import quantile_text, share_text
from batchmark.report.words import (
    count,
    duration,
    money,
    number,
    percent,
    plural,
    rate,
    spread_text,
    state_words,
)

__all__ = ["Group", "Line", "comparison", "emulated_targets", "marked_targets", "requests_of"]

_Pick = Callable[[JobMeasures], float | None]
_NOT_TOLD = "not told"
_THEIRS = "provider's clock"
_OURS = "our clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measure of every target, in the order of the report's summaries. `note` says of what, where the label does not."""

    label: str
    note: str | None
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Lines that belong together under one heading; that of durations says whose clock they are by."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """What is known of one target."""

    summary: TargetSummary
    analysis: TargetAnalysis
    jobs: tuple[JobMeasures, ...]


def emulated_targets(report: Report) -> frozenset[Target]:
    """The targets with at least one emulated job, so that a mixed report marks the right columns."""
    marked = {each.job.target for each in report.jobs if each.job.emulated}
    if report.emulated and not marked:
        marked = {summary.target for summary in report.summaries}
    return frozenset(marked)


def marked_targets(report: Report) -> frozenset[Target]:
    """The emulated targets where others are real: there each needs its mark, elsewhere the page says it once."""
    emulated = emulated_targets(report)
    return emulated if len(emulated) < len(report.summaries) else frozenset()


def requests_of(report: Report, summary: TargetSummary) -> int:
    """How many requests a target was given: those of jobs that are not over have no result yet, but are counted."""
    return sum(
        max(each.job.rows, each.job.totals.submitted) for each in report.jobs if each.job.target == summary.target
    )


def comparison(report: Report) -> tuple[Group, ...]:
    """Every group of lines that has something to say about at least one target."""
    if not report.summaries:
        return ()
    columns = [
        _Column(
            summary=summary,
            analysis=analysis,
            jobs=tuple(each for each in report.jobs if each.job.target == summary.target),
        )
        for summary, analysis in zip(report.summaries, report.analysis.targets, strict=True)
    ]
    groups = (
        ("Outcome", _outcome_lines(report, columns)),
        (f"Time ({_THEIRS})", _their_times(columns)),
        (f"Time ({_OURS})", _our_times(columns)),
        ("Throughput", _throughput_lines(columns)),
        ("Tokens and cost", _cost_lines(columns)),
        ("Answers", _answer_lines(report)),
    )
    said = (
        (title, tuple(line for line in lines if any(cell != _NOT_TOLD for cell in line.cells)))
        for title, lines in groups
    )
    return tuple(Group(title=title, lines=lines) for title, lines in said if lines)


def _line(label: str, note: str | None, cells: Sequence[str]) -> Line:
    return Line(label=label, note=note, cells=tuple(cells))


def _outcome_lines(report: Report, columns: Sequence[_Column]) -> list[Line]:
    lines = [
        _line("Jobs", None, [_jobs_text(each.summary) for each in columns]),
        _line("Requests", None, [_requests_text(requests_of(report, each.summary), each) for each in columns]),
        _line("Succeeded", None, [_success_text(each) for each in columns]),
    ]
    for label, name in (
        ("Errored", "errored"),
        ("Expired", "expired"),
        ("Cancelled", "cancelled"),
        ("Missing", "missing"),
    ):
        lines += _count_line(label, None, columns, [getattr(each.summary.totals, name) for each in columns])
    lines += _count_line("No result yet", None, columns, [_pending(each.jobs) for each in columns])
    for label, name in (
        ("Repeated lines", "duplicates"),
        ("Foreign lines", "unknown"),
        ("Unreadable lines", "unreadable"),
    ):
        lines += _count_line(label, "in the results", columns, [getattr(each.summary.totals, name) for each in columns])
    return lines


def _count_line(label: str, note: str | None, columns: Sequence[_Column], values: Sequence[int]) -> list[Line]:
    """A line for something that went wrong, where it did for anyone."""
    if not any(values):
        return []
    cells = [count(value) if each.summary.counted else _NOT_TOLD for each, value in zip(columns, values, strict=True)]
    return [_line(label, note, cells)]


def _jobs_text(summary: TargetSummary) -> str:
    states = sorted(summary.states.items(), key=lambda item: -item[1])
    return ", ".join(f"{count(n)} {state_words(state)}" for state, n in states) or "0"


def _requests_text(given: int, column: _Column) -> str:
    return count(given) if given or column.summary.counted else _NOT_TOLD


def _pending(jobs: Sequence[JobMeasures]) -> int:
    return sum(max(0, each.job.rows - each.job.totals.submitted) for each in jobs if each.job.counted)


def _success_text(column: _Column) -> str:
    """The share over the requests whose end is known; the others are counted beside it."""
    if not column.summary.counted:
        return _NOT_TOLD
    share = column.analysis.success or Share(hits=0, n=0, low=None, high=None)
    text = share_text(share) if share.n else "none yet"
    if pending := _pending(column.jobs):
        text += f"; {count(pending)} not known yet"
    return text + _not_telling(column.jobs, lambda each: each.job.counted)


def _not_telling(jobs: Sequence[JobMeasures], tells: Callable[[JobMeasures], bool]) -> str:
    """How many of the jobs a sum leaves out, since their records do not tell."""
    silent = sum(not tells(each) for each in jobs)
    return f"; {count(silent)} of {plural(len(jobs), 'job')} not told" if silent else ""


def _their_times(columns: Sequence[_Column]) -> list[Line]:
    lines = _turnaround_lines(columns)
    lines += _spread_line("of which queue", columns, lambda each: each.queue_s)
    lines += _spread_line("of which run", columns, lambda each: each.run_s)
    lines += _spread_line("of which finalize", columns, lambda each: each.finalize_s)
    return lines


def _our_times(columns: Sequence[_Column]) -> list[Line]:
    lines = _spread_line("Submit", columns, lambda each: each.submit_s)
    if any(len(each.job.arrivals) > 1 for column in columns for each in column.jobs):
        lines += _spread_line("50 % of rows here", columns, lambda each: each.rows_50_s)
        lines += _spread_line("90 % of rows here", columns, lambda each: each.rows_90_s)
        lines += _spread_line("All rows here", columns, lambda each: each.rows_100_s)
    lines += _spread_line("Download", columns, lambda each: each.download_s)
    lines += _spread_line("Time-to-completion", columns, lambda each: each.completion_s)
    return lines


def _turnaround_lines(columns: Sequence[_Column]) -> list[Line]:
    """The quantiles that any target has enough finished jobs for, then the range of the finished ones and why others have not."""
    quantiles: tuple[tuple[str, Callable[[TargetAnalysis], Quantile]], ...] = (
        ("Turnaround median", lambda each: each.median),
        ("Turnaround p90", lambda each: each.p90),
        ("Turnaround p99", lambda each: each.p99),
    )
    lines = []
    for label, pick in quantiles:
        found = [pick(each.analysis) for each in columns]
        if any(each.finished >= each.needed for each in found):
            lines.append(_line(label, None, [quantile_text(each) for each in found]))
    label = "Turnaround range" if lines else "Turnaround"
    lines.append(_line(label, None, [_turnaround_text(each) for each in columns]))
    if any(each.analysis.left_out for each in columns):
        kept = [
            "; ".join(f"{count(n)} {reason.value}" for reason, n in each.analysis.left_out.items()) or "none"
            for each in columns
        ]
        lines.append(_line("Jobs in no curve", None, kept))
    return lines


def _turnaround_text(column: _Column) -> str:
    # the middle of the finished jobs alone is too early where others did not finish: the curve's median is the one to show
    figures = replace(column.summary.turnaround_s, median=None)
    reasons = Counter(
        "gave no times" if each.state is State.SUCCEEDED else state_words(each.state)
        for each in column.jobs
        if not each.finished
    )
    text = spread_text(figures, duration, reasons=reasons)
    polled = [each for each in column.jobs if each.polled]
    if polled:
        some = "" if len(polled) == figures.n else f"{count(len(polled))} "
        late = max((each.uncertain_s for each in polled if each.uncertain_s is not None), default=None)
        bound = "the time between two" if late is None else duration(late)
        text += f"; {some}from our polls, late by up to {bound}"
    return text


def _spread_line(label: str, columns: Sequence[_Column], pick: _Pick) -> list[Line]:
    """A duration of the jobs that have one. Why others have none is said beside the turnaround, so here n is enough."""
    spreads = [spread([pick(each) for each in column.jobs]) for column in columns]
    if not any(each.n for each in spreads):
        return []
    cells = [spread_text(replace(each, without=0), duration) if each.n else _NOT_TOLD for each in spreads]
    return [_line(label, None, cells)]


def _throughput_lines(columns: Sequence[_Column]) -> list[Line]:
    finished = [each for each in columns if each.summary.turnaround_s.n]
    lines = []
    if any(each.summary.counted for each in finished):
        cells = [_rate_text(each, lambda job: job.requests_per_s, told=each.summary.counted) for each in columns]
        lines.append(_line("Requests/s", None, cells))
    if any(each.summary.priced for each in finished):
        cells = [_rate_text(each, lambda job: job.output_tokens_per_s, told=each.summary.priced) for each in columns]
        lines.append(_line("Output tokens/s", None, cells))
    return lines


def _rate_text(column: _Column, pick: _Pick, *, told: bool) -> str:
    """The rates of the finished jobs, with the reasons of those that have none. The others are told of beside the turnaround."""
    if not told:
        return _NOT_TOLD
    jobs = [each for each in column.jobs if each.finished]
    reasons = Counter(_why_no_rate(each) for each in jobs if pick(each) is None)
    return spread_text(spread([pick(each) for each in jobs]), rate, reasons=reasons)


def _why_no_rate(each: JobMeasures) -> str:
    return "too short for a rate" if each.turnaround_s is not None and each.turnaround_s < 1.0 else "told no counts"


def _cost_lines(columns: Sequence[_Column]) -> list[Line]:
    if not any(each.summary.priced for each in columns):
        return []
    per_answer = [each.summary.tokens_per_answer for each in columns]
    lines = [
        _line(
            "Input tokens",
            None,
            _told(
                columns,
                lambda each: _tokens_text(
                    each.totals.usage.input_tokens,
                    (each.totals.usage.cached_tokens, "cached"),
                    (each.totals.usage.cache_write_tokens, "cache write"),
                ),
                silent=True,
            ),
        ),
        _line(
            "Output tokens",
            None,
            _told(
                columns,
                lambda each: _tokens_text(
                    each.totals.usage.output_tokens, (each.totals.usage.reasoning_tokens, "reasoning")
                ),
            ),
        ),
    ]
    if any(value is not None for value in per_answer):
        lines.append(
            _line(
                "Output per answer",
                "tokens",
                _told(columns, lambda each: _or_unknown(each.tokens_per_answer, number)),
            )
        )
    lines.append(_line("Cost", None, _told(columns, lambda each: _or_unknown(each.cost_usd, money))))
    if any(each.summary.cost_usd is not None for each in columns):
        lines += _costs_in_other_terms(columns)
    if any(each.summary.price_note for each in columns):
        lines.append(_line("Price from", None, [each.summary.price_note or "no price known" for each in columns]))
    return lines


def _costs_in_other_terms(columns: Sequence[_Column]) -> list[Line]:
    lines = [
        _line(
            "Cost per 1,000",
            "succeeded requests",
            _told(columns, lambda each: _or_unknown(each.cost_per_1000_usd, money)),
        ),
        _line(
            "Cost per 1M tokens",
            None,
            _told(columns, lambda each: _or_unknown(each.cost_per_million_tokens_usd, money)),
        ),
    ]
    if any(each.summary.standard_usd is not None for each in columns):
        lines.append(_line("Synchronous price", "of the same tokens", _told(columns, _standard_text)))
    if any(each.summary.totals.wasted_usd for each in columns):
        lines.append(
            _line(
                "Wasted",
                "part of the cost",
                _told(columns, lambda each: "unknown" if each.cost_usd is None else money(each.totals.wasted_usd)),
            )
        )
    return lines


def _told(columns: Sequence[_Column], form: Callable[[TargetSummary], str], *, silent: bool = False) -> list[str]:
    """A cell for every target whose records tell tokens and cost; `silent` adds how many of its jobs do not."""
    cells = []
    for each in columns:
        if not each.summary.priced:
            cells.append(_NOT_TOLD)
        elif not each.summary.totals.submitted:
            cells.append("none yet")
        else:
            rest = _not_telling(each.jobs, lambda job: job.job.priced) if silent else ""
            cells.append(form(each.summary) + rest)
    return cells


def _or_unknown(value: float | None, form: Callable[[float], str]) -> str:
    return "unknown" if value is None else form(value)


def _tokens_text(total: int, *parts: tuple[int, str]) -> str:
    within = ", ".join(f"{count(n)} {word}" for n, word in parts if n)
    return f"{count(total)} ({within})" if within else count(total)


def _standard_text(summary: TargetSummary) -> str:
    """The synchronous price of the same tokens, and what the batch saves against it."""
    standard, cost = summary.standard_usd, summary.cost_usd
    if standard is None:
        return "unknown"
    if cost is None or standard <= 0:
        return money(standard)
    saved = 1 - cost / standard
    if abs(saved) < 0.0005:
        return f"{money(standard)}; no saving"
    return f"{money(standard)}; batch " + (f"saves {percent(saved)}" if saved > 0 else f"costs {percent(-saved)} more")


def _answer_lines(report: Report) -> list[Line]:
    shares = {each.target: each.share for each in report.scores.accuracies}
    if not shares:
        return []
    cells = [share_text(shares[target]) if target in shares else "not asked" for target in report.targets]
    return [_line("As expected", report.scores.match, cells)]
