"""What differs between two answers is marked word by word, and whatever they hold stays text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from batchmark.report.marking import marked
from batchmark.report.words import visible
from tests.unit.report.sample_reports import HOSTILE


@pytest.mark.parametrize(
    ("text", "against", "expected"),
    [
        ("Tokyo", "Tokyo", "Tokyo"),
        ("Kyoto", "Tokyo", "<mark>Kyoto</mark>"),
        ("tokyo", "Tokyo", "tokyo"),
        ("The capital is Tokyo.", "Tokyo", "<mark>The capital is</mark> Tokyo<mark>.</mark>"),
        ("one two  four", "one three four", "one <mark>two</mark>  four"),
        ("Tokyo", None, "Tokyo"),
        ("Tokyo", "", "Tokyo"),
        ("", "Tokyo", ""),
        ("a < b", "a > b", "a <mark>&lt;</mark> b"),
    ],
)
def test_words_that_differ_are_marked(text: str, against: str | None, expected: str) -> None:
    assert marked(text, against) == expected


def test_hostile_words_stay_text() -> None:
    found = marked(HOSTILE + "\x1b\u202e", "nothing alike")
    assert set(re.findall(r"<[^>]*>", found)) == {"<mark>", "</mark>"}
    assert "\\x1b\\u202e" in found


def test_texts_too_long_to_compare_are_shown_unmarked() -> None:
    assert "<mark>" not in marked("a b c d " * 1000, "e f g h " * 1000)


@given(st.text(max_size=40), st.text(max_size=40))
def test_without_its_marks_an_answer_is_what_it_was(text: str, against: str) -> None:
    found = marked(text, against)
    assert found.replace("<mark>", "").replace("</mark>", "") == escape(visible(text))
    assert found.count("<mark>") == found.count("</mark>")
