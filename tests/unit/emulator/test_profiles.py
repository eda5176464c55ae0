"""A batch's schedule is decided once, by its profile, its seed and its model."""

from __future__ import annotations

import pytest

from batchmark.emulator.profiles import PROFILES, schedule


def test_the_same_seed_and_model_always_give_the_same_schedule() -> None:
    one = schedule("demo", seed=7, model="gpt-5-nano", window_s=86_400)
    assert one == schedule("demo", seed=7, model="gpt-5-nano", window_s=86_400)
    assert one != schedule("demo", seed=8, model="gpt-5-nano", window_s=86_400)
    assert one != schedule("demo", seed=7, model="gpt-4o-mini", window_s=86_400)


def test_instant_batches_take_no_time_at_all() -> None:
    plan = schedule("instant", seed=1, model="m", window_s=86_400)
    parts = (plan.validate_s, plan.queue_s, plan.run_s, plan.finalize_s, plan.cancel_s, plan.drain_s)
    assert parts == (0, 0, 0, 0, 0, 0)


def test_demo_batches_run_for_three_to_twelve_seconds_and_differ() -> None:
    lengths = {schedule("demo", seed=seed, model="m", window_s=86_400).run_s for seed in range(200)}
    assert min(lengths) >= 3
    assert max(lengths) <= 12
    assert len(lengths) > 150


def test_an_unknown_profile_is_refused() -> None:
    assert "nope" not in PROFILES
    with pytest.raises(KeyError):
        schedule("nope", seed=1, model="m", window_s=1)
