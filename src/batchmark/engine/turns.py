"""Whose turn it is in a comparison: rounds begin at their time, and within a round targets are sent one after another in a drawn order.

The order is a pure function of the recorded seed, so a comparison that was interrupted goes on in the same one. All conductors of a run
share one object. A job that cannot be sent now (its queue is full, its account refuses) does not hold up the others: its turn is over,
and it is sent as soon as it can be.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from batchmark.ledger.records import JobRecord

__all__ = ["Turns", "in_order"]

# A create may take minutes to be answered; longer than this a round must not drift apart for one target.
_LONGEST_TURN_S = 120.0
# How soon to ask again while another target has its turn.
_SOON_S = 0.1


def in_order(jobs: Sequence[JobRecord], seed: int) -> list[JobRecord]:
    """The jobs in the order in which they are sent: by round, and within a round as drawn by the seed."""
    rounds: dict[int, list[JobRecord]] = {}
    for job in jobs:
        rounds.setdefault(job.round, []).append(job)
    found = []
    for number in sorted(rounds):
        drawn = sorted(rounds[number], key=lambda job: (job.provider, job.model, job.id))
        random.Random(f"{seed}/{number}").shuffle(drawn)
        found += drawn
    return found


class Turns:
    """`starts_s` says for each round how many seconds from now it begins (negative: it is due). `clock` is monotonic, in seconds."""

    def __init__(
        self, jobs: Sequence[JobRecord], *, seed: int, starts_s: dict[int, float], clock: Callable[[], float]
    ) -> None:
        self._waiting = in_order(jobs, seed)
        self._rounds = {job.id: job.round for job in jobs}
        now = clock()
        self._starts = {number: now + after for number, after in starts_s.items()}
        self._clock = clock
        self._passed: set[str] = set()
        self._began: float | None = None

    def is_open(self, job_id: str) -> bool:
        """Whether the job may be sent now."""
        return job_id in self._passed or self._current() == job_id

    def opens_in_s(self, job_id: str) -> float:
        """How soon it is worth asking again."""
        if self.is_open(job_id):
            return 0.0
        return max(_SOON_S, self._starts.get(self._rounds[job_id], 0.0) - self._clock())

    def passed(self, job_id: str) -> None:
        """The job is sent, or cannot be for now."""
        self._passed.add(job_id)
        while self._waiting and self._waiting[0].id in self._passed:
            self._waiting.pop(0)
            self._began = None

    def _current(self) -> str | None:
        """The job whose turn it is."""
        now = self._clock()
        while self._waiting:
            job = self._waiting[0]
            if now < self._starts.get(job.round, 0.0):
                return None
            if self._began is None:
                self._began = now
            if now - self._began < _LONGEST_TURN_S:
                return job.id
            self.passed(job.id)
        return None
