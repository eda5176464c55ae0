"""Reading a raw result file line by line, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["iter_lines"]


def iter_lines(path: Path) -> Iterator[bytes]:
    """The non-empty lines of a file, without their ends."""
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            line = line.strip()
            if line:
                yield line
