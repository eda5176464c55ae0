"""Intervals of single figures: a quantile of turnaround, a share of requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from batchmark.compare.measures import MIN_FINISHED
from batchmark.compare.survival import Curve, Resampling, percentiles, quantile

__all__ = ["MIN_FINISHED", "MIN_ROUNDS", "Quantile", "Share", "quantiles", "share_by_round", "wilson"]

MIN_ROUNDS = 6
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A quantile of turnaround in seconds: by then `part` of the jobs are done.

    `value_s` is None where fewer than `needed` jobs finished, or where the curve does not rise so high. `low_s` and `high_s` bound its 95 %
    interval: None below MIN_ROUNDS rounds; `high_s` is also None, with `open_ended`, where later than any job was observed is possible.
    """

    part: float
    value_s: float | None
    low_s: float | None
    high_s: float | None
    open_ended: bool
    finished: int
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of `n` with its 95 % interval, 0 to 1. `clusters`: the independent groups that it rests on, if they are fewer than `n`."""

    hits: int
    n: int
    low: float | None
    high: float | None
    clusters: int | None = None

    @property
    def value(self) -> float | None:
        return self.hits / self.n if self.n else None


def quantiles(curve: Curve, resampling: Resampling, parts: Sequence[float] = tuple(MIN_FINISHED)) -> list[Quantile]:
    """Quantiles of a curve with their intervals, each as far as the data carry it."""
    wanted = [part for part in parts if curve.events >= MIN_FINISHED[part]]
    bounds: dict[float, tuple[float, float]] = {}
    if wanted and resampling.rounds >= MIN_ROUNDS:
        low, high = percentiles(resampling.rounds)
        for part, (early, late) in zip(wanted, resampling.quantiles(*wanted), strict=True):
            bounds[part] = (
                float(np.quantile(early, low, method="inverted_cdf")),
                float(np.quantile(late, high, method="inverted_cdf")),
            )
    found = []
    for part in parts:
        value = quantile(curve, part) if part in wanted else None
        lower, upper = bounds.get(part, (None, None))
        finite = upper is not None and math.isfinite(upper)
        found.append(
            Quantile(
                part=part,
                value_s=value,
                low_s=lower if lower is not None and math.isfinite(lower) else None,
                high_s=upper if finite else None,
                open_ended=upper is not None and not finite,
                finished=curve.events,
                needed=MIN_FINISHED[part],
            )
        )
    return found


def wilson(hits: int, n: float, share: float | None = None, *, z: float = _Z) -> tuple[float, float] | None:
    """Wilson's score interval (JASA 22, 1927) of a share, 95 %. `n` may be an effective number, with a `z` of its own. None for n = 0."""
    if n <= 0:
        return None
    part = hits / n if share is None else share
    middle = (part + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(part * (1 - part) / n + z**2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def share_by_round(hits: Sequence[int], of: Sequence[int], rounds: Sequence[int]) -> Share:
    """A share of the requests of some jobs. Those of one round fail together, so the interval is Wilson's with an effective number.

    The number of requests is divided by the design effect, the variance between rounds over that of independent requests (Kish, 1965),
    and is never above the number of requests nor below that of evenly filled rounds. The quantile is Student's, for as many rounds. Where
    nothing or everything failed there is no variance to measure, so the rounds alone count. Below MIN_ROUNDS there is no interval.
    """
    total, good = sum(of), sum(hits)
    if total == 0:
        return Share(hits=0, n=0, low=None, high=None)
    sums: dict[int, tuple[int, int]] = {}
    for hit, n, number in zip(hits, of, rounds, strict=True):
        before = sums.get(number, (0, 0))
        sums[number] = (before[0] + hit, before[1] + n)
    clusters = len(sums)
    if clusters < MIN_ROUNDS:
        return Share(hits=good, n=total, low=None, high=None, clusters=clusters)
    part = good / total
    effective = even = total**2 / sum(n**2 for _, n in sums.values())
    if 0 < good < total:
        between = sum((hit - part * n) ** 2 for hit, n in sums.values()) * clusters / (clusters - 1)
        effect = between / (total * part * (1 - part))
        effective = min(float(total), max(even, total / max(effect, 1e-12)))
    bounds = wilson(good, effective, part, z=float(stats.t.ppf(0.975, clusters - 1)))
    low, high = bounds if bounds else (None, None)
    return Share(hits=good, n=total, low=low, high=high, clusters=clusters)
