"""Whether the statistics keep their word: a thousand experiments of each kind, of which the truth is known.

The naive ways stand beside ours, so that it stays visible why they are not used.
"""

from __future__ import annotations

import pytest

from tests.unit.compare.simulation import (
    NAIVE_EXPERIMENTS,
    ROUNDS,
    SHARED,
    Sample,
    called_different,
    covered,
    covers,
    differs,
    differs_one_by_one,
    drawn,
    found_with_the_hint,
    generator_of,
    share,
)

every_cell = pytest.mark.parametrize(
    ("rounds", "shared"),
    [
        pytest.param(rounds, shared, id=f"{rounds} rounds, {name}")
        for name, shared in SHARED.items()
        for rounds in ROUNDS
    ],
)


@every_cell
def test_the_interval_of_the_median_holds_the_truth_in_93_of_100_experiments(rounds: int, shared: float) -> None:
    assert covered(rounds, shared) >= 0.93


@every_cell
def test_equal_targets_are_called_different_in_at_most_65_of_1000_experiments(rounds: int, shared: float) -> None:
    assert called_different(rounds, shared) <= 0.065


@every_cell
def test_a_target_twice_as_slow_is_found_with_the_rounds_that_the_hint_names(rounds: int, shared: float) -> None:
    assert found_with_the_hint(rounds, shared)[0] >= 0.78


def test_dropping_unfinished_jobs_makes_every_median_too_early() -> None:
    def samples(rounds: int) -> list[Sample]:
        return [drawn(generator_of(4, rounds, n), rounds, 0.0) for n in range(NAIVE_EXPERIMENTS)]

    assert share([covers(each.without_unfinished, 0) for each in samples(50)]) < 0.5
    assert share([covers(each.without_unfinished, 0) for each in samples(200)]) < 0.05
    assert share([covers(each, 0) for each in samples(50)]) >= 0.9


def test_taking_jobs_of_one_round_for_independent_makes_intervals_too_narrow() -> None:
    samples = [drawn(generator_of(5, n), 50, 0.5) for n in range(NAIVE_EXPERIMENTS)]
    assert share([covers(each.one_by_one, 0) for each in samples]) < 0.91
    assert share([covers(each, 0) for each in samples]) >= 0.93


def test_taking_jobs_of_one_round_for_independent_calls_equal_targets_different() -> None:
    pairs = []
    for n in range(NAIVE_EXPERIMENTS):
        generator = generator_of(6, n)
        pairs.append((drawn(generator, 50, 0.5), drawn(generator, 50, 0.5)))
    assert share([differs_one_by_one(left, right) for left, right in pairs]) > 0.1
    assert share([differs(left, right, 0) for left, right in pairs]) <= 0.065
