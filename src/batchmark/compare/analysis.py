"""All that the jobs of a report say together: curves and quantiles of each target, pairs, verdicts, and how many rounds more would tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import combinations

import numpy as np

from batchmark.compare.difference import Difference, compare_times
from batchmark.compare.intervals import MIN_ROUNDS, Quantile, Share, quantiles, share_by_round
from batchmark.compare.measures import JobMeasures
from batchmark.compare.observations import LeftOut, Observation, observe
from batchmark.compare.power import FACTOR, PowerHint, rounds_to_tell
from batchmark.compare.survival import DRAWS, Bools, Curve, Floats, Ints, Resampling, fit
from batchmark.compare.verdict import (
    Question,
    Verdict,
    adjusted,
    compare_costs,
    compare_success,
    decide,
    success_of,
    value_of,
)
from batchmark.domain.target import Target

__all__ = ["Analysis", "Band", "Breakdown", "Group", "TargetAnalysis", "analyze"]

_BAND_POINTS = 120
_FEWEST_GROUPS = 2
# Rounds that were all sent within this time have met one mood of the queue, however many they are.
ONE_MOOD_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The 95 % interval of P(done by t) at some times."""

    times_s: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetAnalysis:
    """One target's turnaround. `jobs` are in the curve, `finished` of them as events; `unfinished` counts the others by state.

    `left_out` counts those that are in no curve. `rounds` is how many rounds the jobs come from; `band` is None below six of them.
    `success` is over submitted requests of all jobs that are over and were not cancelled; None where that is not known.
    """

    target: Target
    jobs: int
    finished: int
    unfinished: dict[str, int]
    left_out: dict[LeftOut, int]
    rounds: int
    curve: Curve
    band: Band | None
    median: Quantile
    p90: Quantile
    p99: Quantile
    success: Share | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The jobs of one target in one part of a breakdown, such as the hour from 14:00."""

    target: Target
    jobs: int
    finished: int
    median: Quantile
    p90: Quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Turnaround by something that jobs differ in: the hour or weekday (UTC) when they were submitted, or their size."""

    by: str
    parts: tuple[tuple[str, tuple[Group, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """`rounds` is how many rounds there are, `span_s` the time from the first submission to the last one on the provider's clock."""

    targets: tuple[TargetAnalysis, ...]
    differences: tuple[Difference, ...]
    verdicts: tuple[Verdict, ...]
    hints: tuple[PowerHint, ...]
    breakdowns: tuple[Breakdown, ...]
    rounds: int
    span_s: float

    @property
    def one_mood(self) -> bool:
        """Several rounds, but all so close together that they say nothing about other hours."""
        return self.rounds > 1 and self.span_s < ONE_MOOD_S


def analyze(jobs: Sequence[JobMeasures], *, draws: int = DRAWS) -> Analysis:
    """Everything that may be said of some jobs. Seeds are fixed: the same jobs give the same figures."""
    targets = list(dict.fromkeys(each.job.target for each in jobs))
    observations, left_out = observe(jobs)
    blocks = sorted({each.job.round for each in jobs if each.job.batches})
    resamplings: dict[Target, Resampling] = {}
    summaries = []
    for target in targets:
        mine = [each for each in observations if each.target == target]
        seconds, finished, rounds = _columns(mine)
        resamplings[target] = Resampling(seconds, finished, rounds, all_blocks=blocks, draws=draws)
        summaries.append(_one(target, jobs, mine, left_out.get(target, {}), resamplings[target]))
    pairs = list(combinations(targets, 2))
    times = adjusted([compare_times(left, right, observations, resamplings) for left, right in pairs])
    verdicts = _verdicts(targets, jobs, times)
    hints = [
        hint
        for left, right in pairs
        if (hint := rounds_to_tell(left, right, observations, factor=FACTOR, pairs=len(pairs))) is not None
    ]
    moments = [each.submitted_at for each in jobs if each.submitted_at is not None]
    span = (max(moments) - min(moments)).total_seconds() if moments else 0.0
    return Analysis(
        targets=tuple(summaries),
        differences=tuple(times),
        verdicts=verdicts,
        hints=tuple(hints),
        breakdowns=_breakdowns(observations, targets, span),
        rounds=len(blocks),
        span_s=span,
    )


def _columns(mine: Sequence[Observation]) -> tuple[Floats, Bools, Ints]:
    """Seconds, whether finished, and rounds."""
    return (
        np.array([each.seconds for each in mine], dtype=np.float64),
        np.array([each.finished for each in mine], dtype=np.bool_),
        np.array([each.round for each in mine], dtype=np.int64),
    )


def _one(
    target: Target,
    jobs: Sequence[JobMeasures],
    mine: list[Observation],
    left_out: dict[LeftOut, int],
    resampling: Resampling,
) -> TargetAnalysis:
    seconds, finished, _ = _columns(mine)
    curve = fit(seconds, finished)
    median, p90, p99 = quantiles(curve, resampling)
    unfinished: dict[str, int] = {}
    for each in mine:
        if not each.finished:
            unfinished[each.state.value] = unfinished.get(each.state.value, 0) + 1
    band = None
    if resampling.rounds >= MIN_ROUNDS and curve.events:
        at = curve.times_s
        if len(at) > _BAND_POINTS:
            at = at[np.unique(np.linspace(0, len(at) - 1, _BAND_POINTS).round().astype(int))]
        low, high = resampling.band(at)
        band = Band(times_s=at, low=low, high=high)
    over = [each for each in jobs if each.job.target == target and success_of(each) is not None]
    success = (
        share_by_round(
            [each.job.totals.succeeded for each in over],
            [each.job.totals.submitted for each in over],
            [each.job.round for each in over],
        )
        if over
        else None
    )
    return TargetAnalysis(
        target=target,
        jobs=len(mine),
        finished=int(finished.sum()),
        unfinished=unfinished,
        left_out=left_out,
        rounds=resampling.rounds if len(mine) else 0,
        curve=curve,
        band=band,
        median=median,
        p90=p90,
        p99=p99,
        success=success,
    )


def _verdicts(
    targets: Sequence[Target], jobs: Sequence[JobMeasures], times: Sequence[Difference]
) -> tuple[Verdict, ...]:
    found = {
        Question.FASTEST: decide(Question.FASTEST, targets, times, smaller_is_better=True),
        Question.CHEAPEST: decide(Question.CHEAPEST, targets, compare_costs(targets, jobs), smaller_is_better=True),
        Question.MOST_RELIABLE: decide(
            Question.MOST_RELIABLE,
            targets,
            compare_success(targets, jobs),
            smaller_is_better=False,
        ),
    }
    found[Question.BEST_VALUE] = value_of(found)
    return tuple(found.values())


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SIZES = (1, 10, 100, 1_000, 10_000, 100_000)


def _hour(each: Observation) -> str | None:
    at = each.job.submitted_at
    return None if at is None else f"{at.astimezone(UTC):%H}:00"


def _weekday(each: Observation) -> str | None:
    at = each.job.submitted_at
    return None if at is None else _WEEKDAYS[at.astimezone(UTC).weekday()]


def _size(each: Observation) -> str | None:
    rows = each.job.job.rows
    if not rows:
        return None
    above = next((size for size in _SIZES if rows <= size), None)
    below = max((size for size in _SIZES if size < rows), default=0)
    if above is None:
        return f"more than {below:,}"
    return f"{above:,}" if above == below + 1 else f"{below + 1:,} to {above:,}"


def _breakdowns(observations: Sequence[Observation], targets: Sequence[Target], span_s: float) -> tuple[Breakdown, ...]:
    """By hour where the jobs were sent over three hours or more, by weekday over two days or more, by size where sizes differ."""
    kinds: list[tuple[str, Callable[[Observation], str | None], Callable[[str], object]]] = []
    if span_s >= timedelta(hours=3).total_seconds():
        kinds.append(("hour", _hour, lambda name: name))
    if span_s >= timedelta(days=2).total_seconds():
        kinds.append(("weekday", _weekday, _WEEKDAYS.index))
    kinds.append(("size", _size, lambda name: int(name.replace("more than ", "").split()[0].replace(",", ""))))
    found = []
    for by, key, order in kinds:
        parts: dict[str, list[Observation]] = {}
        for each in observations:
            name = key(each)
            if name is not None:
                parts.setdefault(name, []).append(each)
        if len(parts) >= _FEWEST_GROUPS:
            found.append(
                Breakdown(
                    by=by,
                    parts=tuple((name, _groups(parts[name], targets)) for name in sorted(parts, key=order)),  # type: ignore[arg-type]
                )
            )
    return tuple(found)


def _groups(mine: Sequence[Observation], targets: Sequence[Target]) -> tuple[Group, ...]:
    groups = []
    for target in targets:
        jobs = [each for each in mine if each.target == target]
        if not jobs:
            continue
        seconds, finished, blocks = _columns(jobs)
        curve = fit(seconds, finished)
        median, p90 = quantiles(curve, Resampling(seconds, finished, blocks, draws=500), (0.5, 0.9))
        groups.append(Group(target=target, jobs=len(jobs), finished=int(finished.sum()), median=median, p90=p90))
    return tuple(groups)
