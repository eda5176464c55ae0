"""The emulator's clock: a straight line through a reference point, so that time can run faster than ours, or stand still.

The reference point is stored with the world. Opening the world with another slope moves the point to the present,
so the clock changes its speed but never jumps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

__all__ = ["LAST_NS", "SECOND", "Line", "date_header", "microseconds", "nanoseconds", "ns", "seconds"]

SECOND = 1_000_000_000
LAST_NS = 7_258_118_400 * SECOND  # the year 2200, where every clock stops: what is kept in 64 bits goes little further


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Emulated time as a function of the machine's: both in nanoseconds since 1970."""

    real_ns: int
    emulated_ns: int
    scale: float

    def at(self, real_ns: int) -> int:
        elapsed = real_ns - self.real_ns
        if self.scale != 1.0:  # else a float would lose the last digits of a long stretch
            elapsed = int(elapsed * self.scale)
        return min(self.emulated_ns + elapsed, LAST_NS)

    def real_seconds_until(self, emulated_ns: int, real_ns: int) -> float:
        """How long to wait on the machine's clock until the emulated one shows `emulated_ns`: for ever, if it is frozen."""
        left = emulated_ns - self.at(real_ns)
        if self.scale == 0:
            return 0.0 if left <= 0 else math.inf
        return left / self.scale / SECOND

    def rescaled(self, scale: float, real_ns: int) -> Line:
        """The same present, another speed from here on."""
        if scale == self.scale:
            return self
        return Line(real_ns=real_ns, emulated_ns=self.at(real_ns), scale=scale)


def ns(seconds_: float) -> int:
    return round(seconds_ * SECOND)


def seconds(at_ns: int) -> int:
    """Whole seconds since 1970, as OpenAI writes times."""
    return at_ns // SECOND


def microseconds(at_ns: int) -> str:
    """RFC 3339 with microseconds and `+00:00`, as Anthropic writes times."""
    whole, rest = divmod(at_ns, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC).isoformat()[:19]}.{rest // 1000:06d}+00:00"


def nanoseconds(at_ns: int) -> str:
    """RFC 3339 with nanoseconds and `Z`, as Google writes times."""
    whole, rest = divmod(at_ns, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC).isoformat()[:19]}.{rest:09d}Z"


def date_header(at_ns: int) -> str:
    """An HTTP date, for the `date` header of every answer."""
    return format_datetime(datetime.fromtimestamp(at_ns // SECOND, UTC), usegmt=True)
