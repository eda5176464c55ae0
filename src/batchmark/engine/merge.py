"""Answers of the shard attempts -> answers in the order of the user's rows, and what they add up to.

Shard after shard is copied; where a shard was attempted more than once, each row's line is the one of the last attempt that asked it.
Memory is 8 bytes per row that was asked again, of one shard.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchmark.domain.totals import Totals
from batchmark.engine.stage import carried_path
from batchmark.errors import LocalTrouble
from batchmark.ledger.artifacts import open_artifact, remove_leftovers, verify, whole_file
from batchmark.ledger.points import reach
from batchmark.ledger.records import ShardRecord
from batchmark.workload.answers import decode_carried

__all__ = ["final_lines", "merge", "sum_up"]


def merge(shards: Iterable[ShardRecord], *, folder: Path, into: Path) -> None:
    """Write the answers of a job whose shards are all closed (in order of number and attempt) to `into`, whole or not at all.

    Raises LocalTrouble where the disk refuses.
    """
    remove_leftovers(into)
    with whole_file(into) as out:
        for _, group in groupby(shards, key=attrgetter("number")):
            attempts = [shard for shard in group if shard.answers is not None]
            if len(attempts) == 1:
                with _answers(folder, attempts[0]) as part:
                    shutil.copyfileobj(part, out, 1 << 20)
            else:
                for line in final_lines(attempts, folder):
                    out.write(line)
            reach("merging")


def _answers(folder: Path, shard: ShardRecord) -> BinaryIO:
    assert shard.answers is not None
    path = folder / shard.answers["path"]
    # a compressed file proves itself whole when it is read
    if path.exists() and not verify(path, shard.answers["sha256"]):
        raise LocalTrouble(f"{path} is not as it was written, so nothing was merged; what was fetched is kept in raw/")
    return open_artifact(path)


def final_lines(attempts: list[ShardRecord], folder: Path) -> Iterator[bytes]:
    """The answers of one shard in order, each from the last of its attempts that asked the row."""
    with ExitStack() as stack:
        first, *later = attempts
        again = [_Again(folder, shard, stack) for shard in later]
        rows = _rows(folder, first)
        for row, line in zip(rows, stack.enter_context(_answers(folder, first)), strict=True):
            for attempt in again:
                if attempt.row == row:
                    line = attempt.take()
            yield line


class _Again:
    """A later attempt, walked row by row beside the first."""

    def __init__(self, folder: Path, shard: ShardRecord, stack: ExitStack) -> None:
        self._rows = iter(_rows(folder, shard))
        self._lines = iter(stack.enter_context(_answers(folder, shard)))
        self.row: int | None = next(self._rows, None)

    def take(self) -> bytes:
        self.row = next(self._rows, None)
        return next(self._lines)


def _rows(folder: Path, shard: ShardRecord) -> array[int]:
    """The user's numbers of the rows of a shard attempt, in order."""
    with open_artifact(carried_path(folder, shard.label)) as carried:
        return array("q", (decode_carried(line).row for line in carried))


def sum_up(shards: Iterable[ShardRecord]) -> Totals:
    """What the closed attempts of a job come to: every row counted once, by its last attempt, and every attempt's tokens and cost."""
    totals = Totals(cost_usd=None)
    for _, group in groupby(shards, key=attrgetter("number")):
        attempts = [shard for shard in group if shard.answers is not None and shard.totals is not None]
        for number, shard in enumerate(attempts, start=1):
            totals.add(msgspec.convert(shard.totals, Totals))
            if number < len(attempts) and shard.handed_on is not None:
                totals.take_out(msgspec.convert(shard.handed_on, Totals))
    return totals
