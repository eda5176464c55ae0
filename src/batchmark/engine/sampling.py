"""A random sample of a workload, whose tokens the provider counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random

from batchmark.domain.request import Request, Row
from batchmark.domain.tokens import Counter, UncountedPart, calibrated
from batchmark.errors import RateLimited, Retryable
from batchmark.providers.seam import Provider

__all__ = ["calibrate", "draw"]

Sleep = Callable[[float], Awaitable[None]]

_AT_ONCE = 4
# How long to wait before another try, where the provider does not say; a refusal for want of room deserves more patience than a fault.
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_LONGEST_WAIT_S = 30.0
_FAULTS = 1


def draw(rows: Iterable[Row], size: int, seed: int) -> tuple[list[Request], int]:
    """`size` requests of a workload, every row as likely as any other, in the order of the file; and how many rows there are.

    At most that many are held at a time (reservoir sampling, Vitter 1985, algorithm R).
    """
    random = Random(seed)
    kept: list[tuple[int, Request]] = []
    seen = 0
    for seen, row in enumerate(rows, 1):
        if len(kept) < size:
            kept.append((row.number, row.request))
        elif (place := random.randrange(seen)) < size:
            kept[place] = (row.number, row.request)
    kept.sort(key=lambda each: each[0])
    return [request for _, request in kept], seen


async def calibrate(
    counter: Counter,
    provider: Provider,
    model: str,
    sample: Sequence[Request],
    *,
    of_rows: int,
    sleep: Sleep = asyncio.sleep,
) -> Counter:
    """`counter` scaled by the provider's own count of a sample. Requests that `counter` cannot count are left out.

    Raises the provider's errors, Unsupported where it counts no such requests, and ValueError where the sample says nothing.
    """
    ours: list[int] = []
    asked: list[Request] = []
    for request in sample:
        try:
            ours.append(counter.count(request))
        except UncountedPart:
            continue
        asked.append(request)
    room = asyncio.Semaphore(_AT_ONCE)

    async def count(request: Request) -> int:
        async with room:
            return await _patiently(lambda: provider.count_tokens(request, model), sleep)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(count(request)) for request in asked]
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    return calibrated(counter, ours, [task.result() for task in tasks], of_rows=of_rows)


async def _patiently(call: Callable[[], Awaitable[int]], sleep: Sleep) -> int:
    faults = 0
    for wait_s in _WAITS_S:
        try:
            return await call()
        except Retryable as error:
            if not isinstance(error, RateLimited):
                faults += 1
                if faults > _FAULTS:
                    raise
            named_s = error.retry_after_s
            await sleep(min(wait_s if named_s is None else named_s, _LONGEST_WAIT_S))
    return await call()
