"""The emulator's live page in a real browser: up to date by itself, usable by pointer and keyboard, and light however much happens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from batchmark.emulator import Emulator, EmulatorOptions
from tests.browser.conftest import Scheme, Seen, window

pytestmark = pytest.mark.browser

HEADERS = {"authorization": "Bearer any", "x-goog-api-key": "any", "anthropic-version": "2023-06-01"}
ANTHROPIC = "/anthropic/v1/messages/batches"
HOSTILE = "<img src=x onerror=\"alert('pwned')\"></script><script>alert(1)</script>"

Show = Callable[..., Seen]


def options(home: Path, **changes: Any) -> EmulatorOptions:
    values: dict[str, Any] = {"home": home, "profile": "instant", "answers": "synthetic"}
    return EmulatorOptions(**(values | changes))


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """What is waited for may come late on a busy machine."""
    expect.set_options(timeout=20_000)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Opens an emulator's page, and notes what it said and asked for."""
    shown: list[Seen] = []

    def show_one(
        cloud: Emulator, *, width: int = 1280, scheme: Scheme = "light", javascript: bool = True, height: int = 900
    ) -> Seen:
        seen = window(browser, width=width, height=height, scheme=scheme, javascript=javascript)
        seen.page.goto(cloud.base_url + "/")
        if javascript:
            expect(seen.page.get_by_role("status")).to_have_text("live")
            expect(fact(seen.page, "Profile")).to_be_visible()
        shown.append(seen)
        return seen

    yield show_one
    for each in shown:
        each.page.context.close()


def connect(cloud: Emulator) -> httpx2.Client:
    return httpx2.Client(base_url=cloud.base_url, headers=HEADERS, timeout=20)


def create(client: httpx2.Client, *, rows: int = 3, label: str = "row") -> str:
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    body = {"requests": [{"custom_id": f"{label}-{number}", "params": params} for number in range(rows)]}
    return str(client.post(ANTHROPIC, json=body).json()["id"])


def create_openai(client: httpx2.Client, *, rows: int = 4, name: str = "four.jsonl", **metadata: str) -> str:
    body = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": "hello"}]}
    row = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    lines = "\n".join(json.dumps({"custom_id": f"r{number}", **row}) for number in range(rows))
    upload = {"file": (name, lines.encode())}
    file = client.post("/openai/v1/files", data={"purpose": "batch"}, files=upload).json()
    wanted = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return str(client.post("/openai/v1/batches", json={**wanted, "metadata": metadata}).json()["id"])


def create_gemini(client: httpx2.Client) -> str:
    item = {"request": {"contents": [{"parts": [{"text": "hello"}]}]}}
    batch = {"displayName": "nightly", "inputConfig": {"requests": {"requests": [item, item]}}}
    made = client.post("/gemini/v1beta/models/gemini-2.5-flash:batchGenerateContent", json={"batch": batch})
    return str(made.json()["name"]).removeprefix("batches/")


def fact(page: Page, name: str) -> Locator:
    """What the top of the page says under a heading."""
    return page.locator("#facts > div").filter(has=page.get_by_text(name, exact=True)).get_by_role("definition")


def batch(page: Page, name: str) -> Locator:
    return page.locator("#batch-list > li").filter(has_text=name)


def calls(page: Page) -> Locator:
    return page.locator("#call-list > li")


