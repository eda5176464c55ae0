"""Turnaround times of 2,355 real batches, against an independent implementation of Kaplan and Meier's estimate."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchmark.compare.measures import measure
from batchmark.compare.observations import LeftOut, Observation, observe
from batchmark.compare.rounds import BY_DAY
from batchmark.compare.survival import fit, quantile
from batchmark.compare.timings import Timings, read_timings
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target

MINI = Target("openai", "gpt-4o-mini")


@pytest.fixture(scope="module")
def timings() -> Timings:
    """The records; tests that need them are skipped where they are absent."""
    folder = Path(os.environ.get("BATCHMARK_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
    path = folder / "openai_batch_timings.csv"
    if not path.is_file():
        pytest.skip(f"no records at {path}: set BATCHMARK_SHARED_DATA")
    with path.open("rb") as lines:
        return read_timings(lines, name=path.name, format="csv", target=MINI, windows_s={"openai": 86_400.0})


@pytest.fixture(scope="module")
def observations(timings: Timings) -> list[Observation]:
    return observe([measure(each) for each in timings.jobs])[0]


@pytest.fixture(scope="module")
def judge(observations: list[Observation]) -> Any:
    """The estimate of lifelines, whose import warns of things that are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import KaplanMeierFitter

        seconds, finished = [each.seconds for each in observations], [each.finished for each in observations]
        return KaplanMeierFitter().fit(seconds, event_observed=finished)


def test_every_record_is_a_job_and_those_without_a_censoring_time_are_in_no_curve(timings: Timings) -> None:
    assert len(timings.jobs) == 2355 and timings.kept_out == ()
    measures = [measure(each) for each in timings.jobs]
    assert Counter(each.state for each in measures) == {
        State.SUCCEEDED: 1238,
        State.CANCELLED: 1090,
        State.EXPIRED: 3,
        State.QUEUED: 13,
        State.RUNNING: 5,
        State.CANCELLING: 6,
    }
    found, left_out = observe(measures)
    assert sum(each.finished for each in found) == 1238
    assert sorted(each.seconds for each in found if not each.finished) == [86_400, 86_400, 172_855]
    assert left_out == {MINI: {LeftOut.NO_CENSORING_TIME: 1114}}
    assert any(note.startswith("1,114 records cancelled or not over") for note in timings.notes)


def test_days_are_the_rounds(timings: Timings) -> None:
    assert timings.round_is == BY_DAY
    assert {each.round for each in timings.jobs} == set(range(1, 412))


def test_requests_are_counted_only_where_they_are_told(timings: Timings) -> None:
    over = [each for each in timings.jobs if each.counted]
    assert sum(each.totals.submitted for each in over) == sum(each.rows for each in over) == 1261 + 62 + 3
    assert sum(each.totals.succeeded for each in over) == 1260
    assert sum(each.priced for each in timings.jobs) == 64


def test_the_whole_curve_and_its_quantiles_agree_with_lifelines(observations: list[Observation], judge: Any) -> None:
    curve = fit([each.seconds for each in observations], [each.finished for each in observations])
    theirs = 1.0 - judge.survival_function_at_times(curve.times_s).to_numpy()
    np.testing.assert_allclose(curve.done, theirs, rtol=0, atol=1e-6)
    table = judge.event_table[judge.event_table.observed > 0]
    np.testing.assert_array_equal(table.index.to_numpy(), curve.times_s)
    np.testing.assert_array_equal(table.at_risk.to_numpy(), curve.at_risk)
    assert quantile(curve, 0.5) == pytest.approx(judge.median_survival_time_, abs=1e-6)
    survival = judge.survival_function_["KM_estimate"]
    assert quantile(curve, 0.9) == pytest.approx(survival.index[survival <= 0.1][0], abs=1e-6)
