"""Anybody's records of batches, CSV or JSONL, as fields of one name each. What they mean is decided next door.

A record that cannot be read costs itself, never the file: it comes as `Unusable`, with the reason.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Literal, TypeAlias

import msgspec

from batchmark.errors import BadInput

__all__ = [
    "COLUMNS",
    "Fields",
    "Format",
    "Records",
    "Rejected",
    "Rejections",
    "Unusable",
    "Zones",
    "as_count",
    "as_seconds",
]

Format: TypeAlias = Literal["csv", "jsonl"]
Fields: TypeAlias = dict[str, Any]

# What is read of a record, and the columns that may hold it, the first one that is filled counting.
COLUMNS: dict[str, tuple[str, ...]] = {
    "created_at": ("created_at",),
    "state": ("state", "status", "processing_status"),
    "ended_at": ("ended_at", "completed_at", "failed_at", "expired_at"),
    "turnaround_s": ("turnaround_s",),
    "provider": ("provider",),
    "model": ("model",),
    "id": ("id",),
    "round": ("round",),
    "started_at": ("started_at", "in_progress_at"),
    "finalizing_at": ("finalizing_at",),
    "cancelling_at": ("cancelling_at", "cancel_initiated_at"),
    "cancelled_at": ("cancelled_at",),
    "expires_at": ("expires_at",),
    "last_seen_at": ("last_seen_at",),
    "waited_s": ("waited_s",),
    "validating_s": ("validating_s",),
    "running_s": ("running_s",),
    "expire_s": ("expire_s",),
    "requests": ("requests", "total"),
    "succeeded": ("succeeded", "completed"),
    "failed": ("failed",),
    "expired": ("expired",),
    "cancelled": ("cancelled", "canceled"),
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
}
# How programs write that there is nothing.
_NOTHING = frozenset({"", "null", "NULL", "None", "none", "nan", "NaN", "NA", "N/A"})
_PLACES = 3
_DELIMITERS = ",;\t"
_MILLISECONDS_FROM = 1e11  # as seconds that would be the year 5138
_TIMES_BELOW = 1e14
_LONGEST_S = 10 * 366 * 86_400.0
_LINES_OF_A_RECORD = 20  # a quoted field may hold line ends, but one stray quote must not swallow a file


class Unusable(Exception):
    """A record that is kept out, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Records that are in no figure: why, how many, and the places of the first of them, such as `line 12`."""

    reason: str
    count: int
    places: tuple[str, ...]


class Rejections:
    """Collects what is kept out, by reason."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}

    def add(self, reason: str, place: str) -> None:
        self._counts[reason] = self._counts.get(reason, 0) + 1
        named = self._places.setdefault(reason, [])
        if len(named) < _PLACES:
            named.append(place)

    def all(self) -> tuple[Rejected, ...]:
        """Every reason, the most frequent first."""
        ordered = sorted(self._counts, key=lambda reason: -self._counts[reason])
        return tuple(
            Rejected(reason=reason, count=self._counts[reason], places=tuple(self._places[reason]))
            for reason in ordered
        )


class Records:
    """The records of a file, one at a time, each with the line where it begins. `columns` are those seen so far, as the file names them."""

    def __init__(self, lines: Iterable[bytes], *, name: str, format: Format) -> None:
        self._lines, self._name, self._format = lines, name, format
        self.columns: dict[str, None] = {}

    def __iter__(self) -> Iterator[tuple[int, Fields | Unusable]]:
        """Raises BadInput for a file that is no text in UTF-8 or holds nothing."""
        lines = iter(self._lines)
        for skipped, line in enumerate(lines):
            if skipped == 0:
                if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
                    raise BadInput(f"{self._name} is no text in UTF-8", hint="save it as UTF-8")
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                rest = chain([line], lines)
                yield from self._csv(rest, skipped) if self._format == "csv" else self._jsonl(rest, skipped)
                return
        raise BadInput(f"{self._name} is empty")

    def _csv(self, lines: Iterator[bytes], before: int) -> Iterator[tuple[int, Fields | Unusable]]:
        text = (line.decode("utf-8", "replace") for line in lines)
        first = next(text)
        delimiter = max(_DELIMITERS, key=first.count)
        rows = _rows(chain([first], text), delimiter, before)
        _, header_row = next(rows)
        if isinstance(header_row, Unusable):
            raise BadInput(f"the header of {self._name} cannot be read", hint="is there a quote too many?")
        header = [name.strip() for name in header_row]
        self.columns = dict.fromkeys(header)
        places = self._places(header)
        width = len(header)
        for line, row in rows:
            if isinstance(row, Unusable):
                yield line, row
            elif len(row) == width:
                # the column that counts comes last
                yield line, {field: cell for field, at in places if (cell := row[at].strip()) not in _NOTHING}
            elif row:
                yield line, Unusable(f"not {width} fields as the header has")

    def _places(self, header: list[str]) -> list[tuple[str, int]]:
        names = [name.lower() for name in header]
        places = []
        for field, columns in COLUMNS.items():
            for column in reversed(columns):
                if names.count(column) > 1:
                    raise BadInput(f"the header of {self._name} has the column {column} {names.count(column)} times")
                if column in names:
                    places.append((field, names.index(column)))
        return places

    def _jsonl(self, lines: Iterator[bytes], before: int) -> Iterator[tuple[int, Fields | Unusable]]:
        decode = msgspec.json.Decoder().decode
        known = list(COLUMNS.items())
        for line, text in enumerate(lines, start=before + 1):
            if not text.strip():
                continue
            try:
                value = decode(text)
            except ValueError:
                value = _lenient(text)
            if not isinstance(value, dict):
                yield line, Unusable("no JSON object")
                continue
            self.columns.update(dict.fromkeys(value))
            fields = {}
            for field, columns in known:
                for column in columns:
                    cell = value.get(column)
                    if cell is not None and cell != "":
                        fields[field] = cell
                        break
            yield line, fields


