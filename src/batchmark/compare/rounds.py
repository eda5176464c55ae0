"""Rounds of jobs that nobody sent together: jobs of the same day, or of the same hour, shared the mood of the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

__all__ = ["BY_DAY", "BY_HOUR", "Rounds", "rounds_of"]

BY_DAY = "jobs created on the same day (UTC)"
BY_HOUR = "jobs created in the same hour (UTC)"
# An interval needs six rounds; fewer days than that are cut into hours.
_MIN_DAYS = 6
_DAY_S = 86_400
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The round of each job, numbered from 1 in the order of time, and what a round is."""

    numbers: tuple[int, ...]
    round_is: str


def rounds_of(moments: Sequence[datetime]) -> Rounds:
    """Rounds by when jobs were created: a UTC day each where there are six or more different days, else an hour. Moments are aware."""
    seconds = [int(moment.timestamp()) for moment in moments]
    by_day = len({each // _DAY_S for each in seconds}) >= _MIN_DAYS
    length = _DAY_S if by_day else _HOUR_S
    keys = [each // length for each in seconds]
    numbers = {key: number for number, key in enumerate(sorted(set(keys)), start=1)}
    return Rounds(numbers=tuple(numbers[key] for key in keys), round_is=BY_DAY if by_day else BY_HOUR)