def brightness(locator: Locator, property: str) -> float:
    """0 for black to 255 for white, of a computed colour."""
    text: str = locator.evaluate(f"node => getComputedStyle(node)[{property!r}]")
    red, green, blue = (float(part) for part in text.strip("rgba()").split(",")[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_the_page_loads_itself_and_its_stream_and_nothing_else(cloud: Emulator, show: Show) -> None:
    seen = show(cloud)
    expect(seen.page.get_by_text("No batch yet")).to_be_visible()
    with connect(cloud) as client:
        create(client)
        expect(calls(seen.page)).to_have_count(1)
        client.get(ANTHROPIC)
        expect(calls(seen.page)).to_have_count(2)
    assert [url.removeprefix(cloud.base_url) for url in seen.requests] == ["/", "/_emulator/events"]
    assert seen.messages == []


def test_the_top_says_what_this_emulator_is_and_what_is_in_force(tmp_path: Path, show: Show) -> None:
    rule = "openai batches.list -> status 503"
    changes = {"faults": (rule,), "limits": ("openai.max_rows=100",), "time_scale": 60.0}
    with Emulator(options(tmp_path, **changes)) as cloud:
        page = show(cloud).page
        expect(fact(page, "Profile")).to_have_text("instant")
        expect(fact(page, "Answers")).to_have_text("synthetic")
        expect(fact(page, "Clock")).to_have_text("runs 60 times as fast as yours")
        expect(fact(page, "Limits")).to_have_text("openai.max_rows=100")
        expect(fact(page, "Faults in force")).to_have_text(rule)


def test_it_says_emulated_wherever_one_has_scrolled_to(cloud: Emulator, show: Show) -> None:
    with connect(cloud) as client:
        for _ in range(30):
            create(client)
    page = show(cloud, width=390, height=700).page
    expect(page.get_by_role("note")).to_contain_text("Emulated.")
    page.mouse.wheel(0, 3_000)
    expect(page.get_by_role("note")).not_to_be_in_viewport()
    expect(page.locator(".bar").get_by_text("Emulated")).to_be_in_viewport()
    assert page.title().startswith("Emulated")


def test_a_batch_goes_through_its_life_before_the_readers_eyes(tmp_path: Path, show: Show) -> None:
    with Emulator(options(tmp_path, profile="demo", time_scale=2.0)) as cloud, connect(cloud) as client:
        page = show(cloud).page
        row = batch(page, create_openai(client, rows=40, label="job-7"))
        for phase, word in [
            ("validating", "validating"),
            ("running", "in_progress"),
            ("finalizing", "finalizing"),
            ("succeeded", "completed"),
        ]:
            expect(row.locator(".badge")).to_have_text(phase)
            expect(row.locator(".word")).to_have_text(word)
        expect(row).to_contain_text("job-7")
        expect(row).to_contain_text("40 rows succeeded")
        expect(row).to_contain_text(re.compile(r"ended at \d\d:\d\d:\d\d, after \d+(\.\d)? s"))


def test_the_bar_and_the_rows_of_a_running_batch_grow_though_nothing_is_sent(tmp_path: Path, show: Show) -> None:
    rules = ("* life -> expire after=0.9 in=60",)
    with Emulator(options(tmp_path, profile="demo", time_scale=2.0, faults=rules)) as cloud, connect(cloud) as client:
        page = show(cloud).page
        row = batch(page, create(client, rows=100_000))
        expect(row.locator(".badge")).to_have_text("running")
        done = row.locator(".foot span").first
        veil = row.locator(".veil")
        text, left = done.inner_text(), veil.evaluate("node => parseFloat(node.style.left)")
        assert text.endswith("of 100,000 rows")
        expect(done).not_to_have_text(text)
        page.locator(".veil").evaluate(
            "(node, left) => new Promise((resolve) => {"
            " const look = () => (parseFloat(node.style.left) > left ? resolve() : requestAnimationFrame(look)); look(); })",
            left,
        )


def test_the_clock_ticks_at_its_own_pace(tmp_path: Path, show: Show) -> None:
    with Emulator(options(tmp_path, time_scale=86_400.0)) as cloud:
        page = show(cloud).page
        clock = page.locator("#clock")
        expect(clock).to_have_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"))
        day = clock.inner_text()[:10]
        expect(clock).not_to_contain_text(day)  # the next one has begun


def test_a_failed_a_cancelled_and_an_expired_batch_say_what_ended_them(tmp_path: Path, show: Show) -> None:
    rules = ("openai life nth=1 -> fail-validation invalid_json_line", "anthropic life nth=1 -> expire after=0.5 in=2")
    with Emulator(options(tmp_path, profile="demo", time_scale=2.0, faults=rules)) as cloud, connect(cloud) as client:
        page = show(cloud).page
        failed, expired, cancelled = create_openai(client), create(client, rows=8), create_openai(client)
        client.post(f"/openai/v1/batches/{cancelled}/cancel")
        expect(batch(page, failed)).to_contain_text("invalid_json_line: This line is not parseable")
        expect(batch(page, expired)).to_contain_text("its window of 2.0 s closed")
        expect(batch(page, expired)).to_contain_text("8 rows: 4 succeeded, 4 expired")
        expect(batch(page, cancelled)).to_contain_text(re.compile(r"cancelled at [\d:]+, [\d.]+ s after the request"))
        expect(batch(page, failed)).to_contain_text(f"fault {rules[0]}")


def test_calls_come_in_with_their_status_and_the_rules_that_struck_them(tmp_path: Path, show: Show) -> None:
    rule = "openai models.list nth=1 -> status 503"
    with Emulator(options(tmp_path, faults=(rule,))) as cloud, connect(cloud) as client:
        page = show(cloud).page
        create_openai(client, name="nightly.jsonl")
        client.get("/openai/v1/models")
        client.get("/openai/v1/batches/batch_nowhere")
        expect(calls(page)).to_have_count(4)
        texts = [" ".join(text.split()) for text in calls(page).all_inner_texts()]
        assert [re.findall(r"(\S+\.\S+) (\d{3})", text)[0] for text in texts] == [
            ("batches.retrieve", "404"),
            ("models.list", "503"),
            ("batches.create", "200"),
            ("files.create", "200"),
        ]
        assert f"fault {rule}" in texts[1]
        assert "nightly.jsonl" in texts[3]


def test_choosing_a_batch_shows_its_facts_and_only_its_calls(cloud: Emulator, show: Show) -> None:
    with connect(cloud) as client:
        first, second = create_openai(client, name="first.jsonl"), create(client)
        client.get(f"/openai/v1/batches/{first}")
        client.get(f"{ANTHROPIC}/{second}")
        page = show(cloud).page
        expect(calls(page)).to_have_count(5)
        batch(page, first).get_by_role("button").click()
        expect(calls(page)).to_have_count(3)  # its upload too
        expect(page.get_by_text("Only those about")).to_contain_text(first)
        expect(batch(page, first)).to_contain_text("/v1/chat/completions")
        expect(batch(page, first)).to_contain_text("Window closes")
        client.get(f"/openai/v1/batches/{first}")
        expect(calls(page)).to_have_count(4)
        page.get_by_role("button", name="Show all").click()
        expect(calls(page)).to_have_count(6)
        expect(batch(page, first)).not_to_contain_text("Window closes")


def test_a_call_that_a_fault_answered_in_the_services_place_belongs_to_its_batch_too(
    tmp_path: Path, show: Show
) -> None:
    with Emulator(options(tmp_path, faults=("* batches.retrieve -> status 500",))) as cloud, connect(cloud) as client:
        batch_id = create(client)
        client.get(f"{ANTHROPIC}/{batch_id}")
        create(client)
        page = show(cloud).page
        batch(page, batch_id).get_by_role("button").click()
        expect(calls(page)).to_have_count(2)


def test_the_keyboard_is_enough(cloud: Emulator, show: Show) -> None:
    with connect(cloud) as client:
        create(client)
        batch_id = create_gemini(client)
    page = show(cloud).page
    expect(calls(page)).to_have_count(2)
    for _ in range(20):
        page.keyboard.press("Tab")
        if batch_id in page.evaluate("document.activeElement.textContent"):
            break
    page.keyboard.press("Enter")
    expect(calls(page)).to_have_count(1)
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.keyboard.press("Escape")
    expect(calls(page)).to_have_count(2)
    assert batch_id in page.evaluate("document.activeElement.textContent")


def test_batches_and_calls_of_one_dialect_and_batches_of_one_state_can_be_picked(tmp_path: Path, show: Show) -> None:
    with Emulator(options(tmp_path, faults=("gemini life -> stuck",))) as cloud, connect(cloud) as client:
        create(client)
        create_openai(client)
        stuck = create_gemini(client)
        page = show(cloud).page
        rows = page.locator("#batch-list > li")
        expect(rows).to_have_count(3)
        page.get_by_label("State").select_option("Not ended")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text(stuck)
        page.get_by_label("Dialect").select_option("openai")
        expect(rows).to_have_count(0)
        expect(calls(page)).to_have_count(2)
        page.get_by_label("State").select_option("succeeded")
        expect(rows).to_have_count(1)


def test_texts_of_clients_are_read_and_not_run(cloud: Emulator, show: Show) -> None:
    with connect(cloud) as client:
        create_openai(client, name="<img src=x>.jsonl", label=HOSTILE, turn="photo\u202egnp.exe")
        client.get("/openai/v1/batches/%3Cimg%20src=x%3E")
    seen = show(cloud)
    page = seen.page
    expect(page.locator(".tag").get_by_text(HOSTILE, exact=True)).to_be_visible()
    expect(page.locator(".tag").get_by_text("photo\\u202egnp.exe", exact=True)).to_be_visible()
    page.locator("#batch-list").get_by_role("button").first.click()
    expect(page.locator(".details").get_by_text(HOSTILE, exact=True)).to_be_visible()
    expect(page.locator("#call-list").get_by_text("<img src=x>.jsonl", exact=True)).to_be_visible()
    assert page.locator("img").count() == 0
    assert page.evaluate("document.scripts.length") == 1
    assert seen.messages == []


def test_a_script_that_is_not_the_pages_own_never_runs(cloud: Emulator, show: Show) -> None:
    seen = show(cloud)
    seen.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.pwned = true'}))"
    )
    assert seen.page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in message for message in seen.messages)


