"""What the dialects share: the world, the profile and seed of new batches, and the work behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from batchmark.emulator.world import Batch, World

if TYPE_CHECKING:
    from batchmark.emulator.works import Works

__all__ = ["Service", "good_key", "masked"]


@dataclass(slots=True, kw_only=True)
class Service:
    """Handed to every dialect; `works` is set once the dialects' books are known."""

    world: World
    profile: str
    seed: int
    works: Works | None = None

    def fresh(self, batches: list[Batch]) -> tuple[list[Batch], int]:
        """The batches as they may be shown, and the time of it."""
        if self.works is None:
            return batches, self.world.now()
        return self.works.fresh(batches)

    def done(self, batch: Batch, now: int) -> int:
        """How many rows of a running batch count as done."""
        return 0 if self.works is None else self.works.count(batch, now)

    def nudge(self) -> None:
        if self.works is not None:
            self.works.nudge()


def good_key(given: str, admitted: str | None) -> Literal["good", "bad", "missing"]:
    """What to make of a key: `admitted` is the only good one, or None for all but those that begin with `bad-`."""
    if not given:
        return "missing"
    if admitted is not None:
        return "good" if given == admitted else "bad"
    return "bad" if given.startswith("bad-") else "good"


def masked(key: str) -> str:
    """A key as the services show it in a refusal: never whole."""
    return key[:4] + "*" * 8 if len(key) < 16 else f"{key[:7]}{'*' * 12}{key[-4:]}"
