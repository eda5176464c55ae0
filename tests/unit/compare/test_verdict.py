"""Verdicts from made-up jobs whose truth is plain: who is ahead, who cannot be told apart, and when nothing may be said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from batchmark.compare.analysis import Analysis, analyze
from batchmark.compare.measures import BatchFacts, JobFacts, measure
from batchmark.compare.observations import LeftOut
from batchmark.compare.verdict import Question, Reason, Verdict
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.domain.totals import Totals
from batchmark.domain.usage import Usage

START = datetime(2026, 11, 20, tzinfo=UTC)
A, B, C = Target("openai", "a"), Target("google", "b"), Target("anthropic", "c")
Number = Callable[[int], float]


def jobs(
    target: Target,
    rounds: int,
    *,
    seconds: Number = lambda n: 100.0 + n,
    cost: Number | None = lambda n: 1.0 + n / 100,
    good: Number = lambda n: 100,
    state: Callable[[int], State] = lambda n: State.SUCCEEDED,
) -> list[JobFacts]:
    """One job a round; every figure as a function of the round."""
    found = []
    for number in range(1, rounds + 1):
        sent = START + timedelta(hours=number)
        over = state(number).terminal
        ended = sent + timedelta(seconds=seconds(number))
        rows = int(good(number)) if state(number) is State.SUCCEEDED else 0
        found.append(
            JobFacts(
                id=f"{target.model}{number}",
                target=target,
                round=number,
                rows=100,
                emulated=True,
                created_at=sent,
                ended_at=ended if over else None,
                problem=None,
                totals=Totals(
                    submitted=100 if over else 0,
                    succeeded=rows,
                    errored=100 - rows if over else 0,
                    usage=Usage(input_tokens=1000, output_tokens=500),
                    cost_usd=cost(number) if cost else None,
                ),
                batches=(
                    BatchFacts(
                        id=f"b{number}",
                        state=state(number),
                        raw_status="",
                        rows=100,
                        created_at=sent,
                        started_at=None,
                        finalizing_at=None,
                        ended_at=ended if over else None,
                        last_seen_at=ended,
                    ),
                ),
            )
        )
    return found


def analysis(*groups: list[JobFacts]) -> Analysis:
    return analyze([measure(each) for group in groups for each in group], draws=200)


def verdict(question: Question, *groups: list[JobFacts]) -> Verdict:
    return next(each for each in analysis(*groups).verdicts if each.question is question)


def test_a_target_that_is_faster_in_every_round_is_the_fastest() -> None:
    found = verdict(Question.FASTEST, jobs(A, 12), jobs(B, 12, seconds=lambda n: 300.0 + n))
    assert (found.winner, found.reason, found.rounds) == (A, Reason.AHEAD, 12)
    assert found.nearest is not None
    assert found.nearest.ratio is not None
    assert found.nearest.ratio.value is not None
    assert 0.3 < found.nearest.ratio.value < 0.4


def test_five_rounds_are_never_a_verdict_however_clear_they_look() -> None:
    for question in Question:
        found = verdict(
            question, jobs(A, 5), jobs(B, 5, seconds=lambda n: 9000.0, cost=lambda n: 50.0, good=lambda n: 1)
        )
        assert (found.winner, found.reason) == (None, Reason.FEW_ROUNDS)


def test_equal_targets_are_not_told_apart() -> None:
    def other(n: int) -> float:
        return 100.0 + (13 * n) % 17

    found = verdict(Question.FASTEST, jobs(A, 16, seconds=lambda n: 100.0 + (7 * n) % 17), jobs(B, 16, seconds=other))
    assert (found.winner, found.reason, found.leaders) == (None, Reason.NOT_TOLD_APART, (A, B))


def test_two_that_cannot_be_told_apart_stand_before_a_third_that_is_behind() -> None:
    found = verdict(
        Question.FASTEST,
        jobs(A, 16, seconds=lambda n: 100.0 + (7 * n) % 17),
        jobs(B, 16, seconds=lambda n: 100.0 + (13 * n) % 17),
        jobs(C, 16, seconds=lambda n: 900.0 + n),
    )
    assert (found.winner, found.leaders) == (None, (A, B))


def test_jobs_that_never_finish_make_a_target_slower_not_faster() -> None:
    """Half of the jobs of A expire after a day; those that finish are quick, and dropping the others would make it the fastest."""
    half = jobs(
        A,
        20,
        seconds=lambda n: 50.0 if n % 2 else 86_400.0,
        state=lambda n: State.SUCCEEDED if n % 2 else State.EXPIRED,
    )
    found = analysis(half, jobs(B, 20, seconds=lambda n: 60.0 + n))
    first = found.targets[0]
    assert (first.finished, first.unfinished) == (10, {"expired": 10})
    assert found.verdicts[0].winner is None


def test_reliability_counts_requests_that_have_no_answer_and_equal_figures_are_no_difference() -> None:
    found = verdict(Question.MOST_RELIABLE, jobs(A, 10), jobs(B, 10, good=lambda n: 90 - n))
    assert found.winner == A
    same = verdict(Question.MOST_RELIABLE, jobs(A, 10), jobs(B, 10))
    assert (same.winner, same.reason) == (None, Reason.ALIKE)


def test_a_target_without_a_price_leaves_the_cheapest_unknown() -> None:
    found = verdict(Question.CHEAPEST, jobs(A, 10), jobs(B, 10, cost=None))
    assert (found.winner, found.reason) == (None, Reason.UNKNOWN)


def test_the_cheapest_is_the_best_value_unless_another_is_faster() -> None:
    cheap = jobs(A, 10, cost=lambda n: 1.0 + n / 1000)
    dear = jobs(B, 10, cost=lambda n: 2.0 + n / 1000, seconds=lambda n: 100.0 + n)
    assert verdict(Question.BEST_VALUE, cheap, dear).winner == A
    quick = jobs(B, 10, cost=lambda n: 2.0 + n / 1000, seconds=lambda n: 10.0 + n)
    found = verdict(Question.BEST_VALUE, cheap, quick)
    assert (found.winner, found.reason) == (None, Reason.TRADE)


def test_one_target_has_figures_and_no_verdict() -> None:
    found = analysis(jobs(A, 10))
    assert {each.reason for each in found.verdicts} == {Reason.ONE_TARGET}
    assert found.targets[0].median.value_s == 105.0


def test_a_target_of_which_no_job_finished_has_an_empty_figure_and_breaks_nothing() -> None:
    found = analysis(jobs(A, 8, state=lambda n: State.EXPIRED, seconds=lambda n: 86_400.0), jobs(B, 8))
    assert (found.targets[0].finished, found.targets[0].median.value_s) == (0, None)
    assert found.verdicts[0].winner == B


def test_jobs_that_failed_before_they_ran_are_in_no_curve_and_are_counted() -> None:
    found = analysis(jobs(A, 8, state=lambda n: State.FAILED), jobs(B, 8))
    assert found.targets[0].left_out == {LeftOut.FAILED: 8}
    assert (found.targets[0].jobs, found.verdicts[0].reason) == (0, Reason.UNKNOWN)
    assert found.targets[0].success is not None
    assert found.targets[0].success.value == 0.0


def test_rounds_sent_within_an_hour_are_one_mood() -> None:
    spread = analysis(jobs(A, 8), jobs(B, 8))
    assert not spread.one_mood
    assert [each.by for each in spread.breakdowns] == ["hour"]


def test_a_round_that_cost_something_and_gave_nothing_counts_against_the_cheapest() -> None:
    """Half of the rounds of A give nothing usable and cost all the same: by the answer it is the dearer one."""
    often_empty = jobs(A, 12, cost=lambda n: 0.8, good=lambda n: 0 if n % 2 else 100)
    found = verdict(Question.CHEAPEST, often_empty, jobs(B, 12, cost=lambda n: 1.0))
    assert found.winner != A
    pair = found.differences[0]
    assert pair.rounds == 12
    assert pair.ratio is not None
    assert pair.ratio.value is not None
    assert 1.59 < pair.ratio.value < 1.61


def test_a_target_that_costs_nothing_is_the_cheapest() -> None:
    assert verdict(Question.CHEAPEST, jobs(A, 8, cost=lambda n: 0.0), jobs(B, 8)).winner == A


def test_a_target_with_nothing_to_compare_leaves_the_others_their_verdict_and_is_named() -> None:
    found = verdict(
        Question.FASTEST,
        jobs(A, 12),
        jobs(B, 12, seconds=lambda n: 900.0 + n),
        jobs(C, 12, state=lambda n: State.FAILED),
    )
    assert (found.winner, found.without) == (A, (C,))


def test_at_the_same_cost_the_faster_is_the_best_value() -> None:
    found = verdict(Question.BEST_VALUE, jobs(A, 10), jobs(B, 10, seconds=lambda n: 10.0 + n))
    assert (found.winner, found.reason) == (B, Reason.AHEAD)


def test_who_is_ahead_of_whom_is_known_of_every_pair() -> None:
    found = verdict(
        Question.FASTEST,
        jobs(A, 12),
        jobs(B, 12, seconds=lambda n: 300.0 + n),
        jobs(C, 12, seconds=lambda n: 900.0 + n),
    )
    assert set(found.ahead) == {(A, B), (A, C), (B, C)}


def test_jobs_that_are_not_over_say_nothing_yet_about_success_or_cost() -> None:
    half = jobs(A, 8, state=lambda n: State.RUNNING if n % 2 else State.SUCCEEDED)
    found = analysis(half, jobs(B, 8))
    assert found.targets[0].success is not None
    assert found.targets[0].success.n == 400
    assert {each.rounds for each in found.verdicts if each.question is Question.CHEAPEST} == {4}
