"""The views of batches that have ended: nothing about them changes any more, and lists are asked for again and again."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

from batchmark.emulator.stored import Batch

__all__ = ["Views"]

_MOST = 8_192


class Views:
    """Keeps what was shown of a batch for as long as the world hands out the same object for it, which it does until something
    about the batch changes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, Hashable], tuple[Batch, msgspec.Raw]] = {}

    def get(self, batch: Batch, how: Hashable = None) -> msgspec.Raw | None:
        """The view as JSON; `how`: what it depends on beside the batch."""
        known = self._kept.get((batch.seq, how))
        return known[1] if known is not None and known[0] is batch else None

    def keep(self, batch: Batch, view: dict[str, Any], how: Hashable = None) -> msgspec.Raw:
        if len(self._kept) >= _MOST:
            self._kept.clear()
        made = msgspec.Raw(msgspec.json.encode(view))
        self._kept[batch.seq, how] = batch, made
        return made
