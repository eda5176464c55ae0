"""The object that users hold: every form of it, saved by its suffix, and the notebook's fragment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchmark.errors import BadInput
from batchmark.report.comparison import Comparison
from batchmark.report.html import render_html
from batchmark.report.json import render_json, to_dict
from batchmark.report.markdown import render_markdown
from batchmark.report.terminal import render_terminal
from tests.unit.report.sample_reports import HOSTILE, many_rounds_report, report_of, small_report, troubled_report
from tests.unit.report.test_html import Page


def test_every_form_is_that_of_its_rendering() -> None:
    report = troubled_report()
    held = Comparison(report)
    assert held.report is report
    assert held.to_dict() == to_dict(report)
    assert held.to_json() == render_json(report)
    assert held.to_html() == render_html(report)
    assert held.to_markdown() == render_markdown(report)
    assert held.to_terminal(width=90) == render_terminal(report, width=90, color=False)


@pytest.mark.parametrize("suffix", [".html", ".md", ".json", ".txt", ".HTML"])
def test_the_suffix_says_the_form(tmp_path: Path, suffix: str) -> None:
    held = Comparison(many_rounds_report())
    place = held.save(tmp_path / f"comparison{suffix}")
    text = place.read_text(encoding="utf-8")
    forms = {
        ".html": held.to_html(),
        ".md": held.to_markdown(),
        ".json": held.to_json(),
        ".txt": held.to_terminal(),
    }
    assert text == forms[suffix.lower()]


def test_a_saved_file_replaces_the_one_before(tmp_path: Path) -> None:
    place = tmp_path / "c.json"
    Comparison(small_report()).save(place)
    Comparison(many_rounds_report()).save(str(place))
    assert len(json.loads(place.read_text())["jobs"]) == 16


@pytest.mark.parametrize("name", ["comparison", "comparison.pdf", ".html"])
def test_another_suffix_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="no form of a comparison"):
        Comparison(small_report()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_notebook_sees_verdicts_and_figures_without_script_or_style_sheet() -> None:
    page = Page(Comparison(many_rounds_report())._repr_html_())
    names = {tag for tag, _ in page.elements}
    assert page.open == []
    assert names.isdisjoint({"script", "style", "link", "img", "iframe"})
    assert not any("class" in attrs or "id" in attrs for _, attrs in page.elements)
    assert "No provider was asked" in page.text["div"]
    assert "anthropic:claude-haiku-4-5" in page.text["th"]
    assert "Fastest" in page.text["b"]


def test_foreign_text_in_the_notebook_stays_text() -> None:
    text = Comparison(report_of([], caveats=[HOSTILE, "\u202egnirts"]))._repr_html_()
    assert HOSTILE not in text
    assert HOSTILE in Page(text).text["div"]
    assert "\u202e" not in text


def test_its_name_is_one_line() -> None:
    assert repr(Comparison(small_report())) == "<Comparison openai:gpt-5-nano: 1 job, 1 round>"
    assert "(emulated)" in repr(Comparison(many_rounds_report()))
