"""Repeating calls that are safe to repeat. A create never goes through here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from batchmark.engine.pace import Pace, backoff_s
from batchmark.errors import Retryable

__all__ = ["repeat"]

_T = TypeVar("_T")


async def repeat(call: Callable[[], Awaitable[_T]], pace: Pace, *, warn: Callable[[str], None]) -> _T:
    """Call until it works, waiting longer after each failure and as long as the provider asks.

    Raises the last Retryable once nothing has worked for `pace.patience_s`; other errors at once.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    failures = 0
    while True:
        try:
            return await call()
        except Retryable as error:
            failures += 1
            wait = backoff_s(failures, error.retry_after_s)
            if clock() + wait - began > pace.patience_s:
                raise
            if failures == 3:
                warn(f"{error.message}; still trying")
            await asyncio.sleep(wait)
