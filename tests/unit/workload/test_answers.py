"""Answer lines: ours first, the user's columns beside them, and nothing there that is not meant."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from batchmark.domain.result import Failure, Outcome
from batchmark.domain.usage import Usage
from batchmark.workload.answers import Answer, decode_carried, encode_answer, encode_carried


def answer(**changes: Any) -> Answer:
    fields: dict[str, Any] = {
        "custom_id": "a",
        "row": 0,
        "outcome": Outcome.SUCCEEDED,
        "text": "four",
        "finish_reason": "stop",
        "usage": Usage(1, 2),
        "cost_usd": 0.5,
        "provider": "openai",
        "model": "m",
        "batch_id": "batch_1",
        "attempt": 1,
        "error": None,
    }
    return Answer(**fields | changes)


def written(made: Answer, columns: bytes = b"null") -> dict[str, Any]:
    line = encode_answer(made, msgspec.Raw(columns))
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_answer_has_the_promised_fields_in_order() -> None:
    assert list(written(answer())) == [
        "custom_id",
        "row",
        "outcome",
        "text",
        "finish_reason",
        "usage",
        "cost_usd",
        "provider",
        "model",
        "batch_id",
        "attempt",
        "error",
    ]


def test_columns_follow_our_own_fields_as_they_were() -> None:
    found = written(answer(), b'{"lang":"de","n":123456789012345678901234567890}')
    assert list(found)[-2:] == ["lang", "n"]
    assert found["n"] == 123456789012345678901234567890


@pytest.mark.parametrize("columns", [b"null", b"{}"])
def test_no_columns_leave_no_trace(columns: bytes) -> None:
    assert written(answer(), columns) == written(answer())


def test_an_unknown_cost_is_null_and_not_zero() -> None:
    assert written(answer(cost_usd=None))["cost_usd"] is None


def test_a_failure_says_why_and_whether_to_ask_again() -> None:
    found = written(answer(outcome=Outcome.ERRORED, text=None, error=Failure("rate_limit", "slow", True)))
    assert (found["outcome"], found["text"]) == ("errored", None)
    assert found["error"] == {"code": "rate_limit", "message": "slow", "retryable": True}


def test_vectors_parsed_json_and_tool_calls_are_there_where_they_are_meant() -> None:
    assert written(answer(embedding=[0.5]))["embedding"] == [0.5]
    assert written(answer(parsed=msgspec.Raw(b'{"a":1}')))["parsed"] == {"a": 1}
    assert written(answer(tool_calls=[{"id": "1"}]))["tool_calls"] == [{"id": "1"}]


@pytest.mark.parametrize("custom_id", [None, "a", "", 'odd "\n\\ 🔑', 2**80, -1])
@pytest.mark.parametrize("columns", [None, b'{"a":[1,{"b":null}]}'])
def test_what_is_kept_beside_a_shard_comes_back_as_it_was(custom_id: str | int | None, columns: bytes | None) -> None:
    line = encode_carried(7, custom_id, columns, True)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    found = decode_carried(line)
    assert (found.row, found.custom_id, found.wants_json) == (7, custom_id, True)
    assert bytes(found.columns) == (columns or b"null")
