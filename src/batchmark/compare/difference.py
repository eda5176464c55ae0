"""Whether two targets differ, and by how much.

The test compares within rounds. Every job gets a normal score from the Kaplan-Meier curve of both targets' jobs together (what is known of
an unfinished job is that its score is higher than a finished one's at that time: it gets the mean of what is left, as in Prentice,
Biometrika 65, 1978). Of each round the difference of the two targets' mean scores is taken. If the targets do not differ, a round's
difference is as likely with the other sign, so the sum is compared with the sums under random signs. What a round's jobs have in common
cancels out, and how many jobs a round holds does not feign evidence. It is exact where every round holds as many jobs of either target.

Normal scores, since turnarounds are near log-normal: the test then is nearly as strong as a paired t-test of log times, and needs no
such shape to be valid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from batchmark.compare.intervals import MIN_FINISHED, MIN_ROUNDS
from batchmark.compare.observations import Observation
from batchmark.compare.survival import Bools, Curve, Floats, Ints, Resampling, fit, percentiles, quantile
from batchmark.domain.target import Target

__all__ = [
    "ALPHA",
    "Difference",
    "Ratio",
    "compare_times",
    "flip_signs",
    "holm",
    "normal_scores",
    "pair_columns",
    "round_differences",
]

ALPHA = 0.05
_EXACT_ROUNDS = 13  # all 8,192 ways to set the signs; beyond, so many random ones
_FLIPS = 9_999
_NORMAL_ROUNDS = 300  # from here on the sums follow the normal law as closely as so many random ones would show


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Median turnaround of one target over that of another, with its 95 % interval; a bound is None where it cannot be told."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two targets compared in the `rounds` that hold both. `p_value` is None below MIN_ROUNDS rounds; `p_adjusted` is Holm's.

    `direction` is negative where `left` is the smaller (faster, cheaper, less reliable) by the test; `alike`: they are the same in every
    round. `left_lower` and `right_lower` are in how many rounds each has the lower figure.
    """

    left: Target
    right: Target
    rounds: int
    direction: float
    p_value: float | None
    p_adjusted: float | None = None
    ratio: Ratio | None = None
    alike: bool = False
    left_lower: int = 0
    right_lower: int = 0

    @property
    def significant(self) -> bool:
        return self.p_adjusted is not None and self.p_adjusted <= ALPHA


def normal_scores(seconds: Floats, finished: np.ndarray) -> Floats:
    """A score for every job, about standard normal where turnarounds are log-normal; larger is slower."""
    curve = fit(seconds, finished)
    survival = np.concatenate(([1.0], 1.0 - curve.done))
    after = survival[np.searchsorted(curve.times_s, seconds, side="right")]
    before = survival[np.searchsorted(curve.times_s, seconds, side="left")]
    middle = np.clip(1.0 - (after + before) / 2, 1e-9, 1 - 1e-9)
    of_finished = stats.norm.ppf(middle)
    left = np.clip(after, 1e-9, 1.0)
    of_unfinished = stats.norm.pdf(stats.norm.isf(left)) / left
    return np.asarray(np.where(finished, of_finished, of_unfinished), dtype=np.float64)


def round_differences(values: Floats, is_left: np.ndarray, blocks: np.ndarray) -> Floats:
    """For each round with both targets the mean value of the left one's jobs minus that of the right one's."""
    names, block = np.unique(blocks, return_inverse=True)
    counts = [np.bincount(block[mask], minlength=len(names)) for mask in (is_left, ~is_left)]
    sums = [np.bincount(block[mask], weights=values[mask], minlength=len(names)) for mask in (is_left, ~is_left)]
    both = (counts[0] > 0) & (counts[1] > 0)
    return np.asarray(sums[0][both] / counts[0][both] - sums[1][both] / counts[1][both], dtype=np.float64)