def test_after_a_restart_the_page_is_live_again_and_no_call_is_missing_or_there_twice(
    tmp_path: Path, show: Show
) -> None:
    with Emulator(options(tmp_path)) as cloud, connect(cloud) as client:
        port = int(cloud.base_url.rsplit(":", 1)[1])
        page = show(cloud).page
        create(client)
        expect(calls(page)).to_have_count(1)
    expect(page.get_by_role("status")).to_contain_text("not connected")
    with (
        Emulator(options(tmp_path)) as elsewhere,
        connect(elsewhere) as client,
    ):  # the same world, out of the page's sight
        client.get("/openai/v1/models")
    with Emulator(options(tmp_path, port=port)) as again, connect(again) as client:
        expect(page.get_by_role("status")).to_have_text("live")
        client.get(ANTHROPIC)
        expect(calls(page)).to_have_count(3)
        operations = page.locator(".operation").all_inner_texts()
        assert operations == ["batches.list", "models.list", "batches.create"]


def test_another_world_at_the_same_address_begins_an_empty_page(tmp_path: Path, show: Show) -> None:
    with Emulator(options(tmp_path / "one")) as cloud, connect(cloud) as client:
        port = int(cloud.base_url.rsplit(":", 1)[1])
        page = show(cloud).page
        create(client)
        expect(calls(page)).to_have_count(1)
    with Emulator(options(tmp_path / "two", port=port)):
        expect(page.get_by_text("No batch yet")).to_be_visible()
        expect(calls(page)).to_have_count(0)


