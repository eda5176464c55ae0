"""What a dialect sees of HTTP: a call that was read completely, and the answer to give. No server, no sockets."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Any, Protocol, TypeGuard

import msgspec

__all__ = [
    "MEMORY_LIMIT",
    "Answer",
    "Body",
    "Call",
    "Dialect",
    "Part",
    "Refused",
    "Route",
    "decode",
    "decode_object",
    "discard",
    "is_int",
    "json_answer",
    "pretty_answer",
    "too_deep",
]

MEMORY_LIMIT = 32_000_000
_MOST_NESTING = 200
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


class Body(Enum):
    """Where a request's body goes: memory for small ones, a file on disk, or a file for each part of a form.

    What comes to a FORM route and is no form goes to disk.
    """

    MEMORY = "memory"
    DISK = "disk"
    FORM = "form"


@dataclass(slots=True, kw_only=True)
class Part:
    """One part of a multipart form, on disk."""

    name: str
    filename: str | None
    mime: str
    path: Path
    size: int = 0

    def text(self, limit: int = 4096) -> str:
        with self.path.open("rb") as opened:
            return opened.read(limit).decode("utf-8", "replace")


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, completely received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    base_url: str  # scheme and host as the client wrote them
    mounted: str = ""  # the prefix of its dialect, where the client called a service by its own host and knows none
    args: dict[str, str]
    body: bytes = b""
    body_path: Path | None = None
    parts: list[Part] = field(default_factory=list)
    size: int = 0
    too_large: bool = False  # beyond the route's limit; what came after it was thrown away
    malformed: str | None = None  # a form that could not be taken apart
    subject: str | None = None  # the batch or file that the call turned out to be about, for the journal
    file_name: str | None = None  # what the client calls the file that the call made
    stored: int | None = None  # the sequence number of the batch that the call made
    hide_ns: int = 0  # a fault: how long a batch made by this call stays unseen
    lag_ns: int = 0  # a fault: how old a batch must be for this call to see it

    def url(self, path: str) -> str:
        """How the client reaches a path of ours."""
        return self.base_url + path.removeprefix(self.mounted)

    def raw_body(self) -> bytes:
        """The whole body in memory: only for routes whose limit is small."""
        return self.body if self.body_path is None else self.body_path.read_bytes()


@dataclass(slots=True, kw_only=True)
class Answer:
    """A response: bytes, or a file to be streamed."""

    status: int = 200
    body: bytes = b""
    file: Path | None = None
    opened: IO[bytes] | None = None  # the file, opened in time: deleting it meanwhile does no harm
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False  # say no length, as some services do


class Refused(Exception):
    """The dialect says no: raised anywhere in a handler, sent as the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of a dialect."""

    operation: str
    method: str
    pattern: re.Pattern[str]
    handler: Callable[[Call], Answer]
    body: Body = Body.MEMORY
    limit: int = MEMORY_LIMIT


class Dialect(Protocol):
    """One provider's protocol on one path prefix."""

    @property
    def name(self) -> str: ...

    prefix: str
    routes: list[Route]

    def admit(self, call: Call, key: str | None) -> None:
        """Let the call through or raise Refused; `key`: the only one admitted, None for any that is not `bad-…`."""
        ...

    def unknown(self, call: Call, *, other_methods: bool) -> Answer:
        """The answer where no route fits."""
        ...

    def failure(self, call: Call) -> Answer:
        """The answer when the emulator itself has failed."""
        ...

    def headers(self, call: Call, elapsed_ms: int) -> dict[str, str]:
        """The headers that every answer carries."""
        ...

    def subject(self, call: Call) -> tuple[str, list[str]]:
        """The model of the batch that a call is about or would make, and the batch's names: its id and labels."""
        ...


def json_answer(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """Compact JSON."""
    return Answer(status=status, body=msgspec.json.encode(value), headers=headers or {})


def pretty_answer(
    value: object, *, status: int = 200, end: bytes = b"", headers: dict[str, str] | None = None
) -> Answer:
    """JSON in two-space indentation, as OpenAI and Google send it."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return Answer(status=status, body=text + end, headers=headers or {})


def too_deep(raw: bytes) -> bool:
    """Whether a JSON text is nested beyond what we read: far below where any reader of ours would run out of stack."""
    if raw.count(b"[") + raw.count(b"{") <= _MOST_NESTING:
        return False
    depth = 0
    for token in _TOKEN.finditer(raw):
        first = token.group()[:1]
        if first in (b"[", b"{"):
            depth += 1
            if depth > _MOST_NESTING:
                return True
        elif first in (b"]", b"}"):
            depth -= 1
    return False


def decode(raw: bytes) -> Any:
    """The JSON value in `raw`. Raises msgspec.DecodeError or UnicodeDecodeError, also where it is nested too deeply."""
    if too_deep(raw):
        raise msgspec.DecodeError(f"nested deeper than {_MOST_NESTING} levels")
    return msgspec.json.decode(raw)


def decode_object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object in `raw`, or None if it is not one."""
    try:
        value = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_int(value: object) -> TypeGuard[int]:
    """Whether a JSON value is a whole number, which a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def discard(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
