"""When a batch is late, and what is done about it: plain tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise

import pytest

from batchmark.domain.limits import Limits, Usual
from batchmark.engine.stall import FEWEST, Lateness, lateness, later, must_rescue, must_stop, usual_of

HOUR = 3600.0
LIMITS = Limits(
    max_rows=10,
    max_bytes=1000,
    max_row_bytes=1000,
    window_s=86_400,
    expires_s=172_800,
    one_model_per_batch=True,
    source="",
    as_of=date(2026, 1, 1),
)
PUBLISHED = Usual(p95_s=2 * HOUR, n=100, source="a vendor")


def test_published_times_count_until_the_users_own_history_is_long_enough() -> None:
    assert usual_of([], PUBLISHED) is PUBLISHED
    assert usual_of([60.0] * (FEWEST - 1), PUBLISHED) is PUBLISHED
    own = usual_of([60.0] * FEWEST, PUBLISHED)
    assert (own.p95_s, own.n) == (60.0, FEWEST) and "your own" in own.source


@pytest.mark.parametrize(("count", "rank"), [(20, 19), (21, 20), (100, 95), (101, 96), (1000, 950)])
def test_the_95th_percentile_is_the_time_within_which_95_per_cent_had_ended(count: int, rank: int) -> None:
    times = [float(number) for number in range(count, 0, -1)]
    assert usual_of(times, PUBLISHED).p95_s == float(rank)
    assert sum(each <= rank for each in times) / count >= 0.95


@pytest.mark.parametrize(
    ("age_s", "late"),
    [
        (0.0, Lateness.ON_TIME),
        (2 * HOUR, Lateness.ON_TIME),
        (2 * HOUR + 1, Lateness.LATE),
        (12 * HOUR - 1, Lateness.LATE),
        (12 * HOUR, Lateness.HALF),
        (21.6 * HOUR - 1, Lateness.HALF),
        (21.6 * HOUR, Lateness.NEARLY_OVER),
        (60 * HOUR, Lateness.NEARLY_OVER),
    ],
)
def test_lateness_rises_in_steps(age_s: float, late: Lateness) -> None:
    assert lateness(age_s, LIMITS, PUBLISHED) is late


def test_the_steps_are_in_rising_order() -> None:
    for before, after in pairwise(Lateness):
        assert later(after, before) and not later(before, after) and not later(after, after)


@pytest.mark.parametrize(
    ("age_s", "p95_s", "begun", "keeps", "stop"),
    [
        (11 * HOUR, 2 * HOUR, True, True, False),  # half of the window is not over
        (12 * HOUR, 2 * HOUR, True, True, True),
        (12 * HOUR, 13 * HOUR, True, True, False),  # that is usual
        (13.1 * HOUR, 13 * HOUR, True, True, True),
        (20 * HOUR, 2 * HOUR, True, False, False),  # cancelling would lose what is done
        (20 * HOUR, 2 * HOUR, False, False, True),  # nothing is done yet
    ],
)
def test_a_stuck_batch_is_given_up_only_where_nothing_is_lost_by_it(
    age_s: float, p95_s: float, begun: bool, keeps: bool, stop: bool
) -> None:
    usual = replace(PUBLISHED, p95_s=p95_s)
    assert must_stop(age_s, LIMITS, usual, begun=begun, cancel_keeps_finished=keeps) is stop


@pytest.mark.parametrize(
    ("age_s", "keeps", "rescue"),
    [
        (172_800 - 901, False, False),
        (172_800 - 900, False, True),
        (172_800 - 900, True, False),
        (172_800 + 5, True, False),
    ],
)
def test_a_batch_whose_expiry_gives_nothing_is_cancelled_fifteen_minutes_before(
    age_s: float, keeps: bool, rescue: bool
) -> None:
    assert must_rescue(age_s, LIMITS, expiry_keeps_finished=keeps) is rescue
