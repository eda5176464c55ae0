"""What a workload will take on a target, before anything is sent: counted on the plan that staging follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from batchmark.domain.limits import Limits
from batchmark.domain.request import ChatRequest, Request, Row
from batchmark.domain.tokens import SPREAD, UncountedPart, input_tokens
from batchmark.domain.usage import Usage
from batchmark.engine.plan import pack
from batchmark.prices.lookup import Price, cost_usd
from batchmark.providers.seam import Wire

__all__ = ["METHOD", "Estimate", "Tally", "estimate", "part_of", "total"]

METHOD = (
    f"tokens by length of text, right within about {SPREAD:.0%} for prose; "
    "cost: from the input alone to the input at its high end with every answer at its max_tokens"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Sizes are exact, tokens and costs are not.

    `input_tokens` is a middle figure; costs are in US dollars at the batch price, None where no price is known. `most_cost_usd` takes
    the high end of the input and every answer as long as it may be; None where some row sets no limit to its answer, or its
    tokens cannot be told.
    """

    rows: int
    shards: int
    wire_bytes: int
    largest_row_bytes: int
    input_tokens: int
    max_output_tokens: int
    rows_without_limit: int
    rows_uncounted: int
    input_cost_usd: float | None
    most_cost_usd: float | None

    @property
    def warnings(self) -> list[str]:
        """What the figures leave out, in sentences."""
        found = []
        if self.rows_without_limit:
            found.append(
                f"{self.rows_without_limit:,} rows set no max_tokens, so the length and the cost of their answers have no upper bound"
            )
        if self.rows_uncounted:
            found.append(
                f"{self.rows_uncounted:,} rows hold images, files or bodies of other endpoints, whose tokens are not in the figures"
            )
        return found

    @property
    def document(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Tally:
    """Counts requests as they are packed. The size of a request chooses its price, so costs are summed row by row where that matters."""

    def __init__(self, price: Price | None, limits: Limits) -> None:
        self._price = price
        self._default_tokens = limits.default_max_tokens or 0
        self._one_rate = price.rates[0] if price is not None and len(price.rates) == 1 else None
        self.rows = self.wire_bytes = self.largest = 0
        self.tokens = self.answers = self.unlimited = self.uncounted = 0
        self._least = self._most = 0.0

    def add(self, request: Request, size: int) -> None:
        """Count one request of `size` bytes on the wire."""
        self.rows += 1
        self.wire_bytes += size
        if size > self.largest:
            self.largest = size
        try:
            reads = input_tokens(request)
        except UncountedPart:
            self.uncounted += 1
            return
        self.tokens += reads
        writes = 0
        if isinstance(request, ChatRequest):
            writes = request.settings.max_tokens or self._default_tokens
            self.answers += writes
            if not writes:
                self.unlimited += 1
        if self._price is not None and self._one_rate is None:
            self._least += cost_usd(self._price, Usage(input_tokens=reads))
            high = Usage(input_tokens=round(reads * (1 + SPREAD)), output_tokens=writes)
            self._most += cost_usd(self._price, high)

    def estimate(self, *, shards: int = 1) -> Estimate:
        """What was counted so far."""
        least, most = self._least, self._most
        if self._one_rate is not None:
            least = self.tokens * self._one_rate.input_usd
            most = least * (1 + SPREAD) + self.answers * self._one_rate.output_usd
        known = self._price is not None
        return Estimate(
            rows=self.rows,
            shards=shards,
            wire_bytes=self.wire_bytes,
            largest_row_bytes=self.largest,
            input_tokens=self.tokens,
            max_output_tokens=self.answers,
            rows_without_limit=self.unlimited,
            rows_uncounted=self.uncounted,
            input_cost_usd=least if known else None,
            most_cost_usd=most if known and not self.unlimited and not self.uncounted else None,
        )


def total(parts: Iterable[Estimate]) -> Estimate:
    """The estimate of several shards together. Raises ValueError where there is none."""
    found = list(parts)
    if not found:
        raise ValueError("nothing to sum up")

    def summed(name: str) -> Any:
        values = [getattr(part, name) for part in found]
        return None if any(value is None for value in values) else sum(values)

    values = {field.name: summed(field.name) for field in fields(Estimate)}
    return Estimate(**{**values, "largest_row_bytes": max(part.largest_row_bytes for part in found)})


def part_of(whole: Estimate, rows: int, wire_bytes: int) -> Estimate:
    """What `rows` of a shard's requests take, by their share of its bytes and rows."""
    bytes_share = wire_bytes / max(whole.wire_bytes, 1)
    rows_share = rows / max(whole.rows, 1)
    share = max(bytes_share, rows_share)
    return Estimate(
        rows=rows,
        shards=1,
        wire_bytes=wire_bytes,
        largest_row_bytes=whole.largest_row_bytes,
        input_tokens=round(whole.input_tokens * bytes_share),
        max_output_tokens=round(whole.max_output_tokens * rows_share),
        rows_without_limit=min(whole.rows_without_limit, rows),
        rows_uncounted=min(whole.rows_uncounted, rows),
        input_cost_usd=None if whole.input_cost_usd is None else whole.input_cost_usd * bytes_share,
        most_cost_usd=None if whole.most_cost_usd is None else whole.most_cost_usd * share,
    )


def estimate(
    rows: Iterable[Row], wire: Wire, limits: Limits, *, source: str, model: str, price: Price | None
) -> Estimate:
    """Plan the workload without writing anything. Raises RowError like staging would."""
    tally, shards = Tally(price, limits), 0
    for shard, row, encoded in pack(rows, wire, limits, source=source, model=model, job_id="00000000"):
        tally.add(row.request, len(encoded))
        shards = shard + 1
    return tally.estimate(shards=shards)
