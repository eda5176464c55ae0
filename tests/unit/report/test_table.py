"""The comparison in words: no figure without its n, nothing that is not known shown as zero, every clock named."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from batchmark.compare.measures import JobFacts
from batchmark.domain.lifecycle import State
from batchmark.domain.totals import Totals
from batchmark.domain.usage import Usage
from batchmark.report.content import Report
from batchmark.report.table import comparison, requests_of
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    START,
    after,
    all_succeeded,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    small_report,
    troubled_report,
)


def cells(report: Report, label: str, title: str | None = None) -> tuple[str, ...]:
    """The cells of one line."""
    found = [
        line.cells
        for group in comparison(report)
        for line in group.lines
        if line.label == label and title in (None, group.title)
    ]
    assert len(found) == 1, f"{len(found)} lines called {label}"
    return found[0]


def labels(report: Report) -> list[str]:
    return [line.label for group in comparison(report) for line in group.lines]


def test_a_report_of_nothing_has_no_lines() -> None:
    assert comparison(report_of([])) == ()


def test_every_line_has_a_cell_for_every_target() -> None:
    for report in (small_report(), troubled_report(), simulated_report(targets=8, rounds=6)):
        for group in comparison(report):
            assert all(len(line.cells) == len(report.targets) for line in group.lines)


def test_durations_stand_under_the_clock_they_are_by() -> None:
    groups = {group.title: [line.label for line in group.lines] for group in comparison(small_report())}
    assert groups["Time (provider's clock)"] == [
        "Turnaround",
        "of which queue",
        "of which run",
        "of which finalize",
    ]
    assert groups["Time (our clock)"] == ["Submit", "Time-to-completion"]


def test_success_has_its_interval_and_its_counts() -> None:
    assert cells(troubled_report(), "Succeeded") == (
        "100 %, 96 of 96",
        "100 %, 48 of 48; 48 not known yet",
        "54.2 %, 52 of 96",
    )
    assert cells(troubled_report(), "No result yet") == ("0", "48", "0")


def test_what_went_wrong_for_nobody_has_no_line() -> None:
    assert {"Errored", "Expired", "Missing", "Repeated lines", "Foreign lines"} <= set(labels(troubled_report()))
    assert not {"Errored", "Expired", "Cancelled", "Missing", "Repeated lines", "Wasted"} & set(labels(small_report()))


def test_few_jobs_are_points_with_the_reasons_of_the_others() -> None:
    assert cells(troubled_report(), "Turnaround") == (
        "1 min 11 s – 2 min 06 s (n=2)",
        "6 min 18 s (n=1); 1 of 2 jobs still running",
        "45 s (n=1); 1 of 2 jobs expired",
    )
    assert "Turnaround median" not in labels(troubled_report())


def test_from_six_finished_jobs_on_there_is_a_median_with_its_interval_and_the_range_beside_it() -> None:
    report = many_rounds_report()
    assert cells(report, "Turnaround median") == (
        "1 min 06 s [1 min 03 s to 1 min 10 s]",
        "42 s [34 s to 54 s]",
    )
    assert cells(report, "Turnaround range") == ("1 min 03 s – 1 min 10 s (n=8)", "34–54 s (n=8)")
    assert "Turnaround p90" not in labels(report)


def test_p90_takes_36_finished_jobs_and_p99_takes_368() -> None:
    assert "Turnaround p90" not in labels(simulated_report(targets=2, rounds=30))
    forty = labels(simulated_report(targets=2, rounds=40))
    assert "Turnaround p90" in forty
    assert "Turnaround p99" not in forty


def test_a_target_with_too_few_jobs_says_so_beside_one_with_enough() -> None:
    jobs = [job(OPENAI, batch(ended=60 + n), id=f"a{n}", round=n) for n in range(1, 8)]
    jobs += [job(GOOGLE, batch(ended=90), id="b1", round=1)]
    report = report_of(jobs)
    assert cells(report, "Turnaround median")[1] == "not said below 6 finished jobs (n=1)"


def test_a_turnaround_from_our_polls_says_how_late_it_may_be() -> None:
    polled = replace(
        job(GOOGLE),
        batches=(replace(batch(created=None, ended=None), seen_ended_at=after(90), unseen_s=30.0),),
    )
    assert cells(report_of([polled]), "Turnaround") == ("1 min 28 s (n=1); from our polls, late by up to 30 s",)


def test_jobs_that_are_in_no_curve_are_said_with_their_reason() -> None:
    jobs = [job(OPENAI, batch()), job(GOOGLE, batch(state=State.FAILED, ended=None), id="b")]
    assert cells(report_of(jobs), "Jobs in no curve") == ("none", "1 failed")


def test_rows_on_their_way_are_shown_only_where_they_came_in_parts() -> None:
    assert "50 % of rows here" not in labels(small_report())
    parts = ((START + timedelta(seconds=60), 24), (START + timedelta(seconds=120), 24))
    report = report_of([replace(job(OPENAI, batch()), arrivals=parts)])
    assert cells(report, "50 % of rows here") == ("1 min 00 s (n=1)",)
    assert cells(report, "All rows here") == ("2 min 00 s (n=1)",)


def test_a_finished_job_that_is_too_short_for_a_rate_says_so() -> None:
    assert cells(report_of([job(OPENAI, batch(ended=0.4))]), "Requests/s") == (
        "none (n=0); 1 of 1 job too short for a rate",
    )


def test_zero_finished_jobs_have_no_rate_and_no_part_but_their_state() -> None:
    open_jobs = [
        job(OPENAI, batch(state=State.RUNNING, ended=None), id=f"a{n}", round=n, ended=None, totals=Totals())
        for n in range(1, 4)
    ]
    report = report_of(open_jobs)
    assert cells(report, "Turnaround") == ("none (n=0); 3 of 3 jobs still running",)
    assert cells(report, "Succeeded") == ("none yet; 144 not known yet",)
    assert cells(report, "Cost") == ("none yet",)
    assert not {"Requests/s", "Time-to-completion", "of which run"} & set(labels(report))


def test_where_all_failed_nothing_succeeded_and_the_denominator_stays() -> None:
    lost = Totals(submitted=48, errored=48, cost_usd=0.0)
    jobs = [
        job(target, batch(state=State.FAILED, ended=None), id=str(target), totals=lost) for target in (OPENAI, GOOGLE)
    ]
    report = report_of(jobs)
    assert cells(report, "Succeeded") == ("0 %, 0 of 48",) * 2
    assert cells(report, "Turnaround") == ("none (n=0); 1 of 1 job failed",) * 2


def not_telling(target: JobFacts) -> JobFacts:
    return replace(target, counted=False, priced=False, totals=Totals(), standard_cost_usd=None)


def test_records_that_do_not_tell_are_not_taken_for_zero() -> None:
    report = report_of([job(OPENAI, batch()), not_telling(job(GOOGLE, batch(), id="b"))])
    for label in ("Succeeded", "Input tokens", "Cost", "Cost per 1,000", "Requests/s", "Output tokens/s"):
        assert cells(report, label)[1] == "not told", label
    silent = report_of([not_telling(job(GOOGLE, batch(), rows=0))])
    assert not {"Requests", "Succeeded", "Cost"} & set(labels(silent))
    assert "Throughput" not in [group.title for group in comparison(silent)]


def test_a_sum_over_some_jobs_says_how_many_it_leaves_out() -> None:
    report = report_of([job(OPENAI, batch()), not_telling(job(OPENAI, batch(), id="b", round=2))])
    assert cells(report, "Succeeded")[0].endswith("48 of 48; 1 of 2 jobs not told")
    assert cells(report, "Input tokens")[0].endswith("; 1 of 2 jobs not told")


def test_cost_is_told_per_thousand_per_million_tokens_and_against_the_synchronous_price() -> None:
    report = small_report()
    assert cells(report, "Cost") == ("$0.00134",)
    assert cells(report, "Cost per 1,000") == ("$0.028",)
    assert cells(report, "Cost per 1M tokens") == ("$0.65",)
    assert cells(report, "Synchronous price") == ("$0.00268; batch saves 50 %",)
    assert cells(report, "Price from") == ("genai-prices 0.2.3, batch price",)


def test_an_unknown_cost_is_unknown_and_never_nothing() -> None:
    report = troubled_report()
    assert cells(report, "Cost") == ("$0.00268", "unknown", "unknown")
    assert cells(report, "Cost per 1,000")[1:] == ("unknown", "unknown")
    assert cells(report, "Price from")[1] == "no price known"


def test_what_was_paid_for_nothing_has_its_own_line() -> None:
    wasteful = all_succeeded()
    wasteful.wasted_usd = 0.0004
    report = report_of([job(OPENAI, batch(), totals=wasteful), job(ANTHROPIC, batch(), id="b")])
    assert cells(report, "Wasted") == ("$0.0004", "$0")


def test_a_batch_that_costs_more_than_a_synchronous_call_says_so() -> None:
    dear = replace(job(OPENAI, batch()), standard_cost_usd=0.001)
    assert cells(report_of([dear]), "Synchronous price") == ("$0.001; batch costs 34.2 % more",)


def test_tokens_within_tokens_are_named() -> None:
    usage = Usage(input_tokens=1000, output_tokens=500, cached_tokens=200, cache_write_tokens=50, reasoning_tokens=100)
    report = report_of([job(OPENAI, batch(), totals=Totals(submitted=48, succeeded=40, errored=8, usage=usage))])
    assert cells(report, "Input tokens") == ("1,000 (200 cached, 50 cache write)",)
    assert cells(report, "Output tokens") == ("500 (100 reasoning)",)
    assert cells(report, "Output per answer") == ("12.5",)


def test_accuracy_has_its_interval_and_names_the_way_of_matching() -> None:
    report = troubled_report()
    line = next(line for group in comparison(report) for line in group.lines if line.label == "As expected")
    assert line.note == "contains"
    assert line.cells == (
        "100 % [34.2 to 100 %], 2 of 2",
        "50 % [9.5 to 90.5 %], 1 of 2",
        "0 % [0 to 65.8 %], 0 of 2",
    )


def test_requests_of_jobs_that_are_not_over_are_counted() -> None:
    report = troubled_report()
    assert [requests_of(report, each) for each in report.summaries] == [96, 96, 96]
