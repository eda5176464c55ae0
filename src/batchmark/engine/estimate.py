"""What a workload will take on a target, before anything is sent: the same plan that staging follows, counted instead of written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batchmark.domain.limits import Limits
from batchmark.domain.request import ChatRequest, Row
from batchmark.domain.tokens import SPREAD, UncountedPart, input_tokens
from batchmark.domain.usage import Usage
from batchmark.engine.plan import pack
from batchmark.prices.lookup import Price, cost_usd
from batchmark.providers.seam import Wire

__all__ = ["Estimate", "estimate"]


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


def estimate(
    rows: Iterable[Row], wire: Wire, limits: Limits, *, source: str, model: str, price: Price | None
) -> Estimate:
    """Walk the plan of a workload and count. Raises RowError as staging would."""
    shard = -1
    count = wire_bytes = largest = tokens = answers = unlimited = uncounted = 0
    least = most = 0.0
    for packed in pack(rows, wire, limits, source=source, model=model, job_id="00000000"):
        shard, count = packed.shard, count + 1
        size = len(packed.encoded)
        wire_bytes += size
        largest = max(largest, size)
        request = packed.row.request
        try:
            reads = input_tokens(request)
        except UncountedPart:
            uncounted += 1
            continue
        tokens += reads
        writes = 0
        if isinstance(request, ChatRequest):
            writes = request.settings.max_tokens or 0
            answers += writes
            unlimited += not writes
        if price is not None:
            least += cost_usd(price, Usage(input_tokens=reads))
            most += cost_usd(price, Usage(input_tokens=round(reads * (1 + SPREAD)), output_tokens=writes))
    return Estimate(
        rows=count,
        shards=shard + 1,
        wire_bytes=wire_bytes,
        largest_row_bytes=largest,
        input_tokens=tokens,
        max_output_tokens=answers,
        rows_without_limit=unlimited,
        rows_uncounted=uncounted,
        input_cost_usd=None if price is None else least,
        most_cost_usd=None if price is None or unlimited or uncounted else most,
    )
