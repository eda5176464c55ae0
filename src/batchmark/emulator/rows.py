"""The seam between the work and the dialects: how a batch's rows are read, checked, answered and written.

A dialect has one Book. It checks the input of a batch, and opens a Sheet to write the results of one that has ended.
Rows stream through both; neither holds a batch's rows in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from batchmark.emulator.answers import Ask, Reply
from batchmark.emulator.life import Phase
from batchmark.emulator.world import Batch, Outcome

__all__ = ["Book", "Checked", "Row", "Sheet", "Twist", "Unrun", "Writer", "read_lines"]

Unrun = Literal["expired", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What reading the input of a batch found: `problems` in the dialect's own shape make the batch fail.

    `refused`: the rows that will not be run, as far as they can be told now.
    """

    total: int
    model: str
    refused: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One request as its dialect understood it. `ask` is None where no model is needed to answer."""

    id: Any
    body: dict[str, Any]
    ask: Ask | None = None
    refusal: dict[str, Any] | None = None  # the dialect's error for a row that it will not run


class Writer(Protocol):
    """The results of one batch while they are being written."""

    def read(self, line: bytes) -> Row: ...

    def answered(self, row: Row, reply: Reply | None) -> None:
        """Write the answer of a row, or its refusal; `reply` is None where the row asked nothing."""
        ...

    def broken(self, row: Row) -> None:
        """Write the service's own failure: the answer source gave up on this row."""
        ...

    def unrun(self, row: Row, why: Unrun) -> None:
        """Write what the dialect says of a row that was never run."""
        ...

    def finish(self) -> Outcome:
        """Put the complete files into the world."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind; the work is done again later."""
        ...


class Sheet(Writer, Protocol):
    """A dialect's own writer of results, with what fault rules need."""

    twist: Twist | None  # set where faults concern the lines

    def fail(self, row: Row, status: int, code: str | None, message: str | None) -> None:
        """Write a failure of this HTTP status."""
        ...

    def hollow(self, row: Row) -> None:
        """Write the emptiest line that users have met in this dialect."""
        ...


class Twist(Protocol):
    """What a sheet that has one asks while it writes."""

    def lines(self, line: bytes) -> Iterable[bytes]:
        """What to write in place of a line, ends included."""
        ...

    def file(self, path: Path) -> None:
        """Change a complete file of results in place."""
        ...


class Book(Protocol):
    """One dialect's reading of rows."""

    def check(self, batch: Batch, lines: Iterable[bytes]) -> Checked: ...

    def read(self, batch: Batch, line: bytes) -> Row: ...

    def sheet(self, batch: Batch, end: Phase, at_ns: int) -> Sheet: ...


def read_lines(path: Path, *, between: Callable[[], None] | None = None) -> Iterator[bytes]:
    """The lines of a file, ends included; `between` is called every few hundred rows of usual size."""
    with path.open("rb", buffering=1 << 18) as opened:
        while block := opened.readlines(1 << 18):
            if between is not None:
                between()
            yield from block
