"""How many rounds would tell a difference of a given size, judged by the rounds that there are.

The spread of a round's difference (in normal scores) and the scale of log times are estimated from the data. Unfinished jobs tell less of a
shift than finished ones: by the variance of the scores, which is what is left of the information (for normal scores the two are the same).
An estimate from few rounds may be far off, so the chance of finding the difference is averaged over what the true spread may be
(assurance, O'Hagan and others, Pharmaceutical Statistics 4, 2005): few rounds make the hint careful, not bold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from batchmark.compare.difference import ALPHA, normal_scores, pair_columns, round_differences
from batchmark.compare.intervals import MIN_ROUNDS
from batchmark.compare.observations import Observation
from batchmark.compare.survival import Bools, Floats, Ints
from batchmark.domain.target import Target

__all__ = ["FACTOR", "POWER", "PowerHint", "rounds_needed", "rounds_to_tell"]

FACTOR = 1.5
POWER = 0.8
_MOST_ROUNDS = 100_000
_FEWEST_ROUNDS = 3
_NODES = (np.arange(64) + 0.5) / 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerHint:
    """`rounds` in all would tell a `factor` between two targets' times with a chance of 80 %, which is `more` than there are.

    Both are None where it would take more rounds than anybody sends.
    """

    left: Target
    right: Target
    factor: float
    rounds: int | None
    more: int | None


def rounds_to_tell(
    left: Target, right: Target, observations: Sequence[Observation], *, factor: float = FACTOR, pairs: int = 1
) -> PowerHint | None:
    """The hint for two targets; None where fewer than three rounds hold both, or too few jobs finished to know the spread.

    `pairs` is how many pairs are compared at once: each then is judged at a stricter level.
    """
    seconds, finished, is_left, blocks = pair_columns(left, right, observations)
    there = len(set(blocks[is_left]) & set(blocks[~is_left]))
    if there < _FEWEST_ROUNDS:
        return None
    try:
        rounds = rounds_needed(seconds, finished, is_left, blocks, factor=factor, alpha=ALPHA / pairs)
    except ValueError:
        return None
    more = None if rounds is None else max(rounds - there, 0)
    return PowerHint(left=left, right=right, factor=factor, rounds=rounds, more=more)


def rounds_needed(
    seconds: Floats, finished: Bools, is_left: Bools, blocks: Ints, *, factor: float, alpha: float = ALPHA
) -> int | None:
    """The number of rounds like these that tells a `factor`; None where it is beyond what anybody sends.

    Raises ValueError where the spread cannot be known: too few jobs finished, or all took the same time.
    """
    scores = normal_scores(seconds, finished)
    differences = round_differences(scores, is_left, blocks)
    scale = _scale(seconds, finished, scores)
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if scale is None or spread <= 0:
        raise ValueError("the spread of these times is not known")
    # the two targets together spread by half the shift more than each alone
    effect = math.log(factor) / math.hypot(scale, math.log(factor) / 2) * float(scores.var())
    return _solve(effect / spread, len(differences) - 1, alpha)


def _scale(seconds: np.ndarray, finished: np.ndarray, scores: np.ndarray) -> float | None:
    """Seconds per score, in logarithms: the slope of log time on score over the jobs that finished."""
    known = finished & (seconds > 0)
    if known.sum() < 3:
        return None
    score, log_time = scores[known], np.log(seconds[known])
    variance = float(score.var())
    if variance <= 0:
        return None
    slope = float(np.mean((score - score.mean()) * (log_time - log_time.mean())) / variance)
    return slope if slope > 0 else None


def _solve(effect: float, degrees: int, alpha: float) -> int | None:
    """The least number of rounds with which the mean chance is POWER. `effect` is in estimated spreads of a round's difference."""
    # the true spread over the estimated one, at even chances
    truths = np.sqrt(degrees / stats.chi2.ppf(_NODES, degrees))

    def chance(rounds: int) -> float:
        limit = stats.t.isf(alpha / 2, rounds - 1)
        return float(stats.norm.cdf(effect / truths * math.sqrt(rounds) - limit).mean())

    least = max(MIN_ROUNDS, 1 + math.ceil(math.log2(2 / alpha)))  # with fewer, no arrangement of signs is rare enough
    if chance(least) >= POWER:
        return least
    high = least
    while chance(high) < POWER:
        high *= 2
        if high > _MOST_ROUNDS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= POWER else (middle, high)
    return high
