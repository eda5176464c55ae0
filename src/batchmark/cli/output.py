"""How commands speak: data to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batchmark.errors import BatchmarkError, Interrupted

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output", "print_error"]


def _width() -> int | None:
    """A fixed width where output is no terminal, so that tables in files and pipes do not wrap at 80."""
    return None if sys.stdout.isatty() else 160


class Output:
    """What one command prints. With `json`, stdout gets one document and nothing else; with `quiet`, stderr gets errors only."""

    def __init__(self, *, json: bool, quiet: bool, emulated: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self.emulated = emulated

    def document(self, value: dict[str, Any]) -> None:
        """The one JSON document of a command."""
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        self.line(text)

    def line(self, text: str = "") -> None:
        """A line of data."""
        sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """A sentence for the person at the terminal."""
        if not self.quiet:
            sys.stderr.write(text + "\n")

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
    ) -> None:
        """A table of data; where the terminal is too narrow for it, a list, so that ids stay in one piece and can be copied."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        console = _console()
        cells = [columns, *rows]
        widths = [
            max(len(line) for row in cells for line in row[at].splitlines() or [""]) for at in range(len(columns))
        ]
        if sum(widths) + 3 * len(columns) > console.width:
            self._listing(title, columns, rows)
            return
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            table.add_column(name, justify="right" if name in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        with console.capture() as captured:
            console.print(table)
        # rich fills every line to the table's width, which only wraps when it is pasted or piped
        self.line("\n".join(line.rstrip() for line in captured.get().rstrip().splitlines()) + "\n")

    def facts(self, title: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Named facts about one thing, a line each."""
        room = max(len(name) for name, _ in pairs) + 2
        self.line(_bold(title))
        for name, value in pairs:
            self.line(f"  {name:<{room}}{value}".rstrip())

    def _listing(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        room = max(len(name) for name in columns) + 2
        self.line(title)
        for row in rows:
            self.line()
            for name, cell in zip(columns, row, strict=True):
                for number, line in enumerate(cell.splitlines() or [""]):
                    self.line(f"{'' if number else name:<{room}}{line}".rstrip())
        self.line()

    @property
    def mark(self) -> str:
        """What stands behind headings of the emulated world."""
        return " (emulated)" if self.emulated else ""


def _console() -> Console:
    """A rich console on stdout that obeys NO_COLOR and knows when it is no terminal."""
    from rich.console import Console

    return Console(file=sys.stdout, width=_width(), no_color="NO_COLOR" in os.environ, highlight=False)


def _bold(text: str) -> str:
    """Bold on a terminal, plain elsewhere."""
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def print_error(error: BatchmarkError) -> None:
    """One clear sentence, and the remedy last."""
    kind = "interrupted" if isinstance(error, Interrupted) else "error"
    sys.stderr.write(f"{kind}: {error.message}\n")
    for hint in (error.hint or "").splitlines():
        sys.stderr.write(f"hint: {hint}\n")
