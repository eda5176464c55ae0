"""Which of the shards that are ready may be sent now: there must be room and money for them, and in a comparison it must be their turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchmark.engine.account import Account
from batchmark.engine.admission import Admission, Spend, load_of, most_usd, spend_of
from batchmark.engine.board import Board
from batchmark.engine.options import DriveOptions
from batchmark.engine.turns import Turns
from batchmark.errors import BadInput
from batchmark.ledger.records import ShardRecord

__all__ = ["Sending"]


class Sending:
    """The gate to one account. Every time is on the loop's clock."""

    def __init__(self, account: Account, board: Board, options: DriveOptions, turns: Turns | None) -> None:
        self._account = account
        self._board = board
        self._options = options
        self._turns = turns
        self._spec = account.provider.spec
        self.admission = Admission(self._spec.limits, account.pace, in_flight=options.in_flight)

    def has_a_place(self) -> bool:
        """Whether one more create may be under way: one at a time, and none in doubt, where batches carry no label."""
        return len(self._board.sending) < self._spec.sends_at_once

    def chosen(self, ready: Sequence[ShardRecord], now_s: float) -> Iterator[ShardRecord]:
        """The shards to send now, one after another: whoever takes one must start it before asking for the next."""
        self._pass_turns(ready)
        ready = [shard for shard in ready if self._has_turn(shard)]
        if not ready or not self.has_a_place() or self._waits_for_certainty():
            return
        board = self._board
        loads = {job.model: load_of(board.taking_room(job.model)) for job in board.jobs.values()}
        for shard in ready:
            if not self.has_a_place():
                return
            job, more = board.job_of(shard), load_of([shard])
            if not self.admission.admits(job.model, loads[job.model], more, now_s):
                if self._turns is not None:
                    self._turns.passed(job.id)
                continue
            if not self._spend().leaves_room_for(most_usd(shard), self._options.max_cost_usd):
                return
            loads[job.model] = loads[job.model] + more
            if job.id not in board.begun:
                board.begun.add(job.id)
                self._account.ledger.record_begun(job.id)
            yield shard

    def opens_at_s(self, now_s: float) -> list[float]:
        """When it is worth asking again for what is still to be sent and is not on its way."""
        waiting = [shard for shard in self._board.unsent if shard.id not in self._board.doing]
        turns = {shard.job_id: self._turns.opens_in_s(shard.job_id) if self._turns else 0.0 for shard in waiting}
        models = {self._board.jobs[job_id].model for job_id, wait_s in turns.items() if wait_s == 0.0}
        return [
            *(self.admission.opens_at_s(model, now_s) for model in models),
            *(now_s + wait_s for wait_s in turns.values() if wait_s > 0.0),
        ]

    def waits_for_a_turn(self) -> bool:
        """Whether something is to be sent later, when its round has come."""
        return self._turns is not None and any(not self._has_turn(shard) for shard in self._board.unsent)

    def ensure_affordable(self) -> None:
        """Raise BadInput where what is still to be sent may cost more than the run may."""
        unsent = self._board.unsent
        if not unsent or self._spend().leaves_room_for(most_usd(unsent[0]), self._options.max_cost_usd):
            return
        spent = self._spend().actual_usd or 0.0
        raise BadInput(
            f"stopped at --max-cost: {spent:.4f} USD are spent, and the next of {len(unsent):,} batches may take more than what is "
            f"left of {self._options.max_cost_usd:g}. Nothing under way is affected, and every answer is kept",
            hint=f"go on with: batchmark resume {self._board.run_id} --max-cost USD",
        )

    def leave(self) -> None:
        """This account sends no more: nobody is to wait for it."""
        if self._turns is not None:
            for job_id in self._board.jobs:
                self._turns.passed(job_id)

    def _waits_for_certainty(self) -> bool:
        """Whether a batch that carries no label may exist without our knowing: a second one could not be told from it."""
        if self._spec.has_labels:
            return False
        return any(
            shard.state == "intended" for shard in self._board.open.values() if shard.id not in self._board.doing
        )

    def _has_turn(self, shard: ShardRecord) -> bool:
        return self._turns is None or self._turns.is_open(shard.job_id)

    def _pass_turns(self, ready: Sequence[ShardRecord]) -> None:
        """The turn of a job is over once nothing of it is left to be sent, or what is left has to wait."""
        if self._turns is None:
            return
        held = {shard.job_id for shard in ready}
        held |= {self._board.open[shard_id].job_id for shard_id in self._board.sending if shard_id in self._board.open}
        for job_id in self._board.jobs:
            if job_id not in held:
                self._turns.passed(job_id)

    def _spend(self) -> Spend:
        return spend_of(self._board.closed.values(), self._board.is_paid_for)
