"""The charts and the list of jobs in a real browser: drawn, readable by pointer and keyboard, and every point leads to its row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from batchmark.report.content import Report
from batchmark.report.html import render_html
from batchmark.report.words import duration, moment, money
from tests.browser.conftest import Open, Seen, opened
from tests.unit.report.large_report import large_report
from tests.unit.report.sample_reports import OPENAI, batch, job, report_of, simulated_report, small_report

pytestmark = pytest.mark.browser

# What a canvas shows within its axes: how many pixels of each exact colour, as `r,g,b`.
COLORS = """figure => {
  const canvas = figure.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = {};
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] !== 255) continue;
    const name = `${data[at]},${data[at + 1]},${data[at + 2]}`;
    found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}"""


@pytest.fixture(scope="module")
def three() -> Report:
    return simulated_report(targets=3, rounds=20)


@pytest.fixture(scope="module")
def eight() -> Report:
    return simulated_report(targets=8, rounds=250)


@pytest.fixture(scope="module")
def page_of_three(browser: Browser, tmp_path_factory: pytest.TempPathFactory, three: Report) -> Iterator[Seen]:
    seen = opened(browser, tmp_path_factory.mktemp("three"), three)
    yield seen
    seen.page.context.close()


@pytest.fixture(scope="module")
def page_of_eight(browser: Browser, tmp_path_factory: pytest.TempPathFactory, eight: Report) -> Iterator[Seen]:
    seen = opened(browser, tmp_path_factory.mktemp("eight"), eight)
    yield seen
    seen.page.context.close()


@pytest.fixture(params=["page_of_three", "page_of_eight"])
def seen(request: pytest.FixtureRequest) -> Iterator[Seen]:
    found: Seen = request.getfixturevalue(request.param)
    found.page.mouse.move(0, 0)
    yield found
    assert found.messages == []
    assert found.strangers == []


def figure_of(page: Page, name: str) -> Any:
    return page.locator(f'figure[data-chart="{name}"]')


def palette(page: Page, targets: int) -> list[str]:
    """The targets' colours as `r,g,b`."""
    texts: list[str] = page.evaluate(
        "n => [...Array(n).keys()].map(i => getComputedStyle(document.documentElement).getPropertyValue(`--t${i + 1}`).trim())",
        targets,
    )
    return [",".join(str(int(text[at : at + 2], 16)) for at in (1, 3, 5)) for text in texts]


def fastest(report: Report) -> str:
    """The id of the first target's fastest job, where the keyboard begins."""
    mine = [
        (time, each.job.id)
        for each in report.jobs
        if each.job.target == report.targets[0] and (time := each.turnaround_s or each.unfinished_s)
    ]
    return min(mine)[1]


def test_every_target_is_drawn_in_its_colour(seen: Seen) -> None:
    page = seen.page
    targets = page.locator('ul.key[data-key="done"] li').count()
    found = figure_of(page, "curves").evaluate(COLORS)
    assert [found.get(color, 0) > 20 for color in palette(page, targets)] == [True] * targets
    for name in ("points", "hours"):
        # these are drawn half transparent, so their colours are mixed
        assert len(figure_of(page, name).evaluate(COLORS)) > 3 * targets


def test_pointing_at_the_curves_reads_all_of_them_off(seen: Seen) -> None:
    figure = figure_of(seen.page, "curves")
    figure.scroll_into_view_if_needed()
    box = figure.locator(".u-over").bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 80)
    expect(figure.locator(".readout")).to_contain_text("Done by ")
    values = [float(text.split()[0]) for text in figure.locator("output").all_inner_texts()]
    assert values
    assert all(0 <= value <= 100 for value in values)
    seen.page.mouse.move(box["x"] + 1, box["y"] + 80)
    expect(figure.locator("output").first).to_have_text("0 %")


def test_a_curve_reads_what_the_analysis_says(page_of_three: Seen, three: Report) -> None:
    figure = figure_of(page_of_three.page, "curves")
    figure.locator(".canvas").focus()
    page_of_three.page.keyboard.press("End")
    expect(figure.locator("output").first).to_contain_text("100 %")
    page_of_three.page.keyboard.press("Home")
    expect(figure.locator(".live")).to_contain_text(f"{three.targets[2]} 0 %")
    before = figure.locator(".live").inner_text()
    page_of_three.page.keyboard.press("PageDown")
    page_of_three.page.keyboard.press("ArrowRight")
    expect(figure.locator(".live")).not_to_have_text(before)
    page_of_three.page.keyboard.press("Escape")
    expect(figure.locator("output").first).to_have_text("")


