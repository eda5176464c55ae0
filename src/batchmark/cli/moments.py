"""Times and durations as commands print them."""

from __future__ import annotations

from datetime import UTC, datetime

from batchmark.report.words import duration

__all__ = ["ago", "seconds", "time_text"]


def time_text(moment: datetime | None) -> str | None:
    """A time in a JSON document: RFC 3339 in UTC."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def ago(moment: datetime | None) -> str:
    """A time as people read it: date and time to the second, in UTC."""
    if moment is None:
        return "-"
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def seconds(start: datetime | None, end: datetime | None) -> str:
    """A duration in words, or a dash. Providers may give whole seconds only, so less than one is said as that."""
    if start is None or end is None:
        return "-"
    total_s = (end - start).total_seconds()
    return "< 1 s" if total_s < 1 else duration(total_s)
