"""What a shard attempt needs next, by what is known of it. Pure: going on after any interruption is asking this again."""

from __future__ import annotations

from enum import StrEnum

from batchmark.domain.lifecycle import State
from batchmark.ledger.records import BatchRecord, ShardRecord

__all__ = ["Step", "is_closed", "is_under_way", "next_step"]


class Step(StrEnum):
    """The next thing to do. `nothing`: the attempt is closed."""

    SUBMIT = "submit"
    RECONCILE = "reconcile"
    WATCH = "watch"
    COLLECT = "collect"
    SETTLE = "settle"
    CLOSE = "close"
    NOTHING = "nothing"


def next_step(shard: ShardRecord, batch: BatchRecord | None) -> Step:
    """What to do. Raises ValueError for a state that this version does not know."""
    match shard.state:
        case "staged" | "uploaded":
            return Step.SUBMIT
        case "intended":
            # a process was stopped between intent and answer: look first
            return Step.RECONCILE
        case "submitted":
            return Step.COLLECT if batch is not None and State(batch.state).terminal else Step.WATCH
        case "fetched":
            return Step.SETTLE
        case "failed":
            # rows that were never sent have an outcome too; a later attempt that was not sent leaves them the one they have
            return Step.CLOSE if shard.answers is None and shard.attempt == 1 else Step.NOTHING
        case "collected":
            return Step.NOTHING
    raise ValueError(f"shard {shard.label} is in the state {shard.state!r}")


def is_closed(shard: ShardRecord) -> bool:
    """Nothing more will become of the attempt."""
    return next_step(shard, None) is Step.NOTHING


def is_under_way(shard: ShardRecord, batch: BatchRecord | None) -> bool:
    """Whether the attempt takes room at the provider: its batch exists, or may."""
    if shard.state == "intended":
        return True
    return shard.state == "submitted" and (batch is None or not State(batch.state).terminal)
