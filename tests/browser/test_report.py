"""The HTML report in a real browser, opened from disk: readable, quiet on the network, fit for phones, dark rooms and paper."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from batchmark.report.content import Report
from tests.browser.conftest import Open, Scheme
from tests.unit.report.sample_reports import (
    HOSTILE,
    many_rounds_report,
    simulated_report,
    small_report,
    troubled_report,
)

pytestmark = pytest.mark.browser

REPORTS = {
    "small": small_report(),
    "troubled": troubled_report(),
    "many": many_rounds_report(),
    "eight": simulated_report(targets=8, rounds=12),
}


@pytest.fixture(params=REPORTS.values(), ids=list(REPORTS))
def report(request: pytest.FixtureRequest) -> Report:
    chosen: Report = request.param
    return chosen


def brightness(page: Page, selector: str, property: str) -> float:
    """0 for black to 255 for white, of a computed colour."""
    text = page.eval_on_selector(selector, f"node => getComputedStyle(node)[{property!r}]")
    red, green, blue = (float(part) for part in text.strip("rgba()").split(",")[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_the_page_opens_from_disk_asks_for_nothing_else_and_has_nothing_to_complain_about(
    report: Report, open_report: Open
) -> None:
    seen = open_report(report)
    assert seen.messages == []
    assert [url for url in seen.requests if not url.startswith(("file://", "data:"))] == []
    assert sum(url.startswith("file://") for url in seen.requests) == 1


def test_every_target_has_a_column_and_every_measure_a_row(open_report: Open) -> None:
    page = open_report(troubled_report()).page
    table = page.get_by_role("table", name="The same workload on each target")
    headers = table.get_by_role("columnheader").all_inner_texts()
    assert [" ".join(text.split()) for text in headers] == [
        "Measure",
        "openai:gpt-5-nano emulated",
        "google:gemini-3.1-flash-lite emulated",
        "anthropic:claude-haiku-4-5 emulated",
    ]
    cells = table.get_by_role("row", name="Turnaround").first.get_by_role("cell").all_inner_texts()
    assert " ".join(cells[0].split()).startswith("1 min 11 s – 2 min 06 s")
    assert "still running" in cells[1]
    assert "expired" in cells[2]


def test_hostile_answers_are_read_and_not_run(open_report: Open) -> None:
    seen = open_report(troubled_report())
    assert seen.page.get_by_role("definition").get_by_text(HOSTILE, exact=True).is_visible()
    assert seen.page.locator("img").count() == 0
    assert seen.page.evaluate("document.scripts.length") == 3
    assert seen.messages == []


def test_a_script_that_is_not_the_pages_own_never_runs(open_report: Open) -> None:
    seen = open_report(small_report())
    seen.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.pwned = true'}))"
    )
    assert seen.page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in message for message in seen.messages)


def test_without_javascript_every_figure_stands_in_the_tables(open_report: Open) -> None:
    page = open_report(many_rounds_report(), javascript=False).page
    page.get_by_text("12 more rows").click()
    expect(page.get_by_text("sum-19")).to_be_visible()
    expect(page.get_by_text("switched off here").first).to_be_visible()
    expect(page.get_by_role("table", name="Turnaround of each target")).to_be_visible()
    expect(page.get_by_role("table", name="Done within")).to_be_visible()
    assert page.locator(".canvas").first.is_hidden()
    assert page.locator("#explorer").is_hidden()


def test_raw_values_can_be_read_by_a_program_in_the_page(open_report: Open) -> None:
    page = open_report(troubled_report()).page
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    assert data["schema"] == "batchmark.page/1"
    assert data["jobs"]["count"] == 6


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(report: Report, open_report: Open, width: int) -> None:
    page = open_report(report, width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_measures_stay_in_sight_while_the_targets_scroll(open_report: Open) -> None:
    page = open_report(troubled_report(), width=390).page
    region = page.get_by_role("region", name="The same workload on each target")
    region.evaluate("node => { node.scrollLeft = node.scrollWidth }")
    last = region.get_by_role("columnheader").last.bounding_box()
    label = region.get_by_role("rowheader", name="Turnaround").bounding_box()
    assert last is not None
    assert label is not None
    assert last["x"] + last["width"] <= 390
    assert label["x"] >= 0


def test_tables_that_scroll_can_be_reached_by_keyboard(open_report: Open) -> None:
    page = open_report(troubled_report(), width=390).page
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "region":
            return
    pytest.fail("no table was reached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(open_report: Open, scheme: Scheme) -> None:
    page = open_report(troubled_report(), scheme=scheme).page
    paper = brightness(page, "body", "backgroundColor")
    assert paper > 230 if scheme == "light" else paper < 50
    for selector in ("body", ".note", ".n", ".aside", ".badge.warn", ".answers dd"):
        assert abs(brightness(page, selector, "color") - paper) > 90, selector


def test_bars_lie_within_their_track_and_a_longer_time_has_a_longer_bar(open_report: Open) -> None:
    page = open_report(troubled_report()).page
    widths: list[list[float]] = page.evaluate(
        "[...document.querySelectorAll('#timeline ~ .picture svg')].map(svg =>"
        " [svg.getBoundingClientRect().width, Math.max(0, ...[...svg.querySelectorAll('rect')].map("
        "rect => rect.getBoundingClientRect().right - svg.getBoundingClientRect().left))])"
    )
    assert all(bar <= track + 1 for track, bar in widths)
    openai, _, google, running, anthropic, expired = (bar for _, bar in widths)
    assert anthropic < openai < google < expired
    assert running == 0


def test_the_page_prints_on_white_and_with_every_row(open_report: Open) -> None:
    page = open_report(many_rounds_report(), scheme="dark").page
    assert page.pdf(format="A4").startswith(b"%PDF-")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 980})
    assert brightness(page, "body", "color") < 30
    assert page.get_by_text("sum-19").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 690
