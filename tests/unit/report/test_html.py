"""The HTML rendering as text: hostile content stays content, and nothing points outside the page."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from typing import Any

import pytest

from batchmark.report.columns import page_data
from batchmark.report.content import KeptOut, Report
from batchmark.report.html import render_html
from tests.unit.report.large_report import large_report
from tests.unit.report.sample_reports import (
    GOOGLE,
    HOSTILE,
    OPENAI,
    REPORTS,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    small_report,
    troubled_report,
)

VOID = {"meta", "link", "wbr", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, the text of each, and whether tags balance."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.open, self.getpos())

    def handle_data(self, data: str) -> None:
        for tag in {"", *self.open}:
            self.text[tag] = self.text.get(tag, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(params=REPORTS.values(), ids=list(REPORTS))
def report(request: pytest.FixtureRequest) -> Report:
    chosen: Report = request.param
    return chosen


def test_every_tag_is_closed_in_order(report: Report) -> None:
    assert Page(render_html(report)).open == []


def test_nothing_in_the_page_points_outside(report: Report) -> None:
    for tag, attrs in Page(render_html(report)).elements:
        for name in ("src", "href", "action", "srcset", "data", "poster", "xlink:href"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    assert "url(" not in render_html(report)
    assert "@import" not in render_html(report)


def scripts_of(text: str) -> list[str]:
    """What stands in the page's scripts, as a browser would hash it."""
    return [part.partition("</script>")[0] for part in text.split("<script>")[1:]]


def test_the_page_lets_run_exactly_its_own_scripts_by_hash_and_forbids_loading(report: Report) -> None:
    text = render_html(report)
    page = Page(text)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts_of(text)]
    assert len(hashes) == 2
    assert rules["script-src"].split() == hashes


def test_the_chart_library_is_there_with_its_licence_and_its_version_in_writing() -> None:
    folder = resources.files("batchmark.report") / "assets" / "uplot"
    assert "uPlot (v1.6.32)" in folder.joinpath("uPlot.iife.min.js").read_text()
    assert "1.6.32" in folder.joinpath("README.md").read_text()
    assert "MIT License" in folder.joinpath("LICENSE").read_text()


def test_scripts_do_not_depend_on_what_is_shown() -> None:
    assert scripts_of(render_html(small_report())) == scripts_of(render_html(troubled_report()))


def test_scripts_in_answers_errors_and_ids_are_shown_and_never_become_elements() -> None:
    page = Page(render_html(troubled_report()))
    assert [attrs.get("type") for attrs in page.all("script")] == ["application/json", None, None]
    assert page.all("img") == []
    assert page.text["dd"].count(HOSTILE) == 1
    assert f"content must be non-empty {HOSTILE}" in page.text["td"]
    assert "hostile <b>id</b>" in page.text["h3"]
    assert "questions & <answers>.jsonl" in page.text["dl"]
    for _, attrs in page.elements:
        assert not any(name.startswith("on") for name in attrs)


def test_control_and_reordering_characters_are_spelled_out() -> None:
    text = render_html(troubled_report())
    assert "\\u202egnirts" in text
    assert not any(mark in text for mark in "\x1b\x07\u202e\u202c")


def data_of(text: str) -> dict[str, Any]:
    inside = text.partition('id="data">')[2].partition("</script>")[0]
    data: dict[str, Any] = json.loads(inside)
    return data


def test_the_raw_values_are_in_the_page_once(report: Report) -> None:
    data = data_of(render_html(report))
    assert data == page_data(report)
    assert data["jobs"]["count"] == len(report.jobs)


def test_the_raw_values_hold_no_letter_that_html_acts_on() -> None:
    evil = replace(job(OPENAI, batch(id=HOSTILE), id="<!--&"), problem=HOSTILE, origin="</script>")
    inside = render_html(report_of([evil])).partition('id="data">')[2].partition("</script>")[0]
    assert HOSTILE.replace("<", "\\u003c").replace(">", "\\u003e").replace('"', '\\"') in inside
    assert not set("<>&") & set(inside)


def test_headings_are_in_order_and_begin_with_one_title(report: Report) -> None:
    levels = [int(tag[1]) for tag, _ in Page(render_html(report)).elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_scoped_headers(report: Report) -> None:
    page = Page(render_html(report))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attrs.get("scope") in ("col", "row", "rowgroup") for attrs in page.all("th"))


def test_every_picture_has_a_text_alternative_or_is_decoration(report: Report) -> None:
    for attrs in Page(render_html(report)).all("svg"):
        if attrs.get("role") == "img":
            assert attrs.get("aria-label")


def test_ids_are_unique(report: Report) -> None:
    ids = [attrs["id"] for _, attrs in Page(render_html(report)).elements if attrs.get("id")]
    assert len(ids) == len(set(ids))


