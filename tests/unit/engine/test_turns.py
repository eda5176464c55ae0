"""Whose turn it is: a drawn order that can be drawn again, rounds at their time, and nobody who holds up the rest for long."""

from __future__ import annotations

from datetime import UTC, datetime

from batchmark.engine.turns import Turns, in_order
from batchmark.ledger.records import JobRecord

PROVIDERS = ("openai", "google", "anthropic")


def jobs(rounds: int) -> list[JobRecord]:
    return [
        JobRecord(
            id=f"{provider}-{number}",
            run_id="run",
            provider=provider,
            model="m",
            round=number,
            rows=1,
            folder="",
            emulated=True,
            created_at=datetime(2026, 11, 20, tzinfo=UTC),
        )
        for number in range(1, rounds + 1)
        for provider in PROVIDERS
    ]


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_order_is_drawn_by_the_seed_and_differs_from_round_to_round() -> None:
    order = [job.id for job in in_order(jobs(20), 7)]
    assert order == [job.id for job in in_order(list(reversed(jobs(20))), 7)]
    assert order != [job.id for job in in_order(jobs(20), 8)]
    firsts = {order[3 * n].partition("-")[0] for n in range(20)}
    assert firsts == set(PROVIDERS)
    assert [int(name.partition("-")[2]) for name in order] == [n for n in range(1, 21) for _ in range(3)]


def test_targets_of_a_round_are_sent_one_after_another() -> None:
    clock, mine = Clock(), jobs(2)
    turns = Turns(mine, seed=1, starts_s={1: 0.0, 2: 0.0}, clock=clock)
    order = [job.id for job in in_order(mine, 1)]
    for place, job_id in enumerate(order):
        assert [turns.is_open(each) for each in order] == [each <= place for each in range(len(order))]
        turns.passed(job_id)
    assert all(turns.is_open(job.id) for job in mine)


def test_a_round_waits_for_its_time() -> None:
    clock, mine = Clock(), jobs(2)
    turns = Turns(mine, seed=1, starts_s={1: 0.0, 2: 60.0}, clock=clock)
    for job in mine[:3]:
        turns.passed(job.id)
    second = in_order(mine, 1)[3].id
    assert not turns.is_open(second)
    assert turns.opens_in_s(second) == 60.0
    clock.now_s += 60.0
    assert turns.is_open(second)


def test_a_target_that_takes_minutes_does_not_hold_up_the_round() -> None:
    clock, mine = Clock(), jobs(1)
    first, second, _ = in_order(mine, 1)
    turns = Turns(mine, seed=1, starts_s={1: 0.0}, clock=clock)
    assert turns.is_open(first.id)
    assert not turns.is_open(second.id)
    clock.now_s += 121.0
    assert turns.is_open(second.id)
    assert turns.is_open(first.id)  # it may still be sent, late


def test_a_comparison_that_goes_on_later_finds_overdue_rounds_open_at_once() -> None:
    clock, mine = Clock(), jobs(3)
    turns = Turns(mine, seed=1, starts_s={1: -500.0, 2: -200.0, 3: 100.0}, clock=clock)
    for job in in_order(mine, 1)[:5]:
        assert turns.is_open(job.id)
        turns.passed(job.id)
