"""Tables as workloads: every row of a CSV, TSV or Parquet file is the row that it would be as a JSON line."""

from __future__ import annotations

import csv
import datetime
import decimal
import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchmark.domain.request import ChatRequest, EmbeddingRequest, Message, Row, Settings
from batchmark.errors import BadInput, Configuration, RowError
from batchmark.workload import sources
from batchmark.workload.rows import Workload
from batchmark.workload.template import Template
from tests.support import write_lines


def table(home: Path, text: str | bytes, name: str = "in.csv") -> Path:
    path = home / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path: Path, prompt: str | None = None, **more: Any) -> list[Row]:
    return list(Workload(path, template=None if prompt is None else Template(prompt), **more).rows())


def said(path: Path, prompt: str | None = None) -> RowError:
    with pytest.raises(RowError) as caught:
        read(path, prompt)
    return caught.value


def texts(rows: list[Row]) -> list[Any]:
    return [row.request.messages[-1].content for row in rows if isinstance(row.request, ChatRequest)]


def columns(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.columns or b"{}")
    return found


# CSV


def test_the_first_row_of_a_csv_file_names_its_columns(home: Path) -> None:
    rows = read(table(home, "q,lang,text\nWhy?,de,t\n0123,en,\n"), "{q}")
    assert texts(rows) == ["Why?", "0123"]
    assert [columns(row) for row in rows] == [
        {"q": "Why?", "lang": "de", "input_text": "t"},
        {"q": "0123", "lang": "en", "input_text": ""},
    ]


def test_quotes_commas_newlines_and_blank_lines_are_read_as_csv_has_them(home: Path) -> None:
    text = '\ufeffq,n\r\n"a ""b"", c\nd",1\r\n\r\nsecond,2\r\n'
    rows = read(table(home, text), "{q}")
    assert texts(rows) == ['a "b", c\nd', "second"]
    assert [(row.number, row.line) for row in rows] == [(0, 2), (1, 5)]


def test_tabs_part_the_cells_of_a_tsv_file(home: Path) -> None:
    assert texts(read(table(home, 'q\tn\n"a,\tb"\t1\n', "in.TSV"), "{q}/{n}")) == ["a,\tb/1"]


def test_without_a_template_a_table_needs_a_column_prompt(home: Path) -> None:
    assert texts(read(table(home, "prompt,n2\nhi,1\n"))) == ["hi"]
    with pytest.raises(BadInput, match="has no column prompt; its columns are q, n"):
        read(table(home, "q,n\nhi,1\n"))
    (row,) = read(table(home, "input,dimensions\nhi,8\n"))
    assert row.request == EmbeddingRequest(("hi",), 8)


def test_parameters_of_a_csv_file_are_read_as_json_and_empty_ones_are_none(home: Path) -> None:
    text = "q,max_tokens,temperature,stop,custom_id,system\na,5,0.5,END,007,s\nb,,,,8,t\n"
    rows = read(table(home, text), "{q}")
    first, second = (row.request for row in rows)
    assert isinstance(first, ChatRequest) and isinstance(second, ChatRequest)
    assert first.settings == Settings(max_tokens=5, temperature=0.5, stop=("END",))
    assert second.settings.max_tokens is None
    assert [row.custom_id for row in rows] == ["007", "8"]
    assert first.messages == (Message("system", "s"), Message("user", "a"))


@pytest.mark.parametrize(
    ("text", "reason", "line", "row"),
    [
        ("q,n\na,1\nb\n", "the row has 1 cells, and the header 2 columns", 3, 1),
        ("q,n\na,1,2\n", "the row has 3 cells, and the header 2 columns", 2, 0),
        ('q,n\n\n"a\nb",1\n"c,2\n', "the row is not valid CSV (unexpected end of data)", 5, 1),
        ('q,n\n"a"b,1\n', "the row is not valid CSV", 2, 0),
        (b"q,n\na,1\nGr\xfc\xdfe,2\n", "the row is not UTF-8 text", 3, 1),
        ("q,max_tokens\na,many\n", "max_tokens must be a whole number above 0, not 'many'", 2, 0),
        ("q,n\n ,1\n", "the prompt is empty", 2, 0),
    ],
)
def test_what_is_wrong_with_a_row_is_said_with_its_line(
    home: Path, text: str | bytes, reason: str, line: int, row: int
) -> None:
    error = said(table(home, text), "{q}")
    assert error.reason.startswith(reason)
    assert (error.line, error.row) == (line, row)


