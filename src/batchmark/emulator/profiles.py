"""How long a batch takes here, decided once at its creation by its profile, its seed, its model and the time.

A profile is data: a length for each part of a batch's life. `schedule` draws one value from each, always the same for the
same seed, so the earliest time of every transition is known from the start and nothing has to run to keep it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from batchmark.emulator.lengths import NO_MOODS, NONE, Either, Length, LogNormal, Luck, Moods, Quantiles, Span, always

__all__ = ["PROFILES", "PROFILE_NAMES", "Profile", "Profiles", "Schedule", "Whole", "named", "schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The time from creation to end, where that is what is known; waiting and running share what the other parts leave."""

    length: Length
    waiting: Span  # the part of it that passes before the first request is run, between 0 and 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The temper of an emulated service: with `whole`, `queue` and `run` follow from it."""

    about: str
    validate: Length = NONE
    queue: Length = NONE
    run: Length = NONE
    finalize: Length = NONE
    cancel: Length = NONE
    drain: Length = NONE
    lag: Length = NONE  # how old the counts are that a running batch shows
    whole: Whole | None = None
    stuck: float = 0.0  # the probability of a batch that is never begun, and so expires
    moods: Moods = NO_MOODS


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """What an emulator goes by: one profile, with others for some dialects."""

    name: str
    usual: Profile
    own: Mapping[str, Profile]

    def of(self, dialect: str) -> Profile:
        return self.own.get(dialect, self.usual)


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
    lag_s: float = 0.0


# The shares of the variance of log turnaround in the timings named below: batches of one month correlate by 0.105, of one
# time of day by 0.15 (thin data: most were created around midnight UTC), of one hour by 0.51. Nothing of the kind is known
# of the other services: the same is assumed.
_MEASURED_MOODS = Moods(month=0.1, daytime=0.15, hour=0.25)

# Seconds from creation to completion of 1,238 completed OpenAI batches of one short request, 2024-05 to 2026-08.
_OPENAI_TURNAROUND = Quantiles(
    points=(
        (0, 2),
        (0.01, 3),
        (0.02, 4),
        (0.05, 5),
        (0.1, 8),
        (0.2, 16.4),
        (0.25, 24),
        (0.3, 36),
        (0.4, 68.8),
        (0.5, 126),
        (0.6, 308),
        (0.7, 978),
        (0.75, 1_953),
        (0.8, 3_691),
        (0.85, 5_999),
        (0.9, 11_009),
        (0.95, 20_506),
        (0.97, 29_118),
        (0.98, 35_816),
        (0.99, 44_082),
        (0.995, 54_784),
        (1, 75_589),
    )
)

# The same batches. They were timed in whole seconds: 1 stands for what took between half of one and one and a half.
_OPENAI_VALIDATION = Quantiles(
    points=(
        (0, 0.2),
        (0.12, 0.5),
        (0.76, 1.5),
        (0.92, 2.5),
        (0.946, 6),
        (0.946, 60.5),
        (0.98, 61.5),
        (0.998, 64),
        (1, 121),
    ),
    moody=False,
)
_OPENAI_FINALIZING = Quantiles(
    points=(
        (0, 0.2),
        (0.15, 0.5),
        (0.73, 1.5),
        (0.9, 2.5),
        (0.95, 3.5),
        (0.98, 6),
        (0.99, 11),
        (0.995, 20),
        (0.999, 61),
        (1, 584),
    ),
    moody=False,
)
_OPENAI_CANCELLING = Quantiles(
    points=(
        (0, 604.5),
        (0.26, 605.5),
        (0.94, 606.5),
        (0.985, 608),
        (0.99, 626),
        (0.995, 922),
        (0.998, 1_080),
        (1, 2_802),
    ),
    moody=False,
)
# Two of the three that expired had their last word 607 s after the window's end, the third a day later.
_OPENAI_DRAIN = Either(usual=always(607), rare=always(87_062), chance=1 / 3)

