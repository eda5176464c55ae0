"""The views of batches as lists show them, kept until something about them changes: lists are asked for again and again."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

from batchmark.emulator.stored import Batch

__all__ = ["Views"]

_MOST = 8_192


class Views:
    """The last view of each batch, as JSON. It stands for as long as the world hands out the same object for the batch, which it
    does until something recorded about it changes, and `how` is the same: whatever else the view depends on, the time included."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Batch, Hashable, msgspec.Raw]] = {}

    def get(self, batch: Batch, how: Hashable) -> msgspec.Raw | None:
        known = self._kept.get(batch.seq)
        return known[2] if known is not None and known[0] is batch and known[1] == how else None

    def keep(self, batch: Batch, view: dict[str, Any], how: Hashable) -> msgspec.Raw:
        if len(self._kept) >= _MOST:
            self._kept.clear()
        made = msgspec.Raw(msgspec.json.encode(view))
        self._kept[batch.seq] = batch, how, made
        return made
