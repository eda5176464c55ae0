"""The Kaplan-Meier curve of P(done by t), and what resampling whole rounds says about its uncertainty.

Kaplan and Meier, "Nonparametric estimation from incomplete observations", JASA 53 (1958): unfinished jobs count among those at risk up to
the time at which they were last known to be unfinished, and are never dropped; dropping them makes every quantile too early.

Jobs of one round share the mood of the queue, so they are not independent. The interval resamples rounds, each with all of its jobs
(cluster bootstrap), and takes percentiles that are widened for few rounds (Hesterberg, "What teachers should know about the bootstrap",
The American Statistician 69 (2015), section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["DRAWS", "LEVEL", "Curve", "Resampling", "done_by", "fit", "percentiles", "quantile"]

DRAWS = 2000
LEVEL = 0.95
_SLACK = 1e-9  # a product of fractions that should be one half is not always
_CELLS = 250_000  # of a resampled matrix at a time: small enough for the cache

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """P(done by t): `done[i]` from `times_s[i]` on, at the distinct times at which jobs finished, ascending.

    `at_risk[i]` jobs were unfinished just before, `finished[i]` of them finished then. `last_s` is the longest time that any job was
    observed for: beyond it the curve says nothing.
    """

    times_s: Floats
    done: Floats
    at_risk: Ints
    finished: Ints
    jobs: int
    last_s: float

    @property
    def events(self) -> int:
        """Jobs that finished."""
        return int(self.finished.sum())


def fit(seconds: Sequence[float] | Floats, finished: Sequence[bool] | Bools) -> Curve:
    """The curve of some jobs: each took `seconds` where it finished, else longer. None at all give an empty curve."""
    times, ended = np.asarray(seconds, dtype=np.float64), np.asarray(finished, dtype=np.bool_)
    moments, events = np.unique(times[ended], return_counts=True)
    ordered = np.sort(times)
    at_risk = len(times) - np.searchsorted(ordered, moments, side="left")
    survival = np.cumprod(1.0 - events / at_risk) if len(moments) else np.empty(0)
    return Curve(
        times_s=moments,
        done=np.asarray(1.0 - survival, dtype=np.float64),
        at_risk=at_risk.astype(np.int64),
        finished=events.astype(np.int64),
        jobs=len(times),
        last_s=float(ordered[-1]) if len(ordered) else 0.0,
    )


def quantile(curve: Curve, part: float) -> float | None:
    """The first time by which at least `part` of the jobs are done; None where the curve does not rise so high."""
    place = int(np.searchsorted(curve.done, part - _SLACK, side="left"))
    return float(curve.times_s[place]) if place < len(curve.times_s) else None


def done_by(curve: Curve, at_s: float) -> float:
    """P(done by `at_s`)."""
    place = int(np.searchsorted(curve.times_s, at_s, side="right"))
    return float(curve.done[place - 1]) if place else 0.0


def percentiles(rounds: int, level: float = LEVEL) -> tuple[float, float]:
    """The two percentiles (0 to 1) of resampled values that bound an interval, widened for few rounds."""
    degrees = max(rounds - 1, 1)
    z = stats.t.ppf(0.5 + level / 2, degrees) * np.sqrt(rounds / degrees)
    low = float(stats.norm.cdf(-z))
    return low, 1.0 - low


class Resampling:
    """The same jobs again and again with rounds drawn with replacement.

    `blocks` names the round of every job. Two resamplings with the same seed over the same `all_blocks` draw the same rounds, so what they
    give can be compared draw by draw. `rounds` is how many rounds hold any of the jobs.
    """

    def __init__(
        self,
        seconds: Sequence[float] | Floats,
        finished: Sequence[bool] | Bools,
        blocks: Sequence[int] | Ints,
        *,
        all_blocks: Sequence[int] | Ints | None = None,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> None:
        times, ended = np.asarray(seconds, dtype=np.float64), np.asarray(finished, dtype=np.bool_)
        order = np.lexsort((~ended, times))
        self._times, self._ended = times[order], ended[order]
        mine = np.unique(np.asarray(blocks, dtype=np.int64))
        names = mine if all_blocks is None else np.unique(np.asarray(all_blocks, dtype=np.int64))
        self._block = np.searchsorted(names, np.asarray(blocks, dtype=np.int64)[order])
        self._drawn_from = len(names)
        self._seed, self._draws = seed, draws
        self._known: dict[float, tuple[Floats, Floats]] = {}
        self.rounds = len(mine)

    def _survivals(self) -> Iterator[tuple[slice, Floats]]:
        """Blocks of draws: for each draw the probability of being unfinished after each job, in order of their times."""
        generator = np.random.default_rng(self._seed)
        step = max(1, _CELLS // max(len(self._times), self._drawn_from, 1))
        even = np.full(self._drawn_from, 1.0 / self._drawn_from)
        for first in range(0, self._draws, step):
            count = min(step, self._draws - first)
            weights = generator.multinomial(self._drawn_from, even, size=count)[:, self._block].astype(np.float64)
            at_risk = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
            np.maximum(at_risk, 1.0, out=at_risk)  # where nobody is left there is no weight either
            weights *= self._ended
            np.divide(weights, at_risk, out=weights)
            np.subtract(1.0, weights, out=weights)
            yield slice(first, first + count), np.cumprod(weights, axis=1, out=weights)

    def quantiles(self, *parts: float) -> list[tuple[Floats, Floats]]:
        """For each part, of every draw the earliest and the latest time that its quantile may be; infinite where it is not reached.

        Where the curve is flat at the quantile, any time of the flat stretch is one. Taking the earliest for lower bounds and the latest
        for upper ones keeps the interval honest where jobs are few.
        """
        wanted = [part for part in parts if part not in self._known]
        found = {part: (np.empty(self._draws), np.empty(self._draws)) for part in wanted}
        times = np.append(self._times, np.inf)
        for place, survival in self._survivals() if wanted else ():
            for part, (early, late) in found.items():
                left = 1.0 - part
                # survival falls from left to right, so the number of those above is the place of the first that is not
                early[place] = times[(survival > left + _SLACK).sum(axis=1)]
                late[place] = times[(survival >= left - _SLACK).sum(axis=1)]
        self._known |= found
        return [self._known[part] for part in parts]

    def band(self, at_s: Floats) -> tuple[Floats, Floats]:
        """The interval of P(done by t) at each of some times: between which values it lies in LEVEL of the draws."""
        places = np.searchsorted(self._times, at_s, side="right") - 1
        drawn = np.empty((self._draws, len(at_s)))
        for place, survival in self._survivals():
            drawn[place] = np.where(places < 0, 0.0, 1.0 - survival[:, np.maximum(places, 0)])
        low, high = percentiles(self.rounds)
        bounds = np.quantile(drawn, [low, high], axis=0, method="inverted_cdf")
        return bounds[0], bounds[1]
