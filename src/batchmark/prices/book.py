"""All prices that count in a workspace, in the order in which they count: the user's own file, then the list in the package."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from batchmark.prices.discounts import DISCOUNTS
from batchmark.prices.lookup import Price, listed, package_name
from batchmark.prices.own import OwnPrices, read_own_prices

__all__ = ["VARIABLE", "PriceBook"]

VARIABLE = "BATCHMARK_PRICES"


class PriceBook:
    """Where every price comes from. Nothing in it changes, so what it has found once it keeps."""

    def __init__(self, own: OwnPrices | None = None) -> None:
        self.own = own
        self._find = lru_cache(maxsize=256)(self._look)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> PriceBook:
        """With the user's file that BATCHMARK_PRICES names, if it does. Raises Configuration where that cannot be used."""
        named = environment.get(VARIABLE, "").strip()
        return cls(read_own_prices(Path(named).expanduser()) if named else None)

    def price(self, provider: str, model: str, at: datetime | None = None) -> Price | None:
        """The batch price of a model at a time (default: now), or None where none is known: never 0."""
        return self._find(provider, model, at)

    def _look(self, provider: str, model: str, at: datetime | None) -> Price | None:
        day = (at or datetime.now(UTC)).astimezone(UTC).date()
        mine = None if self.own is None else self.own.price(provider, model, day)
        return mine or listed(provider, model, at)

    def note(self, provider: str, model: str, at: datetime | None = None) -> str:
        """Where a model's price comes from, or why none is given."""
        price = self.price(provider, model, at)
        if price is not None:
            return price.note
        assumed = "" if provider in DISCOUNTS else f", and {provider} documents no discount that could be assumed"
        return f"no batch price is known for {provider}:{model}{assumed}; name one in a price file ({VARIABLE})"

    @property
    def sources(self) -> str:
        """What is looked at, in order."""
        if self.own is None:
            return package_name()
        count = len(self.own.entries)
        return f"{self.own.path} ({count} {'entry' if count == 1 else 'entries'}), then {package_name()}"
