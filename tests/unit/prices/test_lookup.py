"""Prices: the quick path gives what the price package gives, and unknown is never nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from genai_prices import Usage as Tokens
from genai_prices import calc_price

from batchmark.domain.usage import Usage
from batchmark.prices.discounts import DISCOUNTS
from batchmark.prices.lookup import Price, Rate, batch_priced, cost_usd, listed, saving
from batchmark.providers.registry import BUILT_IN

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MODELS = [
    ("openai", "gpt-5-nano"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5.4"),
    ("openai", "gpt-6-luna"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-haiku-5-5"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-flash-lite"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-3.1-pro-preview"),
]
USAGES = [
    Usage(1, 1),
    Usage(1_000_000, 1_000_000),
    Usage(1_500, 300, cached_tokens=1_000),
    Usage(200_000, 10),
    Usage(200_001, 10),
    Usage(300_000, 10, cached_tokens=250_000),
    Usage(0, 0),
]


@pytest.mark.parametrize(("provider", "model"), MODELS)
@pytest.mark.parametrize("usage", USAGES, ids=str)
def test_the_quick_path_agrees_with_the_price_package(provider: str, model: str, usage: Usage) -> None:
    price = listed(provider, model, NOW)
    assert price is not None and not price.assumed
    wanted = calc_price(
        Tokens(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens or None,
        ),
        model_ref=model,
        provider_id=provider,
        genai_request_timestamp=NOW,
        price_context={"processing": "batch"},
    )
    assert cost_usd(price, usage) == pytest.approx(float(wanted.total_price), rel=1e-9, abs=1e-15)


def test_tokens_written_to_a_cache_have_their_own_price() -> None:
    price = listed("anthropic", "claude-haiku-4-5", NOW)
    assert price is not None
    wanted = calc_price(
        Tokens(input_tokens=1_000, output_tokens=5, cache_read_tokens=300, cache_write_tokens=200),
        model_ref="claude-haiku-4-5",
        provider_id="anthropic",
        genai_request_timestamp=NOW,
        price_context={"processing": "batch"},
    )
    usage = Usage(1_000, 5, cached_tokens=300, cache_write_tokens=200)
    assert cost_usd(price, usage) == pytest.approx(float(wanted.total_price))


@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        ("openai", "gpt-5-nano", 0.225),
        ("openai", "gpt-4o-mini", 0.375),
        ("google", "gemini-2.5-flash-lite", 0.25),
        ("anthropic", "claude-haiku-4-5", 3.0),
    ],
)
def test_a_million_tokens_in_and_out_cost_what_the_price_lists_say(provider: str, model: str, usd: float) -> None:
    price = listed(provider, model, NOW)
    assert price is not None
    in_and_out = cost_usd(price, Usage(1_000_000, 0)) + cost_usd(price, Usage(0, 1_000_000))
    assert in_and_out == pytest.approx(usd)


def test_a_model_without_a_batch_price_gets_an_assumed_half_and_says_so() -> None:
    price = listed("openai", "text-embedding-3-small", NOW)
    assert price is not None and price.assumed
    full = calc_price(
        Tokens(input_tokens=1_000, output_tokens=0), model_ref="text-embedding-3-small", provider_id="openai"
    )
    assert cost_usd(price, Usage(1_000, 0)) == pytest.approx(float(full.total_price) / 2)
    assert "assumed half" in price.note
    assert not batch_priced("openai", "text-embedding-3-small")


def test_a_price_without_assumption_names_its_source_and_version() -> None:
    price = listed("openai", "gpt-5-nano", NOW)
    assert price is not None
    assert price.note.startswith("genai-prices ") and price.note.endswith(", batch price")
    assert batch_priced("openai", "gpt-5-nano")


@pytest.mark.parametrize(("provider", "model"), [("groq", "llama-3.1-8b-instant"), ("x-ai", "grok-4")])
def test_no_discount_is_assumed_for_a_provider_that_documents_none(provider: str, model: str) -> None:
    assert calc_price(Tokens(input_tokens=1, output_tokens=1), model_ref=model, provider_id=provider).total_price > 0
    assert listed(provider, model, NOW) is None


def test_every_assumed_discount_names_its_source_and_day() -> None:
    assert set(BUILT_IN) <= set(DISCOUNTS)
    for discount in DISCOUNTS.values():
        assert 0 < discount.share < 1 and discount.source and discount.as_of <= NOW.date()


@pytest.mark.parametrize(("provider", "model"), [*MODELS, ("openai", "text-embedding-3-small")])
@pytest.mark.parametrize("usage", USAGES, ids=str)
def test_the_saving_is_against_the_packages_standard_price(provider: str, model: str, usage: Usage) -> None:
    price = listed(provider, model, NOW)
    assert price is not None
    wanted = calc_price(
        Tokens(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens if price.rates[0].output_usd else None,
            cache_read_tokens=usage.cached_tokens or None,
        ),
        model_ref=model,
        provider_id=provider,
        genai_request_timestamp=NOW,
    )
    both = saving(price, usage)
    assert both is not None and both[0] == cost_usd(price, usage)
    assert both[1] == pytest.approx(float(wanted.total_price), rel=1e-9, abs=1e-15)


def test_without_a_standard_price_there_is_no_saving_to_tell() -> None:
    price = Price(provider="p", model="m", rates=(Rate(0, 1.0, 2.0, 0.5, 1.5),), assumed=False, source="a list")
    assert saving(price, Usage(1, 1)) is None and price.at_standard is None


def test_a_price_says_the_latest_day_that_its_list_names_for_it() -> None:
    price = listed("openai", "gpt-5-nano", NOW)
    assert price is not None and price.as_of is not None
    assert NOW.date() - timedelta(days=365) < price.as_of <= datetime.now(UTC).date()
    assert f", {price.as_of.isoformat()}, " in price.note


@pytest.mark.parametrize(("provider", "model"), [("openai", "no-such-model-9"), ("nobody", "gpt-5-nano")])
def test_an_unknown_price_is_none_and_not_zero(provider: str, model: str) -> None:
    assert listed(provider, model, NOW) is None
    assert not batch_priced(provider, model)


def test_a_batch_made_before_the_batch_price_began_still_gets_it() -> None:
    early = listed("anthropic", "claude-haiku-4-5", NOW - timedelta(days=200))
    now = listed("anthropic", "claude-haiku-4-5", NOW)
    assert early is not None and now is not None
    assert (early.rates, early.assumed) == (now.rates, False)


def test_the_size_of_a_request_chooses_its_tier() -> None:
    tiers = (Rate(0, 1.0, 2.0, 0.5, 1.5), Rate(100, 10.0, 20.0, 5.0, 15.0))
    price = Price(provider="p", model="m", rates=tiers, assumed=False, source="a list")
    assert cost_usd(price, Usage(100, 1)) == 102
    assert cost_usd(price, Usage(101, 1)) == 1030
    assert cost_usd(price, Usage(0, 1)) == 2


@pytest.mark.parametrize("spec", BUILT_IN.values(), ids=lambda spec: spec.name)
def test_every_default_model_has_a_batch_price(spec: object) -> None:
    name, model = getattr(spec, "name", ""), getattr(spec, "default_model", "")
    assert batch_priced(name, model)
