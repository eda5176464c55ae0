"""Takes one long array out of a JSON document on disk, item by item, without ever holding the document in memory."""

from __future__ import annotations

import mmap
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["ArrayScan", "ScanError"]

# A string that never ends matches up to the end of the file, once: no input can make the scan quadratic.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")  # between tokens only: a JSON string holds none
_FORGET = 1 << 23
_MAX_ENVELOPE = 1 << 20
_FIRST_KEY = re.compile(rb'\{[ \t\r\n]*+"[^"\\]*+"')
_LONGEST_SEAM = 200
_LEAST_WINDOW, _WINDOW = 1 << 16, 1 << 20
_check = msgspec.json.Decoder(msgspec.Raw).decode


class ScanError(Exception):
    """The document is not JSON, or not an object."""


class ArrayScan:
    """The items of the array `key` of the top-level object, each as one line of bytes; then the rest of the object."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = f'"{key}"'.encode()
        self.found = False  # whether `key` is there and holds an array
        self.envelope: dict[str, Any] = {}  # the object with the array's items left out; complete after the last item

    def __iter__(self) -> Iterator[bytes]:
        if self._path.stat().st_size == 0:
            raise ScanError("the body is empty")
        with self._path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start = self._array_start(data)
            if start is None:
                self.envelope = _decoded(data[:_MAX_ENVELOPE] if len(data) <= _MAX_ENVELOPE else b"")
                return
            self.found = True
            end = yield from self._items(data, start + 1)
            if start > _MAX_ENVELOPE or len(data) - end > _MAX_ENVELOPE:
                raise ScanError("too much beside the array")
            self.envelope = _decoded(data[:start] + b"[]" + data[end:])

    def _array_start(self, data: mmap.mmap) -> int | None:
        depth = 0
        for token in _TOKEN.finditer(data):
            first = data[token.start()]
            if first in b"[{":
                depth += 1
            elif first in b"]}":
                depth -= 1
            elif depth == 1 and token.end() - token.start() == len(self._key) and token.group() == self._key:
                colon = _COLON.match(data, token.end())
                if colon is not None and colon.end() < len(data) and data[colon.end()] == ord("["):
                    return colon.end()
        return None

    def _items(self, data: mmap.mmap, position: int) -> Generator[bytes, None, int]:
        """Yields the items; returns the position behind the array's closing bracket."""
        forgotten = 0
        guess = _Guess(data)
        position = _skip(data, position)
        if data[position : position + 1] == b"]":
            return position + 1
        while True:
            for item in guess.items(position):
                yield _one_line(item)
            position = guess.position
            end = _value_end(data, position)
            yield _one_line(data[position:end])
            position = _skip(data, end)
            mark = data[position : position + 1]
            if mark == b"]":
                return position + 1
            if mark != b",":
                raise ScanError(f"expected a comma or the array's end at byte {position}")
            position = _skip(data, position + 1)
            guess.learn(end, position)
            if position - forgotten > _FORGET and hasattr(mmap, "MADV_DONTNEED"):
                length = (position - forgotten) // mmap.PAGESIZE * mmap.PAGESIZE
                data.madvise(mmap.MADV_DONTNEED, forgotten, length)
                forgotten += length


class _Guess:
    """Finds the items that end as the one before did, at a tenth of the cost of going through their tokens.

    Where `},{"custom_id"` was between two items it is probably between the next two. Only one end can make an item
    JSON, so a guess that can be decoded is right, and one that cannot costs no more than a look.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._seam = b""
        self._gap = 0  # the part of the seam that belongs to no item
        self.position = 0

    def learn(self, end: int, start: int) -> None:
        """Take what lies between two items, with the last byte of the one and the first key of the other."""
        key = _FIRST_KEY.match(self._data, start, start + _LONGEST_SEAM)
        good = key is not None and start - end < _LONGEST_SEAM
        self._seam = self._data[end - 1 : key.end()] if key is not None and good else b""
        self._gap = start - end

    def items(self, position: int) -> Iterator[bytes]:
        """The items from here on; `position` is then where the first one begins that was not found so."""
        seam, gap, data, check = self._seam, self._gap, self._data, _check
        self.position = position
        size = _LEAST_WINDOW  # little is lost where no guess is good
        while seam:
            # Out of the mmap, which searches many times as slowly as bytes do.
            window = data[position : position + size]
            at = 0
            while (found := window.find(seam, at)) >= 0:
                item = window[at : found + 1]
                try:
                    check(item)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    return
                at = found + 1 + gap
                self.position = position + at
                yield item
            if at == 0:
                return
            position += at
            size = _WINDOW
            if hasattr(mmap, "MADV_DONTNEED"):
                data.madvise(mmap.MADV_DONTNEED, 0, position // mmap.PAGESIZE * mmap.PAGESIZE)


def _one_line(item: bytes) -> bytes:
    return item.translate(_LINE_ENDS) if b"\n" in item or b"\r" in item else item


def _skip(data: mmap.mmap, position: int) -> int:
    found = _SPACE.match(data, position)
    return position if found is None else found.end()


def _value_end(data: mmap.mmap, position: int) -> int:
    """Behind the value that begins here; only objects are taken, others cannot be a request."""
    if data[position : position + 1] != b"{":
        raise ScanError(f"expected an object at byte {position}")
    depth = 0
    for token in _TOKEN.finditer(data, position):
        first = data[token.start()]
        if first in b"[{":
            depth += 1
        elif first in b"]}":
            depth -= 1
            if depth == 0:
                return token.end()
    raise ScanError("the document ends in the middle of an item")


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScanError(str(error)) from error
    if not isinstance(value, dict):
        raise ScanError("the body is no JSON object")
    return value
