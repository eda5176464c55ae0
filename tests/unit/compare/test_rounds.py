"""Rounds of jobs that nobody sent together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from batchmark.compare.rounds import BY_DAY, BY_HOUR, rounds_of

START = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)


def test_jobs_of_six_days_or_more_are_rounds_by_day_in_the_order_of_time() -> None:
    moments = [START + timedelta(days=day) for day in (5, 0, 3, 1, 4, 2, 0)]
    found = rounds_of(moments)
    assert found.numbers == (6, 1, 4, 2, 5, 3, 1)
    assert found.round_is == BY_DAY


def test_jobs_of_fewer_days_are_rounds_by_hour() -> None:
    moments = [START + timedelta(days=day) for day in range(5)] + [
        START + timedelta(minutes=9),
        START + timedelta(minutes=11),
    ]
    found = rounds_of(moments)
    assert found.numbers == (1, 3, 4, 5, 6, 1, 2)
    assert found.round_is == BY_HOUR


def test_days_are_those_of_utc_whatever_zone_a_moment_is_told_in() -> None:
    eastern = timezone(timedelta(hours=-5))
    found = rounds_of([START + timedelta(days=day) for day in range(6)] + [START.astimezone(eastern)])
    assert found.numbers == (1, 2, 3, 4, 5, 6, 1)


def test_no_jobs_are_no_rounds() -> None:
    assert rounds_of([]).numbers == ()
