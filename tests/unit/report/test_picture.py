"""The geometry of the pictures: bars begin with their round, parts follow each other, and a batch without times gets no bar."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchmark.compare.measures import BatchFacts
from batchmark.domain.lifecycle import State
from batchmark.domain.totals import Totals
from batchmark.report.picture import Timeline, costs, outcomes, timeline
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    after,
    all_succeeded,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    troubled_report,
)


def drawn(*batches: BatchFacts) -> Timeline:
    return timeline(report_of([job(OPENAI, *batches)]))


def test_the_parts_of_a_batch_follow_each_other_and_the_longest_bar_fills_the_axis() -> None:
    (lane,) = drawn(batch(started=20, finalizing=90, ended=100)).lanes
    (bar,) = lane.bars
    assert [part.kind for part in bar.parts] == ["queue", "run", "finalize"]
    assert [part.start for part in bar.parts] == pytest.approx([0.0, 20.0, 90.0])
    assert [part.width for part in bar.parts] == pytest.approx([20.0, 70.0, 10.0])
    assert bar.value == "1 min 40 s"


def test_a_download_is_as_long_as_by_our_clock_and_drawn_behind_the_end() -> None:
    fetched = replace(batch(started=20, ended=80), seen_ended_at=after(500), collected_at=after(520))
    (lane,) = drawn(fetched).lanes
    part = lane.bars[0].parts[-1]
    assert part.kind == "download"
    assert (part.start, part.width) == pytest.approx((80.0, 20.0))


def test_a_batch_whose_parts_are_not_told_is_one_piece() -> None:
    (lane,) = drawn(batch(ended=100)).lanes
    assert [part.kind for part in lane.bars[0].parts] == ["whole"]


def test_a_batch_that_is_under_way_ends_open_when_it_was_last_seen() -> None:
    (lane,) = drawn(replace(batch(state=State.RUNNING, started=10, ended=None), last_seen_at=after(60))).lanes
    (bar,) = lane.bars
    assert [part.kind for part in bar.parts] == ["queue", "open"]
    assert bar.value == "still running, 1 min 00 s"


def test_a_batch_without_times_has_no_bar_and_says_so() -> None:
    (lane,) = drawn(batch(state=State.RUNNING, created=None, ended=None)).lanes
    (bar,) = lane.bars
    assert bar.parts == ()
    assert "no times; still running" in bar.text


def test_bars_begin_with_the_first_submission_of_their_round() -> None:
    late = replace(batch(ended=100), created_at=after(50))
    report = report_of([job(OPENAI, batch(ended=100), id="a"), job(ANTHROPIC, late, id="b")])
    first, second = timeline(report).lanes
    assert first.bars[0].parts[0].start == 0
    assert second.bars[0].parts[0].start == pytest.approx(50.0)


def test_every_shard_and_every_attempt_is_a_bar_of_its_own() -> None:
    (lane,) = drawn(batch(id="x"), replace(batch(id="y"), attempt=2)).lanes
    assert [bar.label for bar in lane.bars] == ["round 1 · 1", "round 1 · 2, attempt 2"]


def test_many_batches_are_thinned_evenly_and_counted() -> None:
    found = timeline(simulated_report(targets=2, rounds=100))
    assert found.batches == 200
    assert found.shown == 60
    labels = [bar.label for bar in found.lanes[0].bars]
    assert (labels[0], labels[-1]) == ("round 1", "round 100")


def test_a_few_long_bars_run_out_of_the_axis_rather_than_press_the_others_flat() -> None:
    jobs = [job(OPENAI, batch(ended=60 + n), id=f"a{n}", round=n) for n in range(9)]
    jobs.append(job(OPENAI, batch(ended=86_400), id="long", round=9))
    found = timeline(report_of(jobs))
    (lane,) = found.lanes
    assert found.longer == 1
    assert lane.bars[-1].beyond
    assert lane.bars[-1].value == "24.0 h"
    assert all(part.start + part.width <= 100.001 for bar in lane.bars for part in bar.parts)
    assert lane.bars[0].parts[0].width > 40


@pytest.mark.parametrize("longest", [0.002, 0.7, 8.2, 126, 5_000, 86_400, 3_000_000])
def test_the_axis_starts_at_zero_and_has_few_ticks(longest: float) -> None:
    ticks = drawn(batch(ended=longest)).ticks
    assert ticks[0].at == 0
    assert 2 <= len(ticks) <= 6
    assert ticks[-1].at <= 100.1
    assert len({tick.text for tick in ticks}) == len(ticks)


def test_no_time_at_all_means_no_axis() -> None:
    assert drawn(batch(state=State.RUNNING, ended=None)).ticks == ()


def test_a_single_failure_among_many_can_still_be_seen() -> None:
    totals = Totals(submitted=100_000, succeeded=99_999, errored=1)
    (bar,) = outcomes(report_of([job(OPENAI, batch(), rows=100_000, totals=totals)]))
    assert [part.text for part in bar.parts] == ["99,999 succeeded", "1 errored"]
    assert bar.parts[1].width > 0.5
    assert sum(part.width for part in bar.parts) == pytest.approx(100.0)
    assert bar.others == "1 errored"


def test_requests_of_jobs_that_are_not_over_take_their_place_in_the_bar() -> None:
    (bar,) = outcomes(report_of([job(OPENAI, batch(state=State.RUNNING), totals=Totals())]))
    assert [part.text for part in bar.parts] == ["48 without a result"]
    assert bar.low is None


def test_the_whisker_holds_the_share_that_succeeded() -> None:
    bar = outcomes(many_rounds_report())[0]
    assert bar.low is not None
    assert bar.high is not None
    assert 0 < bar.low < 100
    assert bar.high == pytest.approx(100.0)


def test_outcomes_that_nobody_told_are_no_bar() -> None:
    (bar,) = outcomes(report_of([replace(job(OPENAI, batch()), counted=False)]))
    assert bar.parts == ()
    assert bar.value == "not known"


def test_a_cost_is_drawn_against_its_price_without_a_batch() -> None:
    (bar,) = costs(report_of([job(OPENAI, batch())]))
    assert bar.width == pytest.approx(50.0)
    assert bar.standard == pytest.approx(100.0)
    assert bar.saving == "50 % less than $0.0559 without a batch"


def test_wasted_spend_is_part_of_the_bar_and_an_unknown_cost_is_no_bar() -> None:
    totals = all_succeeded()
    totals.wasted_usd = 0.000671
    paid, unknown = costs(
        report_of([job(OPENAI, batch(), totals=totals), job(GOOGLE, batch(), totals=all_succeeded(cost_usd=None))])
    )
    assert paid.width is not None
    assert paid.wasted == pytest.approx(paid.width / 2)
    assert "of which wasted $0.014" in paid.saving
    assert unknown.width is None
    assert unknown.value == "unknown"


def test_a_troubled_report_can_be_drawn_whole() -> None:
    report = troubled_report()
    assert len(timeline(report).lanes) == len(outcomes(report)) == len(costs(report)) == 3
