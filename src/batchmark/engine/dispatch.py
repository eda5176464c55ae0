"""The seam between the engine and what runs its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol, TypeVar

__all__ = ["Dispatcher", "Kind"]

_T = TypeVar("_T")


class Kind(StrEnum):
    """The two pieces of work there are."""

    SUBMIT = "submit"
    COLLECT = "collect"


class Dispatcher(Protocol):
    """Runs pieces of work, each named by the label of its shard attempt."""

    async def run(self, kind: Kind, label: str, work: Callable[[], Awaitable[_T]]) -> _T:
        """Run `work` and return what it returns, or raise what it raises. Cancelling this cancels the work."""
        ...
