"""What the ledger knows of a job, as the facts that a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from batchmark.api.workspace import Workspace
from batchmark.compare.measures import BatchFacts, JobFacts
from batchmark.domain.lifecycle import TERMINAL, State
from batchmark.domain.target import Target
from batchmark.domain.totals import Totals
from batchmark.engine.merge import sum_up
from batchmark.engine.next_step import is_closed
from batchmark.ledger.records import CANCELLED_UNSENT, BatchRecord, EventRecord, JobRecord, ShardRecord
from batchmark.ledger.store import BEGUN, CANCEL_ASKED, LOOKED
from batchmark.prices.lookup import saving

__all__ = ["facts_of"]

_ENDINGS = frozenset(state.value for state in TERMINAL)


def facts_of(
    workspace: Workspace, job: JobRecord, *, round_number: int | None = None, time_scale: float = 1.0
) -> JobFacts:
    """The facts of one job, ended or not. `round_number` is its round in the report, where that is not its own.

    `time_scale` is how much faster than ours the service's clock ran: only an emulator's does.
    """
    ledger = workspace.ledger
    shards, batches, events = ledger.shards(job.id), ledger.batches(job.id), ledger.events(job.id)
    totals = msgspec.convert(job.totals, Totals) if job.totals is not None else sum_up(shards)
    first = {shard.id for shard in shards if shard.attempt == 1}
    seen = _Seen.of(events, our_clock_counts=time_scale == 1.0)
    submitted = {event.shard_id: event.at for event in events if event.kind == "submitted" and event.shard_id in first}
    return JobFacts(
        id=job.id,
        target=Target(job.provider, job.model),
        round=job.round if round_number is None else round_number,
        rows=job.rows,
        emulated=job.emulated,
        created_at=job.created_at,
        begun_at=min((event.at for event in events if event.kind == BEGUN), default=None),
        submitted_at=max(submitted.values()) if submitted and len(submitted) == len(first) else None,
        ended_at=job.ended_at,
        problem=job.problem,
        totals=totals,
        arrivals=tuple(sorted(_arrivals(shards))),
        batches=tuple(_batch_facts(batches[shard.id], shard, seen) for shard in shards if shard.id in batches),
        origin=f"run {job.run_id}",
        unsent=sum(shard.state in ("staged", "uploaded", "intended") for shard in shards),
        refused=sum(_never_sent(shard, batches) and shard.problem != CANCELLED_UNSENT for shard in shards),
        called_off=sum(_never_sent(shard, batches) and shard.problem == CANCELLED_UNSENT for shard in shards),
        standard_cost_usd=_standard_usd(workspace, job, totals),
    )


def _never_sent(shard: ShardRecord, batches: Mapping[int, BatchRecord]) -> bool:
    """Whether a shard has come to its end without a batch. What a later attempt asked again has its first outcome all the same."""
    return shard.attempt == 1 and (shard.state == "failed" or is_closed(shard)) and shard.id not in batches


def _arrivals(shards: list[ShardRecord]) -> list[tuple[datetime, int]]:
    """When rows had their last word here. Rows that a later attempt asked again arrive with that one."""
    found = []
    for shard in shards:
        if shard.collected_at is not None:
            again = int((shard.handed_on or {}).get("submitted") or 0)
            found.append((shard.collected_at, shard.rows - again))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the events of a job (oldest first) tell of its batches: when each was seen ended, the last look, and the user's cancel."""

    ended_at: Mapping[int, datetime]
    looked_at: datetime | None
    cancelled_at: datetime | None
    our_clock_counts: bool

    @classmethod
    def of(cls, events: Sequence[EventRecord], *, our_clock_counts: bool) -> _Seen:
        ended = {event.shard_id: event.at for event in events if event.shard_id is not None and event.kind in _ENDINGS}
        looks = [event.detail for event in events if event.kind == LOOKED and event.detail]
        cancels = [event.at for event in events if event.kind == CANCEL_ASKED]
        return cls(
            ended_at=ended,
            looked_at=datetime.fromisoformat(max(looks)) if looks else None,
            cancelled_at=min(cancels, default=None),
            our_clock_counts=our_clock_counts,
        )

    def cancelling_at(self, batch: BatchRecord) -> datetime | None:
        """When a batch was asked to stop, as a time of its life."""
        asked = [at for at in (self.cancelled_at, batch.cancel_asked_at) if at is not None]
        if not self.our_clock_counts or not asked or State(batch.state) not in (State.CANCELLING, State.CANCELLED):
            return None
        return min(asked) if batch.created_at is None else max(min(asked), batch.created_at)


def _batch_facts(batch: BatchRecord, shard: ShardRecord, seen: _Seen) -> BatchFacts:
    return BatchFacts(
        id=batch.id,
        state=State(batch.state),
        raw_status=batch.raw_status,
        rows=shard.rows,
        created_at=batch.created_at,
        started_at=batch.started_at,
        finalizing_at=batch.finalizing_at,
        ended_at=batch.ended_at,
        shard=shard.number,
        attempt=shard.attempt,
        cancelling_at=seen.cancelling_at(batch),
        last_seen_at=seen.looked_at,
        seen_ended_at=seen.ended_at.get(shard.id),
        collected_at=shard.collected_at,
        unseen_s=batch.unseen_s,
    )


def _standard_usd(workspace: Workspace, job: JobRecord, totals: Totals) -> float | None:
    """What the same tokens cost without a batch, by the ratio of the two prices for all of them together."""
    noon = job.created_at.replace(hour=12, minute=0, second=0, microsecond=0)  # prices change by the day
    price = workspace.prices.price(job.provider, job.model, noon)
    if price is None or totals.cost_usd is None:
        return None
    both = saving(price, totals.usage)
    if both is None:
        return None
    batch_usd, standard_usd = both
    return totals.cost_usd * standard_usd / batch_usd if batch_usd else None
