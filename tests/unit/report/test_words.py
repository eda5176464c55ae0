"""Figures as words: nothing small becomes nothing, nothing is said without its n."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from batchmark.compare.measures import spread
from batchmark.report.words import (
    ascii_safe,
    clip,
    count,
    duration,
    in_words,
    moment,
    money,
    number,
    percent,
    plural,
    rate,
    round_time,
    share,
    spread_text,
    state_words,
    visible,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (0, "0 s"),
        (0.0004, "< 1 ms"),
        (0.082, "82 ms"),
        (0.9996, "1.0 s"),
        (8.24, "8.2 s"),
        (9.96, "10 s"),
        (45.2, "45 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1.0 h"),
        (11_075, "3.1 h"),
        (86_400, "24.0 h"),
        (400_000, "4.6 days"),
    ],
)
def test_a_duration_reads_in_the_unit_that_fits_it(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (None, "unknown"),
        (0, "$0"),
        (1e-9, "< $0.000001"),
        (0.0000871, "$0.0000871"),
        (0.0013, "$0.0013"),
        (0.0013421, "$0.00134"),
        (0.5, "$0.50"),
        (0.09999, "$0.10"),
        (0.9999, "$1.00"),
        (1234.5, "$1,234.50"),
    ],
)
def test_a_small_price_is_never_rounded_to_nothing(usd: float | None, words: str) -> None:
    assert money(usd) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.00421, "0.00421"),
        (0.5, "0.5"),
        (0.9996, "1.00"),
        (1.234, "1.23"),
        (45.67, "45.7"),
        (12_345.6, "12,346"),
    ],
)
def test_a_measured_number_has_three_digits_that_count(value: float, words: str) -> None:
    assert number(value) == words


def test_a_rate_says_per_second_and_an_unknown_one_says_unknown() -> None:
    assert rate(12.34) == "12.3/s"
    assert rate(12.34, "tokens") == "12.3 tokens/s"
    assert rate(None) == "unknown"


def test_counts_have_thousands_separators_and_their_noun_a_plural() -> None:
    assert count(1_234_567) == "1,234,567"
    assert [plural(n, "job") for n in (0, 1, 2_000)] == ["0 jobs", "1 job", "2,000 jobs"]


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (48, 48, "48 of 48 (100 %)"),
        (47, 48, "47 of 48 (97.9 %)"),
        (99_999, 100_000, "99,999 of 100,000 (99.9 %)"),
        (1, 100_000, "1 of 100,000 (0.1 %)"),
        (0, 48, "0 of 48 (0 %)"),
        (0, 0, "0 of 0"),
    ],
)
def test_all_and_none_are_said_only_when_they_are_exact(part: int, whole: int, words: str) -> None:
    assert share(part, whole) == words


def test_one_value_is_a_point_with_its_n() -> None:
    assert spread_text(spread([8.2]), duration) == "8.2 s (n=1)"


def test_two_to_five_values_are_a_range() -> None:
    assert spread_text(spread([9.4, 7.1, 8.0]), duration) == "7.1–9.4 s (n=3)"
    assert spread_text(spread([45, 125]), duration) == "45 s – 2 min 05 s (n=2)"
    assert spread_text(spread([62, 125]), duration) == "1 min 02 s – 2 min 05 s (n=2)"
    assert spread_text(spread([8.2, 8.2]), duration) == "8.2 s (n=2)"
    assert spread_text(spread([0.5, 1.25]), rate) == "0.5–1.25/s (n=2)"


def test_five_values_have_no_median_and_six_have_one() -> None:
    assert "median" not in spread_text(spread([7.1, 7.5, 8.0, 8.5, 9.4]), duration)
    eight = spread([7.1, 7.5, 7.9, 8.0, 8.0, 8.5, 9.0, 9.4])
    assert spread_text(eight, duration) == "median 8.0 s, 7.1–9.4 s (n=8)"
    assert spread_text(spread([8.2] * 6), duration) == "median 8.2 s (n=6)"


def test_jobs_without_a_value_are_counted_beside_the_figure() -> None:
    two = spread([7.1, 9.4, None])
    assert spread_text(two, duration, reasons={"expired": 1}) == "7.1–9.4 s (n=2); 1 of 3 jobs expired"
    assert spread_text(two, duration) == "7.1–9.4 s (n=2); 1 of 3 jobs without a figure"


def test_several_reasons_are_listed_apart() -> None:
    text = spread_text(spread([None, None]), duration, reasons={"cancelled": 1, "still running": 1})
    assert text == "none (n=0); 2 of 2 jobs without a figure (1 cancelled, 1 still running)"


def test_reasons_that_do_not_add_up_are_not_given() -> None:
    assert spread_text(spread([None, None]), duration, reasons={"expired": 1}).endswith("2 of 2 jobs without a figure")


def test_states_read_as_part_of_a_sentence() -> None:
    assert [state_words(state) for state in ("running", "expired", "unknown")] == [
        "still running",
        "expired",
        "in an unknown state",
    ]


def test_times_are_told_in_utc() -> None:
    there = datetime(2026, 11, 20, 10, 30, 5, tzinfo=timezone(timedelta(hours=1)))
    assert moment(there) == "2026-11-20 09:30:05 UTC"
    assert moment(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02 00:00:00 UTC"
    assert moment(None) == "unknown"


def test_a_cut_text_says_how_much_is_missing() -> None:
    assert clip("short", 10) == "short"
    assert clip("a" * 25, 10) == "aaaaaaaaaa… (15 characters more)"


def test_what_would_steer_a_terminal_or_reorder_a_line_is_spelled_out() -> None:
    assert visible("\x1b[2J\x07 a\tb\nc\x9b \u202eabc\u202c \udc80") == (
        "\\x1b[2J\\x07 a\tb\nc\\x9b \\u202eabc\\u202c \\udc80"
    )
    assert visible("line\r\nline") == "line\nline"
    assert visible("日本 🗼 é") == "日本 🗼 é"


def test_ascii_keeps_the_sense_of_our_own_marks_and_spells_other_letters() -> None:
    assert ascii_safe("7.1–9.4 s · 3 × … 日") == "7.1-9.4 s | 3 x ... \\u65e5"


def test_a_share_is_all_or_none_only_when_it_is() -> None:
    assert [percent(value) for value in (0, 0.0004, 0.5, 0.979, 0.9999, 1)] == [
        "0 %",
        "0.1 %",
        "50 %",
        "97.9 %",
        "99.9 %",
        "100 %",
    ]
    assert [percent(value, decimals=0) for value in (0.004, 0.505, 0.999)] == ["1 %", "50 %", "99 %"]


def test_round_times_have_no_idle_decimals() -> None:
    times = (0.05, 30, 90, 300, 3600, 86_400, 172_800, 691_200)
    assert [round_time(each) for each in times] == [
        "50 ms",
        "30 s",
        "1.5 min",
        "5 min",
        "1 h",
        "24 h",
        "2 days",
        "8 days",
    ]


def test_several_things_are_joined_as_one_says_them() -> None:
    assert [in_words(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
