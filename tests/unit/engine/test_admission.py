"""Which shards may be sent now: by model, by the rate of creates, and by the user's money."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from batchmark.domain.limits import Limits
from batchmark.engine.admission import Admission, Spend, load_of, most_usd, spend_of
from batchmark.engine.estimate import Estimate
from batchmark.engine.pace import Load, Pace
from batchmark.ledger.records import ShardRecord

LIMITS = Limits(
    max_rows=10,
    max_bytes=1000,
    max_row_bytes=1000,
    window_s=86_400,
    expires_s=86_400,
    one_model_per_batch=True,
    source="",
    as_of=date(2026, 1, 1),
)
PACE = Pace(probe_s=600, longest_s=120)
ONE = Load(batches=1, requests=10, tokens=100)


def times(count: int) -> Load:
    return Load(batches=count, requests=10 * count, tokens=100 * count)


def estimate(**changes: Any) -> dict[str, Any]:
    whole = Estimate(
        rows=10,
        shards=1,
        wire_bytes=100,
        largest_row_bytes=10,
        input_tokens=500,
        max_output_tokens=50,
        rows_without_limit=0,
        rows_uncounted=0,
        input_cost_usd=0.1,
        most_cost_usd=0.5,
    )
    return replace(whole, **changes).document


def shard(**changes: Any) -> ShardRecord:
    base = ShardRecord(
        id=1,
        job_id="job1",
        number=0,
        attempt=1,
        label="bm-job1-0-1",
        endpoint="/v1/x",
        rows=10,
        bytes=100,
        digest="",
        state="submitted",
        estimate=estimate(),
    )
    return replace(base, **changes)


def test_the_smaller_of_the_users_and_the_providers_limit_counts() -> None:
    for published, asked, most in ((None, None, 99), (4, None, 4), (None, 3, 3), (4, 3, 3), (2, 9, 2)):
        admission = Admission(replace(LIMITS, max_batches_in_flight=published), PACE, in_flight=asked)
        fits = [count for count in range(99) if admission.admits("m", times(count), ONE, 0.0)]
        assert len(fits) == most


def test_what_one_model_has_no_room_for_another_may_have() -> None:
    admission = Admission(LIMITS, PACE, in_flight=None)
    admission.refused("small", times(2), 0.0)
    assert not admission.admits("small", times(2), ONE, 0.0)
    assert admission.admits("large", times(2), ONE, 0.0)


def test_a_room_of_eight_is_found_and_probed_later() -> None:
    admission = Admission(LIMITS, PACE, in_flight=None)
    for _ in range(8):
        admission.accepted("m", 0.0)
    admission.refused("m", times(8), 1.0)
    assert [admission.admits("m", times(count), ONE, 2.0) for count in (7, 8)] == [True, False]
    assert admission.opens_at_s("m", 2.0) == 601.0
    assert admission.admits("m", times(8), ONE, 601.0)
    assert not admission.admits("m", times(9), ONE, 601.0)


def test_creates_are_counted_by_the_hour() -> None:
    admission = Admission(replace(LIMITS, creates_per_hour=3), PACE, in_flight=None)
    for now in (0.0, 10.0, 20.0):
        assert admission.admits("m", times(0), ONE, now)
        admission.accepted("m", now)
    assert not admission.admits("m", times(0), ONE, 3599.0)
    assert admission.opens_at_s("m", 30.0) == 3600.0
    assert admission.admits("m", times(0), ONE, 3600.0)
    admission.accepted("m", 3600.0)
    assert not admission.admits("m", times(0), ONE, 3605.0)
    assert admission.admits("m", times(0), ONE, 3610.0)


@pytest.mark.parametrize(("retry_after_s", "at_s"), [(None, 15.0), (300.0, 310.0)])
def test_the_next_try_is_known(retry_after_s: float | None, at_s: float) -> None:
    admission = Admission(LIMITS, PACE, in_flight=None)
    assert admission.opens_at_s("m", 10.0) == 130.0  # nothing was refused: a look now and then
    admission.refused("m", Load(), 10.0, retry_after_s)
    assert admission.opens_at_s("m", 10.0) == at_s
    assert not admission.admits("m", Load(), ONE, at_s - 0.1)
    assert admission.admits("m", Load(), ONE, at_s)


def test_a_load_is_summed_over_shards_and_one_without_an_estimate_has_no_tokens() -> None:
    assert load_of([shard(), shard(rows=5, estimate=None)]) == Load(batches=2, requests=15, tokens=500)
    assert load_of([]) == Load()


@pytest.mark.parametrize(
    ("actual", "under_way", "more", "most", "fits"),
    [
        (0.0, 0.0, 1.0, None, True),
        (None, None, None, None, True),
        (0.2, 0.3, 0.5, 1.0, True),
        (0.2, 0.3, 0.51, 1.0, False),
        (0.1, 0.2, 0.7, 1.0, True),  # 1.0 but for rounding
        (None, 0.0, 0.1, 1.0, False),
        (0.0, None, 0.1, 1.0, False),
        (0.0, 0.0, None, 1.0, False),
        (0.0, 0.0, 0.0, 0.0, True),
    ],
)
def test_money_that_cannot_be_told_is_not_spent_where_there_is_a_limit(
    actual: float | None, under_way: float | None, more: float | None, most: float | None, fits: bool
) -> None:
    assert Spend(actual_usd=actual, under_way_usd=under_way).leaves_room_for(more, most) is fits


def test_what_is_collected_costs_what_it_cost_and_what_is_under_way_may_cost_its_most() -> None:
    collected = [
        shard(batch_id="b1", totals={"cost_usd": 0.25}),
        # never at the provider: free, whatever its totals say
        shard(batch_id=None, totals={"cost_usd": None}),
    ]
    assert spend_of(collected, [shard(), shard()]) == Spend(actual_usd=0.25, under_way_usd=1.0)
    unknown = [shard(batch_id="b1", totals={"cost_usd": None})]
    assert spend_of(unknown, [shard(estimate=None)]) == Spend(actual_usd=None, under_way_usd=None)
    assert spend_of([], []) == Spend(actual_usd=0.0, under_way_usd=0.0)


def test_what_a_shard_may_cost_at_most() -> None:
    assert most_usd(shard()) == 0.5
    assert most_usd(shard(estimate=estimate(most_cost_usd=None))) is None
    assert most_usd(shard(estimate=None)) is None
