"""How often to look, how long to wait, and how much may be under way, by what the provider's refusals teach."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchmark.engine.pace import (
    Load,
    Pace,
    Window,
    accepted,
    admits,
    backoff_s,
    lowered,
    next_poll_s,
    raised,
)

ONE = Load(batches=1, requests=10, tokens=100)
NOTHING = Load()


def load(batches: int, *, tokens_each: int = 100) -> Load:
    return Load(batches=batches, requests=10 * batches, tokens=tokens_each * batches)


@pytest.mark.parametrize(("age_s", "wait_s"), [(0, 2.0), (60, 2.0), (1_000, 20.0), (6_000, 120.0), (86_400, 120.0)])
def test_a_batch_is_looked_at_within_two_per_cent_of_its_age(age_s: float, wait_s: float) -> None:
    assert next_poll_s(Pace(), age_s) == wait_s
    assert next_poll_s(Pace(), age_s, retry_after_s=500) == 500


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (10_000, 60)])
def test_waits_double_up_to_a_minute(failures: int, wait_s: float) -> None:
    assert backoff_s(failures) == wait_s
    assert backoff_s(failures, 0.1) == wait_s
    assert backoff_s(failures, 300) == 300


@pytest.mark.parametrize(
    ("most", "under_way", "more", "fits"),
    [
        ((None, None, None), load(1000), ONE, True),
        ((2, None, None), load(1), ONE, True),
        ((2, None, None), load(2), ONE, False),
        ((None, 30, None), load(2), ONE, True),
        ((None, 29, None), load(2), ONE, False),
        ((None, None, 300), load(2), ONE, True),
        ((None, None, 299), load(2), ONE, False),
        # alone, even what is larger than all limits: its refusal is the provider's word
        ((1, 1, 1), NOTHING, load(5), True),
    ],
)
def test_what_the_documents_and_the_user_allow_is_a_ceiling(
    most: tuple[int | None, int | None, int | None], under_way: Load, more: Load, fits: bool
) -> None:
    assert admits(Window(most=most), under_way, more, now_s=0.0) is fits


def test_a_room_of_eight_is_learnt_from_one_refusal_and_then_kept() -> None:
    window = Window()
    assert admits(window, load(8), ONE, 0.0)
    window = lowered(window, load(8), 0.0)
    # at once, as soon as one has ended, and never beyond
    assert window.not_before_s == 0.0
    for under_way in range(12):
        assert admits(window, load(under_way), ONE, 0.0) is (under_way < 8)


def test_a_room_that_is_counted_in_tokens_is_learnt_too() -> None:
    window = lowered(Window(), load(2, tokens_each=1000), 0.0)
    assert not admits(window, load(1, tokens_each=1000), Load(batches=1, requests=1, tokens=1500), 0.0)
    # shards differ a little in size
    assert admits(window, load(1, tokens_each=1000), Load(batches=1, requests=1, tokens=1100), 0.0)


def test_after_a_while_one_more_is_tried_and_after_another_while_one_more() -> None:
    window = lowered(Window(), load(8), 100.0)
    assert raised(window, 699.0, 600.0) == window
    window = raised(window, 700.0, 600.0)
    assert admits(window, load(8), ONE, 700.0) and not admits(window, load(9), ONE, 700.0)
    assert raised(window, 1299.0, 600.0) == window
    window = raised(window, 1300.0, 600.0)
    assert admits(window, load(9), ONE, 1300.0) and not admits(window, load(10), ONE, 1300.0)
    # the probe was refused: back to what fits
    window = lowered(window, load(8), 1301.0)
    assert not admits(window, load(8), ONE, 1301.0)


def test_room_that_was_never_refused_is_not_probed() -> None:
    assert raised(Window(), 1e9, 600.0) == Window()


def test_the_time_that_a_refusal_names_is_honoured_and_says_nothing_of_room() -> None:
    window = lowered(Window(), load(3), 10.0, retry_after_s=90.0)
    assert not admits(window, load(3), ONE, 99.9)
    assert not admits(window, NOTHING, ONE, 99.9)
    assert admits(window, load(3), ONE, 100.0)
    assert window.learnt is None
    # refused again after the wait: so it was about room
    again = lowered(window, load(3), 100.0, retry_after_s=90.0)
    assert again.learnt == load(3) and again.not_before_s == 190.0


def test_waits_double_while_others_fill_the_queue_and_begin_anew_after_a_success() -> None:
    window, waits, now = Window(), [], 0.0
    for _ in range(9):
        window = lowered(window, NOTHING, now)
        waits.append(window.not_before_s - now)
        assert not admits(window, NOTHING, ONE, window.not_before_s - 0.1)
        now = window.not_before_s
        assert admits(window, NOTHING, ONE, now)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    window = lowered(accepted(window), NOTHING, now)
    assert window.not_before_s - now == 5


def test_a_refusal_of_a_batch_alone_teaches_no_room() -> None:
    window = lowered(lowered(Window(), load(4), 0.0), NOTHING, 1.0)
    assert window.learnt is None


def test_a_success_changes_nothing_but_the_waits() -> None:
    window = lowered(Window(), load(8), 5.0)
    assert accepted(window) == replace(window, refusals=0)
    assert accepted(Window()) == Window()
