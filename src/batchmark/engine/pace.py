"""How often to look and how long to wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pace", "backoff_s", "next_poll_s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The waits of a run, in seconds of our clock.

    A batch is looked at after `young_s` at first and after `share` of its age later, at most `longest_s`: a finished batch is noticed
    within 2 % of its age. `patience_s` is how long a provider may stay unreachable before we stop (nothing is lost by that);
    `grace_s` how long a new batch may take to appear in lists; `create_timeout_s` how long a create may take to be answered;
    `lost_s` how long the provider may deny a batch that it made before its job ends without it.
    """

    young_s: float = 2.0
    share: float = 0.02
    longest_s: float = 120.0
    patience_s: float = 900.0
    grace_s: float = 30.0
    create_timeout_s: float = 600.0
    lost_s: float = 600.0


def next_poll_s(pace: Pace, age_s: float, retry_after_s: float | None = None) -> float:
    """Seconds until the next look at batches of which the youngest is `age_s` old; never sooner than the provider asked."""
    return max(min(max(pace.young_s, age_s * pace.share), pace.longest_s), retry_after_s or 0.0)


def backoff_s(failures: int, retry_after_s: float | None = None, *, longest_s: float = 60.0) -> float:
    """Seconds to wait after so many failures in a row: 0.5, 1, 2, … up to `longest_s`, or as long as the provider asked."""
    return max(min(0.5 * 2.0 ** min(failures - 1, 20), longest_s), retry_after_s or 0.0)
