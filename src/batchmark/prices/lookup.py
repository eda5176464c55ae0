"""A model's batch price, looked up once and applied per row by arithmetic.

Listed figures come from the package genai-prices. Asking it per row would take two minutes for a million rows, so `listed` reads the
rates once per model and date, and `cost_usd` multiplies. Traps that are closed here: a model without a batch price silently gets the
standard one there, so a share of it is then assumed and labelled, for providers that document one, and no price is given for others; and
batch prices that start at a date are not found for earlier batches, so the lookup is clamped to the variant's start.

Whoever wants a price asks a `PriceBook`, which puts the user's own prices first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from importlib.metadata import version
from typing import Any

from batchmark.domain.usage import Usage
from batchmark.prices.discounts import DISCOUNTS

__all__ = ["Price", "Rate", "batch_priced", "cost_usd", "listed", "package_name", "saving"]


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
    """A model's batch price by size of request, smallest first, and the standard (synchronous) price of the same day where it is known.

    `assumed`: no batch price is known, a documented share of the standard price is taken; `basis` says so in words. `source` is where the
    figures stand, `as_of` the day that they are of, None where that is not told.
    """

    provider: str
    model: str
    rates: tuple[Rate, ...]
    assumed: bool
    source: str
    as_of: date | None = None
    basis: str = "batch price"
    standard: tuple[Rate, ...] = ()

    @property
    def note(self) -> str:
        """How the figure came about, for a report."""
        return ", ".join(part for part in (self.source, self.as_of and self.as_of.isoformat(), self.basis) if part)

    @property
    def at_standard(self) -> Price | None:
        """The same model outside batches, or None where that price is not known."""
        return replace(self, rates=self.standard, assumed=False, basis="standard price") if self.standard else None


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


def saving(price: Price, usage: Usage) -> tuple[float, float] | None:
    """What one answer's tokens cost in a batch and what at the standard price, in US dollars; None where the latter is not known."""
    standard = price.at_standard
    return None if standard is None else (cost_usd(price, usage), cost_usd(standard, usage))


def package_name() -> str:
    """The list of prices that comes with batchmark, with its version."""
    return f"genai-prices {version('genai-prices')}"


def listed(provider: str, model: str, at: datetime | None = None) -> Price | None:
    """The listed batch price of a model at a time (default: now), or None where there is none: unknown, never 0."""
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    def asked(moment: datetime, **context: str) -> Any:
        return calc_price(
            Tokens(input_tokens=1, output_tokens=1),
            model_ref=model,
            provider_id=provider,
            genai_request_timestamp=moment,
            price_context=context or None,
        )

    moment = at or datetime.now(UTC)
    try:
        found = asked(moment, processing="batch")
        start = _batch_start(found.model)
        if start is not None and start > moment:
            moment = start
            found = asked(moment, processing="batch")
        standard = _rates(asked(moment).model_price)
    except (LookupError, ValueError):
        return None
    price = Price(
        provider=provider,
        model=model,
        rates=_rates(found.model_price),
        assumed=not _batch_variants(found.model),
        source=package_name(),
        as_of=_dated(found.model, found.provider),
        standard=standard,
    )
    if price.assumed:
        discount = DISCOUNTS.get(provider)
        if discount is None:
            return None
        price = replace(
            price,
            rates=_rates(found.model_price, discount.share),
            basis=f"assumed {discount.words} of the standard price",
        )
    return price if price.rates else None


def batch_priced(provider: str, model: str) -> bool:
    """Whether the list has a batch price for the model."""
    price = listed(provider, model)
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


_DAY = re.compile(r"\b20\d\d-[01]\d-[0-3]\d\b")


def _dated(model: Any, provider: Any) -> date | None:
    """The latest day, up to today, that the list names for a price: when its batch variant begins, or when its comments say that it was
    looked at. The package has no field for it, and its release day is not in its metadata."""
    days = [getattr(variant.constraint, "start_date", None) for variant in _batch_variants(model)]
    for comment in (model.price_comments, provider.price_comments):
        days += [_day(text) for text in _DAY.findall(comment or "")]
    today = datetime.now(UTC).date()
    return max((day for day in days if day is not None and day <= today), default=None)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _rates(price: Any, share: float = 1.0) -> tuple[Rate, ...]:
    """The package's figures for one token; none where it has no price for tokens."""
    parts = {
        name: getattr(price, name, None)
        for name in ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    }
    if parts["input_mtok"] is None and parts["output_mtok"] is None:
        return ()
    edges = sorted({0} | {tier.start for part in parts.values() for tier in getattr(part, "tiers", ())})

    def usd(name: str, tokens: int) -> float | None:
        part = parts[name]
        if part is None:
            return None
        value = getattr(part, "base", part)
        for tier in getattr(part, "tiers", ()):
            if tokens > tier.start:
                value = tier.price
        return float(value) / 1e6 * share

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
