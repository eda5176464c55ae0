"""Takes in a request's body as it arrives: to memory, to a file, or taken apart into the files of a form.

Memory stays bounded whatever the size. What lies beyond a route's limit is counted and thrown away, because a client
that is still sending would not read a refusal.
"""

from __future__ import annotations

import logging
from email.message import Message
from pathlib import Path
from typing import IO, Protocol

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from batchmark.emulator.http import Body, Call, Part

__all__ = ["Intake", "open_intake"]

logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # else its warnings go to stderr


class Intake(Protocol):
    def write(self, chunk: bytes) -> None: ...

    def finish(self, call: Call) -> None:
        """Close, and hand what came to the call."""
        ...

    def close(self) -> None: ...


def open_intake(kind: Body, *, limit: int, folder: Path | None, content_type: str) -> Intake:
    if folder is None:
        return _Memory(limit)
    if kind is Body.FORM and content_type.lower().startswith("multipart/"):
        return _Form(limit, folder, content_type)
    return _Disk(limit, folder)


class _Memory:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= self._limit:
            self._pieces.append(chunk)
        else:
            self._pieces.clear()

    def finish(self, call: Call) -> None:
        call.size = self._size
        call.too_large = self._size > self._limit
        call.body = b"".join(self._pieces)

    def close(self) -> None:
        self._pieces.clear()


class _Disk:
    def __init__(self, limit: int, folder: Path) -> None:
        self._limit = limit
        self._path = folder / "body"
        self._out = self._path.open("wb")
        self._size = 0

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= self._limit:
            self._out.write(chunk)

    def finish(self, call: Call) -> None:
        self._out.close()
        call.size = self._size
        call.too_large = self._size > self._limit
        call.body_path = self._path

    def close(self) -> None:
        self._out.close()


class _Form:
    """A multipart body, each part in a file of its own, in whatever order they come."""

    def __init__(self, limit: int, folder: Path, content_type: str) -> None:
        self._limit = limit
        self._folder = folder
        self._size = 0
        self._parts: list[Part] = []
        self._field = b""
        self._value = b""
        self._headers: dict[str, str] = {}
        self._out: IO[bytes] | None = None
        self._ended = False
        self._trouble: str | None = None
        self._parser: MultipartParser | None = None
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            self._trouble = "the boundary is missing"
            return
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._open,
                    "on_part_data": self._data,
                    "on_part_end": self._close_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            self._trouble = str(error)

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._trouble is None and self._size <= self._limit and self._parser is not None:
            try:
                self._parser.write(chunk)
            except MultipartParseError as error:
                self._trouble = str(error)

    def finish(self, call: Call) -> None:
        self.close()
        call.size = self._size
        call.too_large = self._size > self._limit
        call.parts = self._parts
        if self._trouble is None and not self._ended and not call.too_large:
            self._trouble = "the form ends in the middle of a part"
        call.malformed = self._trouble

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None

    # What the parser calls

    def _begin(self) -> None:
        self._headers = {}
        self._field = self._value = b""
        if len(self._parts) >= 64:
            raise MultipartParseError("the form has more than 64 parts")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._field = self._value = b""

    def _open(self) -> None:
        said = self._headers.get("content-disposition", "")
        _, options = parse_options_header(said.encode())
        filename = options.get(b"filename")
        if "filename*" in said.lower():  # RFC 5987: some libraries write names beyond ASCII so
            long = Message()
            long["content-disposition"] = said
            filename = (long.get_filename() or "").encode("utf-8", "replace")
        path = self._folder / f"part-{len(self._parts)}"
        self._parts.append(
            Part(
                name=options.get(b"name", b"").decode("utf-8", "replace"),
                filename=None if filename is None else filename.decode("utf-8", "replace"),
                mime=self._headers.get("content-type", "application/octet-stream"),
                path=path,
            )
        )
        self._out = path.open("wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self._out is not None
        self._out.write(memoryview(data)[start:end])
        self._parts[-1].size += end - start

    def _close_part(self) -> None:
        self.close()

    def _end(self) -> None:
        self._ended = True
