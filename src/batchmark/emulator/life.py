"""What state a batch is in at a given moment: a pure function of its schedule and the few facts recorded about it.

The schedule gives the earliest time of each transition. The recorded facts can only delay one: the input was read later
than planned, the last answer came late, the results were written late. Once `settled_at` is recorded nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from batchmark.emulator.clock import ns
from batchmark.emulator.profiles import Schedule

__all__ = ["Facts", "Phase", "Standing", "progress", "standing"]


class Phase(Enum):
    """Where a batch stands, in no dialect's words."""

    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.EXPIRED, Phase.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that decides a batch's state; times in emulated nanoseconds, None: not yet."""

    schedule: Schedule
    created_at: int
    checked_at: int | None = None  # the input was read
    refused: bool = False  # and found bad: the batch fails
    answered_at: int | None = None  # the last answer was there
    expired: bool = False  # the window closed on it: decided once, by whoever works on the batch
    cancel_at: int | None = None  # the cancel request came in
    settled_at: int | None = None  # the result files were complete

    @property
    def expires_at(self) -> int:
        return self.created_at + ns(self.schedule.window_s)

    @property
    def validated_due(self) -> int:
        return self.created_at + ns(self.schedule.validate_s)

    @property
    def validated_at(self) -> int | None:
        return None if self.checked_at is None else max(self.validated_due, self.checked_at)

    @property
    def begun_at(self) -> int | None:
        validated = self.validated_at
        return None if validated is None else validated + ns(self.schedule.queue_s)

    @property
    def finish_due(self) -> int | None:
        begun = self.begun_at
        return None if begun is None else begun + ns(self.schedule.run_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state at one moment. `held`: the schedule is past the next transition, but work is still to be done for it."""

    phase: Phase
    held: bool = False
    validated_at: int | None = None
    begun_at: int | None = None
    finalizing_at: int | None = None
    ended_at: int | None = None


def standing(facts: Facts, now: int) -> Standing:
    """The state of a batch at the moment `now`."""
    plan = facts.schedule
    validated, begun = facts.validated_at, facts.begun_at
    if facts.cancel_at is not None:
        due = facts.cancel_at + ns(plan.cancel_s)
        ended = None if facts.settled_at is None else max(due, facts.settled_at)
        over = ended is not None and now >= ended
        return Standing(
            phase=Phase.CANCELLED if over else Phase.CANCELLING,
            held=not over and now >= due,
            validated_at=validated if validated is not None and validated <= facts.cancel_at else None,
            begun_at=begun if begun is not None and begun <= facts.cancel_at else None,
            ended_at=ended if over else None,
        )
    if validated is None or begun is None or now < validated:
        return Standing(phase=Phase.VALIDATING, held=now >= facts.validated_due)
    if facts.refused:
        return Standing(phase=Phase.FAILED, ended_at=validated)
    if now < begun and not facts.expired:
        return Standing(phase=Phase.QUEUED, validated_at=validated)
    if facts.expired:
        finalizing = max(facts.expires_at, validated)
        end_due = finalizing + ns(plan.drain_s)
        begun = begun if begun <= finalizing else None
        last = Phase.EXPIRED
    else:
        due = begun + ns(plan.run_s)
        if facts.answered_at is None or now < max(due, facts.answered_at):
            return Standing(phase=Phase.RUNNING, held=now >= due, validated_at=validated, begun_at=begun)
        finalizing = max(due, facts.answered_at)
        end_due = finalizing + ns(plan.finalize_s)
        last = Phase.SUCCEEDED
    ended = None if facts.settled_at is None else max(end_due, facts.settled_at)
    over = ended is not None and now >= ended
    return Standing(
        phase=last if over else Phase.FINALIZING,
        held=not over and now >= end_due,
        validated_at=validated,
        begun_at=begun,
        finalizing_at=finalizing,
        ended_at=ended if over else None,
    )


def progress(facts: Facts, now: int) -> float:
    """The part of the run that the schedule has passed at `now`, from 0 to 1; a cancel request stops it."""
    begun = facts.begun_at
    if begun is None:
        return 0.0
    if facts.cancel_at is not None:
        now = min(now, facts.cancel_at)
    if now < begun:
        return 0.0
    length = ns(facts.schedule.run_s)
    return 1.0 if length == 0 else min(1.0, (now - begun) / length)
