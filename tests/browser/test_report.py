"""The HTML report in a real browser, opened from disk: readable, quiet on the network, fit for phones, dark rooms and paper."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from batchmark.report.content import Report
from batchmark.report.html import render_html
from tests.unit.report.sample_reports import HOSTILE, many_rounds_report, small_report, troubled_report

pytestmark = pytest.mark.browser

CHROMIUM = Path(os.environ.get("BATCHMARK_CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-component-update",
]
REPORTS = {"small": small_report(), "troubled": troubled_report(), "many": many_rounds_report()}
Scheme = Literal["light", "dark"]


@dataclass
class Seen:
    """A page and everything it said or asked for while it was opened."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


Open = Callable[..., Seen]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no chromium at {CHROMIUM}: apt-get install chromium, or set BATCHMARK_CHROMIUM")
        pytest.skip(f"no chromium at {CHROMIUM}: the report is not looked at in a browser")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    contexts = []

    def opened(report: Report, *, width: int = 1280, scheme: Scheme = "light", javascript: bool = True) -> Seen:
        path = tmp_path / "report.html"
        path.write_text(render_html(report), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=javascript
        )
        contexts.append(context)
        seen = Seen(context.new_page())

        def note_dialog(dialog: Dialog) -> None:
            seen.messages.append(dialog.message)
            dialog.dismiss()

        seen.page.on("console", lambda message: seen.messages.append(message.text))
        seen.page.on("pageerror", lambda error: seen.messages.append(str(error)))
        seen.page.on("dialog", note_dialog)
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(path.as_uri(), wait_until="load")
        return seen

    yield opened
    for context in contexts:
        context.close()


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
    assert cells[0] == "1 min 11 s – 2 min 06 s (n=2)"
    assert "1 of 2 jobs still running" in cells[1]
    assert "1 of 2 jobs expired" in cells[2]


def test_hostile_answers_are_read_and_not_run(open_report: Open) -> None:
    seen = open_report(troubled_report())
    assert seen.page.get_by_role("definition").get_by_text(HOSTILE, exact=True).is_visible()
    assert seen.page.locator("img").count() == 0
    assert seen.page.evaluate("document.scripts.length") == 1
    assert seen.messages == []


def test_the_page_needs_no_javascript(open_report: Open) -> None:
    page = open_report(many_rounds_report(), javascript=False).page
    page.get_by_text("12 more rows").click()
    assert page.get_by_text("sum-19").is_visible()


def test_raw_values_can_be_read_by_a_program_in_the_page(open_report: Open) -> None:
    page = open_report(troubled_report()).page
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    assert data["schema"] == "batchmark.comparison/1"
    assert data["samples"][1]["answers"][0]["text"] == HOSTILE


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
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "region"


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
        "[...document.querySelectorAll('#times ~ .picture svg')].map(svg =>"
        " [svg.getBoundingClientRect().width, Math.max(0, ...[...svg.querySelectorAll('rect')].map("
        "rect => rect.getBoundingClientRect().right - svg.getBoundingClientRect().left))])"
    )
    assert all(bar <= track + 1 for track, bar in widths)
    openai, _, google, running, anthropic, expired = (bar for _, bar in widths)
    assert anthropic < openai < google
    assert running == expired == 0


def test_the_page_prints_on_white_and_with_every_row(open_report: Open) -> None:
    page = open_report(many_rounds_report(), scheme="dark").page
    assert page.pdf(format="A4").startswith(b"%PDF-")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 980})
    assert brightness(page, "body", "color") < 30
    assert page.get_by_text("sum-19").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 690
