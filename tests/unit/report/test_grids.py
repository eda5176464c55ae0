"""The small tables: chances that never fall, pairs with their uncertainty, breakdowns only where they say something."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from batchmark.domain.lifecycle import State
from batchmark.report.content import Report, Scores
from batchmark.report.grids import Grid, breakdown_grids, chances_grid, pairs_grid
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    small_report,
    troubled_report,
)


def chances_of(report: Report) -> Grid:
    grid = chances_grid(report)
    assert grid is not None
    return grid


@pytest.mark.parametrize("rounds", [6, 20, 150])
def test_a_chance_never_falls_with_time_and_lies_within_its_interval(rounds: int) -> None:
    grid = chances_of(simulated_report(targets=4, rounds=rounds))
    assert 4 <= len(grid.columns) <= 8
    for row in grid.rows:
        shares = []
        for cell in row[2:]:
            found = re.fullmatch(r"(\d+) %(?: \[(\d+)–(\d+)\])?", cell)
            if found is None:
                assert cell == "-"
                continue
            shares.append(int(found[1]))
            if found[2] is not None:
                assert int(found[2]) <= int(found[1]) <= int(found[3])
        assert shares == sorted(shares)


def test_the_times_are_round_ones_from_the_first_jobs_to_the_last() -> None:
    assert chances_of(simulated_report(targets=3, rounds=20)).columns[2:] == (
        "10 s",
        "30 s",
        "1 min",
        "5 min",
        "10 min",
        "30 min",
    )


def test_beyond_the_last_observation_nothing_is_said() -> None:
    jobs = [job(OPENAI, batch(ended=60 * n), id=f"a{n}", round=n) for n in range(1, 9)]
    for n in range(1, 9):
        state = State.SUCCEEDED if n < 4 else State.CANCELLED
        jobs.append(job(GOOGLE, batch(state=state, ended=30 + 10 * n), id=f"b{n}", round=n))
    grid = chances_of(report_of(jobs))
    assert grid.rows[1][-1] == "-"
    assert grid.rows[0][-1] == "100 %"
    assert "- beyond the last observation" in str(grid.note)


def test_fewer_than_six_jobs_are_no_share() -> None:
    assert chances_grid(small_report()) is None
    assert chances_grid(troubled_report()) is None
    assert chances_grid(report_of([])) is None


def test_no_job_that_finished_means_no_curve() -> None:
    jobs = [job(OPENAI, batch(state=State.EXPIRED), id=f"a{n}", round=n) for n in range(1, 9)]
    assert chances_grid(report_of(jobs)) is None


def test_in_a_mixed_report_the_emulated_row_is_marked() -> None:
    jobs = [job(OPENAI, batch(ended=60 + n), id=f"a{n}", round=n, emulated=False) for n in range(1, 8)]
    jobs += [job(ANTHROPIC, batch(ended=30 + n), id=f"b{n}", round=n) for n in range(1, 8)]
    assert [row[0] for row in chances_of(report_of(jobs)).rows] == [
        "openai:gpt-5-nano",
        "anthropic:claude-haiku-4-5 (emulated)",
    ]


def test_a_pair_has_its_ratio_with_interval_its_p_and_its_agreement() -> None:
    grid = pairs_grid(many_rounds_report())
    assert grid is not None
    assert grid.columns == ("", "ratio of medians", "p", "same answer")
    assert grid.rows == (
        (
            "openai:gpt-5-nano / anthropic:claude-haiku-4-5",
            "1.55 [1.26 to 1.91]",
            "0.008",
            "0 % [0 to 16.1 %], 0 of 20",
        ),
    )


def test_pairs_that_are_not_told_apart_say_how_many_rounds_would_tell() -> None:
    grid = pairs_grid(simulated_report(targets=3, rounds=20))
    assert grid is not None
    assert grid.columns == ("", "ratio of medians", "p", "more rounds")
    assert [row[0] for row in grid.rows] == [
        "openai:gpt-5-nano / google:gemini-3.1-flash-lite",
        "openai:gpt-5-nano / anthropic:claude-haiku-4-5",
        "google:gemini-3.1-flash-lite / anthropic:claude-haiku-4-5",
    ]
    assert all(row[3].startswith("about ") for row in grid.rows)
    assert "after Holm" in str(grid.note)


def test_pairs_of_which_nothing_is_known_have_no_table() -> None:
    assert pairs_grid(small_report()) is None
    assert pairs_grid(replace(troubled_report(), scores=Scores(match=None))) is None


def test_a_breakdown_has_a_row_for_every_hour_and_one_unit() -> None:
    (grid,) = breakdown_grids(simulated_report(targets=3, rounds=150))
    assert grid.title == "Median turnaround in seconds, by hour of submission (UTC)"
    assert [row[0] for row in grid.rows] == [f"{hour:02}:00" for hour in range(24)]
    assert re.fullmatch(r"[\d.]+ \[[\d.]+–[\d.]+\] \(n=\d+( of \d+)?\)|\(n=\d+( of \d+)?\)", grid.rows[0][1])


def test_a_breakdown_without_a_single_median_is_left_out() -> None:
    report = simulated_report(targets=3, rounds=20)
    assert report.analysis.breakdowns
    assert breakdown_grids(report) == ()
