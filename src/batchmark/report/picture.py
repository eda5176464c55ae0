"""Where the bars of a report's pictures begin and end, in percent of their width, and what they say in words. Pure geometry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from batchmark.compare.measures import BatchFacts, JobMeasures
from batchmark.domain.target import Target
from batchmark.report.content import Report
from batchmark.report.table import requests_of
from batchmark.report.words import count, duration, money, share, state_words, visible

__all__ = ["BatchBar", "CostBar", "Lane", "OutcomeBar", "Part", "Tick", "Timeline", "costs", "outcomes", "timeline"]

_T = TypeVar("_T")
_OUTCOMES = ("succeeded", "errored", "expired", "cancelled", "missing")
# a part this thin can still be seen; the exact counts stand beside the bar
_LEAST_PERCENT = 0.7
_STEPS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_STEPS_H = (1, 2, 3, 6, 12, 24, 48, 96, 192)
_MOST_TICKS = 5
# bars in all, and for each target however many targets there are
_MOST_BARS = 60
_FEWEST_BARS = 8
# where a few bars are longer than this many times most of them, the axis ends earlier and they run out of it
_LONG = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a bar: what it stands for, where it lies, and its value in words."""

    kind: str
    start: float
    width: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBar:
    """The life of one batch, a shard's attempt. `beyond`: it goes on past the end of the axis. `value` is how long it took."""

    job: str
    label: str
    parts: tuple[Part, ...]
    beyond: bool
    value: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The batches of one target that are drawn, of the `batches` that it has."""

    target: Target
    bars: tuple[BatchBar, ...]
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Batches of every target on one axis, which starts with the first submission of each one's round. `longer` bars run out of it."""

    ticks: tuple[Tick, ...]
    lanes: tuple[Lane, ...]
    kinds: tuple[str, ...]
    shown: int
    batches: int
    longer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Life:
    """A batch's spans of time in seconds after its round's first submission."""

    measures: JobMeasures
    batch: BatchFacts
    spans: tuple[tuple[str, float, float], ...]

    @property
    def end(self) -> float:
        return max((start + length for _, start, length in self.spans), default=0.0)


