"""The emulator's clock runs at its own speed and never goes back."""

from __future__ import annotations

from pathlib import Path

from batchmark.emulator.clock import SECOND, Line, date_header, microseconds, nanoseconds
from batchmark.emulator.world import World

AT = 1_787_150_474 * SECOND + 267_870_162


def test_time_runs_at_the_scale_from_the_reference_point_on() -> None:
    line = Line(real_ns=1_000, emulated_ns=5_000, scale=60.0)
    assert line.at(1_000 + 2 * SECOND) == 5_000 + 120 * SECOND
    assert line.real_seconds_until(5_000 + 120 * SECOND, 1_000) == 2.0


def test_another_scale_begins_at_the_present() -> None:
    line = Line(real_ns=0, emulated_ns=0, scale=60.0)
    slower = line.rescaled(1.0, 10 * SECOND)
    assert slower.at(10 * SECOND) == line.at(10 * SECOND)
    assert slower.at(11 * SECOND) - slower.at(10 * SECOND) == SECOND


def test_a_scale_of_one_keeps_every_nanosecond() -> None:
    assert Line(real_ns=3, emulated_ns=7, scale=1.0).at(AT) == AT + 4


def test_each_provider_gets_its_own_way_of_writing_times() -> None:
    assert microseconds(AT) == "2026-08-19T14:41:14.267870+00:00"
    assert nanoseconds(AT) == "2026-08-19T14:41:14.267870162Z"
    assert date_header(AT) == "Wed, 19 Aug 2026 14:41:14 GMT"


def test_opening_a_world_with_another_scale_never_turns_its_clock_back(tmp_path: Path) -> None:
    latest = 0
    for scale in (1.0, 3600.0, 0.5, 60.0, 1.0):
        world = World(tmp_path, time_scale=scale)
        for _ in range(3):
            now = world.now()
            assert now >= latest
            latest = now
        world.close()
