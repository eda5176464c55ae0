"""A workload: a file of rows, read as a stream, each with a prompt, messages or texts to embed, or a line in OpenAI's batch format.

One row is held at a time. Whatever is wrong with a line is said with its line and row number, before anything is sent. Keys that are
no parameter of ours are the user's own columns and come out beside the answer untouched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from batchmark.domain.request import Row
from batchmark.errors import BadInput, LocalTrouble, RowError
from batchmark.workload.columns import ANSWER_FIELDS
from batchmark.workload.problems import BadLine, BadRow
from batchmark.workload.reader import RowReader
from batchmark.workload.sources import lines_of
from batchmark.workload.template import Template

__all__ = ["ANSWER_FIELDS", "Template", "Workload", "sample_path"]


def sample_path() -> Path:
    """The bundled workload: short questions of five kinds, written for this project."""
    return Path(__file__).parent / "samples" / "questions.jsonl"


class Workload:
    """A file of rows. `rows` may be walked any number of times, each time from the disk.

    `limit` takes that many rows, repeating the file in order where it holds fewer. `template` says how a row becomes a prompt, and what
    rows get that do not say otherwise. After a whole walk, `digest` is the SHA-256 of the rows that were used (and of the template,
    where there is one). Raises BadInput on construction where there is no such file to read.
    """

    def __init__(self, path: Path, limit: int | None = None, template: Template | None = None) -> None:
        self.path = path
        self.limit = limit
        self.template = template
        self.digest: str | None = None
        self.is_sample = path == sample_path()
        _check_readable(path)

    @property
    def name(self) -> str:
        """What messages call it."""
        return "the bundled sample" if self.is_sample else str(self.path)

    def stamp(self) -> dict[str, str | int]:
        """What tells later, without reading it, whether the file is still the same. Raises BadInput where it is gone."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise _no_file(self.path) from None
        return {"path": str(self.path.absolute()), "bytes": found.st_size, "modified_ns": found.st_mtime_ns}

    def rows(self) -> Iterator[Row]:
        """The rows in order, numbered from 0. Raises RowError for the first line that cannot be used."""
        sha = hashlib.sha256(self.template.canonical() if self.template else b"")
        add, read = sha.update, RowReader(self.template).read
        count = line_number = 0
        # closed at once where a row is bad, not whenever the error's traceback is let go
        with closing(self._lines()) as lines:
            try:
                for line_number, line in islice(lines, self.limit):
                    add(line)
                    yield read(count, line_number, line)
                    count += 1
            except BadRow as error:
                line_number = error.line if isinstance(error, BadLine) else line_number
                raise RowError(error.reason, path=self.name, line=line_number, row=count, hint=error.hint) from None
        if count == 0:
            raise BadInput(
                f"{self.name} is empty: it holds no row", hint='a row is a line such as {"prompt": "What is 2 + 2?"}'
            )
        self.digest = sha.hexdigest()

    def _lines(self) -> Generator[tuple[int, bytes], None, None]:
        needs = self.template.columns if self.template is not None and self.template.prompt is not None else None
        while True:
            lines = lines_of(self.path, self.name, needs)
            first = next(lines, None)
            if first is None:
                return
            yield first
            yield from lines
            if self.limit is None:
                return


def _no_file(path: Path) -> BadInput:
    return BadInput(f"there is no file {path}", hint="check the path; a workload is a JSONL, CSV or Parquet file")


def _check_readable(path: Path) -> None:
    try:
        if path.is_dir():
            raise BadInput(f"{path} is a folder, not a file of rows", hint="name a JSONL file")
        if path.exists() and not path.is_file():
            raise BadInput(
                f"{path} is no regular file: a workload is read more than once",
                hint="save what comes through the pipe first",
            )
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise _no_file(path) from None
    except PermissionError:
        raise BadInput(f"{path} may not be read by this user", hint="check its permissions") from None
    except OSError as error:
        raise LocalTrouble(f"{path} cannot be read: {error.strerror or error}") from None
