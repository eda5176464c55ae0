"""Experiments of which the truth is known, to see whether the statistics keep their word.

Turnarounds are log-normal with a median of 6 hours and cut off at 24 h, which leaves about a fifth of the jobs unfinished. Every round
holds three jobs a target, either independent or with half of the variance shared by the jobs that a target has in the round. The naive ways
stand beside ours, so that it stays visible why they are not used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchmark.compare.difference import ALPHA, flip_signs, normal_scores, round_differences
from batchmark.compare.intervals import quantiles
from batchmark.compare.power import rounds_needed
from batchmark.compare.survival import Bools, Floats, Ints, Resampling, fit

EXPERIMENTS = 1000
NAIVE_EXPERIMENTS = 200
WINDOW_S = 86_400.0
MEDIAN_S = 6 * 3600.0
SIGMA = 1.5
JOBS = 3
ROUNDS = (10, 20, 50, 200)
SHARED = {"independent": 0.0, "half-shared": 0.5}
FLIPS = 999
DRAWS = 400


@dataclass(frozen=True)
class Sample:
    """One target's jobs: how long each took, or was watched, whether it finished, and its round."""

    seconds: Floats
    finished: Bools
    rounds: Ints

    @property
    def one_by_one(self) -> Sample:
        """The same jobs, taken for independent ones."""
        return Sample(self.seconds, self.finished, np.arange(len(self.seconds)))

    @property
    def without_unfinished(self) -> Sample:
        """The same jobs without those that did not finish."""
        return Sample(self.seconds[self.finished], self.finished[self.finished], self.rounds[self.finished])


def drawn(generator: np.random.Generator, rounds: int, shared: float, slower: float = 1.0) -> Sample:
    """One target's jobs of an experiment."""
    mood = generator.normal(size=(rounds, 1)) * math.sqrt(shared)
    own = generator.normal(size=(rounds, JOBS)) * math.sqrt(1 - shared)
    seconds = (slower * MEDIAN_S * np.exp(SIGMA * (mood + own))).ravel()
    return Sample(np.minimum(seconds, WINDOW_S), seconds <= WINDOW_S, np.repeat(np.arange(rounds), JOBS))


def covers(sample: Sample, seed: int) -> bool:
    """Whether the interval of the median holds the true one."""
    resampling = Resampling(sample.seconds, sample.finished, sample.rounds, draws=DRAWS, seed=seed)
    median = quantiles(fit(sample.seconds, sample.finished), resampling, (0.5,))[0]
    low = 0.0 if median.low_s is None else median.low_s
    high = math.inf if median.high_s is None else median.high_s
    return bool(low <= MEDIAN_S <= high)


def scored(left: Sample, right: Sample) -> tuple[Floats, Floats, Bools]:
    """The differences of the rounds, and the scores and sides that they come from."""
    seconds = np.concatenate([left.seconds, right.seconds])
    finished = np.concatenate([left.finished, right.finished])
    rounds = np.concatenate([left.rounds, right.rounds])
    is_left = np.arange(len(seconds)) < len(left.seconds)
    scores = normal_scores(seconds, finished)
    return round_differences(scores, is_left, rounds), scores, is_left


def differs(left: Sample, right: Sample, seed: int) -> bool:
    """Whether the test calls two targets different."""
    return flip_signs(scored(left, right)[0], seed=seed, flips=FLIPS) <= ALPHA


def differs_one_by_one(left: Sample, right: Sample) -> bool:
    """Whether a two-sample test that takes all jobs for independent calls them different."""
    _, scores, is_left = scored(left, right)
    mine, other = scores[is_left], scores[~is_left]
    error = math.sqrt(mine.var(ddof=1) / len(mine) + other.var(ddof=1) / len(other))
    return bool(abs(mine.mean() - other.mean()) > 1.96 * error)


def covered(rounds: int, shared: float, experiments: int = EXPERIMENTS) -> float:
    """How often the interval of the median holds the truth."""
    mood = int(10 * shared)
    return share([covers(drawn(generator_of(1, rounds, mood, n), rounds, shared), n) for n in range(experiments)])


def called_different(rounds: int, shared: float, experiments: int = EXPERIMENTS) -> float:
    """How often two equal targets are called different."""

    def one(n: int) -> bool:
        generator = generator_of(2, rounds, int(10 * shared), n)
        return differs(drawn(generator, rounds, shared), drawn(generator, rounds, shared), n)

    return share([one(n) for n in range(experiments)])


def found_with_the_hint(rounds: int, shared: float, experiments: int = EXPERIMENTS) -> tuple[float, list[int]]:
    """How often a target twice as slow is found with as many rounds as the hint names after `rounds` of equal targets, and those hints."""
    hints: list[int] = []

    def one(n: int) -> bool:
        generator = generator_of(3, rounds, int(10 * shared), n)
        left, right = drawn(generator, rounds, shared), drawn(generator, rounds, shared)
        needed = rounds_needed(
            np.concatenate([left.seconds, right.seconds]),
            np.concatenate([left.finished, right.finished]),
            np.arange(2 * len(left.seconds)) < len(left.seconds),
            np.concatenate([left.rounds, right.rounds]),
            factor=2.0,
        )
        assert needed is not None
        hints.append(needed)
        return differs(drawn(generator, needed, shared), drawn(generator, needed, shared, slower=2.0), n)

    return share([one(n) for n in range(experiments)]), hints


def main() -> None:
    """Print what the tests assert, for the documentation."""
    print(
        "rounds  jobs within a round  interval holds the truth  equal called different  2x found with the hint  hint (median)"
    )
    for name, shared in SHARED.items():
        for rounds in ROUNDS:
            found, hints = found_with_the_hint(rounds, shared)
            print(
                f"{rounds:>6}  {name:<19}  {covered(rounds, shared):>23.1%}  {called_different(rounds, shared):>22.1%}"
                f"  {found:>22.1%}  {int(np.median(hints)):>13}",
                flush=True,
            )


def share(found: list[bool]) -> float:
    return sum(found) / len(found)


def generator_of(*names: int) -> np.random.Generator:
    return np.random.default_rng(list(names))


if __name__ == "__main__":
    main()