def test_a_paused_page_stands_still_and_then_shows_all_that_it_held_back(cloud: Emulator, show: Show) -> None:
    with connect(cloud) as client:
        page = show(cloud).page
        other = show(cloud).page
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("status")).to_have_text("paused")
        create(client)
        expect(calls(other)).to_have_count(1)
        expect(calls(page)).to_have_count(0)
        page.get_by_role("button", name="Pause").click()
        expect(calls(page)).to_have_count(1)
        expect(page.get_by_role("status")).to_have_text("live")


def test_a_page_that_nobody_sees_holds_no_stream_and_catches_up_when_it_is_looked_at_again(
    cloud: Emulator, show: Show
) -> None:
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    turn = "document.dispatchEvent(new Event('visibilitychange'))"
    with connect(cloud) as client:
        seen = show(cloud)
        client.get(ANTHROPIC)
        expect(calls(seen.page)).to_have_count(1)
        seen.page.evaluate(hide % "true" + turn)
        create(client)
        expect(calls(show(cloud).page)).to_have_count(2)
        expect(calls(seen.page)).to_have_count(1)
        seen.page.evaluate(hide % "false" + turn)
        expect(calls(seen.page)).to_have_count(2)
        assert re.search(r"/_emulator/events\?after=\w+\.1$", seen.requests[-1])


def test_of_a_thousand_batches_and_many_more_calls_the_page_holds_a_bounded_number(cloud: Emulator, show: Show) -> None:
    with connect(cloud) as client:
        for _ in range(260):
            create(client, rows=1)
        page = show(cloud).page
        for _ in range(400):
            client.get("/openai/v1/models/gpt-4o")
        expect(page.locator("#call-count")).to_contain_text("660 calls")
    for name, most in (("batches", 200), ("calls", 500)):
        more = page.locator(f"#more-{name}")
        items = page.locator("#batch-list > li" if name == "batches" else "#call-list > li")
        while more.is_visible():
            before = items.count()
            more.click()
            expect(items).not_to_have_count(before)
        assert items.count() == most
    expect(page.get_by_text("the newest 200 are in sight")).to_be_visible()


def test_without_javascript_it_says_where_the_same_can_be_read(cloud: Emulator, show: Show) -> None:
    page = show(cloud, javascript=False).page
    expect(page.get_by_text("needs its script")).to_be_visible()
    expect(page.get_by_role("note")).to_contain_text("Emulated.")


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1280])
def test_the_page_never_scrolls_sideways(cloud: Emulator, show: Show, width: int) -> None:
    with connect(cloud) as client:
        create_openai(client, label="x" * 400, name="y" * 200)
        create(client)
        client.get("/openai/v1/batches/" + "z" * 300)
    page = show(cloud, width=width).page
    page.locator("#batch-list").get_by_role("button").last.click()
    expect(page.get_by_text("Window closes")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(cloud: Emulator, show: Show, scheme: Scheme) -> None:
    with connect(cloud) as client:
        create(client)
    page = show(cloud, scheme=scheme).page
    expect(calls(page)).to_have_count(1)
    paper = brightness(page.locator("body"), "backgroundColor")
    assert paper > 230 if scheme == "light" else paper < 50
    for selector in ("body", ".word", ".life", ".badge.good", ".call time", ".facts dt", ".name", ".bar .badge"):
        assert abs(brightness(page.locator(selector).first, "color") - paper) > 90, selector
