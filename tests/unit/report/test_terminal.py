"""The terminal rendering: fits its width, hides nothing, and foreign text stays text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from batchmark.report.content import AnswerCell, KeptOut, Report, SampleRow
from batchmark.report.terminal import render_terminal
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    OPENAI,
    answer,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    small_report,
    troubled_report,
)
from tests.unit.report.sample_reports import REPORTS as SAMPLES

REPORTS = SAMPLES | {"eight targets": simulated_report(targets=8, rounds=60)}


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("report", REPORTS.values(), ids=list(REPORTS))
def test_no_line_is_wider_than_the_terminal(report: Report, width: int) -> None:
    for line in render_terminal(report, width=width, color=False).splitlines():
        assert cell_len(line) <= width, line


def test_without_colour_there_is_no_escape_sequence_and_with_it_the_words_are_the_same() -> None:
    plain = render_terminal(troubled_report(), width=100, color=False)
    coloured = render_terminal(troubled_report(), width=100, color=True)
    assert "\x1b" not in plain
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert stripped != coloured
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()


def test_escape_sequences_in_answers_never_reach_the_terminal() -> None:
    text = render_terminal(troubled_report(), width=120, color=False)
    assert "\\x1b[31mred" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_markup_in_foreign_text_is_shown_as_it_is() -> None:
    assert "Answer with [bold red]markup[/] and <b>tags</b>." in render_terminal(
        troubled_report(), width=120, color=False
    )


def test_emulated_is_in_the_heading_and_over_every_emulated_column() -> None:
    text = render_terminal(troubled_report(), width=120, color=False)
    assert text.splitlines()[0].endswith("(emulated)")
    assert any(line.split() == ["emulated"] * 3 for line in text.splitlines())
    assert "emulated" not in render_terminal(small_report(), width=120, color=False).lower()


def test_caveats_come_before_the_figures() -> None:
    text = render_terminal(troubled_report(), width=120, color=False)
    assert text.index("Job 8a02 was still running") < text.index("Turnaround")


def test_unfinished_jobs_and_requests_stand_beside_the_figures() -> None:
    text = render_terminal(troubled_report(), width=120, color=False)
    assert "48 not known yet" in text
    assert "1 of 2 jobs still running" in text
    assert "1 of 2 jobs expired" in text


def test_an_unknown_cost_is_said_and_a_known_one_is_not_rounded_away() -> None:
    text = render_terminal(troubled_report(), width=120, color=False)
    cost = next(line for line in text.splitlines() if line.startswith("Cost  "))
    assert cost.split() == ["Cost", "$0.00268", "unknown", "unknown"]


def test_answers_stand_with_their_target_and_a_word_for_how_they_compare() -> None:
    text = render_terminal(troubled_report(), width=120, color=False)
    assert re.search(r"openai:gpt-5-nano +matches +Tokyo", text)
    assert re.search(r"anthropic:claude-haiku-4-5 +differs +Kyoto", text)
    assert re.search(r"anthropic:claude-haiku-4-5 +errored +overloaded_error: Overloaded", text)


def test_texts_left_out_are_counted() -> None:
    assert "characters more)" in render_terminal(troubled_report(), width=120, color=False)
    assert "5 of 20 rows" in render_terminal(many_rounds_report(), width=120, color=False)


def test_a_terminal_without_unicode_gets_ascii_only() -> None:
    text = render_terminal(troubled_report(), width=80, color=False, ascii_only=True)
    assert text.isascii()
    assert all(len(line) <= 80 for line in text.splitlines())


def test_more_targets_than_fit_are_shown_below_and_none_is_lost() -> None:
    jobs = [job(type(OPENAI)("openai", f"model-number-{n}"), batch(), id=f"j{n}") for n in range(7)]
    text = render_terminal(report_of(jobs), width=80, color=False)
    figures = text.split("emulated", 1)[1]
    assert all(f"model-number-{n}\n" in figures.replace(" ", "\n") for n in range(7))
    assert text.count("Turnaround") >= 3


def test_a_report_of_nothing_says_so() -> None:
    assert "nothing to conclude" in render_terminal(report_of([]), width=80, color=False)


def test_an_outcome_that_is_no_answer_is_named_even_without_an_error() -> None:
    cells = (AnswerCell(target=OPENAI, outcome="cancelled", text=None, error=None), answer(OPENAI, ""))
    sample = SampleRow(row=7, custom_id=None, prompt="p", expected=None, answers=cells)
    text = render_terminal(report_of([job(OPENAI, batch())], [sample]), width=80, color=False)
    assert re.search(r"cancelled +no answer", text)
    assert "(empty)" in text


def test_verdicts_come_before_the_figures_and_the_conclusion_before_the_verdicts() -> None:
    text = render_terminal(many_rounds_report(), width=120, color=False)
    places = [
        text.index(mark)
        for mark in (
            "EMULATED",
            "8 rounds tell which target is fastest",
            "0.644 [0.523 to 0.792]",
            "Done within",
            "Outcome",
        )
    ]
    assert places == sorted(places)


def test_verdicts_that_say_the_same_are_said_once() -> None:
    text = render_terminal(many_rounds_report(), width=120, color=False)
    assert text.count("No difference: both targets have the same figure") == 1


def test_evidence_is_shown_for_few_targets_or_when_asked_for() -> None:
    line = "usable answers to"
    assert line in render_terminal(troubled_report(), width=120, color=False)
    assert line not in render_terminal(troubled_report(), width=120, color=False, evidence=False)
    eight = REPORTS["eight targets"]
    assert line not in render_terminal(eight, width=120, color=False)
    assert line in render_terminal(eight, width=120, color=False, evidence=True)


def test_chances_are_one_row_for_each_target() -> None:
    text = render_terminal(simulated_report(targets=3, rounds=20), width=120, color=False)
    rows = text[text.index("Done within") : text.index("Outcome")].splitlines()
    chances = [line for line in rows if "%" in line and line.startswith(("openai", "google", "anthropic"))]
    assert [line.split()[:2] for line in chances] == [
        ["openai:gpt-5-nano", "20"],
        ["google:gemini-3.1-flash-lite", "20"],
        ["anthropic:claude-haiku-4-5", "20"],
    ]


def test_pairs_are_a_table_of_their_own_from_two_targets_on() -> None:
    assert re.search(r"1\.55 \[1\.26 to 1\.91\] +0\.008", render_terminal(many_rounds_report(), width=120, color=False))
    assert "Pairs" not in render_terminal(small_report(), width=120, color=False)


def test_records_in_no_figure_are_told_with_their_places() -> None:
    report = replace(small_report(), kept_out=(KeptOut(reason="no end time", count=4, places=("log.csv line 3",)),))
    assert "4 × no end time (log.csv line 3 and 3 more)" in render_terminal(report, width=120, color=False)


def test_long_lists_of_problems_are_cut_and_counted() -> None:
    jobs = [job(OPENAI, batch(), id=f"j{n}", round=n, problem=f"trouble {n}") for n in range(14)]
    text = render_terminal(report_of(jobs), width=100, color=False)
    assert "trouble 9" in text
    assert "trouble 10" not in text
    assert "and 4 more" in text


def test_the_last_line_says_where_the_method_is() -> None:
    assert "How every figure is measured" in render_terminal(small_report(), width=120, color=False).splitlines()[-1]


def test_emulated_and_real_targets_are_told_apart_in_every_table() -> None:
    jobs = [job(OPENAI, batch(ended=60 + n), id=f"a{n}", round=n, emulated=False) for n in range(1, 8)]
    jobs += [job(ANTHROPIC, batch(ended=30 + n), id=f"b{n}", round=n) for n in range(1, 8)]
    text = render_terminal(report_of(jobs, emulated=False), width=120, color=False)
    assert "Do not compare them with the real ones." in " ".join(text.split())
    assert "anthropic:claude-haiku-4-5 (emulated)" in text
    assert any(line.split() == ["emulated"] for line in text.splitlines())
