"""One provider account as the engine acts on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from batchmark.engine.meter import Meter
from batchmark.engine.pace import Pace
from batchmark.ledger.records import JobRecord
from batchmark.ledger.store import Ledger
from batchmark.prices.book import PriceBook
from batchmark.providers.seam import Provider, Wire

__all__ = ["Account", "StagedHere", "answers_path", "stamp_of"]

StagedHere: TypeAlias = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the engine needs to act on one provider account; `home` is where the ledger's folders are relative to.

    `identity` tells accounts apart without telling anything of their keys. `staged_here` holds, by label, the size and time of the shard
    files that this process has written and hashed itself: those need not be hashed once more before they are sent.
    """

    provider: Provider
    wire: Wire
    ledger: Ledger
    home: Path
    pace: Pace
    identity: str
    prices: PriceBook = field(default_factory=PriceBook)
    meter: Meter = field(default_factory=Meter)
    staged_here: StagedHere = field(default_factory=dict)

    def folder(self, job: JobRecord) -> Path:
        """Where the job's files are."""
        return self.home / job.folder


def stamp_of(path: Path) -> tuple[int, int]:
    """The size of a file and the time of its last change, which an interference would alter."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def answers_path(home: Path, job: JobRecord) -> Path:
    """Where the job's merged answers are, once it has ended, unless the user named another place."""
    return home / job.folder / "answers.jsonl"
