"""How often to look, how long to wait, how much to have under way. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Load", "Pace", "Window", "accepted", "admits", "backoff_s", "freed", "lowered", "next_poll_s", "raised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The waits of a run, in seconds of our clock.

    A batch is looked at after `young_s` at first and after `share` of its age later, at most `longest_s`: a finished batch is noticed
    within 2 % of its age. `patience_s` is how long a provider may stay unreachable before we stop (nothing is lost by that);
    `grace_s` how long a new batch may take to appear in lists; `create_timeout_s` how long a create may take to be answered;
    `lost_s` how long the provider may deny a batch that it made before its job ends without it; `probe_s` how long after a refusal
    for want of room one more is tried.
    """

    young_s: float = 2.0
    share: float = 0.02
    longest_s: float = 120.0
    patience_s: float = 900.0
    grace_s: float = 30.0
    create_timeout_s: float = 600.0
    lost_s: float = 600.0
    probe_s: float = 600.0


def next_poll_s(pace: Pace, age_s: float, retry_after_s: float | None = None) -> float:
    """Seconds until the next look at batches of which the youngest is `age_s` old; never sooner than the provider asked."""
    return max(min(max(pace.young_s, age_s * pace.share), pace.longest_s), retry_after_s or 0.0)


def backoff_s(failures: int, retry_after_s: float | None = None, *, longest_s: float = 60.0) -> float:
    """Seconds to wait after so many failures in a row: 0.5, 1, 2, … up to `longest_s`, or as long as the provider asked."""
    return max(min(0.5 * 2.0 ** min(failures - 1, 20), longest_s), retry_after_s or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is under way, or would be: batches, their requests, and their queued tokens as estimated."""

    batches: int = 0
    requests: int = 0
    tokens: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(
            batches=self.batches + other.batches,
            requests=self.requests + other.requests,
            tokens=self.tokens + other.tokens,
        )


# After a refusal with nothing of ours under way, others fill the queue: 5 s, doubled at each further one.
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 300.0
_SLACK = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How much may be under way on one account and model.

    `most` is what the documents and the user allow (a figure of None: no limit), `learnt` what the provider's refusals have taught since;
    times are seconds of any one clock of ours. Nothing is sent before `not_before_s`, unless something of ours has ended meanwhile.
    `refused_at` is how many batches were under way at the last refusal.
    """

    most: tuple[int | None, int | None, int | None] = (None, None, None)
    learnt: Load | None = None
    learnt_at_s: float = 0.0
    not_before_s: float = 0.0
    refusals: int = 0
    refused_at: int | None = None


def admits(window: Window, under_way: Load, more: Load, now_s: float) -> bool:
    """Whether `more` may be sent now. One batch alone is always tried: its refusal is the provider's word, not our guess."""
    if now_s < window.not_before_s:
        return False
    if under_way.batches == 0:
        return True
    then = under_way + more
    for value, limit in zip((then.batches, then.requests, then.tokens), window.most, strict=True):
        if limit is not None and value > limit:
            return False
    learnt = window.learnt
    # which of them the provider counts is not said, and shards differ a little in size
    return learnt is None or (then.batches <= learnt.batches and then.tokens <= learnt.tokens * _SLACK)


def lowered(window: Window, under_way: Load, now_s: float, retry_after_s: float | None = None) -> Window:
    """After a refusal for want of room while `under_way` (without the refused one) was accepted: that much fits, and no more."""
    refusals = window.refusals + 1
    alone = under_way.batches == 0
    # a refusal that names a time may be about the rate of calls; one that comes again at the same number is about room
    learns = retry_after_s is None or window.refused_at == under_way.batches
    wait = min(_FIRST_WAIT_S * 2.0 ** min(refusals - 1, 10), _LONGEST_WAIT_S) if alone else 0.0
    return replace(
        window,
        learnt=(None if alone else under_way) if learns else window.learnt,
        learnt_at_s=now_s if learns else window.learnt_at_s,
        not_before_s=now_s + max(wait, retry_after_s or 0.0),
        refusals=refusals,
        refused_at=under_way.batches,
    )


def freed(window: Window, now_s: float) -> Window:
    """A batch of ours has ended: if the queue was full, it is no longer, whatever time the refusal named."""
    if not window.refused_at or window.not_before_s <= now_s:
        return window
    return replace(window, not_before_s=now_s)


def raised(window: Window, now_s: float, probe_s: float) -> Window:
    """Room may have grown: a while after the last refusal, one more is tried."""
    learnt = window.learnt
    if learnt is None or now_s - window.learnt_at_s < probe_s:
        return window
    share = (learnt.batches + 1) / max(learnt.batches, 1)
    more = Load(
        batches=learnt.batches + 1, requests=round(learnt.requests * share), tokens=round(learnt.tokens * share)
    )
    return replace(window, learnt=more, learnt_at_s=now_s)


def accepted(window: Window) -> Window:
    """A create went through: the waits after refusals begin anew."""
    return replace(window, refusals=0) if window.refusals else window
