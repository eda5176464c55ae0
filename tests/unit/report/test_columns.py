"""The raw values inside a page: every way to write a column gives back what went in, and nothing is left out unsaid."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchmark.compare.survival import done_by
from batchmark.report.columns import column, page_data
from tests.unit.report.sample_reports import (
    OPENAI,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    troubled_report,
)


def decoded(values: Any, count: int) -> list[Any]:
    """What the page's script makes of a column."""
    if isinstance(values, list):
        return values
    if "words" in values:
        return [values["words"][place] for place in values["at"]]
    if "steps" in values:
        found, total = [], 0
        for step in values["steps"]:
            total += step
            found.append(total)
        return found
    found = [values["all"] if "all" in values else values["else"]] * count
    for place, value in values.get("few", {}).items():
        found[int(place)] = value
    return found


@given(st.lists(st.none() | st.integers(-5, 5) | st.booleans() | st.sampled_from(["", "a", "running"])))
def test_a_column_gives_back_its_values(values: list[Any]) -> None:
    back = decoded(json.loads(json.dumps(column(values))), len(values))
    assert [(type(each), each) for each in back] == [(type(each), each) for each in values]


@pytest.mark.parametrize(
    ("values", "way"),
    [
        ([7] * 50, "all"),
        ([None] * 49 + [3], "few"),
        (["succeeded", "expired"] * 30, "words"),
        (list(range(100_000, 100_050)), "steps"),
    ],
)
def test_a_column_is_written_in_its_shortest_way(values: list[Any], way: str) -> None:
    found = column(values)
    assert isinstance(found, dict)
    assert way in found


def test_every_job_is_there_with_its_figures() -> None:
    report = simulated_report(targets=3, rounds=20)
    columns = {name: decoded(each, 60) for name, each in page_data(report)["jobs"]["columns"].items()}
    assert columns["id"] == [each.job.id for each in report.jobs]
    for place, each in enumerate(report.jobs):
        assert report.targets[columns["target"][place]] == each.job.target
        assert columns["state"][place] == each.state.value
        wanted = each.turnaround_s
        assert columns["turnaround_ms"][place] == (None if wanted is None else round(wanted * 1000))
        cost = each.job.totals.cost_usd
        assert cost is None or columns["cost_nano_usd"][place] == pytest.approx(cost * 1e9, abs=0.5)


def test_what_is_not_told_is_null_and_never_zero() -> None:
    silent = replace(job(OPENAI, batch()), counted=False, priced=False)
    columns = page_data(report_of([silent]))["jobs"]["columns"]
    assert columns["succeeded"] == {"all": None}
    assert columns["input_tokens"] == {"all": None}


def test_the_curve_is_the_one_of_the_analysis() -> None:
    report = many_rounds_report()
    curve = page_data(report)["curve"]
    times = decoded(curve["times_ms"], 0)
    for analysis, each in zip(report.analysis.targets, curve["targets"], strict=True):
        done = decoded(each["done"], len(times))
        assert done == [round(10_000 * done_by(analysis.curve, ms / 1000)) for ms in times]


def test_a_curve_of_many_steps_is_sampled_and_ends_where_it_ends() -> None:
    report = simulated_report(targets=2, rounds=600)
    curve = page_data(report)["curve"]
    times = decoded(curve["times_ms"], 0)
    assert len(times) == 1_000
    for analysis, each in zip(report.analysis.targets, curve["targets"], strict=True):
        done = [value for value in decoded(each["done"], len(times)) if value is not None]
        assert done == sorted(done)
        assert done[-1] == pytest.approx(10_000 * float(analysis.curve.done[-1]), abs=1)


def test_a_curve_says_nothing_beyond_its_last_observation() -> None:
    curve = page_data(troubled_report())["curve"]
    times = decoded(curve["times_ms"], 0)
    expired = decoded(curve["targets"][2]["done"], len(times))
    assert times[-1] == pytest.approx(86_400_000)
    assert expired[-1] == 5_000


def test_columns_are_left_out_in_order_and_named() -> None:
    report = simulated_report(targets=2, rounds=20)
    everything = page_data(report)
    assert everything["left_out"] == []
    without_ids = page_data(report, save_bytes=10)
    assert without_ids["left_out"] == ["batches"]
    least = page_data(report, save_bytes=10_000_000)
    assert set(least["left_out"]) | set(least["jobs"]["columns"]) == set(everything["jobs"]["columns"])
    assert {"id", "state", "turnaround_ms", "unfinished_ms", "submitted_ms"} <= set(least["jobs"]["columns"])
