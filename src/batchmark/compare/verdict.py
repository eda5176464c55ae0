"""What the figures allow to be said: fastest, cheapest, most reliable, best value; or that the evidence is not enough.

A target is ahead only where the test says so against every other target, after Holm's correction. Those that no other is significantly
ahead of are the leaders; several leaders are no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

import numpy as np

from batchmark.compare.difference import Difference, Ratio, flip_signs, holm
from batchmark.compare.intervals import MIN_ROUNDS
from batchmark.compare.measures import JobMeasures
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target

__all__ = [
    "Question",
    "Reason",
    "Verdict",
    "adjusted",
    "compare_costs",
    "compare_success",
    "decide",
    "success_of",
    "value_of",
]


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

    `nearest` is the pair of the winner and the target nearest to it. `rounds` is what the verdict rests on, `differences` are all pairs,
    `ahead` those of which the first is significantly ahead of the second. `without` are targets that nothing can be said of.
    """

    question: Question
    winner: Target | None
    reason: Reason
    leaders: tuple[Target, ...]
    rounds: int
    nearest: Difference | None = None
    differences: tuple[Difference, ...] = ()
    ahead: tuple[tuple[Target, Target], ...] = ()
    without: tuple[Target, ...] = ()


def success_of(each: JobMeasures) -> float | None:
    """The share of a job's requests that have a usable answer; None while the job is not over, and for one that was cancelled, which is
    nobody's doing but the user's."""
    totals = each.job.totals
    if each.state is State.CANCELLED or not each.state.terminal or not each.job.counted or not totals.submitted:
        return None
    return totals.succeeded / totals.submitted


def _by_round(targets: Sequence[Target], jobs: Sequence[JobMeasures]) -> dict[Target, dict[int, list[JobMeasures]]]:
    table: dict[Target, dict[int, list[JobMeasures]]] = {target: {} for target in targets}
    for each in jobs:
        table[each.job.target].setdefault(each.job.round, []).append(each)
    return table


def compare_success(targets: Sequence[Target], jobs: Sequence[JobMeasures]) -> list[Difference]:
    """Every pair compared within rounds by the share of requests with a usable answer, as the mean of the round's jobs."""
    table = _by_round(targets, [each for each in jobs if success_of(each) is not None])
    return adjusted(
        [
            _difference(
                left,
                right,
                [
                    float(np.mean([success_of(each) for each in table[left][block]]))
                    - float(np.mean([success_of(each) for each in table[right][block]]))
                    for block in sorted(table[left].keys() & table[right].keys())
                ],
            )
            for left, right in combinations(targets, 2)
        ]
    )


def compare_costs(targets: Sequence[Target], jobs: Sequence[JobMeasures]) -> list[Difference]:
    """Every pair compared within rounds by what a usable answer costs, in jobs that are over and whose cost is known.

    What a round cost beyond both targets' common price of an answer is taken of each, so a round that cost something and gave nothing
    counts in full. The ratio is that of the sums, as the figures show it.
    """
    known = [each for each in jobs if each.state.terminal and each.job.totals.cost_usd is not None and each.job.priced]
    table = {
        target: {
            block: (
                sum(each.job.totals.cost_usd or 0.0 for each in mine),
                sum(each.job.totals.succeeded for each in mine),
            )
            for block, mine in rounds.items()
        }
        for target, rounds in _by_round(targets, known).items()
    }
    found = []
    for left, right in combinations(targets, 2):
        both = sorted(table[left].keys() & table[right].keys())
        sums = {side: [table[side][block] for block in both] for side in (left, right)}
        costs = {side: sum(cost for cost, _ in sums[side]) for side in sums}
        usable = {side: sum(good for _, good in sums[side]) for side in sums}
        if not usable[left] or not usable[right]:
            found.append(Difference(left=left, right=right, rounds=0, direction=0.0, p_value=None))
            continue
        common = (costs[left] + costs[right]) / (usable[left] + usable[right])
        beyond = {side: [cost - common * good for cost, good in sums[side]] for side in sums}
        values = [mine - other for mine, other in zip(beyond[left], beyond[right], strict=True)]
        # a last digit of a sum is no difference
        scale = 1e-12 * max(costs.values(), default=0.0)
        ratio = costs[left] / usable[left] / (costs[right] / usable[right]) if costs[right] else None
        found.append(
            replace(
                _difference(left, right, [0.0 if abs(value) <= scale else value for value in values]),
                ratio=None if ratio is None else Ratio(value=ratio, low=None, high=None),
            )
        )
    return adjusted(found)


