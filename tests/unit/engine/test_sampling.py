"""A random sample in bounded memory, and what the provider's count of it says of all rows."""

from __future__ import annotations

import asyncio
from collections import Counter as Tallied
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from batchmark.domain.request import ChatRequest, Image, Message, Request, Row
from batchmark.domain.tokens import BY_LENGTH, Counter
from batchmark.engine.sampling import calibrate, draw
from batchmark.errors import RateLimited, Refused, Retryable
from batchmark.providers.seam import Provider
from tests.support import chat, rows_of


class Counting:
    """A provider that counts; `answer` may raise."""

    def __init__(self, answer: Callable[[int], int]) -> None:
        self.answer = answer
        self.calls = self.busy = self.most = 0

    async def count_tokens(self, request: Request, model: str) -> int:
        self.calls += 1
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        return self.answer(BY_LENGTH.count(request))


def calibrated(provider: Counting, *requests: Request, of_rows: int = 1000) -> tuple[Counter, list[float]]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    found = calibrate(BY_LENGTH, cast(Provider, provider), "m", requests, of_rows=of_rows, sleep=sleep)
    return asyncio.run(found), waits


def test_the_same_seed_draws_the_same_rows_in_the_order_of_the_file() -> None:
    rows = rows_of(500)
    first, seen = draw(rows, 20, 7)
    assert seen == 500 and len(first) == 20
    assert draw(rows, 20, 7)[0] == first != draw(rows, 20, 8)[0]
    order = [rows.index(next(each for each in rows if each.request is request)) for request in first]
    assert order == sorted(set(order))


def test_of_a_short_file_every_row_is_drawn() -> None:
    assert draw(rows_of(3), 20, 0) == ([each.request for each in rows_of(3)], 3)


def test_every_row_is_as_likely_as_any_other() -> None:
    rows = rows_of(10)
    place = {id(each.request): each.number for each in rows}
    drawn = Tallied(place[id(request)] for seed in range(2000) for request in draw(rows, 3, seed)[0])
    # 600 each; 4 standard deviations are 82
    assert all(abs(drawn[number] - 600) < 82 for number in range(10))


def test_four_are_counted_at_a_time_and_scale_the_rest() -> None:
    provider = Counting(lambda ours: ours * 2)
    found, _ = calibrated(provider, *(chat("x" * size) for size in range(1, 41)))
    assert (found.ratio, found.sampled, provider.calls, provider.most) == (2.0, 40, 40, 4)


def test_requests_that_cannot_be_compared_are_left_out() -> None:
    picture = ChatRequest((Message("user", (Image(url="https://example.com/x.png"),)),))
    provider = Counting(lambda ours: ours)
    found, _ = calibrated(provider, picture, chat("hello"))
    assert (found.sampled, provider.calls) == (1, 1)
    with pytest.raises(ValueError, match="no request"):
        calibrated(provider, picture)


def failing(times: int, error: Exception) -> Callable[[int], int]:
    left = [error] * times

    def answer(ours: int) -> int:
        if left:
            raise left.pop()
        return ours

    return answer


def test_a_provider_that_asks_to_slow_down_is_asked_again_after_the_time_it_names() -> None:
    provider = Counting(failing(3, RateLimited("slow down", retry_after_s=7)))
    found, waits = calibrated(provider, chat())
    assert (found.ratio, provider.calls, waits) == (1.0, 4, [7, 7, 7])
    _, waits = calibrated(Counting(failing(4, RateLimited("slow down"))), chat())
    assert waits == [1, 2, 4, 8]
    _, waits = calibrated(Counting(failing(1, RateLimited("slow down", retry_after_s=86_400))), chat())
    assert waits == [30]


@pytest.mark.parametrize(
    ("times", "error", "calls"),
    [(9, RateLimited("slow down"), 5), (9, Retryable("no answer"), 2), (9, Refused("no"), 1)],
)
def test_a_provider_that_does_not_count_is_not_asked_for_ever(times: int, error: Exception, calls: int) -> None:
    provider = Counting(failing(times, error))
    with pytest.raises(type(error)):
        calibrated(provider, chat())
    assert provider.calls == calls


def test_one_passing_fault_is_forgiven() -> None:
    assert calibrated(Counting(failing(1, Retryable("no answer"))), chat())[0].sampled == 1


def test_rows_are_held_only_while_they_are_in_the_sample() -> None:
    alive = most = 0

    class Watched:
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def rows() -> Iterator[Row]:
        nonlocal alive, most
        for number in range(1000):
            alive += 1
            most = max(most, alive)
            yield cast(Row, SimpleNamespace(number=number, request=Watched()))

    draw(rows(), 10, 0)
    assert most <= 13
