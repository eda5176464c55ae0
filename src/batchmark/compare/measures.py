"""From the facts of a job to its measures, and from jobs to a summary of each target.

Turnaround is on the provider's clock: accepted -> ended, from its own timestamps. Time-to-completion is on ours: job created -> last
answer durable here. A job that is not over, or that was cancelled or cut off by its window, has no turnaround: it is counted beside the
figure, never silently left out. Fewer than six finished jobs give points, not a statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.domain.totals import Totals

__all__ = [
    "MIN_N_MEDIAN",
    "BatchFacts",
    "JobFacts",
    "JobMeasures",
    "Spread",
    "TargetSummary",
    "measure",
    "spread",
    "summarize",
]

# Below this many finished jobs a median has no 95 % interval inside the data (binomial, two-sided), so points are shown instead.
MIN_N_MEDIAN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    """A batch's times on the provider's clock, None where the provider does not say."""

    id: str
    state: State
    raw_status: str
    rows: int
    created_at: datetime | None
    started_at: datetime | None
    finalizing_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What is known of a job once it was driven to its end. `created_at` and `ended_at` are on our clock."""

    id: str
    target: Target
    round: int
    rows: int
    emulated: bool
    created_at: datetime
    ended_at: datetime | None
    problem: str | None
    totals: Totals
    batches: tuple[BatchFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMeasures:
    """A job's durations in seconds and rates per second; None where it cannot be told.

    `queue_s`, `run_s`, `finalize_s` and `turnaround_s` are on the provider's clock, `completion_s` on ours. Rates are per second of
    turnaround.
    """

    job: JobFacts
    state: State
    queue_s: float | None
    run_s: float | None
    finalize_s: float | None
    turnaround_s: float | None
    completion_s: float | None
    requests_per_s: float | None
    output_tokens_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Values and what may be said about them: `median` only from MIN_N_MEDIAN values on. `without` jobs gave no value."""

    n: int
    low: float | None
    high: float | None
    median: float | None
    values: tuple[float, ...]
    without: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSummary:
    """All jobs of one target side by side with the others'. Rates are over submitted requests."""

    target: Target
    jobs: int
    states: dict[str, int]
    totals: Totals
    turnaround_s: Spread
    completion_s: Spread
    requests_per_s: Spread
    output_tokens_per_s: Spread
    cost_usd: float | None
    cost_per_1000_usd: float | None
    price_note: str | None


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


def _job_state(batches: Sequence[BatchFacts]) -> State:
    """The state of a job of several batches: the worst of theirs; unfinished before all else."""
    states = {batch.state for batch in batches}
    if not states:
        return State.FAILED
    for state in (State.UNKNOWN, State.QUEUED, State.RUNNING, State.FINALIZING, State.CANCELLING):
        if state in states:
            return state
    for state in (State.FAILED, State.EXPIRED, State.CANCELLED):
        if state in states:
            return state
    return State.SUCCEEDED


def measure(job: JobFacts) -> JobMeasures:
    """The measures of one job; those of several batches run from the first accepted to the last ended."""
    batches = job.batches
    state = _job_state(batches)
    single = batches[0] if len(batches) == 1 else None
    finished = state is State.SUCCEEDED
    created = min((batch.created_at for batch in batches if batch.created_at), default=None)
    ended = max((batch.ended_at for batch in batches if batch.ended_at), default=None)
    turnaround = _seconds(created, ended) if finished else None
    done = job.totals.succeeded + job.totals.errored
    output = job.totals.usage.output_tokens
    # a provider may give whole seconds only, so a rate over less than one would be mostly rounding
    rated = turnaround if turnaround is not None and turnaround >= 1.0 else None
    return JobMeasures(
        job=job,
        state=state,
        queue_s=_seconds(single.created_at, single.started_at) if single else None,
        run_s=_seconds(single.started_at, single.finalizing_at or single.ended_at) if single and finished else None,
        finalize_s=_seconds(single.finalizing_at, single.ended_at) if single and finished else None,
        turnaround_s=turnaround,
        completion_s=_seconds(job.created_at, job.ended_at) if finished else None,
        requests_per_s=done / rated if rated else None,
        output_tokens_per_s=output / rated if rated else None,
    )


def spread(values: Sequence[float | None]) -> Spread:
    """The honest summary of some values, some of which may be missing."""
    known = tuple(sorted(value for value in values if value is not None))
    return Spread(
        n=len(known),
        low=known[0] if known else None,
        high=known[-1] if known else None,
        median=median(known) if len(known) >= MIN_N_MEDIAN else None,
        values=known,
        without=len(values) - len(known),
    )


def summarize(measures: Sequence[JobMeasures]) -> list[TargetSummary]:
    """One summary per target, in the order in which targets first appear."""
    by_target: dict[Target, list[JobMeasures]] = {}
    for each in measures:
        by_target.setdefault(each.job.target, []).append(each)
    return [_summary(target, group) for target, group in by_target.items()]


def _summary(target: Target, group: list[JobMeasures]) -> TargetSummary:
    states: dict[str, int] = {}
    for each in group:
        states[each.state.value] = states.get(each.state.value, 0) + 1
    totals = Totals()
    for each in group:
        totals.add(each.job.totals)
    succeeded = totals.succeeded
    cost = totals.cost_usd
    return TargetSummary(
        target=target,
        jobs=len(group),
        states=states,
        totals=totals,
        turnaround_s=spread([each.turnaround_s for each in group]),
        completion_s=spread([each.completion_s for each in group]),
        requests_per_s=spread([each.requests_per_s for each in group]),
        output_tokens_per_s=spread([each.output_tokens_per_s for each in group]),
        cost_usd=cost,
        cost_per_1000_usd=None if cost is None or not succeeded else cost / succeeded * 1000,
        price_note=totals.price_note,
    )
