"""How long a batch takes here, decided once at its creation by its profile, its seed, its model and the hour.

A profile is data: a length for each part of a batch's life. `schedule` draws one value from each, always the same for the
same seed, so the earliest time of every transition is known from the start and nothing has to run to keep it.

The real services have good and bad hours. So half of the variance of a log-normal length is the mood of its dialect in the
hour of creation, which all batches of that hour share, and half is the batch's own.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import msgspec

from batchmark.emulator.clock import SECOND

__all__ = [
    "PROFILES",
    "PROFILE_NAMES",
    "Either",
    "LogNormal",
    "Luck",
    "Profile",
    "Schedule",
    "Span",
    "Whole",
    "schedule",
]

_HOUR = 3600 * SECOND
_OWN_PART = math.sqrt(0.5)  # of a deviation; the mood has as much, so that each makes up half of the variance


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """What decides a draw: the batch's own chances, and the mood of the hour, a standard normal deviate."""

    own: random.Random
    mood: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Anything between two durations, equally likely."""

    low_s: float
    high_s: float

    def draw(self, luck: Luck) -> float:
        return self.low_s if self.low_s == self.high_s else round(luck.own.uniform(self.low_s, self.high_s), 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """A length whose logarithm is normal, so that the slowest take many times as long as most.

    What would go beyond `cap_s` ends somewhere in the last half of it instead.
    """

    mu: float  # of the logarithm of seconds: the median is exp(mu)
    sigma: float
    cap_s: float = math.inf

    def draw(self, luck: Luck) -> float:
        deviation = _OWN_PART * luck.mood + _OWN_PART * luck.own.gauss(0, 1)
        length_s = math.exp(self.mu + self.sigma * deviation)
        if length_s > self.cap_s:
            length_s = luck.own.uniform(self.cap_s / 2, self.cap_s)
        return round(length_s, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """One length as a rule, another with the probability `chance`."""

    usual: Length
    rare: Length
    chance: float

    def draw(self, luck: Luck) -> float:
        return (self.rare if luck.own.random() < self.chance else self.usual).draw(luck)


Length = Span | LogNormal | Either


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The time from creation to end, where that is what is known; waiting and running share what the other parts leave."""

    length: Length
    waiting: Span  # the part of it that passes before the first request is run, between 0 and 1
    stuck: float = 0.0  # the probability of a batch that is never begun, and so expires


def _always(length_s: float) -> Span:
    return Span(low_s=length_s, high_s=length_s)


_NONE = _always(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The temper of an emulated service: with `whole`, `queue` and `run` follow from it."""

    about: str
    validate: Length
    queue: Length = _NONE
    run: Length = _NONE
    finalize: Length
    cancel: Length
    drain: Length
    whole: Whole | None = None


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


# The three real ones are for small batches: no figures are known of how time grows with size.
PROFILES: dict[str, Profile] = {
    # Fitted to the real timings of 1,238 completed OpenAI batches of one short request, 2024-05 to 2026-08, and 1,090
    # cancellations. 3 of 1,241 expired. The log-normal alone would leave 1.2 % unfinished after a day, hence the cap
    # and, apart from it, the batches that are stuck. Those created in one hour correlate by 0.51 in log time.
    "openai-real": Profile(
        about="as OpenAI's small batches: minutes, and more than an hour for one in seven",
        validate=Either(usual=Span(low_s=0.8, high_s=1.2), rare=Span(low_s=60.5, high_s=61.5), chance=0.05),
        finalize=Span(low_s=0.8, high_s=1.2),
        cancel=Span(low_s=605, high_s=607),
        drain=_always(606),
        whole=Whole(
            length=LogNormal(mu=5.35, sigma=2.65, cap_s=86_400), waiting=Span(low_s=0.5, high_s=0.9), stuck=0.0024
        ),
    ),
    # About a dozen public observations of 1 to 4 requests, 2024-10 to 2026-08. The times after a cancel request and
    # after the window's end are not known: they are made up.
    "anthropic-real": Profile(
        about="as Anthropic's small batches: about a minute",
        validate=_NONE,
        finalize=Span(low_s=0.8, high_s=1.2),
        cancel=Span(low_s=5, high_s=30),
        drain=_always(60),
        whole=Whole(length=LogNormal(mu=math.log(55), sigma=0.9), waiting=Span(low_s=0.5, high_s=0.9)),
    ),
    # About a dozen public observations, 2025-07 to 2026-09, most of 1 to 9 requests, nearly all the time PENDING, and
    # reports of batches that stay so for days. The last two times are made up here too.
    "gemini-real": Profile(
        about="as Gemini's small batches: minutes, and one in twenty never begins",
        validate=Span(low_s=0.8, high_s=1.2),
        finalize=Span(low_s=0.8, high_s=1.2),
        cancel=Span(low_s=5, high_s=30),
        drain=_always(60),
        whole=Whole(length=LogNormal(mu=math.log(180), sigma=1.2), waiting=Span(low_s=0.7, high_s=0.95), stuck=0.05),
    ),
    "instant": Profile(
        about="everything at once, for tests",
        validate=_NONE,
        finalize=_NONE,
        cancel=_NONE,
        drain=_NONE,
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

_OWN = "real"  # to each dialect its own: `openai-real` where that is spoken
PROFILE_NAMES = (_OWN, *PROFILES)


def schedule(
    profile: str, *, dialect: str, seed: int, model: str, window_s: float, created_at: int, world_seed: int
) -> Schedule:
    """The lengths drawn for one batch, created at so many nanoseconds since 1970. Raises KeyError for an unknown profile."""
    name = f"{dialect}-{_OWN}" if profile == _OWN else profile
    chosen = PROFILES[name]
    hour = random.Random(f"{name}/{dialect}/{world_seed}/hour {created_at // _HOUR}")
    luck = Luck(own=random.Random(f"{name}/{seed}/{model}"), mood=hour.gauss(0, 1))
    plan = Schedule(
        validate_s=chosen.validate.draw(luck),
        queue_s=chosen.queue.draw(luck),
        run_s=chosen.run.draw(luck),
        finalize_s=chosen.finalize.draw(luck),
        cancel_s=chosen.cancel.draw(luck),
        drain_s=chosen.drain.draw(luck),
        window_s=window_s,
    )
    return plan if chosen.whole is None else _filled(plan, chosen.whole, luck)


def _filled(plan: Schedule, whole: Whole, luck: Luck) -> Schedule:
    """The plan with the waiting and the running that make it as long as it should be."""
    rest_s = max(0.0, whole.length.draw(luck) - plan.validate_s - plan.finalize_s)
    queue_s = round(rest_s * whole.waiting.draw(luck), 6)
    run_s = round(rest_s - queue_s, 6)
    if luck.own.random() < whole.stuck:
        queue_s = plan.window_s + 1
    return msgspec.structs.replace(plan, queue_s=queue_s, run_s=run_s)
