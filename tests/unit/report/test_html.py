"""The HTML rendering as text: hostile content stays content, and nothing points outside the page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from batchmark.report.content import Report
from batchmark.report.html import render_html
from batchmark.report.json import to_dict
from tests.unit.report.sample_reports import HOSTILE, many_rounds_report, report_of, small_report, troubled_report

REPORTS = {"small": small_report(), "troubled": troubled_report(), "many": many_rounds_report(), "empty": report_of([])}
VOID = {"meta", "link", "wbr", "br", "img", "hr"}


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


def test_the_page_forbids_scripts_and_loading() -> None:
    page = Page(render_html(troubled_report()))
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_scripts_in_answers_errors_and_ids_are_shown_and_never_become_elements() -> None:
    page = Page(render_html(troubled_report()))
    assert [attrs.get("type") for attrs in page.all("script")] == ["application/json"]
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


def test_the_raw_values_inside_the_page_are_those_of_the_json_report(report: Report) -> None:
    page = Page(render_html(report))
    assert json.loads(page.text["script"]) == to_dict(report)


def test_the_raw_values_hold_no_letter_that_html_acts_on() -> None:
    inside = render_html(troubled_report()).partition('id="data">')[2].partition("</script>")[0]
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


def test_caveats_and_conclusion_come_before_the_figures() -> None:
    text = render_html(troubled_report())
    assert text.index("Job 8a02 was still running") < text.index("no evidence about speed") < text.index("<table")


def test_every_answer_is_marked_with_a_word() -> None:
    page = Page(render_html(troubled_report()))
    for word in ("matches expected", "differs from expected", "errored", "missing"):
        assert word in page.text["dt"]


def test_every_row_given_is_in_the_page() -> None:
    page = Page(render_html(many_rounds_report()))
    assert all(f"sum-{n:02}" in page.text["h3"] for n in range(20))
    assert page.text["summary"] == "12 more rows"


def test_jobs_show_their_ids_and_the_ids_of_their_batches() -> None:
    text = Page(render_html(troubled_report())).text["table"]
    for name in ("8a02", "batch_68f0a1c2d4e48190b7", "batches/c0ffee", "BATCH_STATE_RUNNING", "no news for 2 h"):
        assert name in text
