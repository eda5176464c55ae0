"""From the facts of a job to its measures, and from jobs to a summary of each target.

Turnaround is on the provider's clock: accepted -> ended, from its own timestamps. Time-to-completion is on ours: its turn came -> last
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
    "MIN_FINISHED",
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
# The same for the quantiles of a curve: the smallest n with 1 - part**n - (1 - part)**n >= 0.95 for the median, with part**n <= 0.025 for
# the others.
MIN_FINISHED = {0.5: MIN_N_MEDIAN, 0.9: 36, 0.99: 368}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    """A batch's times on the provider's clock, None where the provider does not say.

    `seen_ended_at` and `collected_at` are on our clock: when a poll first saw the batch ended, and when its answers were durable here.
    `unseen_s` is how long before that poll the one before it was. `last_seen_at`: it certainly had not ended by then, provider's clock.
    """

    id: str
    state: State
    raw_status: str
    rows: int
    created_at: datetime | None
    started_at: datetime | None
    finalizing_at: datetime | None
    ended_at: datetime | None
    shard: int = 0
    attempt: int = 1
    cancelling_at: datetime | None = None
    last_seen_at: datetime | None = None
    seen_ended_at: datetime | None = None
    collected_at: datetime | None = None
    unseen_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What is known of a job, or of somebody's batch that is taken for one.

    `created_at`, `begun_at` (its turn came: upload and create began), `submitted_at` (its last first attempt was accepted) and `ended_at`
    are on our clock. `counted` and `priced` say whether `totals` holds what became of the requests, and their tokens: records of other
    people's batches may tell neither. `told_s` is a turnaround that was told without an end time. `origin` is where the facts come from:
    a run's id, a provider's list, or a file and its line. `unsent` shards are still to be sent, `refused` ones the provider did
    not take, `called_off` ones the user cancelled before they were sent: none has a batch.
    """

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
    begun_at: datetime | None = None
    submitted_at: datetime | None = None
    arrivals: tuple[tuple[datetime, int], ...] = ()
    counted: bool = True
    priced: bool = True
    told_s: float | None = None
    origin: str = ""
    standard_cost_usd: float | None = None
    unsent: int = 0
    refused: int = 0
    called_off: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMeasures:
    """A job's durations in seconds and rates per second; None where it cannot be told.

    On the provider's clock: `queue_s` accepted -> begun, `run_s` begun -> finalizing or ended, `finalize_s`, `turnaround_s` accepted ->
    ended. On ours: `submit_s` its turn came -> accepted, `download_s` seen ended -> durable here, `completion_s` its turn came -> last
    answer durable here, and `rows_50_s`, `rows_90_s`, `rows_100_s` its turn came -> so much of its rows durable here. Rates are per second
    of turnaround. `unfinished_s`: it certainly took longer than this (the censoring time); None where that is not known, or it finished.
    `polled`: the turnaround is from our polls, late by up to `uncertain_s`, since the provider tells no times.
    """

    job: JobFacts
    state: State
    submit_s: float | None
    queue_s: float | None
    run_s: float | None
    finalize_s: float | None
    turnaround_s: float | None
    download_s: float | None
    completion_s: float | None
    rows_50_s: float | None
    rows_90_s: float | None
    rows_100_s: float | None
    requests_per_s: float | None
    output_tokens_per_s: float | None
    unfinished_s: float | None = None
    polled: bool = False
    uncertain_s: float | None = None
    submitted_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """It has a turnaround: the provider took it to its own end."""
        return self.turnaround_s is not None


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
    """All jobs of one target side by side with the others'. Rates are over submitted requests.

    `standard_usd` is what the same tokens cost without a batch. `counted` and `priced`: see JobFacts; false where no job tells.
    """

    target: Target
    jobs: int
    states: dict[str, int]
    totals: Totals
    submit_s: Spread
    turnaround_s: Spread
    download_s: Spread
    completion_s: Spread
    requests_per_s: Spread
    output_tokens_per_s: Spread
    cost_usd: float | None
    cost_per_1000_usd: float | None
    cost_per_million_tokens_usd: float | None
    standard_usd: float | None
    tokens_per_answer: float | None
    price_note: str | None
    counted: bool
    priced: bool


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


def _state(job: JobFacts) -> State:
    """The state of a job, shards without a batch included."""
    state = _job_state(_last_attempts(job.batches))
    if job.unsent and state.terminal:
        return State.RUNNING if job.batches else State.QUEUED
    if job.refused and state is State.SUCCEEDED:
        return State.FAILED
    if job.called_off and (not job.batches or state is State.SUCCEEDED) and not job.refused:
        return State.CANCELLED
    return state


def _last_attempts(batches: Sequence[BatchFacts]) -> list[BatchFacts]:
    """Of every shard the last attempt: what it came to is what the shard came to."""
    last: dict[int, BatchFacts] = {}
    for batch in sorted(batches, key=lambda each: each.attempt):
        last[batch.shard] = batch
    return list(last.values())


