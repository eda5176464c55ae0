"""How long a part of a batch's life may be: data from which one value is drawn by the batch's own luck and the mood of the time.

The real services have good and bad times. A normal deviate stands behind every length that varies widely; a part of its
variance is the mood of the month, of the time of day and of the hour, which all batches of that time share.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import NormalDist

from batchmark.emulator.clock import SECOND

__all__ = ["NONE", "NO_MOODS", "Either", "Length", "LogNormal", "Luck", "Moods", "Quantiles", "Span", "always"]

_NORMAL = NormalDist()
_MOST_EXPONENT = math.log(1e9)  # of seconds: thirty years, which no length need exceed


@dataclass(frozen=True, slots=True, kw_only=True)
class Moods:
    """The shares of the variance of the log of a length that are common to all batches of a month, of a time of day (one
    of the 24 hours, in UTC, the same every day) and of one hour. What is left is the batch's own."""

    month: float = 0.0
    daytime: float = 0.0
    hour: float = 0.0

    @property
    def shared(self) -> float:
        return self.month + self.daytime + self.hour

    def deviate(self, name: str, created_at: int) -> float:
        """The sum of the moods at a moment, with the variance `shared`; `name` seeds them."""
        at = datetime.fromtimestamp(created_at // SECOND, UTC)
        times = (
            (self.month, f"month {at:%Y-%m}"),
            (self.daytime, f"daytime {at.hour}"),
            (self.hour, f"hour {created_at // (3600 * SECOND)}"),
        )
        return sum(math.sqrt(share) * random.Random(f"{name}/{time}").gauss(0, 1) for share, time in times if share)


NO_MOODS = Moods()


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """What decides a draw: the batch's own chances, and the mood of its time with the variance `shared`."""

    own: random.Random
    mood: float = 0.0
    shared: float = 0.0

    def deviate(self) -> float:
        """A standard normal deviate, of which the mood is a part."""
        return self.mood + math.sqrt(max(0.0, 1 - self.shared)) * self.own.gauss(0, 1)


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
        exponent = self.mu + self.sigma * luck.deviate()
        length_s = math.exp(min(exponent, _MOST_EXPONENT))
        if length_s > self.cap_s:
            length_s = luck.own.uniform(self.cap_s / 2, self.cap_s)
        return round(length_s, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """A measured distribution: (part of the batches, seconds within which they ended), from part 0 to part 1.

    Between two points the logarithm of the seconds goes in a straight line with the part. `moody`: whether the mood of
    the time has a share in the draw.
    """

    points: Sequence[tuple[float, float]]
    moody: bool = True

    def draw(self, luck: Luck) -> float:
        part = _NORMAL.cdf(luck.deviate()) if self.moody else luck.own.random()
        return round(self.at(part), 6)

    def at(self, part: float) -> float:
        """The seconds within which this part of the batches ended."""
        place = min(max(1, bisect_right(self.points, (part, math.inf))), len(self.points) - 1)
        (low, low_s), (high, high_s) = self.points[place - 1], self.points[place]
        way = 0.0 if high == low else min(1.0, max(0.0, (part - low) / (high - low)))
        return math.exp(math.log(low_s) + way * (math.log(high_s) - math.log(low_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """One length as a rule, another with the probability `chance`."""

    usual: Length
    rare: Length
    chance: float

    def draw(self, luck: Luck) -> float:
        return (self.rare if luck.own.random() < self.chance else self.usual).draw(luck)


Length = Span | LogNormal | Quantiles | Either


def always(length_s: float) -> Span:
    return Span(low_s=length_s, high_s=length_s)


NONE = always(0)
