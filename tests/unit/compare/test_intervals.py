"""Intervals of shares against worked examples."""

from __future__ import annotations

import pytest

from batchmark.compare.intervals import share_by_round, wilson


def test_wilsons_interval_is_that_of_the_worked_examples() -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I, method 3."""
    for hits, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(hits, n)
        assert found is not None
        assert found == pytest.approx((low, high), abs=5e-5)


def test_no_row_has_no_interval() -> None:
    assert wilson(0, 0) is None
    assert share_by_round([], [], []).value is None


def test_requests_that_fail_by_whole_rounds_count_as_few_as_the_rounds() -> None:
    rounds = list(range(10))
    together = share_by_round([100] * 9 + [0], [100] * 10, rounds)
    scattered = share_by_round([88, 92] * 5, [100] * 10, rounds)
    assert together.value == scattered.value == 0.9
    assert together.low is not None
    assert scattered.low is not None
    assert together.low < 0.6
    assert scattered.low > 0.87


def test_jobs_of_one_round_are_one_piece_of_evidence() -> None:
    apart = share_by_round([100] * 9 + [0], [100] * 10, list(range(10)))
    shared = share_by_round([100] * 18 + [0, 0], [100] * 20, [n // 2 for n in range(20)])
    assert (apart.low, apart.high) == pytest.approx((shared.low, shared.high))
    assert shared.clusters == 10


def test_where_nothing_failed_the_rounds_alone_are_evidence() -> None:
    found = share_by_round([1000] * 10, [1000] * 10, list(range(10)))
    assert found.value == 1.0
    assert found.high == pytest.approx(1.0)
    assert found.low == pytest.approx(0.6615, abs=1e-3)


def test_below_six_rounds_a_share_has_no_interval() -> None:
    found = share_by_round([10] * 5, [10] * 5, list(range(5)))
    assert (found.value, found.low, found.high) == (1.0, None, None)