def flip_signs(differences: Floats, *, seed: int = 0, flips: int = _FLIPS) -> float:
    """The two-sided p-value of a sum of differences whose signs are as likely either way.

    All ways to set the signs are tried where rounds are few, else `flips` random ones; of many rounds the normal law is taken.
    """
    rounds = len(differences)
    if rounds == 0:
        return 1.0
    seen = abs(float(differences.sum()))
    reach = seen - 1e-12 * max(1.0, float(np.abs(differences).sum()))
    if rounds <= _EXACT_ROUNDS:
        ways = np.arange(2**rounds)[:, None] >> np.arange(rounds) & 1
        sums = np.abs((2 * ways - 1) @ differences)
        return float((sums >= reach).mean())
    if rounds >= _NORMAL_ROUNDS:
        spread = math.sqrt(float((differences**2).sum()))
        return float(2 * stats.norm.sf(seen / spread)) if spread > 0 else 1.0
    generator = np.random.default_rng(seed)
    reached = 0
    for first in range(0, flips, 1000):
        count = min(1000, flips - first)
        signs = generator.integers(0, 2, size=(count, rounds), dtype=np.int8).astype(np.float64)
        signs *= 2.0
        signs -= 1.0
        reached += int((np.abs(signs @ differences) >= reach).sum())
    return (reached + 1) / (flips + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (Scandinavian Journal of Statistics 6, 1979). None stays None and is not counted."""
    known = sorted((value, place) for place, value in enumerate(p_values) if value is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (value, place) in enumerate(known):
        least = max(least, min(1.0, value * (len(known) - rank)))
        adjusted[place] = least
    return adjusted


def pair_columns(left: Target, right: Target, observations: Sequence[Observation]) -> tuple[Floats, Bools, Bools, Ints]:
    """The jobs of two targets as columns: seconds, whether finished, whether the left one's, and round."""
    mine = [each for each in observations if each.target in (left, right)]
    return (
        np.array([each.seconds for each in mine], dtype=np.float64),
        np.array([each.finished for each in mine], dtype=np.bool_),
        np.array([each.target == left for each in mine], dtype=np.bool_),
        np.array([each.round for each in mine], dtype=np.int64),
    )


def compare_times(
    left: Target, right: Target, observations: Sequence[Observation], resamplings: Mapping[Target, Resampling]
) -> Difference:
    """Compare the turnaround of two targets. `observations` may hold others too; `p_adjusted` is left to whoever knows all pairs.

    `resamplings` of both targets must draw the same rounds.
    """
    seconds, finished, is_left, blocks = pair_columns(left, right, observations)
    if not len(seconds) or is_left.all() or not is_left.any():
        return Difference(left=left, right=right, rounds=0, direction=0.0, p_value=None)
    differences = round_differences(normal_scores(seconds, finished), is_left, blocks)
    enough = len(differences) >= MIN_ROUNDS and finished.any()
    return Difference(
        left=left,
        right=right,
        rounds=len(differences),
        direction=float(differences.mean()) if len(differences) else 0.0,
        p_value=flip_signs(differences) if enough else None,
        alike=bool(len(differences)) and not differences.any(),
        left_lower=int((differences < 0).sum()),
        right_lower=int((differences > 0).sum()),
        ratio=_ratio(
            (fit(seconds[is_left], finished[is_left]), resamplings[left]),
            (fit(seconds[~is_left], finished[~is_left]), resamplings[right]),
        ),
    )


def _ratio(left: tuple[Curve, Resampling], right: tuple[Curve, Resampling]) -> Ratio | None:
    """The ratio of medians; both targets are resampled with the same rounds."""
    sides = (left, right)
    if any(curve.events < MIN_FINISHED[0.5] for curve, _ in sides):
        return None
    medians = [quantile(curve, 0.5) for curve, _ in sides]
    value = medians[0] / medians[1] if medians[0] is not None and medians[1] else None
    rounds = min(resampling.rounds for _, resampling in sides)
    if rounds < MIN_ROUNDS:
        return Ratio(value=value, low=None, high=None)
    (left_early, left_late), (right_early, right_late) = (resampling.quantiles(0.5)[0] for _, resampling in sides)
    with np.errstate(invalid="ignore", divide="ignore"):
        # where neither median is reached nothing is known of their ratio
        lows = np.nan_to_num(left_early / right_late, nan=0.0, posinf=np.inf)
        highs = np.nan_to_num(left_late / right_early, nan=np.inf, posinf=np.inf)
    low_part, high_part = percentiles(rounds)
    low = float(np.quantile(lows, low_part, method="inverted_cdf"))
    high = float(np.quantile(highs, high_part, method="inverted_cdf"))
    return Ratio(value=value, low=low if math.isfinite(low) else None, high=high if math.isfinite(high) else None)
