"""The curve against worked examples and an independent implementation, and what resampling rounds does to it."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from batchmark.compare.intervals import quantiles
from batchmark.compare.survival import Resampling, done_by, fit, percentiles, quantile

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lifelines import KaplanMeierFitter

# Freireich and others (1963), weeks of remission under 6-MP, as in every textbook: + marks the censored.
WEEKS = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
ENDED = (
    [True, True, True, False, True, False, True, False, False, True, True] + [False] * 3 + [True, True] + [False] * 5
)


def test_the_curve_is_that_of_the_textbook_example() -> None:
    curve = fit(WEEKS, ENDED)
    assert curve.times_s.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    survival = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert (1 - curve.done).round(3).tolist() == pytest.approx(survival, abs=5e-4)
    assert quantile(curve, 0.5) == 23
    assert quantile(curve, 0.9) is None
    assert (curve.jobs, curve.events, curve.last_s) == (21, 9, 35)


@settings(max_examples=60, deadline=None)
@given(some.lists(some.tuples(some.integers(1, 40), some.booleans()), min_size=1, max_size=60))
def test_the_curve_agrees_with_lifelines_whatever_the_ties(jobs: list[tuple[int, bool]]) -> None:
    times, ended = [float(time) for time, _ in jobs], [end for _, end in jobs]
    curve = fit(times, ended)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = KaplanMeierFitter().fit(times, ended)
        for at in (0.0, 3.0, 17.5, 39.0):
            assert done_by(curve, at) == pytest.approx(1 - float(theirs.predict(at)), abs=1e-9)
    for time, done in zip(curve.times_s, curve.done, strict=True):
        assert done == pytest.approx(1 - float(theirs.survival_function_at_times(time).iloc[0]), abs=1e-9)
    if any(abs(done - 0.5) < 1e-9 for done in curve.done):
        return  # where a product is one half but for its last digit, theirs may miss it
    median = theirs.median_survival_time_
    assert quantile(curve, 0.5) == (None if math.isinf(median) else median)


def test_no_job_at_all_gives_an_empty_curve() -> None:
    curve = fit([], [])
    assert (curve.jobs, curve.events, quantile(curve, 0.5), done_by(curve, 10)) == (0, 0, None, 0.0)


def test_jobs_of_which_none_finished_give_a_curve_that_never_rises() -> None:
    curve = fit([10.0, 20.0], [False, False])
    assert (curve.jobs, curve.events, quantile(curve, 0.5), done_by(curve, 15)) == (2, 0, None, 0.0)


def test_a_draw_in_which_every_round_comes_once_is_the_curve_itself() -> None:
    """Of two rounds half of the draws hold both: those must give the median of all jobs."""
    times, ended, rounds = [10.0, 20.0, 30.0, 40.0], [True] * 4, [1, 1, 2, 2]
    early, late = Resampling(times, ended, rounds, draws=400, seed=3).quantiles(0.5)[0]
    assert set(early) == {10.0, 20.0, 30.0}
    assert 0.35 < float((early == 20.0).mean()) < 0.65
    assert bool((early <= late).all())


def test_two_resamplings_with_one_seed_draw_the_same_rounds() -> None:
    rounds = list(range(20))
    one = Resampling([float(n + 1) for n in rounds], [True] * 20, rounds, all_blocks=rounds, seed=5)
    double = Resampling([2.0 * (n + 1) for n in rounds], [True] * 20, rounds, all_blocks=rounds, seed=5)
    ratio = double.quantiles(0.5)[0][0] / one.quantiles(0.5)[0][0]
    assert ratio.tolist() == pytest.approx([2.0] * len(ratio))


def test_the_percentiles_are_wider_where_rounds_are_few() -> None:
    lows = [percentiles(rounds)[0] for rounds in (6, 10, 20, 100, 10_000)]
    assert lows == sorted(lows)
    assert lows[-1] == pytest.approx(0.025, abs=1e-4)
    assert lows[0] < 0.005


def test_the_band_holds_the_curve() -> None:
    generator = np.random.default_rng(1)
    times = np.exp(generator.normal(5, 1, size=40))
    curve = fit(times, np.ones(40, dtype=bool))
    low, high = Resampling(times, np.ones(40, dtype=bool), np.arange(40)).band(curve.times_s)
    assert bool((low <= curve.done).all())
    assert bool((curve.done <= high).all())
    assert bool((np.diff(low) >= 0).all())


@pytest.mark.parametrize(
    ("finished", "said"),
    [(5, set()), (6, {0.5}), (35, {0.5}), (36, {0.5, 0.9}), (367, {0.5, 0.9}), (368, {0.5, 0.9, 0.99})],
)
def test_a_quantile_is_said_only_from_its_least_number_of_finished_jobs_on(finished: int, said: set[float]) -> None:
    times = [float(n + 1) for n in range(finished)]
    found = quantiles(
        fit(times, [True] * finished), Resampling(times, [True] * finished, list(range(finished)), draws=50)
    )
    assert {each.part for each in found if each.value_s is not None} == said
    assert [each.needed for each in found] == [6, 36, 368]


def test_below_six_rounds_a_median_has_no_interval() -> None:
    times = [float(n + 1) for n in range(20)]
    median = quantiles(fit(times, [True] * 20), Resampling(times, [True] * 20, [n % 5 for n in range(20)]), (0.5,))[0]
    assert (median.value_s, median.low_s, median.high_s) == (10.0, None, None)


def test_an_upper_bound_beyond_every_observation_is_said_to_be_open() -> None:
    times, ended = [float(n + 1) for n in range(12)], [n < 7 for n in range(12)]
    median = quantiles(fit(times, ended), Resampling(times, ended, list(range(12))), (0.5,))[0]
    assert median.value_s == 6.0
    assert (median.high_s, median.open_ended) == (None, True)
