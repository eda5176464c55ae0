"""Measures of jobs, by worked examples: which job has which figure, and what a number of figures allows to say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchmark.compare.measures import JobFacts, JobMeasures, Spread, measure, spread, summarize
from batchmark.domain.lifecycle import State
from batchmark.domain.totals import ErrorGroup, Totals
from batchmark.domain.usage import Usage
from tests.unit.report.sample_reports import ANTHROPIC, GOOGLE, OPENAI, after, all_succeeded, batch, job


def measured(*, state: State = State.SUCCEEDED, ended: float | None = 100.0) -> JobMeasures:
    return measure(job(OPENAI, batch(state=state, started=20, finalizing=90, ended=ended), ended=125))


def test_a_finished_job_has_every_part_of_its_time() -> None:
    each = measured()
    assert each.state is State.SUCCEEDED
    assert (each.queue_s, each.run_s, each.finalize_s, each.turnaround_s) == (20.0, 70.0, 10.0, 100.0)
    assert each.completion_s == 125.0


def test_rates_are_per_second_of_turnaround() -> None:
    each = measured()
    assert each.requests_per_s == pytest.approx(48 / 100)
    assert each.output_tokens_per_s == pytest.approx(48 * 12 / 100)


@pytest.mark.parametrize(
    "state",
    [
        State.QUEUED,
        State.RUNNING,
        State.FINALIZING,
        State.CANCELLING,
        State.FAILED,
        State.EXPIRED,
        State.CANCELLED,
        State.UNKNOWN,
    ],
)
def test_a_job_that_did_not_succeed_never_gets_a_turnaround(state: State) -> None:
    each = measured(state=state)
    assert each.state is state
    assert each.turnaround_s is each.completion_s is each.run_s is each.finalize_s is None
    assert each.requests_per_s is each.output_tokens_per_s is None


def test_a_provider_that_tells_only_start_and_end_gives_a_turnaround_without_parts() -> None:
    each = measure(job(ANTHROPIC, batch(ended=44.9), ended=52))
    assert each.turnaround_s == pytest.approx(44.9)
    assert each.queue_s is each.run_s is each.finalize_s is None


def test_a_provider_that_tells_no_end_is_timed_by_our_polls_and_marked_so() -> None:
    whole = job(OPENAI, batch(ended=None), ended=125)
    assert measure(whole).turnaround_s is None
    seen = replace(whole.batches[0], seen_ended_at=after(119.5), unseen_s=3.0)
    each = measure(replace(whole, batches=(seen,)))
    assert each.polled
    assert (each.turnaround_s, each.uncertain_s) == (117.0, 3.0)  # accepted 2.5 s after the start, by our clock
    assert each.completion_s == 125.0


def test_a_job_of_several_batches_runs_from_the_first_accepted_to_the_last_ended() -> None:
    each = measure(job(OPENAI, batch(created=5, started=6, ended=60), batch(id="b2", created=0, started=9, ended=90)))
    assert each.turnaround_s == 90.0
    assert each.queue_s is each.run_s is None


def test_one_open_batch_keeps_the_whole_job_open_and_one_expired_batch_makes_it_expired() -> None:
    open_job = measure(job(OPENAI, batch(), batch(id="b2", state=State.RUNNING, ended=None)))
    assert (open_job.state, open_job.turnaround_s) == (State.RUNNING, None)
    cut_off = measure(job(OPENAI, batch(), batch(id="b2", state=State.EXPIRED)))
    assert (cut_off.state, cut_off.turnaround_s) == (State.EXPIRED, None)


def test_a_job_whose_batch_was_never_accepted_has_failed() -> None:
    assert measure(job(OPENAI)).state is State.FAILED


def test_timestamps_of_whole_seconds_give_no_rate_for_less_than_a_second() -> None:
    each = measure(job(OPENAI, batch(ended=0.4)))
    assert each.turnaround_s == pytest.approx(0.4)
    assert each.requests_per_s is None


def test_timestamps_that_run_backwards_never_give_a_negative_duration() -> None:
    assert measure(job(OPENAI, batch(created=10, ended=9))).turnaround_s == 0.0


def test_errored_requests_were_processed_and_count_in_the_rate() -> None:
    totals = Totals(submitted=48, succeeded=40, errored=2, expired=6)
    assert measure(job(OPENAI, batch(ended=100), totals=totals)).requests_per_s == pytest.approx(0.42)


def test_a_spread_of_nothing_has_no_figure() -> None:
    assert spread([None, None]) == Spread(n=0, low=None, high=None, median=None, values=(), without=2)


def test_five_values_are_points_and_six_have_a_median() -> None:
    five = spread([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (five.n, five.low, five.high, five.median) == (5, 1.0, 5.0, None)
    assert five.values == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert spread([5.0, 1.0, 4.0, 2.0, 3.0, 60.0]).median == 3.5


def test_values_that_are_missing_are_counted_and_do_not_help_to_a_median() -> None:
    some = spread([1.0, None, 2.0, None, 3.0, 4.0, 5.0])
    assert (some.n, some.without, some.median) == (5, 2, None)


def cut_off_rounds() -> list[JobFacts]:
    return [
        job(OPENAI, batch(ended=100), id="a1"),
        job(ANTHROPIC, batch(ended=30), id="b1"),
        job(OPENAI, batch(ended=120), id="a2", round=2),
        job(ANTHROPIC, batch(state=State.EXPIRED, ended=86_400), id="b2", round=2),
        job(OPENAI, batch(state=State.CANCELLED, ended=700), id="a3", round=3),
        job(ANTHROPIC, batch(state=State.RUNNING, ended=None), id="b3", round=3, ended=None, totals=Totals()),
    ]


def test_expired_cancelled_and_unfinished_jobs_are_counted_beside_the_turnaround() -> None:
    ours, theirs = summarize([measure(each) for each in cut_off_rounds()])
    assert (ours.target, theirs.target) == (OPENAI, ANTHROPIC)
    assert ours.turnaround_s.values == (100.0, 120.0)
    assert ours.turnaround_s.without == 1
    assert ours.states == {"succeeded": 2, "cancelled": 1}
    assert theirs.turnaround_s.values == (30.0,)
    assert theirs.turnaround_s.without == 2
    assert theirs.states == {"succeeded": 1, "expired": 1, "running": 1}
    assert theirs.completion_s.without == 2


def test_totals_of_a_target_are_the_sums_over_its_jobs() -> None:
    first = Totals(
        submitted=10,
        succeeded=7,
        errored=3,
        usage=Usage(input_tokens=100, output_tokens=50),
        cost_usd=0.25,
        price_note="dated",
        errors={"overloaded": ErrorGroup(3, "first words", True)},
    )
    second = Totals(
        submitted=10,
        succeeded=8,
        errored=1,
        missing=1,
        usage=Usage(input_tokens=110, output_tokens=60),
        cost_usd=0.5,
        errors={"overloaded": ErrorGroup(1, "other words", True)},
    )
    jobs = [job(OPENAI, batch(), totals=first, rows=10), job(OPENAI, batch(), totals=second, rows=10, round=2)]
    (summary,) = summarize([measure(each) for each in jobs])
    assert (summary.totals.submitted, summary.totals.succeeded, summary.totals.missing) == (20, 15, 1)
    assert (summary.totals.errors["overloaded"].count, summary.totals.errors["overloaded"].message) == (
        4,
        "first words",
    )
    assert summary.totals.usage.input_tokens == 210
    assert summary.cost_usd == pytest.approx(0.75)
    assert summary.cost_per_1000_usd == pytest.approx(50.0)
    assert summary.price_note == "dated"


def test_summing_up_does_not_change_the_jobs() -> None:
    totals = Totals(submitted=1, errored=1, errors={"bad": ErrorGroup(1, "words", False)})
    measures = [measure(job(OPENAI, batch(), totals=totals, rows=1, round=n)) for n in (1, 2)]
    summarize(measures)
    summarize(measures)
    assert totals.errors["bad"].count == 1
    assert totals.submitted == 1


def test_a_cost_that_is_unknown_for_one_job_is_unknown_for_the_target() -> None:
    jobs = [
        job(GOOGLE, batch(), totals=all_succeeded(cost_usd=None)),
        job(GOOGLE, batch(), totals=all_succeeded(), round=2),
    ]
    for order in (jobs, jobs[::-1]):
        (summary,) = summarize([measure(each) for each in order])
        assert summary.cost_usd is None
        assert summary.cost_per_1000_usd is None


def test_a_target_without_a_single_success_has_no_cost_per_success() -> None:
    totals = Totals(submitted=4, errored=4, cost_usd=0.1)
    (summary,) = summarize([measure(job(OPENAI, batch(), totals=totals, rows=4))])
    assert summary.cost_usd == 0.1
    assert summary.cost_per_1000_usd is None


def test_a_job_with_shards_that_are_still_to_be_sent_is_not_done_though_its_batches_are() -> None:
    whole = job(OPENAI, batch())
    assert measure(whole).state is State.SUCCEEDED
    assert measure(replace(whole, unsent=1)).state is State.RUNNING
    assert measure(replace(whole, unsent=1)).turnaround_s is None
    assert measure(replace(whole, refused=1)).state is State.FAILED
