"""What a workload will take on a target, before anything is sent: counted on the plan that staging follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from batchmark.domain.limits import Limits
from batchmark.domain.request import ChatRequest, Request, Row
from batchmark.domain.tokens import BY_LENGTH, Counter, UncountedPart, percent
from batchmark.domain.usage import Usage
from batchmark.engine.plan import pack
from batchmark.prices.lookup import Price, cost_usd
from batchmark.providers.seam import Wire

__all__ = ["METHOD", "RANGE", "Estimate", "Tally", "estimate", "limits_met", "part_of", "total"]

METHOD = (
    f"{BY_LENGTH.words} for prose; "
    "cost: from the input alone to the input at its high end with every answer at its max_tokens"
)
RANGE = "cost: from the input alone, at its low end, to the input at its high end with every answer at its max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Sizes are exact, tokens and costs are not.

    `input_tokens` is a middle figure; costs are in US dollars at the batch price, None where no price is known. `least_cost_usd` takes
    the low end of the input and no answer. `most_cost_usd` takes the high end of the input and every answer as long as it may be; None
    where some row sets no limit to its answer, or its tokens cannot be told. The `standard` costs are the same range outside batches,
    where that was asked for and is known.
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
    least_cost_usd: float | None = None
    standard_least_usd: float | None = None
    standard_most_usd: float | None = None

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


class _Bill:
    """What counted requests cost at one price. Those that may reach a higher tier are summed as costs, all others as tokens."""

    def __init__(self, price: Price, counter: Counter) -> None:
        self._price = price
        self._counter = counter
        # up to so many tokens, as counted, even the high end stays in the first tier
        self._most_plain = (
            price.rates[1].above_input_tokens / (counter.ratio * (1 + counter.spread))
            if len(price.rates) > 1
            else float("inf")
        )
        self._reads = self._writes = 0
        self._least = self._middle = self._most = 0.0

    @property
    def is_tiered(self) -> bool:
        return len(self._price.rates) > 1

    def add(self, reads: int, writes: int) -> None:
        """One request with its tokens as counted."""
        if reads <= self._most_plain:
            return
        self._reads += reads
        self._writes += writes
        price, spread = self._price, self._counter.spread
        tokens = reads * self._counter.ratio
        self._least += cost_usd(price, Usage(input_tokens=round(tokens * (1 - spread))))
        self._middle += cost_usd(price, Usage(input_tokens=round(tokens)))
        self._most += cost_usd(price, Usage(input_tokens=round(tokens * (1 + spread)), output_tokens=writes))

    def sums(self, reads: int, writes: int) -> tuple[float, float, float]:
        """The least, the middle of the input alone, and the most, for all tokens as counted."""
        rate, spread = self._price.rates[0], self._counter.spread
        middle = (reads - self._reads) * self._counter.ratio * rate.input_usd
        answers = (writes - self._writes) * rate.output_usd
        return (
            self._least + middle * (1 - spread),
            self._middle + middle,
            self._most + middle * (1 + spread) + answers,
        )


class Tally:
    """Counts requests as they are packed. The size of a request chooses its price, so costs are summed row by row where that matters.

    With `standard`, what the same takes outside batches is counted too.
    """

    def __init__(
        self, price: Price | None, limits: Limits, *, counter: Counter = BY_LENGTH, standard: bool = False
    ) -> None:
        self._default_tokens = limits.default_max_tokens or 0
        self._count, self._ratio = counter.count, counter.ratio
        at_standard = price.at_standard if price is not None and standard else None
        self._bill = None if price is None else _Bill(price, counter)
        self._standard = None if at_standard is None else _Bill(at_standard, counter)
        self._tiered = [bill for bill in (self._bill, self._standard) if bill is not None and bill.is_tiered]
        self.rows = self.wire_bytes = self.largest = 0
        self.tokens = self.answers = self.unlimited = self.uncounted = 0

    def add(self, request: Request, size: int) -> None:
        """Count one request of `size` bytes on the wire."""
        self.rows += 1
        self.wire_bytes += size
        if size > self.largest:
            self.largest = size
        try:
            reads = self._count(request)
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
        for bill in self._tiered:
            bill.add(reads, writes)

    def estimate(self, *, shards: int = 1) -> Estimate:
        """What was counted so far."""
        bounded = not self.unlimited and not self.uncounted
        least, middle, most = _costs(self._bill, self.tokens, self.answers)
        standard_least, _, standard_most = _costs(self._standard, self.tokens, self.answers)
        return Estimate(
            rows=self.rows,
            shards=shards,
            wire_bytes=self.wire_bytes,
            largest_row_bytes=self.largest,
            input_tokens=round(self.tokens * self._ratio),
            max_output_tokens=self.answers,
            rows_without_limit=self.unlimited,
            rows_uncounted=self.uncounted,
            input_cost_usd=middle,
            most_cost_usd=most if bounded else None,
            least_cost_usd=least,
            standard_least_usd=standard_least,
            standard_most_usd=standard_most if bounded else None,
        )


def _costs(bill: _Bill | None, reads: int, writes: int) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if bill is None else bill.sums(reads, writes)


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

    def of(cost: float | None, part: float) -> float | None:
        return None if cost is None else cost * part

    return Estimate(
        rows=rows,
        shards=1,
        wire_bytes=wire_bytes,
        largest_row_bytes=whole.largest_row_bytes,
        input_tokens=round(whole.input_tokens * bytes_share),
        max_output_tokens=round(whole.max_output_tokens * rows_share),
        rows_without_limit=min(whole.rows_without_limit, rows),
        rows_uncounted=min(whole.rows_uncounted, rows),
        input_cost_usd=of(whole.input_cost_usd, bytes_share),
        most_cost_usd=of(whole.most_cost_usd, share),
        least_cost_usd=of(whole.least_cost_usd, bytes_share),
        standard_least_usd=of(whole.standard_least_usd, bytes_share),
        standard_most_usd=of(whole.standard_most_usd, share),
    )


def estimate(
    rows: Iterable[Row],
    wire: Wire,
    limits: Limits,
    *,
    source: str,
    model: str,
    price: Price | None,
    counter: Counter = BY_LENGTH,
    standard: bool = False,
) -> Estimate:
    """Plan the workload without writing anything. Raises RowError like staging would."""
    tally, shards = Tally(price, limits, counter=counter, standard=standard), 0
    for shard, row, encoded in pack(rows, wire, limits, source=source, model=model, job_id="00000000"):
        tally.add(row.request, len(encoded))
        shards = shard + 1
    return tally.estimate(shards=shards)


def limits_met(found: Estimate, limits: Limits) -> list[str]:
    """Which limits of the provider the workload meets, in words; none where it fits one batch."""
    if found.shards < 2:
        return []
    if found.rows > limits.max_rows:
        reason = f"one holds at most {limits.max_rows:,} rows"
    elif found.wire_bytes > limits.max_bytes:
        reason = f"one holds at most {limits.max_bytes / 1e6:,.0f} MB"
    elif limits.max_embedding_texts is not None:
        reason = f"one holds at most {limits.max_embedding_texts:,} texts to embed"
    else:
        reason = f"one holds at most {limits.max_rows:,} rows and {limits.max_bytes / 1e6:,.0f} MB"
    words = [f"needs {found.shards:,} batches: {reason}"]
    for most, what in (
        (limits.max_batches_in_flight, "that an account may have under way at once"),
        (limits.creates_per_hour, "that an account may make in an hour"),
    ):
        if most is not None and found.shards > most:
            words.append(f"more than the {most:,} batches {what}: the rest waits")
        elif most is not None:
            words.append(f"{percent(found.shards / most, 1)} of the {most:,} batches {what}")
    return words
