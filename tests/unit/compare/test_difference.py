"""The test within rounds: exact where it can be, blind to what a round has in common, and honest with many targets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from batchmark.compare.difference import flip_signs, holm, normal_scores, round_differences


def test_all_signs_alike_in_six_rounds_is_two_ways_of_64() -> None:
    assert flip_signs(np.array([1.0, 2.0, 0.5, 3.0, 1.0, 0.1])) == 2 / 64


def test_differences_that_cancel_out_are_no_evidence() -> None:
    assert flip_signs(np.array([1.0, -1.0, 2.0, -2.0, 0.0, 0.0])) == 1.0


def test_the_exact_test_is_that_of_scipy() -> None:
    values = np.random.default_rng(4).normal(0.4, 1, size=9)
    theirs = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert flip_signs(values) == pytest.approx(theirs.pvalue)


def test_many_rounds_use_random_signs_and_come_near_the_normal_law() -> None:
    values = np.random.default_rng(8).normal(0.2, 1, size=120)
    z = values.sum() / np.sqrt((values**2).sum())
    assert flip_signs(values, seed=1) == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.01)


def test_very_many_rounds_go_by_the_normal_law_itself() -> None:
    values = np.random.default_rng(9).normal(0.1, 1, size=400)
    z = values.sum() / np.sqrt((values**2).sum())
    assert flip_signs(values) == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert flip_signs(np.zeros(400)) == 1.0


def test_holms_adjustment_is_that_of_the_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.04]) == [0.02, None, 0.04]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_scores_of_finished_jobs_rise_with_their_times_and_are_near_normal() -> None:
    times = np.exp(np.random.default_rng(2).normal(6, 2, size=400))
    scores = normal_scores(times, np.ones(400, dtype=bool))
    assert bool((np.diff(scores[np.argsort(times)]) > 0).all())
    assert float(scores.std()) == pytest.approx(1.0, abs=0.03)
    assert float(scores.mean()) == pytest.approx(0.0, abs=1e-6)


def test_an_unfinished_job_scores_above_a_job_that_finished_at_that_time() -> None:
    times, finished = np.array([1.0, 2.0, 3.0, 3.0, 4.0]), np.array([True, True, True, False, True])
    scores = normal_scores(times, finished)
    assert scores[3] > scores[2]


def test_only_rounds_that_hold_both_targets_count() -> None:
    values = np.array([1.0, 3.0, 10.0, 5.0])
    found = round_differences(values, np.array([True, False, True, True]), np.array([1, 1, 2, 1]))
    assert found.tolist() == [0.0]


def test_what_a_round_has_in_common_cancels_out() -> None:
    """Twice as slow in each of 12 rounds, whose moods differ by far more than that."""
    moods = np.exp(np.random.default_rng(3).normal(6, 3, size=12))
    times = np.concatenate([moods, 2 * moods])
    is_left = np.arange(24) < 12
    blocks = np.concatenate([np.arange(12), np.arange(12)])
    differences = round_differences(normal_scores(times, np.ones(24, dtype=bool)), is_left, blocks)
    assert flip_signs(differences) < 0.001
    assert bool((differences < 0).all())
