"""A model's batch price, looked up once and applied per row by arithmetic.

Figures come from the package genai-prices. Asking it per row would take two minutes for a million rows, so `resolve` reads the rates
once per model and date, and `cost_usd` multiplies. Two traps are closed here: a model without a batch price silently gets the
standard one there, so the discount is then assumed and labelled; and batch prices that start at a date are not found for earlier
batches, so the lookup is clamped to the variant's start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from batchmark.domain.usage import Usage

__all__ = ["ASSUMED_BATCH_FACTOR", "Price", "Rate", "batch_priced", "cost_usd", "resolve"]

# All three providers document half the synchronous price for batches (read 2026-11-22).
ASSUMED_BATCH_FACTOR = 0.5


@dataclass(frozen=True, slots=True)
class Rate:
    """US dollars per token, for requests with more than `above_input_tokens` input tokens."""

    above_input_tokens: int
    input_usd: float
    output_usd: float
    cached_usd: float
    cache_write_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's batch price by size of request, smallest first. `assumed`: no batch price is known, half the standard price is taken."""

    provider: str
    model: str
    rates: tuple[Rate, ...]
    assumed: bool
    source: str

    @property
    def note(self) -> str:
        """How the figure came about, for a report."""
        return f"{self.source}, {'assumed half of the standard price' if self.assumed else 'batch price'}"


def cost_usd(price: Price, usage: Usage) -> float:
    """What one answer's tokens cost. The size of the request chooses the tier, so sums of rows must be summed as costs."""
    rates = price.rates
    rate = rates[0]
    # most requests by far are below the second tier, if there is one at all
    if len(rates) > 1 and usage.input_tokens > rates[1].above_input_tokens:
        rate = next(each for each in reversed(rates) if usage.input_tokens > each.above_input_tokens)
    plain = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
    return (
        plain * rate.input_usd
        + usage.cached_tokens * rate.cached_usd
        + usage.cache_write_tokens * rate.cache_write_usd
        + usage.output_tokens * rate.output_usd
    )


@lru_cache(maxsize=256)
def resolve(provider: str, model: str, at: datetime | None = None) -> Price | None:
    """The batch price of a model at a time (default: now), or None where no price is known at all: unknown, never 0."""
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    probe = Tokens(input_tokens=1, output_tokens=1)
    moment = at or datetime.now(UTC)
    try:
        found = calc_price(
            probe,
            model_ref=model,
            provider_id=provider,
            genai_request_timestamp=moment,
            price_context={"processing": "batch"},
        )
        start = _batch_start(found.model)
        if start is not None and start > moment:
            found = calc_price(
                probe,
                model_ref=model,
                provider_id=provider,
                genai_request_timestamp=start,
                price_context={"processing": "batch"},
            )
    except (LookupError, ValueError):
        return None
    assumed = not _batch_variants(found.model)
    rates = _rates(found.model_price, ASSUMED_BATCH_FACTOR if assumed else 1.0)
    if rates is None:
        return None
    return Price(
        provider=provider,
        model=model,
        rates=rates,
        assumed=assumed,
        source=f"genai-prices {version('genai-prices')}",
    )


def batch_priced(provider: str, model: str) -> bool:
    """Whether the price data has a batch price for the model."""
    price = resolve(provider, model)
    return price is not None and not price.assumed


def _batch_variants(model: Any) -> list[Any]:
    return [variant for variant in model.price_variants or () if (variant.when or {}).get("processing") == "batch"]


def _batch_start(model: Any) -> datetime | None:
    """When the earliest batch price begins, or None where one has always been there."""
    starts = []
    for variant in _batch_variants(model):
        day = getattr(variant.constraint, "start_date", None)
        if day is None:
            return None
        starts.append(datetime.combine(day, time(0, 0, 1), UTC))
    return min(starts, default=None)


def _rates(price: Any, factor: float) -> tuple[Rate, ...] | None:
    parts = {
        name: getattr(price, name, None)
        for name in ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    }
    if parts["input_mtok"] is None and parts["output_mtok"] is None:
        return None
    edges = sorted({0} | {tier.start for part in parts.values() for tier in getattr(part, "tiers", ())})

    def usd(name: str, tokens: int) -> float | None:
        part = parts[name]
        if part is None:
            return None
        value = getattr(part, "base", part)
        for tier in getattr(part, "tiers", ()):
            if tokens > tier.start:
                value = tier.price
        return float(value) / 1e6 * factor

    rates = []
    for edge in edges:
        plain = usd("input_mtok", edge + 1) or 0.0
        cached, written = usd("cache_read_mtok", edge + 1), usd("cache_write_mtok", edge + 1)
        rates.append(
            Rate(
                edge,
                plain,
                usd("output_mtok", edge + 1) or 0.0,
                plain if cached is None else cached,
                plain if written is None else written,
            )
        )
    return tuple(rates)
