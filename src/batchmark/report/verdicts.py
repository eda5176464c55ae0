"""Verdicts as sentences, each with the evidence that it rests on. "Not enough evidence" is a verdict too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchmark.compare.analysis import TargetAnalysis
from batchmark.compare.difference import Difference
from batchmark.compare.intervals import MIN_FINISHED, MIN_ROUNDS, Quantile, Share
from batchmark.compare.measures import TargetSummary
from batchmark.compare.verdict import Question, Reason, Verdict
from batchmark.domain.target import Target
from batchmark.report.content import Report
from batchmark.report.words import count, duration, in_words, money, number, percent, plural

__all__ = ["MINIMUM_TEXT", "Saying", "grouped", "interval_text", "p_text", "quantile_text", "sayings", "share_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """A verdict in words: `headline` is one sentence, `evidence` are the figures behind it. `conclusive`: a winner is named."""

    question: Question
    headline: str
    evidence: tuple[str, ...]
    conclusive: bool


def grouped(found: Sequence[Saying]) -> tuple[tuple[str, Saying], ...]:
    """Verdicts for the reader, each under its questions: those that say the same are said once, with the evidence of all."""
    groups: dict[str, list[Saying]] = {}
    for each in found:
        groups.setdefault(each.headline, []).append(each)
    return tuple(
        (
            ", ".join(each.question.value for each in group).capitalize(),
            replace(group[0], evidence=tuple(line for each in group for line in each.evidence)),
        )
        for group in groups.values()
    )


def sayings(report: Report) -> tuple[Saying, ...]:
    """Every verdict of a report, in the order fastest, cheapest, most reliable, best value. None for a report of one target."""
    if len(report.summaries) < 2:
        return ()
    return tuple(_saying(verdict, report) for verdict in report.analysis.verdicts)


def _saying(verdict: Verdict, report: Report) -> Saying:
    return Saying(
        question=verdict.question,
        headline=_headline(verdict, report),
        evidence=_evidence(verdict.question, report),
        conclusive=verdict.winner is not None,
    )


def _evidence(question: Question, report: Report) -> tuple[str, ...]:
    match question:
        case Question.FASTEST:
            return _of_times(report)
        case Question.CHEAPEST:
            return _of_costs(report)
        case Question.MOST_RELIABLE:
            return _of_success(report)
        case Question.BEST_VALUE:
            return ()


def _headline(verdict: Verdict, report: Report) -> str:
    if verdict.question is Question.BEST_VALUE and verdict.reason not in (Reason.AHEAD, Reason.TRADE):
        return _headline(_cause(report), report)
    aside = f" Nothing can be said of {in_words([str(each) for each in verdict.without])}." if verdict.without else ""
    return f"{_finding(verdict, report)}.{aside}"


def _finding(verdict: Verdict, report: Report) -> str:
    rounds = _rounds(verdict.rounds)
    match verdict.reason:
        case Reason.AHEAD if verdict.question is Question.BEST_VALUE:
            verdicts = _by_question(report)
            if verdicts[Question.CHEAPEST].winner is None:
                return f"{verdict.winner}: the fastest, at the same cost, and no other is more reliable as far as {rounds} can tell"
            return (
                f"{verdict.winner}: the cheapest, and no other is faster or more reliable as far as {rounds} can tell"
            )
        case Reason.AHEAD:
            return f"{verdict.winner}{_margin(verdict)}"
        case Reason.TRADE:
            return _trade(report)
        case Reason.ALIKE:
            n = len(report.summaries) - len(verdict.without)
            who = "both" if n == 2 else f"all {count(n)}"
            return f"No difference: {who} targets have the same figure in every one of {rounds}"
        case Reason.UNKNOWN:
            return f"Not enough evidence: {_what_is_missing(verdict, report)}"
        case Reason.FEW_ROUNDS:
            return (
                f"Not enough evidence: {rounds} {'is' if verdict.rounds == 1 else 'are'} too few for a verdict, "
                f"which takes {MIN_ROUNDS} or more"
            )
        case Reason.NOT_TOLD_APART if verdict.ahead:
            behind = [
                f"{loser} is behind {in_words([str(one) for one, other in verdict.ahead if other == loser])}"
                for loser in dict.fromkeys(loser for _, loser in verdict.ahead)
            ]
            return (
                f"Not enough evidence for one target: {_list(verdict.leaders)} cannot be told apart; "
                f"{'; '.join(behind)}{_more(verdict, report)}"
            )
        case _:
            return f"Not enough evidence: the differences seen in {rounds} may be chance{_more(verdict, report)}"


def _by_question(report: Report) -> dict[Question, Verdict]:
    return {each.question: each for each in report.analysis.verdicts}


def _cause(report: Report) -> Verdict:
    """The verdict for whose sake there is no best value: that on the cheapest, or the first other one that is not known."""
    verdicts = _by_question(report)
    cheapest, fastest = verdicts[Question.CHEAPEST], verdicts[Question.FASTEST]
    others = (fastest, verdicts[Question.MOST_RELIABLE])
    unknown = next((each for each in others if each.reason in (Reason.FEW_ROUNDS, Reason.UNKNOWN)), None)
    if cheapest.reason is Reason.ALIKE:
        return unknown or fastest
    return cheapest if cheapest.winner is None else unknown or cheapest


def _margin(verdict: Verdict) -> str:
    nearest = verdict.nearest
    if nearest is None or nearest.p_adjusted is None:
        return ""
    winner_is_left = nearest.left == verdict.winner
    other = nearest.right if winner_is_left else nearest.left
    basis = f"{_rounds(nearest.rounds)}, {p_text(nearest.p_adjusted)}"
    if verdict.question is Question.MOST_RELIABLE:
        return f": {abs(nearest.direction) * 100:.1f} percentage points more requests with an answer than {other}, the nearest ({basis})"
    ratio = nearest.ratio
    value = None if ratio is None or not ratio.value else (ratio.value if winner_is_left else 1 / ratio.value)
    low = high = None
    if ratio is not None and ratio.low is not None and ratio.high is not None and ratio.low > 0:
        low, high = (ratio.low, ratio.high) if winner_is_left else (1 / ratio.high, 1 / ratio.low)
    if value is None or value >= 1 or (high is not None and high >= 1):
        # the test weighs all times, the ratio only the middle ones: where they do not agree the rounds speak
        lower = nearest.left_lower if winner_is_left else nearest.right_lower
        word = "faster" if verdict.question is Question.FASTEST else "cheaper"
        return f": {word} than {other}, the nearest, in {count(lower)} of {_rounds(nearest.rounds)} ({p_text(nearest.p_adjusted)})"
    what = "the median time" if verdict.question is Question.FASTEST else "the cost"
    bounds = "" if low is None or high is None else f" [{number(low)} to {number(high)}]"
    return f": {number(value)}{bounds} times {what} of {other}, the nearest ({basis})"


def _trade(report: Report) -> str:
    verdicts = _by_question(report)
    cheapest, fastest = verdicts[Question.CHEAPEST], verdicts[Question.FASTEST]
    first = cheapest.winner or fastest.winner
    ahead = [
        f"{_names(others)} {word}"
        for question, word in ((Question.FASTEST, "faster"), (Question.MOST_RELIABLE, "more reliable"))
        if (others := tuple(one for one, other in verdicts[question].ahead if other == first))
    ]
    kind = "the cheapest" if cheapest.winner is not None else "the fastest, at the same cost"
    return f"Yours to choose: {first} is {kind}, but {' and '.join(ahead)}"


def _what_is_missing(verdict: Verdict, report: Report) -> str:
    if verdict.question is Question.FASTEST:
        without = [str(each.target) for each in report.analysis.targets if not each.jobs]
        if without:
            return f"no job of {_or(without)} can be in a curve"
        unfinished = [str(each.target) for each in report.analysis.targets if not each.finished]
        if unfinished:
            return f"no job of {_or(unfinished)} has finished"
        return "no round holds jobs of every target"
    if verdict.question is Question.CHEAPEST:
        unpriced = [str(each.target) for each in report.summaries if each.cost_usd is None or not each.priced]
        if unpriced:
            return f"the cost of {in_words(unpriced)} is not known"
        useless = [str(each.target) for each in report.summaries if not each.totals.succeeded]
        if useless:
            return f"{in_words(useless)} gave no usable answer"
        return "no round holds jobs of every target that are over"
    uncounted = [str(each.target) for each in report.summaries if not each.counted or not each.totals.submitted]
    if uncounted:
        return f"what became of the requests of {in_words(uncounted)} is not known"
    return "no round holds jobs of every target that are over"


def _or(names: list[str]) -> str:
    return in_words(names).replace(" and ", " or ")


def _more(verdict: Verdict, report: Report) -> str:
    """How many rounds more would tell, for the pair that needs the most among the leaders."""
    if verdict.question is not Question.FASTEST:
        return ""
    hints = [each for each in report.analysis.hints if each.left in verdict.leaders and each.right in verdict.leaders]
    if not hints:
        return ""
    factor = f"{hints[0].factor:g}"
    if any(each.more is None for each in hints):
        return f"; no number of rounds that anybody would send tells {factor} times"
    more = max(each.more or 0 for each in hints)
    if more == 0:
        return f"; a difference of {factor} times or more would probably have been seen"
    return f"; about {plural(more, 'more round')} would tell a difference of {factor} times"


def _of_times(report: Report) -> tuple[str, ...]:
    found = [f"{each.target}: {_time_evidence(each)}" for each in report.analysis.targets]
    for each in report.analysis.differences:
        if (text := _pair(each, "medians")) is not None:
            found.append(text)
    return tuple(found)


def _time_evidence(each: TargetAnalysis) -> str:
    text = f"median {quantile_text(each.median)}, {count(each.finished)} of {plural(each.jobs, 'job')} finished"
    if each.unfinished:
        states = ", ".join(f"{count(n)} {state}" for state, n in each.unfinished.items())
        text += f" ({states}: counted as not done up to then)"
    if each.left_out:
        text += "; kept out: " + ", ".join(f"{count(n)} {reason.value}" for reason, n in each.left_out.items())
    return text


def _of_costs(report: Report) -> tuple[str, ...]:
    found = [_cost_evidence(each) for each in report.summaries]
    for verdict in report.analysis.verdicts:
        if verdict.question is Question.CHEAPEST:
            found += [text for each in verdict.differences if (text := _pair(each, "costs per answer")) is not None]
    return tuple(found)


def _cost_evidence(summary: TargetSummary) -> str:
    if summary.cost_per_1000_usd is None:
        return f"{summary.target}: cost unknown"
    return f"{summary.target}: {money(summary.cost_per_1000_usd)} per 1,000 succeeded requests ({summary.price_note or 'no price known'})"


def _of_success(report: Report) -> tuple[str, ...]:
    return tuple(
        f"{each.target}: usable answers to {share_text(each.success)} requests"
        if each.success is not None and each.success.n
        else f"{each.target}: not known"
        for each in report.analysis.targets
    )


def _pair(each: Difference, what: str) -> str | None:
    if each.ratio is None or each.ratio.value is None:
        return None
    ratio = each.ratio
    bounds = interval_text(
        None if ratio.low is None else number(ratio.low), None if ratio.high is None else number(ratio.high)
    )
    tested = f", {p_text(each.p_adjusted)}" if each.p_adjusted is not None else ", not tested"
    return f"{each.left} / {each.right}: ratio of {what} {number(ratio.value or 0.0)}{bounds} ({_rounds(each.rounds)}{tested})"


def interval_text(low: str | None, high: str | None) -> str:
    """` [low to high]`, with an open end where a bound is not known; empty where neither is."""
    if low is None and high is None:
        return ""
    if high is None:
        return f" [{low} or more]"
    return f" [{low or '0'} to {high}]"


def quantile_text(each: Quantile) -> str:
    """A quantile as far as the data carry it: `2 min 06 s [1 min 02 s to 4 min 10 s]`, or why there is none."""
    if each.finished < each.needed:
        return f"not said below {count(each.needed)} finished jobs (n={count(each.finished)})"
    low = None if each.low_s is None else duration(each.low_s)
    high = None if each.high_s is None else duration(each.high_s)
    if each.value_s is None:
        return f"not reached{interval_text(low, None)}"
    return f"{duration(each.value_s)}{interval_text(low, high)}"


def share_text(share: Share) -> str:
    """A share with its interval: `97.9 % [92.0 to 99.6 %], 47 of 48`."""
    if share.value is None:
        return "none"
    bounds = ""
    if share.low is not None and share.high is not None:
        low, high = (f"{100 * bound:.1f}".removesuffix(".0") for bound in (share.low, share.high))
        bounds = f" [{low} to {high} %]"
    return f"{percent(share.value)}{bounds}, {count(share.hits)} of {count(share.n)}"


def p_text(p: float) -> str:
    """`p = 0.012`, and `p < 0.001` below that."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _rounds(rounds: int) -> str:
    return plural(rounds, "round")


def _list(targets: tuple[Target, ...]) -> str:
    return in_words([str(target) for target in targets])


def _names(targets: tuple[Target, ...]) -> str:
    return f"{_list(targets)} {'is' if len(targets) == 1 else 'are'}"


# the minimum numbers are said in the method of every report
MINIMUM_TEXT = ", ".join(
    f"{count(needed)} for {name}"
    for name, needed in zip(("a median", "p90", "p99"), MIN_FINISHED.values(), strict=True)
)
