"""What the figures allow to be said: fastest, cheapest, most reliable, best value; or that the evidence is not enough.

A target is ahead only where the test says so against every other target, after Holm's correction. Those that no other is significantly
ahead of are the leaders; several leaders are no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from batchmark.compare.difference import ALPHA, Difference, Ratio, flip_signs, holm
from batchmark.compare.intervals import MIN_ROUNDS
from batchmark.compare.measures import JobMeasures
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target

__all__ = ["Question", "Reason", "Verdict", "compare_figures", "cost_of", "decide", "success_of", "value_of"]


class Question(StrEnum):
    """What is asked of a comparison."""

    FASTEST = "fastest"
    CHEAPEST = "cheapest"
    MOST_RELIABLE = "most reliable"
    BEST_VALUE = "best value"


class Reason(StrEnum):
    """Why a verdict is as it is."""

    AHEAD = "one target is ahead of every other"
    ALIKE = "every target has the same figure"
    NOT_TOLD_APART = "the differences may be chance"
    FEW_ROUNDS = "too few rounds"
    UNKNOWN = "the figure is not known for every target"
    ONE_TARGET = "only one target"
    TRADE = "the cheapest is not the fastest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to one question: `winner`, or None where none may be named. `leaders` are those that nothing is ahead of.

    `runner_up` is the pair of the winner and the target nearest to it; `ratio` its figure over the winner's where that is a ratio.
    `rounds` is what the verdict rests on, `differences` are all pairs.
    """

    question: Question
    winner: Target | None
    reason: Reason
    leaders: tuple[Target, ...]
    rounds: int
    nearest: Difference | None = None
    differences: tuple[Difference, ...] = ()


Figure = Callable[[JobMeasures], float | None]


def cost_of(each: JobMeasures) -> float | None:
    """US dollars per usable answer of one job; None where a price is missing or nothing was usable."""
    totals = each.job.totals
    return None if totals.cost_usd is None or not totals.succeeded else totals.cost_usd / totals.succeeded


def success_of(each: JobMeasures) -> float | None:
    """The share of a job's requests that have a usable answer; None while the job is not over, and for one that was cancelled, which is
    nobody's doing but the user's."""
    totals = each.job.totals
    if each.state is State.CANCELLED:
        return None
    return totals.succeeded / totals.submitted if each.job.counted and totals.submitted else None


def compare_figures(
    targets: Sequence[Target], jobs: Sequence[JobMeasures], figure: Figure, *, ratio: bool
) -> list[Difference]:
    """Every pair compared within rounds by a figure of each job: the means of the round's jobs, under random signs.

    With `ratio` the differences are of logarithms, and the ratio is that of the geometric means with no interval of its own.
    """
    table: dict[Target, dict[int, list[float]]] = {target: {} for target in targets}
    for each in jobs:
        value = figure(each)
        if value is not None and (value > 0 or not ratio) and each.job.target in table:
            table[each.job.target].setdefault(each.job.round, []).append(float(np.log(value)) if ratio else value)
    found = []
    for place, left in enumerate(targets):
        for right in targets[place + 1 :]:
            both = sorted(table[left].keys() & table[right].keys())
            differences = np.array(
                [np.mean(table[left][block]) - np.mean(table[right][block]) for block in both], dtype=np.float64
            )
            mean = float(differences.mean()) if len(both) else 0.0
            found.append(
                Difference(
                    left=left,
                    right=right,
                    rounds=len(both),
                    direction=mean,
                    p_value=flip_signs(differences) if len(both) >= MIN_ROUNDS else None,
                    alike=bool(both) and not differences.any(),
                    ratio=Ratio(value=float(np.exp(mean)), low=None, high=None) if ratio and both else None,
                )
            )
    return adjusted(found)


def adjusted(found: Sequence[Difference]) -> list[Difference]:
    """The same differences with Holm's adjusted p-values."""
    values = holm([each.p_value for each in found])
    return [replace(each, p_adjusted=value) for each, value in zip(found, values, strict=True)]


def decide(
    question: Question, targets: Sequence[Target], differences: Sequence[Difference], *, smaller_is_better: bool
) -> Verdict:
    """The verdict on a question from all pairs of targets."""
    rounds = min((each.rounds for each in differences), default=0)
    if len(targets) < 2:
        return Verdict(question=question, winner=None, reason=Reason.ONE_TARGET, leaders=tuple(targets), rounds=rounds)

    def ahead(one: Target, other: Target) -> bool:
        for each in differences:
            if {each.left, each.right} == {one, other} and each.p_adjusted is not None and each.p_adjusted <= ALPHA:
                left_is_ahead = (each.direction < 0) == smaller_is_better
                return each.direction != 0 and (each.left == one) == left_is_ahead
        return False

    leaders = tuple(one for one in targets if not any(ahead(other, one) for other in targets if other != one))
    winner = next((one for one in targets if all(ahead(one, other) for other in targets if other != one)), None)
    if winner is not None:
        reason = Reason.AHEAD
    elif any(each.rounds == 0 for each in differences):
        reason = Reason.UNKNOWN
    elif any(each.p_value is None for each in differences):
        reason = Reason.FEW_ROUNDS
    elif all(each.alike for each in differences):
        reason = Reason.ALIKE
    else:
        reason = Reason.NOT_TOLD_APART
    mine = [each for each in differences if winner in (each.left, each.right)]
    nearest = min(mine, key=lambda each: abs(each.direction), default=None) if winner else None
    return Verdict(
        question=question,
        winner=winner,
        reason=reason,
        leaders=leaders,
        rounds=rounds,
        nearest=nearest,
        differences=tuple(differences),
    )


def value_of(verdicts: Mapping[Question, Verdict]) -> Verdict:
    """Best value: the cheapest target, where no other is faster or more reliable; otherwise it is the reader's choice."""
    cheapest = verdicts[Question.CHEAPEST]
    others = (verdicts[Question.FASTEST], verdicts[Question.MOST_RELIABLE])
    rounds = min(each.rounds for each in (cheapest, *others))
    if cheapest.winner is None:
        return Verdict(
            question=Question.BEST_VALUE, winner=None, reason=cheapest.reason, leaders=cheapest.leaders, rounds=rounds
        )
    unknown = next((each for each in others if each.reason in (Reason.FEW_ROUNDS, Reason.UNKNOWN)), None)
    if unknown is not None:
        return Verdict(
            question=Question.BEST_VALUE, winner=None, reason=unknown.reason, leaders=cheapest.leaders, rounds=rounds
        )
    beaten = any(cheapest.winner not in each.leaders for each in others)
    return Verdict(
        question=Question.BEST_VALUE,
        winner=None if beaten else cheapest.winner,
        reason=Reason.TRADE if beaten else Reason.AHEAD,
        leaders=cheapest.leaders,
        rounds=rounds,
    )
