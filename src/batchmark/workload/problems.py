"""What can be wrong with a row, in words for its author. The file, line and row are added where the rows are walked."""

from __future__ import annotations

__all__ = ["BadBody", "BadColumn", "BadLine", "BadRow"]


class BadRow(ValueError):
    """A row cannot be used."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class BadBody(BadRow):
    """A value in a body is of the wrong kind; the reason says which."""


class BadColumn(BadRow):
    """A row does not have what the prompt asks for; the reason says which column."""


class BadLine(BadRow):
    """A line is no row at all, so only its reader knows its number."""

    def __init__(self, line: int, reason: str, hint: str | None = None) -> None:
        super().__init__(reason, hint)
        self.line = line
