"""One long array is taken out of a JSON document without holding the document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchmark.emulator.scan import ArrayScan, ScanError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(items=st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=6), beside=values, indent=st.booleans())
def test_any_document_gives_back_its_items_and_the_rest(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, object]], beside: object, indent: bool
) -> None:
    path = tmp_path_factory.mktemp("scan") / "body"
    document = {"other": beside, "requests": items, "after": "requests"}
    path.write_text(json.dumps(document, indent=2 if indent else None))
    scan = ArrayScan(path, "requests")
    lines = list(scan)
    assert [json.loads(line) for line in lines] == items
    assert not any(b"\n" in line for line in lines)
    assert scan.envelope == {**document, "requests": []}


def test_items_of_any_mixture_of_shapes_are_told_apart(tmp_path: Path) -> None:
    inner: dict[str, object] = {
        "custom_id": "a",
        "params": {"tools": [{"custom_id": "b"}, {"custom_id": "c"}, {}], "text": '},{"custom_id"'},
    }
    shapes: list[dict[str, object]] = [
        {"custom_id": "x", "params": {"n": 1}},
        {},
        inner,
        {"params": {"brackets": "]}],[{"}, "custom_id": "y"},
        {"custom_id": 'quote " and \\', "params": {"deep": [[[{"custom_id": []}]]]}},
    ]
    items = [shapes[(number * number) % len(shapes)] for number in range(200)]
    path = tmp_path / "body"
    for separators in (None, (",", ":"), (" ,\n", " : ")):
        path.write_text(json.dumps({"requests": items}, separators=separators))
        assert [json.loads(line) for line in ArrayScan(path, "requests")] == items


def test_a_document_without_the_array_says_so(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_text('{"requests": 7}')
    scan = ArrayScan(path, "requests")
    assert list(scan) == []
    assert not scan.found
    assert scan.envelope == {"requests": 7}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"requests":[',
        '{"requests":[{}',
        '{"requests":[{}}',
        '{"requests":[{},]}',
        '{"requests":[{} {}]}',
        '{"requests":[1]}',
        '{"requests":[]} x',
        '{"requests":[{"a":"' + '\\"' * 200_000,
        "[" * 200_000,
    ],
)
def test_broken_documents_are_refused_quickly(tmp_path: Path, text: str) -> None:
    path = tmp_path / "body"
    path.write_text(text)
    with pytest.raises(ScanError):
        list(ArrayScan(path, "requests"))