def _difference(left: Target, right: Target, values: Sequence[float]) -> Difference:
    differences = np.array(values, dtype=np.float64)
    return Difference(
        left=left,
        right=right,
        rounds=len(differences),
        direction=float(differences.mean()) if len(differences) else 0.0,
        p_value=flip_signs(differences) if len(differences) >= MIN_ROUNDS else None,
        alike=bool(len(differences)) and not differences.any(),
        left_lower=int((differences < 0).sum()),
        right_lower=int((differences > 0).sum()),
    )


def adjusted(found: Sequence[Difference]) -> list[Difference]:
    """The same differences with Holm's adjusted p-values."""
    values = holm([each.p_value for each in found])
    return [replace(each, p_adjusted=value) for each, value in zip(found, values, strict=True)]


def decide(
    question: Question, targets: Sequence[Target], differences: Sequence[Difference], *, smaller_is_better: bool
) -> Verdict:
    """The verdict on a question from all pairs of targets. Targets that no round lets compare with any other are left aside and named."""
    if len(targets) < 2:
        return Verdict(question=question, winner=None, reason=Reason.ONE_TARGET, leaders=tuple(targets), rounds=0)
    dead = tuple(
        target
        for target in targets
        if not any(each.rounds for each in differences if target in (each.left, each.right))
    )
    live = [target for target in targets if target not in dead]
    pairs = [each for each in differences if each.left in live and each.right in live]
    rounds = min((each.rounds for each in pairs), default=0)
    ahead = {
        (each.left, each.right) if (each.direction < 0) == smaller_is_better else (each.right, each.left)
        for each in pairs
        if each.significant and each.direction != 0
    }
    leaders = tuple(one for one in live if not any((other, one) in ahead for other in live))
    winner = next(
        (one for one in live if len(live) > 1 and all((one, other) in ahead for other in live if other != one)), None
    )
    if winner is not None:
        reason = Reason.AHEAD
    elif (
        len(live) < 2
        or any(each.rounds == 0 for each in pairs)
        or any(each.p_value is None and each.rounds >= MIN_ROUNDS for each in pairs)
    ):
        reason = Reason.UNKNOWN
    elif any(each.p_value is None for each in pairs):
        reason = Reason.FEW_ROUNDS
    elif all(each.alike for each in pairs):
        reason = Reason.ALIKE
    else:
        reason = Reason.NOT_TOLD_APART
    return Verdict(
        question=question,
        winner=winner,
        reason=reason,
        leaders=leaders or tuple(targets),
        rounds=rounds,
        nearest=min((each for each in pairs if winner in (each.left, each.right)), key=_distance) if winner else None,
        differences=tuple(differences),
        ahead=tuple(sorted(ahead)),
        without=dead if len(live) > 1 else (),
    )


def _distance(each: Difference) -> float:
    """How far apart two targets are, by the ratio that a reader sees, where there is one."""
    ratio = each.ratio.value if each.ratio is not None else None
    return abs(math.log(ratio)) if ratio else abs(each.direction)


def value_of(verdicts: Mapping[Question, Verdict]) -> Verdict:
    """Best value: the cheapest target, where no other is faster or more reliable; otherwise it is the reader's choice."""
    cheapest, fastest, reliable = (
        verdicts[each] for each in (Question.CHEAPEST, Question.FASTEST, Question.MOST_RELIABLE)
    )
    rounds = min(each.rounds for each in (cheapest, fastest, reliable))

    def found(winner: Target | None, reason: Reason, leaders: tuple[Target, ...] = cheapest.leaders) -> Verdict:
        return Verdict(
            question=Question.BEST_VALUE,
            winner=winner,
            reason=reason,
            leaders=leaders,
            rounds=rounds,
            without=cheapest.without,
        )

    unknown = next((each for each in (fastest, reliable) if each.reason in (Reason.FEW_ROUNDS, Reason.UNKNOWN)), None)
    if cheapest.reason is Reason.ALIKE and unknown is not None:
        return found(None, unknown.reason)
    if cheapest.reason is Reason.ALIKE:
        # at one price the faster is worth more, unless it is less reliable
        if fastest.winner is not None and fastest.winner in reliable.leaders:
            return found(fastest.winner, Reason.AHEAD, fastest.leaders)
        return found(None, fastest.reason if fastest.winner is None else Reason.TRADE, fastest.leaders)
    if cheapest.winner is None:
        return found(None, cheapest.reason)
    if unknown is not None:
        return found(None, unknown.reason)
    beaten = any(other == cheapest.winner for each in (fastest, reliable) for _, other in each.ahead)
    return found(None, Reason.TRADE) if beaten else found(cheapest.winner, Reason.AHEAD)
