"""What a workload will take, and what a part of it will."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchmark.domain.request import ChatRequest, Image, Message, Settings, Text
from batchmark.domain.tokens import BY_LENGTH, calibrated
from batchmark.engine.estimate import Estimate, estimate, limits_met, part_of, total
from batchmark.prices.lookup import Price, Rate
from batchmark.providers import registry
from tests.support import chat, row, vector, wire

PRICE = Price(provider="p", model="m", rates=(Rate(0, 0.25, 0.5, 0.125, 0.25),), assumed=False, source="a list")
TIERS = replace(PRICE, rates=(Rate(0, 1.0, 1.0, 1.0, 1.0), Rate(100, 2.0, 2.0, 2.0, 2.0)))
WHOLE = Estimate(
    rows=10,
    shards=1,
    wire_bytes=1000,
    largest_row_bytes=200,
    input_tokens=500,
    max_output_tokens=50,
    rows_without_limit=2,
    rows_uncounted=1,
    input_cost_usd=1.0,
    most_cost_usd=4.0,
)


def of(provider: str, *rows: object, price: Price | None = PRICE, **more: Any) -> Estimate:
    limits = registry.find(provider).limits
    numbered = [row(number, request) for number, request in enumerate(rows)]  # type: ignore[arg-type]
    return estimate(numbered, wire(provider), limits, source="x", model="m", price=price, **more)


def test_the_most_takes_every_answer_as_long_as_it_may_be() -> None:
    request = chat("x" * 400, settings=Settings(max_tokens=50))
    found = of("openai", request, request)
    assert (found.rows, found.input_tokens, found.max_output_tokens) == (2, 216, 100)
    assert found.input_cost_usd == 216 * 0.25
    assert found.most_cost_usd == pytest.approx(216 * 0.25 * 1.3 + 100 * 0.5)
    assert found.warnings == []


def test_an_answer_without_a_limit_has_no_upper_cost_where_the_provider_sets_none() -> None:
    found = of("openai", chat(), chat(settings=Settings(max_tokens=5)))
    assert (found.rows_without_limit, found.most_cost_usd) == (1, None)
    assert found.input_cost_usd is not None and "1 rows set no max_tokens" in found.warnings[0]
    # anthropic is asked for a limit always
    assert of("anthropic", chat()).most_cost_usd is not None


def test_what_cannot_be_counted_is_said_and_has_no_upper_cost() -> None:
    parts = (Text("what is this?"), Image(url="https://example.com/x.png"))
    picture = ChatRequest((Message("user", parts),), settings=Settings(max_tokens=5))
    found = of("openai", picture)
    assert (found.rows_uncounted, found.most_cost_usd) == (1, None)
    assert any("not in the figures" in each for each in found.warnings)


def test_without_a_price_nothing_is_said_about_cost() -> None:
    found = of("openai", vector("hello"), price=None)
    assert (found.input_cost_usd, found.most_cost_usd) == (None, None)


def test_a_price_that_rises_with_the_size_of_a_request_is_summed_row_by_row() -> None:
    small, large = chat("x" * 40, settings=Settings(max_tokens=1)), chat("x" * 4000, settings=Settings(max_tokens=1))
    apart = [of("openai", each, price=TIERS) for each in (small, large)]
    found = of("openai", small, large, price=TIERS)
    assert found.input_cost_usd == sum(each.input_cost_usd or 0 for each in apart)
    assert found.most_cost_usd == sum(each.most_cost_usd or 0 for each in apart)


def test_parts_are_summed_up_and_one_unknown_makes_the_sum_unknown() -> None:
    both = total([WHOLE, replace(WHOLE, largest_row_bytes=300)])
    assert (both.rows, both.shards, both.wire_bytes, both.largest_row_bytes) == (20, 2, 2000, 300)
    assert both.most_cost_usd == 8.0
    assert total([WHOLE, replace(WHOLE, most_cost_usd=None)]).most_cost_usd is None
    with pytest.raises(ValueError, match="nothing"):
        total([])


@given(rows=st.integers(1, 10), wire_bytes=st.integers(1, 1000))
def test_a_part_never_takes_more_than_the_whole(rows: int, wire_bytes: int) -> None:
    part = part_of(WHOLE, rows, wire_bytes)
    for name in ("input_tokens", "max_output_tokens", "rows_without_limit", "rows_uncounted"):
        assert 0 <= getattr(part, name) <= getattr(WHOLE, name)
    assert part.most_cost_usd is not None and part.most_cost_usd <= 4.0
    assert part_of(replace(WHOLE, most_cost_usd=None), rows, wire_bytes).most_cost_usd is None
    assert (part.rows, part.wire_bytes) == (rows, wire_bytes)


def test_a_closer_count_narrows_the_range_and_scales_it() -> None:
    request = chat("x" * 400, settings=Settings(max_tokens=50))
    counter = calibrated(BY_LENGTH, [108] * 10, [216] * 10, of_rows=100)
    found = of("openai", request, request, counter=counter)
    assert found.input_tokens == 432
    assert found.least_cost_usd == pytest.approx(432 * 0.25 * 0.98)
    assert found.most_cost_usd == pytest.approx(432 * 0.25 * 1.02 + 100 * 0.5)
    tiered = of("openai", request, request, counter=counter, price=TIERS)
    assert tiered.least_cost_usd == round(216 * 0.98) * 2 * 2.0


def test_the_same_outside_batches_is_counted_where_it_is_asked_for() -> None:
    request = chat("x" * 400, settings=Settings(max_tokens=50))
    for price in (PRICE, TIERS):
        both = replace(price, standard=tuple(Rate(each.above_input_tokens, 1.0, 3.0, 1.0, 1.0) for each in price.rates))
        found = of("openai", request, price=both, standard=True)
        assert found.standard_least_usd == pytest.approx(108 * 0.7, abs=0.5)
        assert found.standard_most_usd == pytest.approx(108 * 1.3 + 150, abs=0.5)
        assert of("openai", request, price=both).standard_least_usd is None
    assert of("openai", chat(), price=replace(PRICE, standard=PRICE.rates), standard=True).standard_most_usd is None
    assert of("openai", request, price=PRICE, standard=True).standard_least_usd is None


def test_limits_are_said_in_words() -> None:
    limits = replace(registry.find("google").limits, max_rows=4)
    assert limits_met(replace(WHOLE, shards=1), limits) == []
    words = limits_met(replace(WHOLE, shards=3), limits)
    assert words == [
        "needs 3 batches: one holds at most 4 rows",
        "3.0 % of the 100 batches that an account may have under way at once",
    ]
    large = replace(WHOLE, shards=101, wire_bytes=3_000_000_000)
    words = limits_met(large, registry.find("google").limits)
    assert "one holds at most 2,000 MB" in words[0] and "the rest waits" in words[1]
    texts = limits_met(replace(WHOLE, shards=2), registry.find("openai").limits)
    assert "50,000 texts to embed" in texts[0] and "0.1 % of the 2,000 batches" in texts[1]
