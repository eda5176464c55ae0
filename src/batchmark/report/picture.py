"""Where the bars of a report's pictures begin and end, in percent of their width, and what they say in words. Pure geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchmark.compare.measures import JobMeasures, TargetSummary
from batchmark.report.words import count, duration, state_words

__all__ = ["JobBars", "Part", "Tick", "Timeline", "outcome_parts", "timeline"]

_OUTCOMES = ("succeeded", "errored", "expired", "cancelled", "missing")
# a part this thin can still be seen; the exact counts stand beside the bar
_LEAST_PERCENT = 0.7
_STEPS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_STEPS_H = (1, 2, 3, 6, 12, 24, 48, 96, 192)
_MOST_TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a bar: what it stands for, where it lies, and its value in words."""

    kind: str
    start: float
    width: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the time axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBars:
    """One job's two bars: its turnaround in parts (provider's clock) and its time-to-completion (ours), None where it has none."""

    measures: JobMeasures
    turnaround: tuple[Part, ...]
    completion: Part | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The bars of all jobs on one axis that starts at zero."""

    ticks: tuple[Tick, ...]
    jobs: tuple[JobBars, ...]
    kinds: tuple[str, ...]


def timeline(jobs: Sequence[JobMeasures]) -> Timeline:
    """The picture of every job's times, on the scale of the longest."""
    longest = max((value for each in jobs for value in (each.turnaround_s, each.completion_s) if value), default=0.0)
    scale = 100.0 / longest if longest else 0.0
    bars = tuple(_bars(each, scale) for each in jobs)
    drawn = [
        part.kind for each in bars for part in (*each.turnaround, *((each.completion,) if each.completion else ()))
    ]
    order = ("queue", "run", "finalize", "turnaround", "completion")
    return Timeline(ticks=_ticks(longest), jobs=bars, kinds=tuple(kind for kind in order if kind in drawn))


def _bars(each: JobMeasures, scale: float) -> JobBars:
    parts: list[Part] = []
    at = 0.0
    for kind, seconds in _phases(each):
        parts.append(Part(kind=kind, start=at * scale, width=seconds * scale, text=f"{kind} {duration(seconds)}"))
        at += seconds
    completion = None
    if each.completion_s is not None:
        text = f"time-to-completion {duration(each.completion_s)}"
        completion = Part(kind="completion", start=0.0, width=each.completion_s * scale, text=text)
    return JobBars(measures=each, turnaround=tuple(parts), completion=completion, text=_sentence(each, parts))


def _phases(each: JobMeasures) -> list[tuple[str, float]]:
    """The parts of a turnaround where they are told and add up to it, else the turnaround as one piece."""
    if each.turnaround_s is None:
        return []
    if each.queue_s is None or each.run_s is None:
        return [("turnaround", each.turnaround_s)]
    parts = [("queue", each.queue_s), ("run", each.run_s), ("finalize", each.finalize_s or 0.0)]
    if abs(sum(seconds for _, seconds in parts) - each.turnaround_s) > 0.001:
        return [("turnaround", each.turnaround_s)]
    return [(kind, seconds) for kind, seconds in parts if seconds > 0] or [("turnaround", each.turnaround_s)]


def _sentence(each: JobMeasures, parts: Sequence[Part]) -> str:
    name = f"{each.job.target}, round {each.job.round}"
    if each.turnaround_s is None and each.completion_s is None:
        return f"{name}: no times, the job is {state_words(each.state)}"
    turnaround = f"turnaround {duration(each.turnaround_s)} by the provider's clock"
    if len(parts) > 1:
        turnaround += f" ({', '.join(part.text for part in parts)})"
    return f"{name}: {turnaround}; time-to-completion {duration(each.completion_s)} by our clock"


def _ticks(longest: float) -> tuple[Tick, ...]:
    """Round times from zero on, few enough to be read."""
    if not longest:
        return ()
    steps = (*_STEPS_S, *(hours * 3600.0 for hours in _STEPS_H))
    step = next((each for each in steps if longest / each <= _MOST_TICKS), longest)
    return tuple(
        Tick(at=100.0 * n * step / longest, text=_tick_text(n * step)) for n in range(int(longest / step * 1.0001) + 1)
    )


def _tick_text(seconds: float) -> str:
    """A round time without idle decimals: `5 s`, `2 min`, `6 h`."""
    if seconds == 0:
        return "0"
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds * 1000:g} ms"


def outcome_parts(summary: TargetSummary, requests: int) -> tuple[Part, ...]:
    """A target's requests by what became of them, as one bar; kinds that did not occur are left out.

    `requests` is how many it was given: those of jobs that are not over have no result yet.
    """
    counts = [(kind, int(getattr(summary.totals, kind))) for kind in _OUTCOMES]
    counts.append(("pending", max(0, requests - sum(n for _, n in counts))))
    total = sum(n for _, n in counts)
    if not total:
        return ()
    widths = {kind: max(_LEAST_PERCENT, 100.0 * n / total) for kind, n in counts if n}
    scale = 100.0 / sum(widths.values())
    parts, at = [], 0.0
    for kind, n in counts:
        if n:
            text = f"{count(n)} {'without a result' if kind == 'pending' else kind}"
            parts.append(Part(kind=kind, start=at, width=widths[kind] * scale, text=text))
            at += widths[kind] * scale
    return tuple(parts)