def test_a_point_tells_its_job_to_keyboard_and_pointer_and_leads_to_its_row(page_of_three: Seen, three: Report) -> None:
    page, wanted = page_of_three.page, fastest(three)
    figure, tip = figure_of(page, "points"), page.locator("#tip")
    figure.scroll_into_view_if_needed()
    figure.locator(".canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(tip).to_contain_text(f"Job {wanted}")
    expect(figure.locator(".live")).to_contain_text(f"Job {wanted}")
    box = tip.bounding_box()
    assert box is not None
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    # the box stands beside its point
    page.mouse.move(box["x"] - 14, box["y"] - 14)
    expect(tip).to_contain_text(f"Job {wanted}")
    expect(tip).to_contain_text("turnaround")
    page.mouse.click(box["x"] - 14, box["y"] - 14)
    row = page.locator("#explorer tr.chosen")
    expect(row).to_contain_text(wanted)
    expect(row).to_be_in_viewport()
    expect(row.locator("button")).to_be_focused()
    assert page.url.endswith(f"#job-{wanted}")
    facts = page.locator("#explorer tr.all").first
    for name in ("Queued", "Running", "Finalizing", "Turnaround", "Downloading", "To completion", "Input tokens"):
        expect(facts).to_contain_text(name)
    batch = next(each.job.batches[0].id for each in three.jobs if each.job.id == wanted)
    expect(facts).to_contain_text(batch)
    assert page_of_three.messages == []


def test_the_keyboard_alone_goes_from_a_chart_to_a_row(page_of_eight: Seen, eight: Report) -> None:
    page = page_of_eight.page
    page.evaluate("document.activeElement.blur()")
    page.locator('figure[data-chart="points"] .canvas').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    live = figure_of(page, "points").locator(".live")
    expect(live).to_contain_text(str(eight.targets[1]))
    found = re.search(r"Job (\w+)", live.inner_text())
    assert found is not None
    page.keyboard.press("Enter")
    expect(page.locator("#explorer tr.chosen button")).to_be_focused()
    expect(page.locator("#explorer tr.chosen")).to_contain_text(found[1])
    page.keyboard.press("Enter")
    expect(page.locator("#explorer tr.chosen button")).to_have_attribute("aria-expanded", "false")


def test_pointing_at_an_hour_reads_its_figures(page_of_eight: Seen) -> None:
    figure = figure_of(page_of_eight.page, "hours")
    figure.locator(".canvas").focus()
    page_of_eight.page.keyboard.press("Home")
    expect(figure.locator(".readout")).to_have_text("00:00 UTC, median")
    expect(figure.locator("output").first).to_contain_text("n=")


def test_jobs_are_sorted_filtered_searched_and_paged(page_of_eight: Seen, eight: Report) -> None:
    page = page_of_eight.page
    explorer = page.locator("#explorer")
    rows = explorer.locator("tbody tr[data-job]")
    expect(explorer.get_by_role("status")).to_have_text("2,000 jobs")
    explorer.get_by_role("button", name="Turnaround").click()
    expect(explorer.get_by_role("columnheader", name="Turnaround")).to_have_attribute("aria-sort", "ascending")
    quickest = min((each for each in eight.jobs if each.finished), key=lambda each: each.turnaround_s or 0.0)
    expect(rows.first).to_contain_text(quickest.job.id)
    explorer.get_by_label("Target").select_option(str(eight.targets[4]))
    expect(explorer.get_by_role("status")).to_have_text("250 of 2,000 jobs")
    expect(rows).to_have_count(50)
    explorer.get_by_role("button", name="Next").click()
    expect(explorer.locator(".where")).to_have_text("Page 2 of 5")
    explorer.get_by_label("State").select_option("running")
    running = sum(each.job.target == eight.targets[4] and each.state == "running" for each in eight.jobs)
    expect(rows).to_have_count(running)
    explorer.get_by_label("State").select_option("")
    explorer.get_by_label("Target").select_option("")
    last = eight.jobs[-1].job
    explorer.get_by_label("Search").fill(last.batches[0].id)
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(last.id)
    explorer.get_by_label("Search").fill("")


def test_the_list_says_figures_in_the_same_words_as_the_tables(open_report: Open, three: Report) -> None:
    page = open_report(three).page
    shown = page.locator("#explorer tbody tr[data-job]")
    for place, each in enumerate(three.jobs[:20]):
        cells = shown.nth(place).locator("td").all_inner_texts()
        assert cells[3] == moment(each.submitted_at)
        if each.finished:
            assert cells[4] == duration(each.turnaround_s)
        assert cells[5] == ("none" if each.completion_s is None else duration(each.completion_s))
        assert cells[7] == money(each.job.totals.cost_usd)


def test_a_job_that_took_no_time_that_the_clock_tells_is_at_the_left_edge(open_report: Open) -> None:
    jobs = [job(OPENAI, batch(ended=ended), id=f"a{n}", round=n) for n, ended in enumerate((0, 0, 5, 60))]
    seen = open_report(report_of(jobs))
    figure_of(seen.page, "points").locator(".canvas").focus()
    seen.page.keyboard.press("Home")
    expect(seen.page.locator("#tip")).to_contain_text("turnaround 0 s")
    assert seen.messages == []


def test_a_link_to_a_job_opens_its_row_and_a_wrong_one_does_no_harm(open_report: Open, eight: Report) -> None:
    wanted = eight.jobs[1234].job.id
    seen = open_report(eight, fragment=f"#job-{wanted}")
    row = seen.page.locator("#explorer tr.chosen")
    expect(row).to_contain_text(wanted)
    expect(row).to_be_in_viewport()
    seen.page.evaluate("location.hash = '#job-%E0%A4%A'")
    seen.page.evaluate("location.hash = '#job-nobody'")
    expect(row).to_contain_text(wanted)
    assert seen.messages == []


def test_one_job_has_no_chart_and_its_row(open_report: Open) -> None:
    seen = open_report(small_report())
    assert seen.page.locator("canvas").count() == 0
    expect(seen.page.locator("#explorer tbody tr")).to_have_count(1)
    assert seen.messages == []


def test_charts_follow_the_colour_scheme_and_the_width(open_report: Open, three: Report) -> None:
    page = open_report(three, scheme="dark").page
    assert figure_of(page, "curves").evaluate(COLORS).get(palette(page, 1)[0], 0) > 20
    dark = palette(page, 1)
    page.emulate_media(color_scheme="light")
    light = palette(page, 1)
    assert light != dark
    assert figure_of(page, "curves").evaluate(COLORS).get(light[0], 0) > 20
    page.set_viewport_size({"width": 390, "height": 800})
    expect(figure_of(page, "curves").locator("canvas")).to_have_css("width", re.compile(r"^3[0-9.]+px$"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_paper_has_sharp_charts_in_light_colours_and_open_details(open_report: Open, three: Report) -> None:
    page = open_report(three, scheme="dark").page
    on_screen = page.evaluate("document.querySelector('canvas').width")
    pdf = page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 3
    assert b"/Font" in pdf
    assert b"/Image" in pdf
    expect(page.locator("html.paper")).to_have_count(0)
    assert page.evaluate("document.querySelector('canvas').width") == on_screen
    page.set_viewport_size({"width": 690, "height": 980})
    page.emulate_media(media="print")
    expect(page.locator("html.paper")).to_have_count(1)
    assert page.evaluate("document.querySelector('canvas').width") > 1_200 > on_screen / 1.2
    assert palette(page, 1) == ["0,103,165"]
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="screen")
    expect(page.locator("html.paper")).to_have_count(0)
    assert page.locator("details[open]").count() == 0


@pytest.mark.parametrize("name", ["three", "eight"])
def test_nothing_is_wider_than_the_paper(request: pytest.FixtureRequest, open_report: Open, name: str) -> None:
    # a browser shrinks the whole page where anything is
    page = open_report(request.getfixturevalue(name)).page
    page.set_viewport_size({"width": 690, "height": 980})
    page.emulate_media(media="print")
    expect(page.locator("html.paper")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 690


def test_ten_thousand_jobs_are_a_megabyte_at_most(open_report: Open) -> None:
    report = large_report(10_000)
    size = len(render_html(report).encode())
    assert size <= 1_000_000
    begun = perf_counter()
    seen = open_report(report)
    print(f"10,000 jobs: {size:,} bytes, rendered, opened and drawn in {perf_counter() - begun:.2f} s")
    expect(seen.page.locator("#explorer").get_by_role("status")).to_have_text("10,000 jobs")
    expect(seen.page.get_by_text("it does not hold batches")).to_be_visible()
    assert seen.messages == []
