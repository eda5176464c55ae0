"""Prompts from columns: what a template may hold, what it makes of a row, and what rows get that do not say otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchmark.domain.request import ChatRequest, Message, Row, Settings
from batchmark.errors import BadInput, RowError
from batchmark.workload.problems import BadColumn
from batchmark.workload.rows import Workload
from batchmark.workload.template import Template
from tests.support import write_lines

GSM8K = Path(__file__).parents[4] / "shared" / "data" / "gsm8k" / "test.jsonl"


def read(home: Path, template: Template, *entries: object) -> list[Row]:
    return list(Workload(write_lines(home / "in.jsonl", entries), template=template).rows())


def refusal(home: Path, template: Template, entry: object) -> str:
    with pytest.raises(RowError) as caught:
        read(home, template, entry)
    return caught.value.reason


def chat_of(row: Row) -> ChatRequest:
    assert isinstance(row.request, ChatRequest)
    return row.request


def columns_of(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.columns or b"{}")
    return found


# the template itself


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("{q}", "why"),
        ("a {q} b {n}{q}", "a why b 2why"),
        ("{ q }", "why"),
        ("no column", "no column"),
        ('{{"q": "{q}"}}', '{"q": "why"}'),
        ("{{{q}}}", "{why}"),
        ("{a b} {ключ} {x.y} {z!r:>5}", "1 2 3 4"),
    ],
)
def test_columns_stand_in_braces_and_doubled_braces_are_braces(prompt: str, text: str) -> None:
    row = {"q": "why", "n": 2, "a b": "1", "ключ": "2", "x.y": "3", "z!r:>5": "4"}
    assert Template(prompt).fill(row) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a {b} c", "a {b} c"),
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        (2**70, str(2**70)),
        (["a", 1, None], '["a",1,null]'),
        ({"b": "é"}, '{"b":"é"}'),
    ],
)
def test_values_are_written_as_json_writes_them_and_text_as_it_is(value: object, text: str) -> None:
    assert Template("<{a}>").fill({"a": value}) == f"<{text}>"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{q", "character 1 that opens and is not closed"),
        ("q}", "character 2 that closes what was not opened"),
        ("a {b {c}", "character 3 that opens and is not closed"),
        ("{}", "without a column at character 1"),
        ("ab{ }", "without a column at character 3"),
    ],
)
def test_a_template_that_cannot_be_read_is_said_before_any_row(prompt: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Template(prompt)


@pytest.mark.parametrize("max_tokens", [0, -1, True])
def test_a_default_that_is_no_limit_is_refused(max_tokens: int) -> None:
    with pytest.raises(BadInput, match="max_tokens must be a whole number above 0"):
        Template(None, max_tokens=max_tokens)


@given(st.text())
def test_any_text_is_a_template_or_bad_input(prompt: str) -> None:
    try:
        made = Template(prompt)
    except BadInput:
        return
    assert made.fill(dict.fromkeys(made.columns, "x")) is not None


@given(st.text())
def test_text_with_its_braces_doubled_stays_what_it_was(text: str) -> None:
    assert Template(text.replace("{", "{{").replace("}", "}}")).fill({}) == text


def test_a_missing_or_null_column_is_named() -> None:
    with pytest.raises(BadColumn, match="the row has no column q, which the prompt names; it has a, b"):
        Template("{q}").fill({"a": 1, "b": 2})
    with pytest.raises(BadColumn, match="the column q, which the prompt names, is null"):
        Template("{q}").fill({"q": None})


# rows


def test_all_columns_come_out_beside_the_answer_those_of_the_prompt_too(home: Path) -> None:
    (row,) = read(home, Template("Translate: {text}"), {"text": "hallo", "n": 1, "custom_id": "c", "model": "m"})
    assert chat_of(row).messages == (Message("user", "Translate: hallo"),)
    assert (row.custom_id, row.model, columns_of(row)) == ("c", "m", {"input_text": "hallo", "n": 1})


def test_with_a_template_only_known_parameters_are_parameters(home: Path) -> None:
    entry = {
        "q": "x",
        "max_tokens": 5,
        "temperature": 0.5,
        "n": 3,
        "temp": 20,
        "input": "i",
        "messages": [],
        "url": "u",
    }
    (row,) = read(home, Template("{q} {input}"), entry)
    assert chat_of(row).settings == Settings(max_tokens=5, temperature=0.5)
    assert columns_of(row) == {"q": "x", "n": 3, "temp": 20, "input": "i", "messages": [], "url": "u"}


def test_a_column_may_be_called_prompt(home: Path) -> None:
    (row,) = read(home, Template("Say: {prompt}"), {"prompt": "hi"})
    assert chat_of(row).messages == (Message("user", "Say: hi"),)
    assert columns_of(row) == {"prompt": "hi"}


def test_what_a_row_lacks_is_said_with_its_line(home: Path) -> None:
    with pytest.raises(RowError) as caught:
        read(home, Template("{q}"), {"q": "a"}, "", {"p": "b", "custom_id": 1})
    assert (caught.value.line, caught.value.row) == (3, 1)
    assert caught.value.reason == "the row has no column q, which the prompt names; it has p, custom_id"


def test_an_empty_prompt_is_refused(home: Path) -> None:
    assert refusal(home, Template("{q}"), {"q": "  "}) == "the prompt is empty with this row's columns in it"


@pytest.mark.parametrize("prompt", [None, "{prompt}"])
def test_defaults_are_for_rows_that_do_not_say_otherwise(home: Path, prompt: str | None) -> None:
    rows = read(
        home,
        Template(prompt, "Be brief", 7),
        {"prompt": "a"},
        {"prompt": "b", "system": "Be long", "max_completion_tokens": 9},
        {"prompt": "c", "system": None, "max_tokens": None, "temperature": 1},
    )
    assert [chat_of(row).messages[0].content for row in rows] == ["Be brief", "Be long", "Be brief"]
    assert [chat_of(row).settings.max_tokens for row in rows] == [7, 9, 7]
    assert [len(chat_of(row).messages) for row in rows] == [2, 2, 2]


def test_defaults_reach_conversations(home: Path) -> None:
    (row,) = read(home, Template(None, "Be brief"), {"messages": [{"role": "user", "content": "a"}]})
    assert chat_of(row).messages == (Message("system", "Be brief"), Message("user", "a"))


LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}}


@pytest.mark.parametrize(
    ("template", "entry", "said"),
    [
        (Template(None, "s"), LINE, "a default system cannot be given for lines of OpenAI's batch format"),
        (Template(None, "s", 5), LINE, "a default system or max_tokens cannot be given for lines of"),
        (Template("x"), LINE, "a prompt with columns cannot be used on a line of OpenAI's batch format"),
        (Template(None, None, 5), {"input": "x"}, "a default max_tokens cannot be given for texts to embed"),
    ],
)
def test_what_has_no_place_in_a_row_is_refused(
    home: Path, template: Template, entry: dict[str, Any], said: str
) -> None:
    assert refusal(home, template, entry).startswith(said)


def test_another_template_is_another_workload(home: Path) -> None:
    path = write_lines(home / "in.jsonl", [{"prompt": "a"}])
    digests = set()
    for template in (None, Template("{prompt}"), Template("{prompt}!"), Template("{prompt}", max_tokens=5)):
        workload = Workload(path, template=template)
        list(workload.rows())
        digests.add(workload.digest)
    assert len(digests) == 4


def test_a_benchmark_from_the_shelf_works(home: Path) -> None:
    if not GSM8K.exists():
        pytest.skip(f"no {GSM8K}")
    rows = list(Workload(GSM8K, template=Template("{question}")).rows())
    assert len(rows) == 1319
    for row in rows:
        columns = columns_of(row)
        assert list(columns) == ["question", "answer"]
        assert chat_of(row).messages == (Message("user", columns["question"]),)
