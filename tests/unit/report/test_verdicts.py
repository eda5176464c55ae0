"""Verdicts in words: a winner only with its margin and its p, and otherwise what is missing."""

from __future__ import annotations

import pytest

from batchmark.compare.intervals import Quantile, Share
from batchmark.compare.verdict import Question
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.report.content import Report
from batchmark.report.verdicts import Saying, grouped, interval_text, p_text, quantile_text, sayings, share_text
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    all_succeeded,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    small_report,
    troubled_report,
)


def said(report: Report) -> dict[Question, Saying]:
    return {each.question: each for each in sayings(report)}


def priced(report_rounds: int, factors: dict[Target, float], *, slow: Target | None = None) -> Report:
    """Rounds in which every target costs its factor, and all take as long but for a slow one."""
    jobs = []
    for n in range(1, report_rounds + 1):
        for target, factor in factors.items():
            ended = (600.0 if target == slow else 60.0) + n
            totals = all_succeeded(cost_usd=0.001 * factor)
            jobs.append(job(target, batch(ended=ended), id=f"{target}{n}", round=n, ended=ended + 5, totals=totals))
    return report_of(jobs)


def test_one_target_has_no_verdict() -> None:
    assert sayings(small_report()) == ()


def test_the_winner_comes_with_its_margin_its_interval_and_its_p() -> None:
    fastest = said(many_rounds_report())[Question.FASTEST]
    assert fastest.conclusive
    assert fastest.headline == (
        "anthropic:claude-haiku-4-5: 0.644 [0.523 to 0.792] times the median time of openai:gpt-5-nano, the nearest "
        "(8 rounds, p = 0.008)."
    )
    assert fastest.evidence == (
        "openai:gpt-5-nano: median 1 min 06 s [1 min 03 s to 1 min 10 s], 8 of 8 jobs finished",
        "anthropic:claude-haiku-4-5: median 42 s [34 s to 54 s], 8 of 8 jobs finished",
        "openai:gpt-5-nano / anthropic:claude-haiku-4-5: ratio of medians 1.55 [1.26 to 1.91] (8 rounds, p = 0.008)",
    )


def test_the_same_figure_everywhere_is_no_difference() -> None:
    reliable = said(many_rounds_report())[Question.MOST_RELIABLE]
    assert not reliable.conclusive
    assert reliable.headline == "No difference: both targets have the same figure in every one of 8 rounds."
    three = said(priced(7, {OPENAI: 1, GOOGLE: 1, ANTHROPIC: 1}))[Question.CHEAPEST]
    assert three.headline == "No difference: all 3 targets have the same figure in every one of 7 rounds."


def test_the_cheapest_is_named_in_times_the_cost_of_the_nearest() -> None:
    found = said(priced(8, {OPENAI: 1, GOOGLE: 2, ANTHROPIC: 4}))
    assert found[Question.CHEAPEST].headline.startswith(
        "openai:gpt-5-nano: 0.5 times the cost of google:gemini-3.1-flash-lite, the nearest (8 rounds, p = "
    )
    assert found[Question.BEST_VALUE].headline == (
        "openai:gpt-5-nano: the cheapest, and no other is faster or more reliable as far as 8 rounds can tell."
    )


def test_a_cheapest_that_is_slower_is_left_to_the_reader() -> None:
    value = said(priced(8, {OPENAI: 1, GOOGLE: 2}, slow=OPENAI))[Question.BEST_VALUE]
    assert not value.conclusive
    assert value.headline == (
        "Yours to choose: openai:gpt-5-nano is the cheapest, but google:gemini-3.1-flash-lite is faster."
    )


def test_too_few_rounds_are_no_evidence_and_say_how_many_it_takes() -> None:
    one = said(report_of([job(OPENAI, batch()), job(ANTHROPIC, batch(ended=30), id="b")]))
    assert one[Question.FASTEST].headline == (
        "Not enough evidence: 1 round is too few for a verdict, which takes 6 or more."
    )
    five = said(many_rounds_report(5))
    assert "5 rounds are too few" in five[Question.FASTEST].headline


def test_an_unknown_cost_leaves_the_cheapest_and_the_best_value_open_for_the_same_reason() -> None:
    found = said(troubled_report())
    assert found[Question.CHEAPEST].headline == (
        "Not enough evidence: 1 round is too few for a verdict, which takes 6 or more. "
        "Nothing can be said of google:gemini-3.1-flash-lite."
    )
    assert found[Question.BEST_VALUE].headline == found[Question.CHEAPEST].headline


def test_differences_that_may_be_chance_say_how_many_rounds_more_would_tell() -> None:
    fastest = said(simulated_report(targets=3, rounds=20))[Question.FASTEST]
    assert fastest.headline.startswith("Not enough evidence: the differences seen in 20 rounds may be chance; about ")
    assert fastest.headline.endswith(" more rounds would tell a difference of 1.5 times.")


def test_a_target_that_never_finishes_is_counted_and_not_left_out() -> None:
    jobs = [job(OPENAI, batch(), id=f"a{n}", round=n) for n in range(1, 8)]
    jobs += [job(ANTHROPIC, batch(state=State.EXPIRED, ended=200), id=f"b{n}", round=n) for n in range(1, 8)]
    fastest = said(report_of(jobs))[Question.FASTEST]
    assert fastest.headline.startswith(
        "openai:gpt-5-nano: faster than anthropic:claude-haiku-4-5, the nearest, in 7 of 7 rounds"
    )
    assert fastest.evidence[1] == (
        "anthropic:claude-haiku-4-5: median not said below 6 finished jobs (n=0), 0 of 7 jobs finished "
        "(7 expired: counted as not done up to then)"
    )


def test_verdicts_that_say_the_same_are_said_once_with_all_their_evidence() -> None:
    found = grouped(sayings(troubled_report()))
    assert [label for label, _ in found] == ["Fastest, most reliable", "Cheapest, best value"]
    assert len(found[0][1].evidence) == 6


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(None, None, ""), ("2", None, " [2 or more]"), (None, "3", " [0 to 3]"), ("2", "3", " [2 to 3]")],
)
def test_an_interval_says_which_end_is_open(low: str | None, high: str | None, words: str) -> None:
    assert interval_text(low, high) == words


def quantile(value_s: float | None, low_s: float | None, high_s: float | None, *, finished: int = 8) -> str:
    return quantile_text(
        Quantile(
            part=0.5,
            value_s=value_s,
            low_s=low_s,
            high_s=high_s,
            open_ended=high_s is None,
            finished=finished,
            needed=6,
        )
    )


def test_a_quantile_says_as_much_as_the_data_carry() -> None:
    assert quantile(126, 62, 250) == "2 min 06 s [1 min 02 s to 4 min 10 s]"
    assert quantile(126, 62, None) == "2 min 06 s [1 min 02 s or more]"
    assert quantile(None, 62, None) == "not reached [1 min 02 s or more]"
    assert quantile(126, None, None) == "2 min 06 s"
    assert quantile(126, 62, 250, finished=5) == "not said below 6 finished jobs (n=5)"


def test_a_share_says_its_interval_and_its_counts() -> None:
    assert share_text(Share(hits=47, n=48, low=0.92, high=0.996)) == "97.9 % [92 to 99.6 %], 47 of 48"
    assert share_text(Share(hits=0, n=0, low=None, high=None)) == "none"


def test_a_p_is_never_rounded_to_nothing() -> None:
    assert [p_text(each) for each in (0.0004, 0.0123, 1.0)] == ["p < 0.001", "p = 0.012", "p = 1.000"]
