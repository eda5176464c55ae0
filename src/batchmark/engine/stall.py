"""Whether a batch takes longer than it should, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from batchmark.domain.limits import Limits, Usual

__all__ = ["FEWEST", "Lateness", "Policy", "lateness", "later", "must_rescue", "must_stop", "usual_of"]

# A 95th percentile of fewer says nothing.
FEWEST = 20
# How long before an expiry that keeps nothing a batch is cancelled, so that what is finished may be had.
_RESCUE_S = 900.0


class Policy(StrEnum):
    """What a run does about a batch that is later than 95 % of earlier ones and has used half of its window."""

    WARN = "warn"
    CANCEL_AND_RETRY = "cancel-and-retry"
    STOP = "stop"


class Lateness(StrEnum):
    """How late a batch is, in rising order."""

    ON_TIME = "on time"
    LATE = "late"
    HALF = "half of its window is over"
    NEARLY_OVER = "nine tenths of its window are over"


_ORDER = list(Lateness)


def usual_of(turnarounds_s: Sequence[float], published: Usual) -> Usual:
    """How long batches usually take: by the user's own history where it is long enough, else by published figures."""
    if len(turnarounds_s) < FEWEST:
        return published
    ordered = sorted(turnarounds_s)
    rank = -(-len(ordered) * 95 // 100)
    return Usual(p95_s=ordered[rank - 1], n=len(ordered), source="your own earlier batches of this model")


def lateness(age_s: float, limits: Limits, usual: Usual) -> Lateness:
    """How late a batch of this age (on the provider's clock) is."""
    if age_s >= 0.9 * limits.window_s:
        return Lateness.NEARLY_OVER
    if age_s >= 0.5 * limits.window_s:
        return Lateness.HALF
    return Lateness.LATE if age_s > usual.p95_s else Lateness.ON_TIME


def later(one: Lateness, than: Lateness) -> bool:
    """Whether `one` is the graver."""
    return _ORDER.index(one) > _ORDER.index(than)


def must_stop(age_s: float, limits: Limits, usual: Usual, *, begun: bool, cancel_keeps_finished: bool) -> bool:
    """Whether a stuck batch is to be given up, where the user wants that: later than 95 % of earlier ones, half of the window gone, and
    nothing is lost by it. Where cancelling keeps nothing, a batch that has begun is left alone."""
    stuck = age_s > usual.p95_s and age_s >= 0.5 * limits.window_s
    return stuck and (cancel_keeps_finished or not begun)


def must_rescue(age_s: float, limits: Limits, *, expiry_keeps_finished: bool) -> bool:
    """Whether a batch is to be cancelled now because its expiry, minutes away, certainly gives nothing."""
    return not expiry_keeps_finished and age_s >= limits.expires_s - _RESCUE_S
