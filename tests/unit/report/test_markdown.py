"""The Markdown rendering: a comment on a pull request that says what the other forms say, and in which foreign text stays text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from batchmark.report.content import AnswerCell, KeptOut, Report, SampleRow
from batchmark.report.markdown import render_markdown
from batchmark.report.table import comparison
from tests.unit.report.sample_reports import (
    GOOGLE,
    OPENAI,
    REPORTS,
    answer,
    batch,
    job,
    many_rounds_report,
    report_of,
    small_report,
    troubled_report,
)

OURS = re.compile(r"</?(?:details|summary|sub|br|code)>|<!-- -->")


def tokens_of(text: str) -> list[Token]:
    """What a Markdown reader sees, blocks and what is within them."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(text):
        found += [token, *(token.children or ())]
    return found


@pytest.mark.parametrize("report", REPORTS.values(), ids=list(REPORTS))
def test_every_table_row_has_as_many_cells_as_its_head(report: Report) -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", render_markdown(report), re.MULTILINE):
        rows = table.splitlines()
        assert {row.count("|") for row in rows} == {rows[0].count("|")}, rows[0]
        assert rows[0].count("|") <= 10


@pytest.mark.parametrize("report", REPORTS.values(), ids=list(REPORTS))
def test_every_figure_of_the_comparison_is_there(report: Report) -> None:
    text = render_markdown(report)
    for group in comparison(report):
        assert f"| **{group.title}** |" in text
        for line in group.lines:
            assert line.label in text
            assert all(cell in text for cell in line.cells), line


@pytest.mark.parametrize("report", REPORTS.values(), ids=list(REPORTS))
def test_no_html_and_no_link_but_our_own(report: Report) -> None:
    for token in tokens_of(render_markdown(report)):
        assert token.type not in ("link_open", "image", "code_inline", "fence", "code_block"), token
        if token.type in ("html_inline", "html_block"):
            assert not re.search("<", OURS.sub("", token.content)), token.content


def test_verdicts_come_before_the_figures_and_caveats_before_both() -> None:
    text = render_markdown(troubled_report())
    places = [
        text.index(mark) for mark in ("**EMULATED**", "Job 8a02 was still", "What may be concluded", "### Figures")
    ]
    assert places == sorted(places)
    assert "- **Cheapest, best value:** Not enough evidence: 1 round is too few for a verdict" in text
    assert "Nothing can be said of google:gemini-3.1-flash-lite." in text


def test_nobody_is_mentioned_and_nothing_is_linked_by_an_answer() -> None:
    hostile = "ping @torvalds, see #1 and GH-2 at https://evil.example or www.evil.example ![x](http://e.example/p.png)"
    sample = SampleRow(
        row=0, custom_id="@octocat", prompt=hostile, expected=hostile, answers=(answer(OPENAI, hostile, matches=True),)
    )
    text = render_markdown(report_of([job(OPENAI, batch(), problem=hostile)], [sample], workload=f"# {hostile}"))
    assert "@<!-- -->torvalds" in text
    assert not re.search(r"@\w|#1\b|GH-2|https?://|www\.|\]\(", text)
    assert not [token for token in tokens_of(text) if token.type in ("link_open", "image")]


def test_pipes_backticks_markup_and_line_ends_in_foreign_text_change_nothing_around_them() -> None:
    nasty = "a | b `code` **bold** ~~gone~~ \\| $x$\n\n# heading\n| --- |\n</details><script>alert(1)</script>"
    target = type(GOOGLE)("google", "models|`x`")
    jobs = [job(OPENAI, batch()), job(target, batch(), id="b", problem=nasty)]
    sample = SampleRow(
        row=0,
        custom_id=nasty,
        prompt=nasty,
        expected=None,
        answers=(
            answer(OPENAI, nasty),
            AnswerCell(target=target, outcome="errored", text=None, error=nasty),
        ),
    )
    text = render_markdown(replace(report_of(jobs, [sample], workload="- [x]: y"), caveats=(nasty, "1. first")))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert "# heading" not in headings
    assert "<script>" not in text
    assert text.count("<details>") == text.count("</details>")
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({row.count("|") for row in table.splitlines()}) == 1
    kinds = {token.type for token in tokens_of(text)}
    assert not kinds & {"s_open", "code_inline", "ordered_list_open", "link_open"}
    said = "".join(token.content for token in tokens_of(text) if token.type in ("text", "text_special"))
    assert "**bold**" in said
    assert "a | b `code`" in said


def test_ten_rows_of_answers_are_shown_and_the_others_counted() -> None:
    text = render_markdown(many_rounds_report())
    assert text.count("**row ") == 10
    assert "10 rows more are in the HTML page and the JSON file." in text


def test_answers_that_are_too_long_for_a_comment_are_left_out_and_counted() -> None:
    targets = [type(OPENAI)("openai", f"model-{n}") for n in range(8)]
    rows = [
        SampleRow(
            row=n, custom_id=None, prompt="<" * 300, expected=None, answers=tuple(answer(t, "|" * 400) for t in targets)
        )
        for n in range(12)
    ]
    text = render_markdown(report_of([job(t, batch(), id=t.model) for t in targets], rows))
    assert len(text) < 65_536
    assert "rows more are in the HTML page and the JSON file." in text


def test_many_targets_stand_in_tables_of_eight() -> None:
    jobs = [job(type(OPENAI)("openai", f"model-{n}"), batch(), id=f"j{n}") for n in range(9)]
    text = render_markdown(report_of(jobs))
    heads = [line for line in text.splitlines() if line.startswith("|  | openai:model-")]
    assert [head.count("openai:model-") for head in heads] == [8, 1]


def test_records_kept_out_are_told_with_their_places() -> None:
    report = replace(small_report(), kept_out=(KeptOut(reason="no end time", count=4, places=("log.csv line 3",)),))
    assert "- 4 × no end time (log.csv line 3 and 3 more)" in render_markdown(report)


def test_a_real_report_says_nothing_of_emulation_and_a_mixed_one_marks_its_columns() -> None:
    assert "emulated" not in render_markdown(small_report()).split("How it was measured")[0].lower()
    mixed = render_markdown(report_of([job(OPENAI, batch(), emulated=False), job(GOOGLE, batch(), id="b")]))
    assert "| openai:gpt-5-nano | google:gemini-3.1-flash-lite<br>*emulated* |" in mixed


def test_the_method_is_at_the_end() -> None:
    text = render_markdown(small_report())
    assert text.rstrip().endswith("</details>")
    assert "Kaplan-Meier" in text.split("How it was measured")[1]