def measure(job: JobFacts) -> JobMeasures:
    """The measures of one job; those of several batches run from the first accepted to the last ended."""
    batches = job.batches
    state = _state(job)
    single = batches[0] if len(batches) == 1 else None
    finished = state is State.SUCCEEDED
    created = min((batch.created_at for batch in batches if batch.created_at), default=None)
    # where one of several does not tell its end, the others' ends are not the job's
    ends = [batch.ended_at for batch in batches if batch.ended_at is not None]
    ended = max(ends) if ends and len(ends) == len(batches) else None
    seen_ended = max((batch.seen_ended_at for batch in batches if batch.seen_ended_at), default=None)
    turnaround = (_seconds(created, ended) if job.told_s is None else job.told_s) if finished else None
    polled = False
    if finished and turnaround is None and job.submitted_at is not None:
        turnaround, polled = _seconds(job.submitted_at, seen_ended), True
    begun = job.begun_at or job.created_at
    done = job.totals.succeeded + job.totals.errored
    output = job.totals.usage.output_tokens
    # a provider may give whole seconds only, so a rate over less than one would be mostly rounding
    rated = turnaround if turnaround is not None and turnaround >= 1.0 else None
    return JobMeasures(
        job=job,
        state=state,
        submit_s=_seconds(job.begun_at, job.submitted_at),
        queue_s=_seconds(single.created_at, single.started_at) if single else None,
        run_s=_seconds(single.started_at, single.finalizing_at or single.ended_at) if single and finished else None,
        finalize_s=_seconds(single.finalizing_at, single.ended_at) if single and finished else None,
        turnaround_s=turnaround,
        download_s=_seconds(seen_ended, max((at for at, _ in job.arrivals), default=None)) if finished else None,
        completion_s=_seconds(begun, job.ended_at) if finished else None,
        rows_50_s=_rows_by(job, begun, 0.5),
        rows_90_s=_rows_by(job, begun, 0.9),
        rows_100_s=_rows_by(job, begun, 1.0),
        requests_per_s=done / rated if rated and job.counted else None,
        output_tokens_per_s=output / rated if rated and job.priced else None,
        unfinished_s=None if finished else _unfinished_s(job, state, created),
        polled=polled,
        uncertain_s=max((batch.unseen_s for batch in batches if batch.unseen_s), default=None) if polled else None,
        submitted_at=created or job.submitted_at,
    )


def _rows_by(job: JobFacts, begun: datetime, part: float) -> float | None:
    """When so much of the rows had their last word here. `arrivals` are those moments, with the rows that came."""
    wanted, so_far = part * job.rows, 0
    for at, rows in sorted(job.arrivals):
        so_far += rows
        if so_far >= wanted and so_far:
            return _seconds(begun, at)
    return None


def _unfinished_s(job: JobFacts, state: State, created: datetime | None) -> float | None:
    """How long a job is known to have been unfinished: until the cancel was asked for, the window closed, or the last look."""
    if created is None or state is State.UNKNOWN:
        return None
    if state is State.FAILED:
        # one that failed at its work had been waited for; one that was refused never was
        failed = [
            batch
            for batch in _last_attempts(job.batches)
            if batch.state is State.FAILED and batch.started_at is not None
        ]
        return _seconds(created, min((batch.ended_at for batch in failed if batch.ended_at), default=None))
    if job.told_s is not None:
        return job.told_s
    ends: list[datetime] = []
    for batch in _last_attempts(job.batches):
        if batch.state is State.SUCCEEDED:
            continue
        ends += [at for at in (batch.cancelling_at or batch.ended_at or batch.last_seen_at,) if at is not None]
    return _seconds(created, min(ends)) if ends else None


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


def _tokens_per_answer(group: Sequence[JobMeasures]) -> float | None:
    """Over the jobs whose tokens are told; None where no job tells them."""
    told = [each.job.totals for each in group if each.job.priced]
    answers = sum(each.succeeded for each in told)
    return sum(each.usage.output_tokens for each in told) / answers if answers else None


def _summary(target: Target, group: list[JobMeasures]) -> TargetSummary:
    states: dict[str, int] = {}
    for each in group:
        word = "unsent" if each.job.unsent and not each.job.batches else each.state.value
        states[word] = states.get(word, 0) + 1
    totals = Totals()
    for each in group:
        totals.add(each.job.totals)
    succeeded = totals.succeeded
    cost = totals.cost_usd
    tokens = totals.usage.input_tokens + totals.usage.output_tokens
    standard = [each.job.standard_cost_usd for each in group if each.job.totals.submitted]
    known = [value for value in standard if value is not None]
    return TargetSummary(
        target=target,
        jobs=len(group),
        states=states,
        totals=totals,
        submit_s=spread([each.submit_s for each in group]),
        turnaround_s=spread([each.turnaround_s for each in group]),
        download_s=spread([each.download_s for each in group]),
        completion_s=spread([each.completion_s for each in group]),
        requests_per_s=spread([each.requests_per_s for each in group]),
        output_tokens_per_s=spread([each.output_tokens_per_s for each in group]),
        cost_usd=cost,
        cost_per_1000_usd=None if cost is None or not succeeded else cost / succeeded * 1000,
        cost_per_million_tokens_usd=None if cost is None or not tokens else cost / tokens * 1e6,
        standard_usd=sum(known) if known and len(known) == len(standard) else None,
        tokens_per_answer=_tokens_per_answer(group),
        price_note=totals.price_note,
        counted=any(each.job.counted for each in group),
        priced=any(each.job.priced for each in group),
    )
