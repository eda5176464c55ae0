"""Rough token counts: near enough for a range, and never silent about what they cannot count."""

from __future__ import annotations

from math import sqrt

import pytest

from batchmark.domain.request import ChatRequest, EmbeddingRequest, Image, Message, Text
from batchmark.domain.tokens import BY_LENGTH, FLOOR, SPREAD, UncountedPart, calibrated, input_tokens, tokenized


def test_four_characters_are_about_a_token_and_requests_and_messages_have_four_more() -> None:
    assert input_tokens(ChatRequest((Message("user", "a" * 40),))) == 18
    assert input_tokens(ChatRequest((Message("system", "a" * 4), Message("user", (Text("a" * 8),))))) == 15


def test_other_scripts_count_by_their_bytes() -> None:
    assert input_tokens(EmbeddingRequest(("日本語" * 4,))) == 9


def test_an_image_cannot_be_counted_from_here() -> None:
    with pytest.raises(UncountedPart):
        input_tokens(ChatRequest((Message("user", (Text("What is this?"), Image(url="u"))),)))


def test_a_tokenizer_counts_the_same_texts_by_its_own_measure() -> None:
    words = tokenized("words", "tokens by words", lambda text: len(text.split()), 0.1)
    assert words.count(ChatRequest((Message("user", "one two three"),))) == 4 + 4 + 3


def test_a_ratio_and_its_interval_are_those_of_the_textbook() -> None:
    # Cochran, Sampling Techniques, by hand: R = 66 / 60, residuals -1, -2, 3; s = sqrt(14 / 2); half-width t * s / sqrt(3) / (66 / 3)
    found = calibrated(BY_LENGTH, [10, 20, 30], [10, 20, 36], of_rows=10**9)
    assert found.ratio == pytest.approx(1.1) and found.sampled == 3
    assert found.spread == pytest.approx(4.303 * sqrt(14 / 2) / sqrt(3) / 22, rel=1e-3)
    assert "times 1.100" in found.words and "3 random rows" in found.words


def test_a_sample_of_the_whole_file_leaves_no_doubt_but_the_floor() -> None:
    assert calibrated(BY_LENGTH, [10, 20, 30], [10, 20, 36], of_rows=3).spread == FLOOR
    assert calibrated(BY_LENGTH, [10, 20, 30], [20, 40, 60], of_rows=10**6).spread == FLOOR


def test_of_one_row_no_spread_can_be_told_so_the_old_one_stays() -> None:
    found = calibrated(BY_LENGTH, [10], [12], of_rows=100)
    assert (found.ratio, found.spread) == (1.2, SPREAD)
    assert "1 random row," in found.words


@pytest.mark.parametrize(("ours", "exact"), [([], []), ([0], [3]), ([3], [0])])
def test_a_sample_that_says_nothing_is_refused(ours: list[int], exact: list[int]) -> None:
    with pytest.raises(ValueError, match="no request"):
        calibrated(BY_LENGTH, ours, exact, of_rows=10)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 10, 30, 1000])
def test_students_t_is_close_to_the_tables(freedom: int) -> None:
    from scipy.stats import t

    # two residuals that are equal and opposite make the half-width t times a known figure
    n = freedom + 1
    ours, exact = [1000] * n, [1000 + (100 if at % 2 else -100) * (at < n - n % 2) for at in range(n)]
    error = sqrt(sum((each - 1000) ** 2 for each in exact) / freedom / n) / 1000
    spread = calibrated(BY_LENGTH, ours, exact, of_rows=10**12).spread
    assert spread == pytest.approx(min(max(t.ppf(0.975, freedom) * error, FLOOR), 1), rel=2e-3)
