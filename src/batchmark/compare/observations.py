"""Which jobs a curve of turnaround may rest on, and why each of the others is kept out.

A job that finished is an event at its turnaround. One that was cancelled, expired or is still under way is right-censored at the time up
to which it certainly had not finished. One without such a time says nothing about when it would have been done: it is kept out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from batchmark.compare.measures import JobMeasures
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target

__all__ = ["LeftOut", "Observation", "observe"]


class LeftOut(StrEnum):
    """Why a job is in no curve."""

    NOT_SENT = "not sent yet"
    FAILED = "failed"
    UNTOLD = "finished, but its turnaround is not told"
    NO_CENSORING_TIME = "not finished, and how long it had waited is not known"
    UNKNOWN_STATE = "in a state that is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One job in a curve: it took `seconds` where it `finished`, else longer than that. `round` is what it shares the queue's mood with."""

    target: Target
    round: int
    seconds: float
    finished: bool
    state: State
    job: JobMeasures


def observe(jobs: Sequence[JobMeasures]) -> tuple[list[Observation], dict[Target, dict[LeftOut, int]]]:
    """The jobs that may be in a curve, and for each target how many may not, by reason."""
    found: list[Observation] = []
    left_out: dict[Target, dict[LeftOut, int]] = {}
    for each in jobs:
        seconds = each.turnaround_s if each.finished else each.unfinished_s
        if seconds is None:
            reasons = left_out.setdefault(each.job.target, {})
            reason = LeftOut.NOT_SENT if each.job.unsent and not each.job.batches else _why(each.state)
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        found.append(
            Observation(
                target=each.job.target,
                round=each.job.round,
                seconds=seconds,
                finished=each.finished,
                state=each.state,
                job=each,
            )
        )
    return found, left_out


def _why(state: State) -> LeftOut:
    match state:
        case State.SUCCEEDED:
            return LeftOut.UNTOLD
        case State.FAILED:
            return LeftOut.FAILED
        case State.UNKNOWN:
            return LeftOut.UNKNOWN_STATE
        case _:
            return LeftOut.NO_CENSORING_TIME
