"""The page's own tables say as much as the data carry, and why they say no more."""

from __future__ import annotations

from dataclasses import replace

from batchmark.compare.measures import JobFacts
from batchmark.domain.lifecycle import State
from batchmark.report.sections import breakdowns, curve_text, lanes_text, pairs, quantiles
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    OPENAI,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    small_report,
    troubled_report,
)


def running(id: str) -> JobFacts:
    return job(OPENAI, batch(state=State.RUNNING, ended=None), id=id, ended=None)


def test_a_curve_needs_two_jobs_of_a_target_and_one_that_finished() -> None:
    assert (
        curve_text(small_report())
        == "One job of a target is a point, not a curve. Done: openai:gpt-5-nano after 2 min 06 s."
    )
    assert (
        curve_text(report_of([running("a"), running("b")]))
        == "No job finished with a time, so there is no curve to draw."
    )
    assert curve_text(troubled_report()) is None


def test_points_need_two_jobs() -> None:
    assert lanes_text(small_report()) is not None
    assert lanes_text(many_rounds_report()) is None


def test_clocks_of_whole_seconds_may_tell_no_time_to_draw() -> None:
    report = report_of([job(OPENAI, batch(ended=0), id=f"a{n}", round=n) for n in range(3)])
    assert curve_text(report) == "Every job was done in less time than the clock tells, so there is no curve to draw."
    assert lanes_text(report) == "No job took a time that the clock tells."


def test_quantiles_stand_only_where_some_target_has_enough_jobs() -> None:
    assert quantiles(troubled_report()) is None
    grid = quantiles(many_rounds_report())
    assert grid is not None
    assert grid.columns == ("Target", "Jobs", "Median")
    assert grid.rows[0][:2] == ("openai:gpt-5-nano", "8 of 8 finished")


def test_every_pair_has_its_ratio_rounds_and_both_p_values() -> None:
    grid = pairs(simulated_report(targets=3, rounds=20))
    assert grid is not None
    assert len(grid.rows) == 3
    row = dict(zip(grid.columns, grid.rows[0], strict=True))
    assert row["First / second"] == "openai:gpt-5-nano / google:gemini-3.1-flash-lite"
    assert row["Rounds"] == "20"
    assert row["p"] == row["p after Holm"] == "0.770"
    assert row["Ratio"].startswith("0.906 [")
    assert row["Rounds more"].startswith("about ")


def test_pairs_of_few_rounds_are_not_tested() -> None:
    grid = pairs(troubled_report())
    assert grid is not None
    assert {row[3] for row in grid.rows} == {"not tested"}


def test_one_target_has_no_pairs() -> None:
    assert pairs(small_report()) is None


def test_a_breakdown_counts_the_jobs_behind_every_cell() -> None:
    (grid,) = breakdowns(simulated_report(targets=2, rounds=20))
    assert grid.columns[0] == "Hour"
    assert all("(n=" in cell or cell == "–" for row in grid.rows for cell in row[1:])


def test_sizes_are_told_apart_where_they_differ() -> None:
    jobs = [replace(job(ANTHROPIC, batch(), id=f"a{n}", round=n), rows=48 if n % 2 else 4_800) for n in range(1, 15)]
    (grid,) = breakdowns(report_of(jobs))
    assert [row[0] for row in grid.rows] == ["11 to 100", "1,001 to 10,000"]
    assert "(n=7)" in grid.rows[0][1]