def test_a_quote_left_open_does_not_read_the_file_into_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = csv.field_size_limit()
    monkeypatch.setattr(sources, "_MAX_CELL_CHARACTERS", 100)
    try:
        assert "field larger than field limit" in said(table(home, 'q\n"' + "a\n" * 1000), "{q}").reason
    finally:
        csv.field_size_limit(limit)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("q,q\na,b\n", "has the column 'q' more than once"),
        ("a,b\n1,2\n", "has no column q, which the prompt names; its columns are a, b"),
        ("", "is empty: it holds no row"),
        ("q,n\n", "is empty: it holds no row"),
    ],
)
def test_a_header_that_cannot_be_used_is_said_before_any_row(home: Path, text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        read(table(home, text), "{q}")


def test_a_table_is_the_same_workload_as_its_rows_as_json_lines(home: Path) -> None:
    lines = write_lines(home / "in.jsonl", ['{"q":"a","n":"1"}', '{"q":"b","n":"2"}'])
    digests = set()
    for path in (lines, table(home, "q,n\na,1\nb,2\n"), table(home, '"q"\t"n"\r\na\t1\r\n\r\nb\t2', "in.tsv")):
        workload = Workload(path, template=Template("{q}"))
        list(workload.rows())
        digests.add(workload.digest)
    assert len(digests) == 1


def test_a_limit_repeats_a_table_too(home: Path) -> None:
    rows = read(table(home, "prompt\na\nb\n"), limit=5)
    assert texts(rows) == ["a", "b", "a", "b", "a"]
    assert [row.number for row in rows] == [0, 1, 2, 3, 4]


_CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_CELL, _CELL), min_size=1))
def test_whatever_is_written_as_csv_comes_back(home: Path, cells: list[tuple[str, str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *cells])
    rows = read(table(home, out.getvalue()), "x")
    assert [tuple(columns(row).values()) for row in rows] == cells


# Parquet


@pytest.fixture
def parquet() -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        if os.environ.get("CI") == "true":
            pytest.fail("pyarrow is not installed")
        pytest.skip("pyarrow is not installed")


def test_rows_of_a_parquet_file_keep_their_types(home: Path, parquet: Any) -> None:
    arrow = importlib.import_module("pyarrow")
    path = home / "in.parquet"
    entries = [
        {"q": f"question {number}", "n": number, "max_tokens": 5 if number else None, "tags": ["a"],
         "day": datetime.date(2026, 1, 2), "price": decimal.Decimal("1.50"), "x": None, "custom_id": number}
        for number in range(1200)
    ]  # fmt: skip
    parquet.write_table(arrow.Table.from_pylist(entries), path, row_group_size=500)
    rows = read(path, "{q}: {n} {tags} {day} {price}")
    assert len(rows) == 1200
    assert texts(rows)[1199] == 'question 1199: 1199 ["a"] 2026-01-02 1.50'
    assert [row.custom_id for row in rows] == list(range(1200))
    assert [row.request.settings.max_tokens for row in rows[:2] if isinstance(row.request, ChatRequest)] == [None, 5]
    assert columns(rows[1]) == {
        "q": "question 1",
        "n": 1,
        "tags": ["a"],
        "day": "2026-01-02",
        "price": "1.50",
        "x": None,
    }


def test_what_is_wrong_with_a_parquet_file_is_said(home: Path, parquet: Any) -> None:
    arrow = importlib.import_module("pyarrow")
    path = home / "in.parquet"
    parquet.write_table(arrow.table({"q": ["a", None]}), path)
    error = said(path, "{q}")
    assert (error.reason, error.line, error.row) == ("the column q, which the prompt names, is null", 2, 1)
    with pytest.raises(BadInput, match="has no column prompt; its columns are q"):
        read(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(BadInput, match=r"in\.parquet cannot be read as Parquet after row 0"):
        read(path, "{q}")


def test_parquet_without_its_package_says_how_to_get_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = table(home, b"", "in.parquet")
    with pytest.raises(Configuration, match="needs the package pyarrow") as caught:
        read(path, "{q}")
    assert caught.value.hint == 'pip install "batchmark[parquet]"'
