"""The JSON rendering: every raw value comes back as it went in, in the documented shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from batchmark.domain.lifecycle import State
from batchmark.domain.totals import Totals
from batchmark.report.content import KeptOut, Report
from batchmark.report.json import SCHEMA, render_json, to_dict
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    GOOGLE,
    HOSTILE,
    OPENAI,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    small_report,
    troubled_report,
)


def never_done() -> Report:
    """Two targets of which no job finished: one expires, one runs on."""
    jobs = [job(OPENAI, batch(state=State.EXPIRED), id=f"a{n}", round=n) for n in range(1, 8)]
    jobs += [
        job(GOOGLE, batch(state=State.RUNNING, ended=None), id=f"b{n}", round=n, ended=None, totals=Totals())
        for n in range(1, 8)
    ]
    return report_of(jobs)


def half_done() -> Report:
    """A target whose quantiles are not reached, so that bounds are infinite, beside one that is done at once."""
    jobs = [job(OPENAI, batch(ended=0), id=f"a{n}", round=n) for n in range(1, 9)]
    for n in range(1, 14):
        state = State.SUCCEEDED if n < 7 else State.EXPIRED
        jobs.append(job(GOOGLE, batch(state=state, ended=60 * n), id=f"b{n}", round=n))
    return report_of(jobs)


REPORTS = {
    "small": small_report(),
    "troubled": troubled_report(),
    "many": many_rounds_report(),
    "simulated": simulated_report(targets=3, rounds=40),
    "never done": never_done(),
    "half done": half_done(),
    "empty": report_of([]),
    "mixed": report_of([job(OPENAI, batch(), emulated=False), job(ANTHROPIC, batch(), id="b")], emulated=False),
}


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from numbers_in(each)
    elif isinstance(value, float):
        yield value


@pytest.fixture(scope="module")
def data() -> Any:
    return json.loads(render_json(troubled_report()))


def test_the_object_names_its_schema_and_its_origin(data: Any) -> None:
    assert data["schema"] == SCHEMA == "batchmark.comparison/2"
    assert (data["kind"], data["run_ids"]) == ("runs", ["run-20261120-7f3a"])
    assert (data["seed"], data["spread_s"], data["prices_as_of"]) == (42, None, "2026-11-20")
    assert data["round_is"].startswith("one job per target")
    assert data["version"] == "0.3.0"
    assert data["emulated"] is True
    assert data["created_at"] == "2026-11-20T09:30:00Z"


def test_text_and_values_are_the_same_after_a_round_trip() -> None:
    for report in REPORTS.values():
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


@pytest.mark.parametrize("report", REPORTS.values(), ids=list(REPORTS))
def test_no_number_is_infinite_or_none_at_all(report: Report) -> None:
    text = render_json(report)
    assert not any(word in text for word in ("NaN", "Infinity"))
    assert all(abs(each) < 1e12 for each in numbers_in(json.loads(text)))


@pytest.mark.parametrize("report", REPORTS.values(), ids=list(REPORTS))
def test_every_curve_rises_from_time_to_time_and_lies_within_its_band(report: Report) -> None:
    for each in to_dict(report)["analysis"]["targets"]:
        curve, band = each["curve"], each["band"]
        assert len(curve["times_s"]) == len(curve["done"]) == len(curve["at_risk"]) == len(curve["finished"])
        assert curve["times_s"] == sorted(set(curve["times_s"]))
        assert curve["done"] == sorted(curve["done"])
        assert all(0 < value <= 1 for value in curve["done"])
        assert sum(curve["finished"]) == each["finished"]
        if band is not None:
            assert all(0 <= low <= high <= 1 for low, high in zip(band["low"], band["high"], strict=True))


def test_no_finished_job_gives_an_empty_curve_and_no_quantile() -> None:
    first, second = to_dict(never_done())["analysis"]["targets"]
    assert (first["jobs"], first["finished"], first["unfinished"]) == (7, 0, {"expired": 7})
    assert first["curve"]["times_s"] == []
    assert first["curve"]["last_s"] == 126.0
    assert first["median"]["value_s"] is first["median"]["low_s"] is None
    assert second["curve"]["last_s"] is None
    assert second["left_out"] == {"not finished, and how long it had waited is not known": 7}


def test_a_bound_that_may_lie_beyond_every_observation_is_open_and_not_infinite() -> None:
    median = to_dict(half_done())["analysis"]["targets"][1]["median"]
    assert (median["high_s"], median["open_ended"]) == (None, True)


def test_verdicts_come_with_their_sentences_and_pairs() -> None:
    verdicts = {each["question"]: each for each in to_dict(many_rounds_report())["analysis"]["verdicts"]}
    fastest = verdicts["fastest"]
    assert fastest["winner"] == "anthropic:claude-haiku-4-5"
    assert fastest["headline"].startswith("anthropic:claude-haiku-4-5: 0.644 [0.523 to 0.792] times the median time")
    assert len(fastest["evidence"]) == 3
    assert fastest["differences"][0]["p_adjusted"] == fastest["differences"][0]["p_value"] < 0.01
    alone = to_dict(small_report())["analysis"]["verdicts"]
    assert {each["headline"] for each in alone} == {None}


def test_scores_keep_their_hits_and_intervals(data: Any) -> None:
    assert data["scores"]["match"] == "contains"
    share = data["scores"]["accuracies"][0]["share"]
    assert (share["hits"], share["n"], share["value"]) == (2, 2, 1.0)
    assert data["scores"]["agreements"][0]["left"] == "openai:gpt-5-nano"


def test_hints_and_breakdowns_are_there_where_there_are_any() -> None:
    analysis = to_dict(REPORTS["simulated"])["analysis"]
    assert {each["factor"] for each in analysis["hints"]} == {1.5}
    assert analysis["breakdowns"][0]["by"] == "hour"
    assert analysis["breakdowns"][0]["parts"][0]["groups"][0]["target"] == "openai:gpt-5-nano"


def test_records_kept_out_keep_their_places() -> None:
    report = replace(small_report(), kept_out=(KeptOut(reason="no end time", count=2, places=("log.csv line 3",)),))
    assert to_dict(report)["kept_out"] == [{"reason": "no end time", "count": 2, "places": ["log.csv line 3"]}]


def test_a_job_keeps_every_measure_and_every_time_of_its_batches() -> None:
    first = to_dict(REPORTS["simulated"])["jobs"][0]
    assert first["accepted_at"] == first["submitted_at"]
    assert first["submit_s"] == 2.0
    assert first["rows_50_s"] == first["rows_100_s"] == pytest.approx(first["completion_s"])
    assert first["arrivals"] == [{"at": first["ended_at"], "rows": 48}]
    each = first["batches"][0]
    assert (each["shard"], each["attempt"]) == (0, 1)
    assert None not in (each["last_seen_at"], each["seen_ended_at"], each["collected_at"])


def test_what_the_records_do_not_tell_is_null_as_a_whole() -> None:
    silent = replace(job(OPENAI, batch()), counted=False, priced=False, totals=Totals(), origin="log.csv line 2")
    data = to_dict(report_of([silent]))
    for each in (data["targets"][0], data["jobs"][0]):
        assert each["requests"] is each["usage"] is each["cost_usd"] is each["wasted_usd"] is None
    assert data["jobs"][0]["origin"] == "log.csv line 2"
