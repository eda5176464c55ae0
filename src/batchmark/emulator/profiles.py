"""How long a batch takes here, decided once at its creation by its profile, its seed and its model.

A profile is data: a span for each part of a batch's life. `schedule` draws one value from each, always the same for the
same seed, so the earliest time of every transition is known from the start and nothing has to run to keep it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import msgspec

__all__ = ["PROFILES", "Profile", "Schedule", "Span", "schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Anything between two durations, equally likely."""

    low_s: float
    high_s: float

    def draw(self, rng: random.Random) -> float:
        return self.low_s if self.low_s == self.high_s else round(rng.uniform(self.low_s, self.high_s), 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The temper of an emulated service."""

    about: str
    validate: Span
    queue: Span
    run: Span
    finalize: Span
    cancel: Span
    drain: Span


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """The planned lengths of one batch's parts, in emulated seconds; stored with the batch.

    `drain_s` is the time between the completion window's end and the expired batch's last word. `cut` is set where a
    fault closes the window early: the part of the rows that are done by then.
    """

    validate_s: float
    queue_s: float
    run_s: float
    finalize_s: float
    cancel_s: float
    drain_s: float
    window_s: float
    cut: float | None = None


def _always(length_s: float) -> Span:
    return Span(low_s=length_s, high_s=length_s)


PROFILES: dict[str, Profile] = {
    "instant": Profile(
        about="everything at once, for tests",
        validate=_always(0),
        queue=_always(0),
        run=_always(0),
        finalize=_always(0),
        cancel=_always(0),
        drain=_always(0),
    ),
    "demo": Profile(
        about="every state visible for seconds",
        validate=Span(low_s=0.8, high_s=1.2),
        queue=Span(low_s=0.2, high_s=0.8),
        run=Span(low_s=3, high_s=12),
        finalize=Span(low_s=0.8, high_s=1.2),
        cancel=Span(low_s=1.8, high_s=2.2),
        drain=_always(1),
    ),
}


def schedule(profile: str, *, seed: int, model: str, window_s: float) -> Schedule:
    """The lengths drawn for one batch. Raises KeyError for an unknown profile."""
    chosen = PROFILES[profile]
    rng = random.Random(f"{profile}/{seed}/{model}")
    return Schedule(
        validate_s=chosen.validate.draw(rng),
        queue_s=chosen.queue.draw(rng),
        run_s=chosen.run.draw(rng),
        finalize_s=chosen.finalize.draw(rng),
        cancel_s=chosen.cancel.draw(rng),
        drain_s=chosen.drain.draw(rng),
        window_s=window_s,
    )
