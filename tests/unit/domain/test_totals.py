"""Totals: every row counts once, and a cost is known only where all of it is."""

from __future__ import annotations

from batchmark.domain.result import Failure, Outcome
from batchmark.domain.totals import ErrorGroup, Totals
from batchmark.domain.usage import Usage


def test_every_outcome_counts_towards_what_was_submitted() -> None:
    totals = Totals()
    for outcome in Outcome:
        totals.count(outcome, None)
    totals.count(Outcome.SUCCEEDED, None)
    assert (totals.submitted, totals.succeeded, totals.failed) == (6, 2, 4)
    assert (totals.errored, totals.expired, totals.cancelled, totals.missing) == (1, 1, 1, 1)


def test_failures_of_one_code_are_one_group_with_the_words_of_the_first() -> None:
    totals = Totals()
    totals.count(Outcome.ERRORED, Failure("rate_limit", "slow down", True))
    totals.count(Outcome.ERRORED, Failure("rate_limit", "slow down please", True))
    totals.count(Outcome.ERRORED, Failure("bad", "no", False))
    assert totals.errors == {"rate_limit": ErrorGroup(2, "slow down", True), "bad": ErrorGroup(1, "no", False)}


def test_two_totals_share_no_groups() -> None:
    one, other = Totals(), Totals()
    one.count(Outcome.ERRORED, Failure("bad", "no", False))
    assert other.errors == {}
    other.add(one)
    other.count(Outcome.ERRORED, Failure("bad", "no", False))
    assert (one.errors["bad"].count, other.errors["bad"].count) == (1, 2)


def _totals(cost: float | None) -> Totals:
    return Totals(submitted=2, succeeded=1, missing=1, usage=Usage(3, 4), cost_usd=cost, duplicates=1, unreadable=2)


def test_jobs_add_up() -> None:
    both = Totals()
    both.add(_totals(0.25))
    both.add(_totals(0.5))
    assert (both.submitted, both.succeeded, both.missing, both.duplicates, both.unreadable) == (4, 2, 2, 2, 4)
    assert (both.usage, both.cost_usd) == (Usage(6, 8), 0.75)


def test_one_unknown_cost_makes_the_sum_unknown_and_never_zero() -> None:
    for costs in ([None, 0.5], [0.5, None], [None, None]):
        both = Totals()
        for cost in costs:
            both.add(_totals(cost))
        assert both.cost_usd is None
