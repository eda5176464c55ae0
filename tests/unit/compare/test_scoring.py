"""Ways of matching an answer with the expected one, and counting rows."""

from __future__ import annotations

import pytest

from batchmark.compare.scoring import Scorecard, parse_match
from batchmark.domain.target import Target
from batchmark.errors import BadInput

A, B, C = Target("openai", "a"), Target("google", "b"), Target("anthropic", "c")


@pytest.mark.parametrize(
    ("how", "expected", "answer", "right"),
    [
        ("contains", "Tokyo", "The capital is tokyo.", True),
        ("contains", "Tokyo", "Tokyoites", False),
        ("contains", "43", "17 + 26 = 43", True),
        ("contains", "43", "43 is not it, 44 is", False),
        ("contains", "1200", "It comes to 1,200.", True),
        ("contains", "positive", "Positive, I think", True),
        ("contains", "3.5", "about 3.50", True),
        ("contains", "東京", "それは東京です", False),
        ("exact", "Tokyo", " Tokyo\n", True),
        ("exact", "Tokyo", "tokyo", False),
        ("numeric", "$1,200.50", "So the total is 1200.5 dollars", True),
        ("numeric", "#### 18", "She makes $18", True),
        ("numeric", "18", "eighteen", False),
        ("numeric", "-3", "the sum is -3", True),
        ("regex", r"^(yes|no)\b", "yes, certainly", True),
        ("regex", r"^(yes|no)\b", "Certainly yes", False),
        ("json:label", "spam", 'Here you are: {"label": "spam"}', True),
        ("json:label", "spam", '{"label": "ham"}', False),
        ("json:result.total", "12", '{"result": {"total": 12.0}}', True),
        ("json:items.1", "b", '{"items": ["a", "b"]}', True),
        ("json:ok", "true", '{"ok": true}', True),
        ("json:label", "spam", "no JSON at all", False),
        ("json:label", "spam", '["label"]', False),
    ],
)
def test_an_answer_is_matched_as_the_user_says(how: str, expected: str, answer: str, right: bool) -> None:
    assert parse_match(how)(expected, answer) is right


@pytest.mark.parametrize("how", ["fuzzy", "json", "json:", "exact:x", ""])
def test_an_unknown_way_of_matching_names_the_known_ones(how: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_match(how)
    assert "contains, exact, numeric, regex, json:FIELD" in (caught.value.hint or "")


def test_a_pattern_that_is_none_is_said_and_not_raised_as_a_trace() -> None:
    with pytest.raises(BadInput, match="cannot be used"):
        parse_match("regex")("(unclosed", "text")


def test_a_row_without_an_answer_is_a_wrong_one() -> None:
    card = Scorecard([A, B], parse_match("exact"))
    card.count("x", [(A, "x"), (B, None)])
    card.count("y", [(A, "z"), (B, "y")])
    found = {each.target: each.share for each in card.accuracies}
    assert (found[A].hits, found[A].n, found[B].hits, found[B].n) == (1, 2, 1, 2)
    assert found[A].low == pytest.approx(0.0945, abs=1e-4)


def test_targets_agree_where_both_answered_alike_but_for_case_spaces_and_a_full_stop() -> None:
    card = Scorecard([A, B, C], parse_match("contains"))
    card.count(None, [(A, "Tokyo."), (B, " tokyo"), (C, None)])
    card.count(None, [(A, "Kyoto"), (B, "Tokyo"), (C, "Kyoto")])
    found = {(each.left, each.right): (each.share.hits, each.share.n) for each in card.agreements}
    assert found == {(A, B): (1, 2), (A, C): (1, 1), (B, C): (0, 1)}
    assert card.accuracies == ()