# All real ones are for small batches: no figures are known of how time grows with size.
PROFILES: dict[str, Profile] = {
    # The same timings, and 1,090 cancellations; 3 of 1,241 expired, which are drawn apart: finalizing begins a second after
    # the window's end. That counts lag was seen, by how much was not measured: the two minutes are made up.
    "openai-real": Profile(
        about="as OpenAI's small batches were, 2024 to 2025: minutes, and more than an hour for one in five",
        validate=_OPENAI_VALIDATION,
        finalize=_OPENAI_FINALIZING,
        cancel=_OPENAI_CANCELLING,
        drain=_OPENAI_DRAIN,
        lag=Span(low_s=0, high_s=120),
        whole=Whole(length=_OPENAI_TURNAROUND, waiting=Span(low_s=0.5, high_s=0.9)),
        stuck=0.0024,
        moods=_MEASURED_MOODS,
    ),
    # Four recordings of 2026-08: 62 to 63 s of validation in three of them, 2 s in one; 75 to 133 s in all. How widely the
    # rest is spread is not known: the sigma is made up.
    "openai-2026": Profile(
        about="as OpenAI's small batches in August 2026: a minute of validation, then about one of work",
        validate=Either(usual=Span(low_s=62, high_s=63), rare=Span(low_s=1, high_s=2), chance=0.1),
        queue=Span(low_s=0.5, high_s=2),
        run=LogNormal(mu=math.log(60), sigma=0.9, cap_s=43_200),
        finalize=_OPENAI_FINALIZING,
        cancel=_OPENAI_CANCELLING,
        drain=_OPENAI_DRAIN,
        lag=Span(low_s=0, high_s=60),
        stuck=0.0024,
        moods=_MEASURED_MOODS,
    ),
    # About a dozen public observations of 1 to 4 requests, 2024-10 to 2026-08. The times after a cancel request and
    # after the window's end are not known: they are made up.
    "anthropic-real": Profile(
        about="as Anthropic's small batches: about a minute",
        finalize=Span(low_s=0.8, high_s=1.2),
        cancel=Span(low_s=5, high_s=30),
        drain=always(60),
        whole=Whole(length=LogNormal(mu=math.log(55), sigma=0.9), waiting=Span(low_s=0.5, high_s=0.9)),
        moods=_MEASURED_MOODS,
    ),
    # About a dozen public observations, 2025-07 to 2026-09, most of 1 to 9 requests, nearly all the time PENDING, and
    # reports of batches that stay so for days. The last two times are made up here too. In the recorded batch the counts
    # stood still until the end; the documentation shows some on their way: how many do which is made up.
    "gemini-real": Profile(
        about="as Gemini's small batches: minutes, and one in twenty never begins",
        validate=Span(low_s=0.8, high_s=1.2),
        finalize=Span(low_s=0.8, high_s=1.2),
        cancel=Span(low_s=5, high_s=30),
        drain=always(60),
        lag=Either(usual=always(48 * 3600), rare=Span(low_s=0, high_s=60), chance=0.3),
        whole=Whole(length=LogNormal(mu=math.log(180), sigma=1.2), waiting=Span(low_s=0.7, high_s=0.95)),
        stuck=0.05,
        moods=_MEASURED_MOODS,
    ),
    # googleapis/python-genai#1482, #2221 and #2974 tell of days on which nothing that was submitted was ever begun.
    "stuck": Profile(
        about="an incident: no batch is ever begun, and all expire",
        validate=Span(low_s=0.8, high_s=1.2),
        finalize=Span(low_s=0.8, high_s=1.2),
        cancel=Span(low_s=5, high_s=30),
        drain=always(60),
        stuck=1.0,
    ),
    "instant": Profile(about="everything at once, for tests"),
    "demo": Profile(
        about="every state visible for seconds",
        validate=Span(low_s=0.8, high_s=1.2),
        queue=Span(low_s=0.2, high_s=0.8),
        run=Span(low_s=3, high_s=12),
        finalize=Span(low_s=0.8, high_s=1.2),
        cancel=Span(low_s=1.8, high_s=2.2),
        drain=always(1),
    ),
}

_OWN = "real"  # to each dialect its own: `openai-real` where that is spoken
PROFILE_NAMES = (_OWN, *PROFILES)


def named(name: str) -> Profiles:
    """The profiles that come with the emulator under this name. Raises KeyError."""
    if name == _OWN:
        own = {dialect: PROFILES[f"{dialect}-{_OWN}"] for dialect in ("openai", "anthropic", "gemini")}
        return Profiles(name=name, usual=own["openai"], own=own)
    return Profiles(name=name, usual=PROFILES[name], own={})


def schedule(
    profiles: Profiles, *, dialect: str, seed: int, model: str, window_s: float, created_at: int, world_seed: int
) -> Schedule:
    """The lengths drawn for one batch, created at so many nanoseconds since 1970."""
    chosen = profiles.of(dialect)
    mood = chosen.moods.deviate(f"{dialect}/{world_seed}", created_at)
    luck = Luck(own=random.Random(f"{seed}/{model}"), mood=mood, shared=chosen.moods.shared)
    plan = Schedule(
        validate_s=chosen.validate.draw(luck),
        queue_s=chosen.queue.draw(luck),
        run_s=chosen.run.draw(luck),
        finalize_s=chosen.finalize.draw(luck),
        cancel_s=chosen.cancel.draw(luck),
        drain_s=chosen.drain.draw(luck),
        window_s=window_s,
        lag_s=chosen.lag.draw(luck),
    )
    if chosen.whole is not None:
        plan = _filled(plan, chosen.whole, luck)
    if chosen.stuck and luck.own.random() < chosen.stuck:
        plan = msgspec.structs.replace(plan, queue_s=window_s + 1)
    return plan


def _filled(plan: Schedule, whole: Whole, luck: Luck) -> Schedule:
    """The plan with the waiting and the running that make it as long as it should be."""
    rest_s = max(0.0, whole.length.draw(luck) - plan.validate_s - plan.finalize_s)
    queue_s = round(rest_s * whole.waiting.draw(luck), 6)
    return msgspec.structs.replace(plan, queue_s=queue_s, run_s=round(rest_s - queue_s, 6))
