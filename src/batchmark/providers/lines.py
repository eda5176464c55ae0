"""Reading a raw result file line by line, in bounded memory, and finding the wire id of a line without parsing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["id_finder", "iter_lines"]

# No id of ours is longer, with what stands around it.
_LAST_BYTES = 128


def iter_lines(path: Path) -> Iterator[bytes]:
    """The non-empty lines of a file, without their ends."""
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            line = line.strip()
            if line:
                yield line


def id_finder(key: bytes, before: bytes = b"") -> Callable[[bytes], str | None]:
    """A quick look for the value of the top-level `key` of a JSON line, or None where a parser must look.

    It is found in two places that prove themselves, whatever the text of an answer holds. As the first member, or the one after the
    member `before`: all bytes from the start of the line are then accounted for. As the last member: the brace at the end closes the
    line's own object, and quotes without a backslash before them are no part of a text. Both hold for a whole line only, so a line
    without its newline, which may have been cut, is left to the parser.
    """
    value = rb'"([A-Za-z0-9_-]{1,64})"'
    skipped = rb'(?:"' + before + rb'":\s?"[^"\\]*",\s?)?' if before else b""
    quoted = b'"' + key + b'"'
    first = re.compile(rb"\{" + skipped + quoted + rb":\s?" + value + rb"[,}]").match
    last = re.compile(quoted + rb":\s?" + value + rb"\}\n\Z").match

    def find(line: bytes) -> str | None:
        if line[-2:] != b"}\n":
            return None
        found = first(line)
        if found is None:
            at = line.rfind(quoted, -_LAST_BYTES)
            found = last(line, at) if at > 0 and line[at - 1] in b", {" else None
        return found[1].decode() if found else None

    return find