def test_an_emulated_report_says_so_in_title_heading_and_banner_and_a_real_one_never() -> None:
    text = render_html(troubled_report())
    assert "claude-haiku-4-5 (emulated)</title>" in text
    emulated = Page(text)
    assert "(emulated)" in emulated.text["h1"]
    assert "SmolLM2-135M-Instruct on this machine" in emulated.text["main"]
    real = Page(render_html(small_report()))
    assert "emulated" not in real.text["main"].lower()
    assert "emulated" not in real.text["header"].lower()


def test_verdicts_and_caveats_come_before_the_figures() -> None:
    text = render_html(troubled_report())
    assert text.index("no evidence about speed") < text.index("Job 8a02 was still running") < text.index("<table")
    assert text.index("Fastest") < text.index("<table")


def test_each_verdict_has_its_evidence_folded_beneath_it() -> None:
    page = Page(render_html(simulated_report(targets=2, rounds=12)))
    assert "Cheapest" in page.text["h3"]
    assert page.text["summary"].count("Evidence") == 3
    assert "finished" in page.text["details"]


def test_records_in_no_figure_are_counted_with_the_places_of_the_first() -> None:
    kept = KeptOut(reason="no end time", count=3, places=("log.csv line 4", "log.csv line 9"))
    page = Page(render_html(replace(many_rounds_report(), kept_out=(kept,))))
    assert "3 × no end time (log.csv line 4, log.csv line 9 and 1 more)" in page.text["main"]


def test_one_job_is_told_in_words_instead_of_a_curve() -> None:
    page = Page(render_html(small_report()))
    assert page.all("figure") == []
    assert "One job of a target is a point, not a curve" in page.text["main"]


def test_every_chart_says_what_it_shows_and_has_a_table_after_it() -> None:
    text = render_html(simulated_report(targets=2, rounds=14))
    page = Page(text)
    canvases = [attrs for attrs in page.all("div") if "canvas" in (attrs.get("class") or "")]
    assert len(canvases) == 3
    assert all(
        attrs["role"] == "img" and attrs["tabindex"] == "0" and "table below" in (attrs["aria-label"] or "")
        for attrs in canvases
    )
    assert all("<table" in part.partition("<section")[0] for part in text.split("</figure>")[1:])


def test_targets_differ_by_marker_and_dashes_and_not_by_colour_alone() -> None:
    page = Page(render_html(simulated_report(targets=8, rounds=2)))
    markers = [attrs["d"] for attrs in page.all("path")]
    dashes = [attrs["stroke-dasharray"] for attrs in page.all("line") if "stroke-dasharray" in attrs]
    assert len(set(markers)) == 8
    assert len(set(dashes)) == 8


def test_in_a_mixed_report_every_legend_marks_the_emulated_target() -> None:
    jobs = [job(OPENAI, batch(), id=f"a{n}", round=n, emulated=False) for n in (1, 2)]
    jobs += [job(GOOGLE, batch(), id=f"b{n}", round=n) for n in (1, 2)]
    report = report_of(jobs)
    text = render_html(report)
    assert text.partition('<ul class="key"')[2].partition("</ul>")[0].count("emulated") == 1
    assert [each["emulated"] for each in data_of(text)["targets"]] == [False, True]


def test_differences_to_the_expected_answer_are_marked() -> None:
    page = Page(render_html(troubled_report()))
    assert "Kyoto" in page.text["mark"]
    assert "Tokyo" not in page.text["mark"]


def test_every_answer_is_marked_with_a_word() -> None:
    page = Page(render_html(troubled_report()))
    for word in ("matches expected", "differs from expected", "errored", "missing"):
        assert word in page.text["dt"]


def test_every_row_given_is_in_the_page() -> None:
    page = Page(render_html(many_rounds_report()))
    assert all(f"sum-{n:02}" in page.text["h3"] for n in range(20))
    assert "12 more rows" in page.text["summary"]


def test_jobs_have_their_ids_and_those_of_their_batches_in_the_data() -> None:
    text = render_html(troubled_report())
    for name in ("8a02", "batch_68f0a1c2d4e48190b7", "batches/c0ffee", "no news for 2 h"):
        assert name in text.partition('id="data">')[2]


def test_a_page_of_ten_thousand_jobs_says_what_it_leaves_out_to_stay_small() -> None:
    text = render_html(large_report(10_000))
    assert len(text.encode()) <= 1_000_000
    left_out = data_of(text)["left_out"]
    assert left_out[0] == "batches"
    assert "it does not hold batches" in Page(text).text["main"]
    assert data_of(text)["jobs"]["count"] == 10_000