def _rows(lines: Iterator[str], delimiter: str, before: int) -> Iterator[tuple[int, list[str] | Unusable]]:
    """The records of a CSV with the line that each begins on. One that cannot be read costs its own line alone."""
    waiting: deque[str] = deque()
    number = before

    def following() -> str | None:
        return waiting.popleft() if waiting else next(lines, None)

    while (line := following()) is not None:
        number += 1
        whole, taken = line, [line]
        while whole.count('"') % 2 and len(taken) < _LINES_OF_A_RECORD and (more := following()) is not None:
            taken.append(more)
            whole += more
        if whole.count('"') % 2:
            waiting.extendleft(reversed(taken[1:]))
            yield number, Unusable("no CSV")
            continue
        try:
            yield number, next(csv.reader([whole], delimiter=delimiter, strict=True), [])
        except csv.Error:
            yield number, Unusable("no CSV")
        number += len(taken) - 1


def _lenient(text: bytes) -> Any:
    """What Python writes that is no JSON: NaN, which stands for nothing. None where it is not that either."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


class Zones:
    """Reads times, and remembers where one had a time zone and where one had none: the two do not mix.

    A time is seconds since 1970, milliseconds where seconds are out of the question, or ISO 8601.
    """

    def __init__(self) -> None:
        self.with_zone: int | None = None
        self.without: tuple[int, str, str] | None = None

    def moment(self, field: str, value: Any, line: int) -> datetime:
        """One time in UTC. Raises Unusable where it is none."""
        try:
            number = float(value) if type(value) is str else value
        except ValueError:
            return self._written(field, value, line)
        if type(number) not in (int, float) or not 0 <= number < _TIMES_BELOW:
            raise Unusable(f"{field} is no time")
        if self.with_zone is None:
            self.with_zone = line
        return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, UTC)

    def _written(self, field: str, text: str, line: int) -> datetime:
        text = text.strip()
        try:
            moment = datetime.fromisoformat(text)
            day_only = len(text) <= len("2026-01-01")
            if moment.tzinfo is not None:
                if self.with_zone is None:
                    self.with_zone = line
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Unusable(f"{field} is no time") from None
        if day_only:
            raise Unusable(f"{field} is a day, not a time")
        if self.without is None:
            self.without = (line, field, text)
        return moment.replace(tzinfo=UTC)


def as_seconds(value: Any, field: str) -> float:
    """A duration. Raises Unusable."""
    try:
        number = float(value) if type(value) in (str, int, float) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not abs(number) < _TIMES_BELOW:
        raise Unusable(f"{field} is no number of seconds")
    if number < 0:
        raise Unusable("negative duration")
    if number > _LONGEST_S:
        raise Unusable(f"{field} is longer than ten years")
    return number


def as_count(fields: Fields, field: str) -> int | None:
    """A whole number from 0 on, None where the record has none. Raises Unusable."""
    value = fields.get(field)
    if value is None:
        return None
    if type(value) is str and value.isdecimal() and len(value) < 15:
        return int(value)
    try:
        number = float(value) if type(value) in (str, int, float) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if not 0 <= number < _TIMES_BELOW or number != int(number):
        raise Unusable(f"{field} is no count")
    return int(number)
