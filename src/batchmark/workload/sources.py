"""Users' files as lines of JSON, one a row, as a stream.

JSONL is that already. A row of a table becomes the line that it would be in a JSONL file, so all that is known about rows (their checks,
their digest) is known about tables too.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from batchmark.domain.request import JsonObject
from batchmark.errors import BadInput, Configuration
from batchmark.workload.openai_body import CHAT_PARAMETERS
from batchmark.workload.problems import BadLine

__all__ = ["MAX_LINE_BYTES", "lines_of"]

# OpenAI's limit for a whole file: no provider could take a row beyond it, so it is not read into memory either.
MAX_LINE_BYTES = 200_000_000
# A quote that is never closed makes one cell of the rest of a file, and this keeps that out of memory.
_MAX_CELL_CHARACTERS = 20_000_000
# Columns whose text in a CSV file is JSON, as there is no other way to write a number there.
_JSON_CELLS = frozenset(CHAT_PARAMETERS) - {"stop", "reasoning_effort", "tool_choice"} | {"dimensions"}
_PARQUET_ROWS = 500

# decimals stay text, which keeps all their digits
_to_json = msgspec.json.Encoder(enc_hook=str).encode

Lines = Iterator[tuple[int, bytes]]


def lines_of(path: Path, name: str, needs: tuple[str, ...] | None) -> Lines:
    """One walk over the rows of a file: line number from 1 and the row as JSON that ends in a newline. `name` is for messages.

    The ending tells the format: `.csv`, `.tsv`, `.parquet`, else JSONL. `needs` are the columns that a template names, None where there
    is none: a table without one of them is refused before its first row. Raises BadInput and BadLine; Configuration where the
    package that reads Parquet is missing.
    """
    read = _FORMATS.get(path.suffix.lower())
    return read(path, name, needs) if read else _jsonl(path, name)


def _jsonl(path: Path, name: str) -> Lines:
    with path.open("rb", buffering=1 << 20) as file:
        number = 0
        readline = file.readline
        while line := readline(MAX_LINE_BYTES):
            number += 1
            # the usual line is as it should be and is not copied
            if line[-2:] != b"}\n" or line[:1] != b"{":
                if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    raise BadInput(
                        f"{name} line {number} is longer than {MAX_LINE_BYTES // 1_000_000} MB, "
                        "which no provider takes. Nothing was sent",
                        hint="a row is one line; is this a JSONL file?",
                    )
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                line = line.strip()
                if not line:
                    continue
                line += b"\n"
            yield number, line


# tables


def _check_columns(columns: list[str], name: str, needs: tuple[str, ...] | None) -> None:
    repeated = sorted({each for each in columns if columns.count(each) > 1})
    if repeated:
        raise BadInput(
            f"{name} has the column {repeated[0]!r} more than once", hint="give each column a name of its own"
        )
    has = f"its columns are {', '.join(columns)}"
    if needs is None:
        if not {"prompt", "messages", "input"}.intersection(columns):
            raise BadInput(f"{name} has no column prompt; {has}", hint="say how a prompt is made, such as '{question}'")
        return
    missing = [each for each in needs if each not in columns]
    if missing:
        raise BadInput(f"{name} has no column {missing[0]}, which the prompt names; {has}")


def _separated(delimiter: str) -> Callable[[Path, str, tuple[str, ...] | None], Lines]:
    def read(path: Path, name: str, needs: tuple[str, ...] | None) -> Lines:
        csv.field_size_limit(_MAX_CELL_CHARACTERS)
        # bytes that are not UTF-8 are found where the row is written as JSON: only there is its line known
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            columns: list[str] | None = None
            line = 1
            while True:
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    raise BadLine(line, f"the row is not valid CSV ({error})", "is a quote left open?") from None
                if cells is None:
                    return
                if cells:
                    if columns is None:
                        columns = cells
                        _check_columns(columns, name, needs)
                        readers = [_json_cell if each in _JSON_CELLS else None for each in columns]
                        plain = not any(readers)
                    else:
                        if len(cells) != len(columns):
                            raise BadLine(
                                line, f"the row has {len(cells)} cells, and the header {len(columns)} columns"
                            )
                        values: list[Any] = (
                            cells
                            if plain
                            else [
                                cell if value_of is None else value_of(cell)
                                for cell, value_of in zip(cells, readers, strict=True)
                            ]
                        )
                        yield line, _as_line(line, dict(zip(columns, values, strict=True)))
                line = reader.line_num + 1

    return read


def _json_cell(text: str) -> Any:
    """A parameter's value; an empty cell is none, and what is no JSON stays text, for the parameter's own check to refuse."""
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text


def _parquet(path: Path, name: str, needs: tuple[str, ...] | None) -> Lines:
    arrow: Any
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise Configuration(
            f"reading {name} needs the package pyarrow", hint='pip install "batchmark[parquet]"'
        ) from None
    number = 0
    try:
        # a row group may be as large as the file, so its columns are read piece by piece
        with parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            _check_columns(file.schema_arrow.names, name, needs)
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for entry in batch.to_pylist():
                    number += 1
                    yield number, _as_line(number, entry)
    except arrow.ArrowException as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise BadInput(f"{name} cannot be read as Parquet after row {number}: {reason}") from None


def _as_line(line: int, entry: JsonObject) -> bytes:
    try:
        return _to_json(entry) + b"\n"
    except UnicodeEncodeError:
        raise BadLine(line, "the row is not UTF-8 text", "save the file as UTF-8") from None
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise BadLine(line, f"the row has a value that JSON cannot hold ({error})") from None


_FORMATS: dict[str, Callable[[Path, str, tuple[str, ...] | None], Lines]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
}
