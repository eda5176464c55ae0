"""One browser for all tests of the page, and reports opened in it once, from disk."""

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

CHROMIUM = Path(os.environ.get("BATCHMARK_CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-component-update",
]
Scheme = Literal["light", "dark"]


@dataclass
class Seen:
    """A page and everything it said or asked for while it was opened and used."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def strangers(self) -> list[str]:
        """What it asked for beside its own file."""
        return [url for url in self.requests if not url.startswith(("file://", "data:"))]


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


def window(
    browser: Browser, *, width: int = 1280, height: int = 900, scheme: Scheme = "light", javascript: bool = True
) -> Seen:
    """An empty window that notes what its page says and asks for; to be closed by its context."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=javascript
    )
    seen = Seen(context.new_page())

    def note_dialog(dialog: Dialog) -> None:
        seen.messages.append(dialog.message)
        dialog.dismiss()

    seen.page.on("console", lambda message: seen.messages.append(message.text))
    seen.page.on("pageerror", lambda error: seen.messages.append(str(error)))
    seen.page.on("dialog", note_dialog)
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    return seen


def opened(
    browser: Browser,
    folder: Path,
    report: Report,
    *,
    width: int = 1280,
    scheme: Scheme = "light",
    javascript: bool = True,
    fragment: str = "",
) -> Seen:
    """A report as a file, opened in a window of its own."""
    path = folder / "report.html"
    path.write_text(render_html(report), encoding="utf-8")
    seen = window(browser, width=width, scheme=scheme, javascript=javascript)
    seen.page.goto(path.as_uri() + fragment, wait_until="load")
    return seen


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a report for one test."""
    seen: list[Seen] = []

    def open_one(report: Report, **options: object) -> Seen:
        seen.append(opened(browser, tmp_path, report, **options))  # type: ignore[arg-type]
        return seen[-1]

    yield open_one
    for each in seen:
        each.page.context.close()
