"""The geometry of the pictures: bars start at zero, parts add up, and a job without times gets no bar."""

from __future__ import annotations

import pytest

from batchmark.compare.measures import JobFacts, measure, summarize
from batchmark.domain.lifecycle import State
from batchmark.domain.totals import Totals
from batchmark.report.picture import JobBars, outcome_parts, timeline
from tests.unit.report.sample_reports import ANTHROPIC, OPENAI, batch, job


def bars_of(*jobs: JobFacts) -> tuple[JobBars, ...]:
    return timeline([measure(each) for each in jobs]).jobs


def test_told_parts_fill_the_turnaround_and_the_longest_bar_fills_the_scale() -> None:
    (bars,) = bars_of(job(OPENAI, batch(started=20, finalizing=90, ended=100), ended=125))
    assert [part.kind for part in bars.turnaround] == ["queue", "run", "finalize"]
    assert [part.start for part in bars.turnaround] == pytest.approx([0.0, 16.0, 72.0])
    assert [part.width for part in bars.turnaround] == pytest.approx([16.0, 56.0, 8.0])
    assert bars.completion is not None
    assert bars.completion.width == pytest.approx(100.0)


def test_a_turnaround_whose_parts_are_not_told_is_one_piece() -> None:
    (bars,) = bars_of(job(ANTHROPIC, batch(ended=100)))
    assert [part.kind for part in bars.turnaround] == ["turnaround"]


def test_a_job_without_times_has_no_bar_and_says_why() -> None:
    (bars,) = bars_of(job(OPENAI, batch(state=State.EXPIRED, started=5, ended=86_400), ended=86_500))
    assert bars.turnaround == ()
    assert bars.completion is None
    assert "expired" in bars.text


def test_the_text_of_a_bar_names_both_clocks() -> None:
    (bars,) = bars_of(job(OPENAI, batch(started=20, finalizing=90, ended=100), ended=125))
    assert bars.text == (
        "openai:gpt-5-nano, round 1: turnaround 1 min 40 s by the provider's clock (queue 20 s, run 1 min 10 s, finalize 10 s); "
        "time-to-completion 2 min 05 s by our clock"
    )


@pytest.mark.parametrize("longest", [0.002, 0.7, 8.2, 126, 5_000, 86_400, 3_000_000])
def test_the_axis_starts_at_zero_and_has_few_ticks(longest: float) -> None:
    ticks = timeline([measure(job(OPENAI, batch(ended=longest), ended=None))]).ticks
    assert ticks[0].at == 0
    assert 2 <= len(ticks) <= 6
    assert ticks[-1].at <= 100.1
    assert len({tick.text for tick in ticks}) == len(ticks)


def test_no_finished_job_means_no_axis() -> None:
    assert timeline([measure(job(OPENAI, batch(state=State.RUNNING, ended=None), ended=None))]).ticks == ()


def test_a_single_failure_among_many_can_still_be_seen() -> None:
    totals = Totals(submitted=100_000, succeeded=99_999, errored=1)
    (summary,) = summarize([measure(job(OPENAI, batch(), rows=100_000, totals=totals))])
    parts = outcome_parts(summary, 100_000)
    assert [part.text for part in parts] == ["99,999 succeeded", "1 errored"]
    assert parts[1].width > 0.5
    assert sum(part.width for part in parts) == pytest.approx(100.0)


def test_requests_of_jobs_that_are_not_over_take_their_place_in_the_bar() -> None:
    (summary,) = summarize([measure(job(OPENAI, batch(state=State.RUNNING), totals=Totals()))])
    assert [part.text for part in outcome_parts(summary, 48)] == ["48 without a result"]
