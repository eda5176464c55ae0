"""The JSON rendering: every raw value comes back as it went in, in the documented shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchmark.report.json import SCHEMA, render_json, to_dict
from tests.unit.report.sample_reports import HOSTILE, many_rounds_report, small_report, troubled_report


@pytest.fixture(scope="module")
def data() -> Any:
    return json.loads(render_json(troubled_report()))


def test_the_object_names_its_schema_and_its_origin(data: Any) -> None:
    assert data["schema"] == SCHEMA == "batchmark.comparison/1"
    assert data["run_id"] == "run-20261120-7f3a"
    assert data["version"] == "0.3.0"
    assert data["emulated"] is True
    assert data["created_at"] == "2026-11-20T09:30:00Z"


def test_text_and_values_are_the_same_after_a_round_trip() -> None:
    for report in (small_report(), troubled_report(), many_rounds_report()):
        assert json.loads(render_json(report)) == to_dict(report)


def test_a_target_is_written_as_users_write_it(data: Any) -> None:
    assert [each["target"] for each in data["targets"]] == [
        "openai:gpt-5-nano",
        "google:gemini-3.1-flash-lite",
        "anthropic:claude-haiku-4-5",
    ]


def test_what_is_not_known_is_null_and_never_zero(data: Any) -> None:
    google = data["targets"][1]
    assert google["cost_usd"] is None
    assert google["cost_per_1000_succeeded_usd"] is None
    running = data["jobs"][4]
    assert running["state"] == "running"
    assert running["turnaround_s"] is running["completion_s"] is running["ended_at"] is None


def test_raw_durations_counts_and_batch_times_are_there(data: Any) -> None:
    first = data["jobs"][0]
    assert (first["queue_s"], first["run_s"], first["finalize_s"], first["turnaround_s"]) == (62.0, 60.0, 4.0, 126.0)
    assert first["completion_s"] == 131.4
    assert first["batches"][0]["started_at"] == "2026-11-20T09:31:02Z"
    assert data["targets"][0]["turnaround_s"] == {
        "n": 2,
        "low": 71.0,
        "high": 126.0,
        "median": None,
        "values": [71.0, 126.0],
        "without": 0,
    }
    assert data["targets"][2]["requests"] == {
        "submitted": 96,
        "succeeded": 52,
        "errored": 5,
        "expired": 37,
        "cancelled": 0,
        "missing": 2,
    }


def test_rows_of_a_job_that_is_not_over_are_part_of_its_target(data: Any) -> None:
    google = data["targets"][1]
    assert (google["rows"], google["requests"]["submitted"]) == (96, 48)


def test_foreign_texts_are_kept_verbatim(data: Any) -> None:
    answers = data["samples"][1]["answers"]
    assert answers[0]["text"] == HOSTILE
    assert answers[1]["text"].startswith("\x1b[31mred")
    assert data["samples"][2]["prompt"].startswith("日本")
    assert answers[2] == {
        "target": "anthropic:claude-haiku-4-5",
        "outcome": "errored",
        "text": None,
        "error": "overloaded_error: Overloaded",
        "matches": None,
    }


def test_errors_keep_their_code_count_and_whether_to_ask_again(data: Any) -> None:
    errors = {each["code"]: each for each in data["targets"][2]["errors"]}
    assert errors["overloaded_error"]["count"] == 3
    assert errors["overloaded_error"]["retryable"] is True
    assert errors["invalid_request_error"]["retryable"] is False


def test_the_text_is_ascii_and_ends_in_a_newline() -> None:
    text = render_json(troubled_report())
    assert text.isascii()
    assert text.endswith("}\n")
