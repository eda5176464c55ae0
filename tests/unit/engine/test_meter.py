"""Time is booked where it is spent, also by coroutines that take turns."""

from __future__ import annotations

import asyncio
import time

import pytest

from batchmark.engine.meter import Meter


def busy_for(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_stage_books_its_time_and_bytes_and_sums_them() -> None:
    meter = Meter()
    for size in (10, 20):
        with meter.stage("settle", size):
            busy_for(0.01)
    figures = meter.document["settle"]
    assert figures["bytes"] == 30
    # the two clocks differ by a little
    assert figures["cpu_s"] >= 0.02 and figures["wall_s"] > 0.019


def test_a_coroutine_books_its_own_steps_and_not_those_of_others() -> None:
    meter = Meter()

    async def waits() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        return "done"

    async def works() -> None:
        busy_for(0.05)

    async def both() -> str:
        found, _ = await asyncio.gather(meter.timed("idle", waits()), meter.timed("work", works()))
        return found

    assert asyncio.run(both()) == "done"
    assert meter.document["work"]["cpu_s"] >= 0.05
    assert meter.document["idle"]["cpu_s"] < 0.04 < meter.document["idle"]["wall_s"]


def test_errors_and_interrupts_go_through_and_are_booked() -> None:
    meter = Meter()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def goes_on() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "told"
        raise AssertionError

    async def interrupted() -> str:
        async def wrapped() -> str:
            return await meter.timed("interrupted", goes_on())

        task = asyncio.ensure_future(wrapped())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    async def failing() -> None:
        await meter.timed("failing", fails())

    with pytest.raises(ValueError, match="no"):
        asyncio.run(failing())
    assert asyncio.run(interrupted()) == "told"
    assert set(meter.document) == {"failing", "interrupted"}
