"""Which shards may be sent now: room at the provider, the rate of creates, and the user's money. Decides; `pace` has the arithmetic."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from batchmark.domain.limits import Limits
from batchmark.engine.estimate import Estimate
from batchmark.engine.pace import Load, Pace, Window, accepted, admits, freed, lowered, raised
from batchmark.ledger.records import ShardRecord

__all__ = ["Admission", "Spend", "load_of", "spend_of"]

_HOUR_S = 3600.0


def load_of(shards: Iterable[ShardRecord]) -> Load:
    """What shards are at the provider, as far as its queue is concerned."""
    total = Load()
    for shard in shards:
        tokens = int((shard.estimate or {}).get("input_tokens") or 0)
        total = total + Load(batches=1, requests=shard.rows, tokens=tokens)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Money in US dollars: what collected answers cost, and what those under way may cost at most. None: it cannot be told."""

    actual_usd: float | None
    under_way_usd: float | None

    def leaves_room_for(self, more_usd: float | None, most_usd: float | None) -> bool:
        """Whether `more_usd` at most can be spent too without passing `most_usd`."""
        if most_usd is None:
            return True
        if self.actual_usd is None or self.under_way_usd is None or more_usd is None:
            return False
        return self.actual_usd + self.under_way_usd + more_usd <= most_usd * (1 + 1e-9)


def spend_of(collected: Iterable[ShardRecord], under_way: Iterable[ShardRecord]) -> Spend:
    """The money of a run."""
    actual = [(shard.totals or {}).get("cost_usd") for shard in collected if shard.batch_id is not None]
    most = [most_usd(shard) for shard in under_way]
    return Spend(actual_usd=_sum(actual), under_way_usd=_sum(most))


def most_usd(shard: ShardRecord) -> float | None:
    """What a shard may cost at most."""
    return None if shard.estimate is None else Estimate(**shard.estimate).most_cost_usd


def _sum(values: list[float | None]) -> float | None:
    return None if any(value is None for value in values) else float(sum(value or 0.0 for value in values))


class Admission:
    """The room on one account, by model. Times are seconds of one clock of ours."""

    def __init__(self, limits: Limits, pace: Pace, *, in_flight: int | None) -> None:
        known = [value for value in (limits.max_batches_in_flight, in_flight) if value is not None]
        self._new = Window(most=(min(known, default=None), None, None))
        self._windows: dict[str, Window] = {}
        self._pace = pace
        self._hourly = limits.creates_per_hour
        self._created_at: deque[float] = deque()

    def admits(self, model: str, under_way: Load, more: Load, now_s: float) -> bool:
        """Whether `more` may be sent now."""
        window = self._windows[model] = raised(self._windows.get(model, self._new), now_s, self._pace.probe_s)
        while self._created_at and now_s - self._created_at[0] >= _HOUR_S:
            self._created_at.popleft()
        if self._hourly is not None and len(self._created_at) >= self._hourly:
            return False
        return admits(window, under_way, more, now_s)

    def accepted(self, model: str, now_s: float) -> None:
        """A batch was made."""
        self._created_at.append(now_s)
        self._windows[model] = accepted(self._windows.get(model, self._new))

    def refused(self, model: str, under_way: Load, now_s: float, retry_after_s: float | None = None) -> None:
        """There was no room for a batch while `under_way` was accepted."""
        self._windows[model] = lowered(self._windows.get(model, self._new), under_way, now_s, retry_after_s)

    def freed(self, model: str, now_s: float) -> None:
        """A batch of ours has ended."""
        self._windows[model] = freed(self._windows.get(model, self._new), now_s)

    def opens_at_s(self, model: str, now_s: float) -> float:
        """When the next try may be worth while, if nothing ends before."""
        window = self._windows.get(model, self._new)
        times = [window.not_before_s] if window.not_before_s > now_s else []
        if self._hourly is not None and len(self._created_at) >= self._hourly:
            times.append(self._created_at[0] + _HOUR_S)
        if window.learnt is not None:
            times.append(window.learnt_at_s + self._pace.probe_s)
        return min(times, default=now_s + self._pace.longest_s)
