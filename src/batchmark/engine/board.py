"""What a conductor knows: the shard attempts of its jobs, their batches as last seen, and what is being done about each of them now."""

from __future__ import annotations

from collections.abc import Sequence

from batchmark.domain.lifecycle import State
from batchmark.engine.next_step import Step, is_closed, is_under_way, next_step
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.ledger.store import Ledger

__all__ = ["Board"]

_SENDING = (Step.SUBMIT, Step.RECONCILE)


class Board:
    """A picture of the ledger's part that is being driven, kept in step by whoever changes it. `doing` names the work on a shard now."""

    def __init__(self, jobs: Sequence[JobRecord]) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.open: dict[int, ShardRecord] = {}
        self.closed: dict[int, ShardRecord] = {}
        self.batches: dict[int, BatchRecord] = {}
        self.doing: dict[int, Step] = {}
        self.cancelled: set[str] = set()
        self.begun: set[str] = set()

    def load(self, ledger: Ledger) -> None:
        """Take everything in from the ledger."""
        for job in self.jobs.values():
            self.batches |= ledger.batches(job.id)
            if ledger.cancel_asked(job.id):
                self.cancelled.add(job.id)
            if ledger.begun_at(job.id) is not None:
                self.begun.add(job.id)
            for shard in ledger.shards(job.id):
                self.note(shard)

    def note(self, shard: ShardRecord) -> None:
        """A shard attempt is new, or has changed."""
        if is_closed(shard):
            self.open.pop(shard.id, None)
            self.closed[shard.id] = shard
        else:
            self.open[shard.id] = shard

    def job_of(self, shard: ShardRecord) -> JobRecord:
        return self.jobs[shard.job_id]

    @property
    def run_id(self) -> str:
        return next(iter(self.jobs.values())).run_id

    @property
    def unsent(self) -> list[ShardRecord]:
        """What is still to be sent, whether it may be now or not."""
        return [shard for shard in self.open.values() if next_step(shard, None) is Step.SUBMIT]

    @property
    def watched(self) -> list[BatchRecord]:
        """The batches that have not ended."""
        return [
            batch
            for shard in self.open.values()
            if shard.state == "submitted"
            and (batch := self.batches.get(shard.id)) is not None
            and not State(batch.state).terminal
        ]

    @property
    def sending(self) -> list[int]:
        """The shards whose create is under way, or is being looked for."""
        return [shard_id for shard_id, step in self.doing.items() if step in _SENDING]

    def taking_room(self, model: str) -> list[ShardRecord]:
        """The shards that are at the provider, or on their way there."""
        return [
            shard
            for shard in self.open.values()
            if self.job_of(shard).model == model
            and (is_under_way(shard, self.batches.get(shard.id)) or self.doing.get(shard.id) in _SENDING)
        ]

    @property
    def is_paid_for(self) -> list[ShardRecord]:
        """The open shards that may cost something: sent, or about to be."""
        return [
            shard
            for shard in self.open.values()
            if shard.state in ("intended", "submitted", "fetched") or self.doing.get(shard.id) is Step.SUBMIT
        ]