def timeline(report: Report) -> Timeline:
    """The life of every batch, or of evenly chosen ones where there are more than can be read."""
    starts = _round_starts(report.jobs)
    allowed = max(_FEWEST_BARS, _MOST_BARS // max(1, len(report.summaries)))
    lives: dict[Target, list[_Life]] = {}
    batches: dict[Target, int] = {}
    for target in report.targets:
        every = [(each, batch) for each in report.jobs if each.job.target == target for batch in each.job.batches]
        batches[target] = len(every)
        lives[target] = [_life(each, batch, starts) for each, batch in _evenly(every, allowed)]
    ends = [life.end for mine in lives.values() for life in mine if life.spans]
    axis = _axis(ends)
    lanes = tuple(
        Lane(target=target, bars=tuple(_bar(life, axis) for life in mine), batches=batches[target])
        for target, mine in lives.items()
    )
    drawn = {part.kind for lane in lanes for bar in lane.bars for part in bar.parts}
    order = ("queue", "run", "finalize", "whole", "open", "download")
    return Timeline(
        ticks=_ticks(axis),
        lanes=lanes,
        kinds=tuple(kind for kind in order if kind in drawn),
        shown=sum(len(lane.bars) for lane in lanes),
        batches=sum(batches.values()),
        longer=sum(bar.beyond for lane in lanes for bar in lane.bars),
    )


def _round_starts(jobs: Iterable[JobMeasures]) -> dict[int, datetime]:
    starts: dict[int, datetime] = {}
    for each in jobs:
        for batch in each.job.batches:
            if batch.created_at is not None:
                starts[each.job.round] = min(batch.created_at, starts.get(each.job.round, batch.created_at))
    return starts


def _evenly(items: Sequence[_T], most: int) -> list[_T]:
    """At most so many of them, from the first to the last in equal steps."""
    if len(items) <= most:
        return list(items)
    return [items[round(n * (len(items) - 1) / (most - 1))] for n in range(most)]


def _life(measures: JobMeasures, batch: BatchFacts, starts: dict[int, datetime]) -> _Life:
    begun = starts.get(measures.job.round)
    if begun is None or batch.created_at is None:
        return _Life(measures=measures, batch=batch, spans=())

    def at(moment: datetime) -> float:
        return (moment - begun).total_seconds()

    accepted, ended = at(batch.created_at), batch.ended_at
    spans: list[tuple[str, float, float]] = []
    last = ended or batch.last_seen_at or batch.seen_ended_at
    if last is None:
        return _Life(measures=measures, batch=batch, spans=())
    last_part = "finalize" if batch.finalizing_at else "run" if batch.started_at else "whole"
    moments = [("queue", batch.started_at)]
    if batch.started_at is not None:
        moments.append(("run", batch.finalizing_at))
    moments.append((last_part if ended else "open", last))
    place = accepted
    for kind, moment in moments:
        if moment is not None and at(moment) > place:
            spans.append((kind, place, at(moment) - place))
            place = at(moment)
    if batch.seen_ended_at is not None and batch.collected_at is not None:
        # both by our clock; drawn behind an end that is the provider's
        spans.append(("download", place, max(0.0, (batch.collected_at - batch.seen_ended_at).total_seconds())))
    return _Life(measures=measures, batch=batch, spans=tuple(spans))


def _axis(ends: Sequence[float]) -> float:
    """How many seconds the axis spans: all of them, unless a few bars would press the others flat."""
    in_order = sorted(ends)
    if len(in_order) < 3:
        return in_order[-1] if in_order else 0.0
    most = in_order[-1 - max(1, len(in_order) // 10)]
    return in_order[-1] if in_order[-1] <= _LONG * most else most * 1.6


_SPAN_WORDS = {
    "queue": "queued",
    "run": "running",
    "finalize": "finalizing",
    "whole": "from accepted to ended",
    "open": "not ended when last seen, after",
    "download": "downloading",
}


def _bar(life: _Life, axis: float) -> BatchBar:
    scale = 100.0 / axis if axis else 0.0
    parts = []
    for kind, start, length in life.spans:
        left, right = min(100.0, start * scale), min(100.0, (start + length) * scale)
        text = f"{_SPAN_WORDS[kind]} {duration(length)}"
        if right > left:
            parts.append(Part(kind=kind, start=left, width=right - left, text=text))
    measures, batch = life.measures, life.batch
    told = ", ".join(f"{_SPAN_WORDS[kind]} {duration(length)}" for kind, _, length in life.spans)
    name = f"{measures.job.target}, round {measures.job.round}, job {measures.job.id}, batch {batch.id}"
    own = sum(length for kind, _, length in life.spans if kind != "download")
    several = f" · {batch.shard + 1}" if len(measures.job.batches) > 1 else ""
    again = f", attempt {batch.attempt}" if batch.attempt > 1 else ""
    if batch.state.value == "succeeded":
        value = duration(own) if life.spans else "times not told"
    else:
        value = f"{state_words(batch.state.value)}{f', {duration(own)}' if life.spans else ''}"
    return BatchBar(
        job=visible(measures.job.id),
        label=f"round {measures.job.round}{several}{again}",
        parts=tuple(parts),
        beyond=life.end > axis * 1.0001,
        value=value,
        text=f"{name}: {told or 'no times'}; {state_words(batch.state.value)}",
    )


def _ticks(longest: float) -> tuple[Tick, ...]:
    """Round times from zero on, few enough to be read."""
    if not longest:
        return ()
    steps = (*_STEPS_S, *(hours * 3600.0 for hours in _STEPS_H))
    step = next((each for each in steps if longest / each <= _MOST_TICKS), longest)
    return tuple(
        Tick(at=100.0 * n * step / longest, text=_tick_text(n * step)) for n in range(int(longest / step * 1.0001) + 1)
    )


def _tick_text(seconds: float) -> str:
    """A round time without idle decimals: `5 s`, `2 min`, `6 h`."""
    if seconds == 0:
        return "0"
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds * 1000:g} ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeBar:
    """A target's requests by what became of them. `low` and `high`, in percent, bound the share that succeeded; None where unknown."""

    target: Target
    parts: tuple[Part, ...]
    low: float | None
    high: float | None
    value: str
    others: str
    text: str


def outcomes(report: Report) -> tuple[OutcomeBar, ...]:
    """One bar per target; kinds that did not occur are left out. Requests of jobs that are not over have no result yet."""
    found = []
    for summary, analysis in zip(report.summaries, report.analysis.targets, strict=True):
        if not summary.counted:
            text = "what became of the requests is not known"
            found.append(
                OutcomeBar(
                    target=summary.target, parts=(), low=None, high=None, value="not known", others="", text=text
                )
            )
            continue
        given = requests_of(report, summary)
        counts = [(kind, int(getattr(summary.totals, kind))) for kind in _OUTCOMES]
        counts.append(("pending", max(0, given - sum(n for _, n in counts))))
        parts = _stacked(counts)
        success = analysis.success
        told = success is not None and success.low is not None and success.high is not None and success.n == given
        found.append(
            OutcomeBar(
                target=summary.target,
                parts=parts,
                low=100.0 * success.low if told and success and success.low is not None else None,
                high=100.0 * success.high if told and success and success.high is not None else None,
                value=share(summary.totals.succeeded, given),
                others=", ".join(part.text for part in parts if part.kind != "succeeded"),
                text=f"of {count(given)} requests {', '.join(part.text for part in parts) or 'none ended'}",
            )
        )
    return tuple(found)


def _stacked(counts: Sequence[tuple[str, int]]) -> tuple[Part, ...]:
    total = sum(n for _, n in counts)
    if not total:
        return ()
    widths = {kind: max(_LEAST_PERCENT, 100.0 * n / total) for kind, n in counts if n}
    scale = 100.0 / sum(widths.values())
    parts, at = [], 0.0
    for kind, n in counts:
        if n:
            text = f"{count(n)} {'without a result' if kind == 'pending' else kind}"
            parts.append(Part(kind=kind, start=at, width=widths[kind] * scale, text=text))
            at += widths[kind] * scale
    return tuple(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBar:
    """What 1,000 usable answers cost, of which `wasted` was paid for answers that cannot be used; `standard` without a batch.

    Widths in percent; None where nothing is known.
    """

    target: Target
    width: float | None
    wasted: float | None
    standard: float | None
    value: str
    saving: str
    text: str


def costs(report: Report) -> tuple[CostBar, ...]:
    """One bar per target on one scale that starts at zero."""
    figures = []
    for each in report.summaries:
        succeeded = each.totals.succeeded
        standard = each.standard_usd / succeeded * 1000 if each.standard_usd and succeeded else None
        wasted = each.totals.wasted_usd / succeeded * 1000 if succeeded else None
        figures.append((each, each.cost_per_1000_usd, standard, wasted))
    longest = max((value for _, cost, standard, _ in figures for value in (cost, standard) if value), default=0.0)
    scale = 100.0 / longest if longest else 0.0
    found = []
    for each, cost, standard, wasted in figures:
        saving = ""
        if cost is not None and standard:
            part = 100.0 * (1 - cost / standard)
            words = (
                f"{part:.0f} % less than"
                if part >= 0.5
                else f"{-part:.0f} % more than"
                if part <= -0.5
                else "as much as"
            )
            saving = f"{words} {money(standard)} without a batch"
        if wasted and cost is not None:
            saving += f"{', ' if saving else ''}of which wasted {money(wasted)}"
        found.append(
            CostBar(
                target=each.target,
                width=None if cost is None else cost * scale,
                wasted=wasted * scale if wasted and cost is not None else None,
                standard=standard * scale if standard and cost is not None else None,
                value=money(cost),
                saving=saving,
                text=f"{money(cost)} per 1,000 succeeded requests{f', {saving}' if saving else ''}",
            )
        )
    return tuple(found)
