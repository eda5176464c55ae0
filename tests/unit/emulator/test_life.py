"""The state of a batch at any moment follows from its schedule and a few recorded facts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from batchmark.emulator.clock import SECOND, ns
from batchmark.emulator.life import Facts, Phase, progress, standing
from batchmark.emulator.profiles import Schedule

PLAN = Schedule(validate_s=10, queue_s=5, run_s=100, finalize_s=2, cancel_s=30, drain_s=20, window_s=86_400)
NEW = Facts(schedule=PLAN, created_at=0)
READ = replace(NEW, checked_at=ns(1))
ANSWERED = replace(READ, answered_at=ns(40))
SETTLED = replace(ANSWERED, settled_at=ns(50))


def phase(facts: Facts, at_s: float) -> Phase:
    return standing(facts, ns(at_s)).phase


def test_a_batch_passes_through_its_states_on_schedule() -> None:
    moments = {0: Phase.VALIDATING, 9.9: Phase.VALIDATING, 10: Phase.QUEUED, 15: Phase.RUNNING, 114.9: Phase.RUNNING}
    moments |= {115: Phase.FINALIZING, 116.9: Phase.FINALIZING, 117: Phase.SUCCEEDED, 1e6: Phase.SUCCEEDED}
    assert {at: phase(SETTLED, at) for at in moments} == moments
    end = standing(SETTLED, ns(200))
    assert (end.validated_at, end.begun_at, end.finalizing_at, end.ended_at) == (ns(10), ns(15), ns(115), ns(117))


def test_it_stays_running_until_the_last_answer_is_there() -> None:
    assert phase(READ, 5_000) is Phase.RUNNING
    assert standing(READ, ns(5_000)).held
    late = replace(READ, answered_at=ns(5_000), settled_at=ns(5_001))
    assert phase(late, 5_001.9) is Phase.FINALIZING
    assert standing(late, ns(6_000)).ended_at == ns(5_002)


def test_an_input_read_late_delays_all_that_follows() -> None:
    late = replace(NEW, checked_at=ns(60))
    assert standing(late, ns(59)).held
    assert phase(late, 60) is Phase.QUEUED
    assert standing(late, ns(70)).begun_at == ns(65)


def test_a_bad_input_fails_when_validation_ends() -> None:
    bad = replace(READ, refused=True, settled_at=ns(10))
    assert phase(bad, 9) is Phase.VALIDATING
    assert standing(bad, ns(10)).ended_at == ns(10)
    assert phase(bad, 10) is Phase.FAILED


def test_a_cancelled_batch_is_cancelling_until_its_files_are_there() -> None:
    asked = replace(READ, cancel_at=ns(50))
    assert phase(asked, 79) is Phase.CANCELLING
    assert phase(asked, 1_000) is Phase.CANCELLING
    assert standing(asked, ns(1_000)).held
    done = replace(asked, settled_at=ns(80))
    assert phase(done, 80) is Phase.CANCELLED
    assert standing(done, ns(81)).ended_at == ns(80)


def test_cancelling_before_validation_leaves_no_sign_of_a_start() -> None:
    asked = replace(READ, cancel_at=ns(3), settled_at=ns(33))
    end = standing(asked, ns(40))
    assert (end.phase, end.validated_at, end.begun_at) == (Phase.CANCELLED, None, None)


def test_a_batch_cut_off_by_its_window_expires_after_a_drain() -> None:
    cut = replace(READ, expired=True, settled_at=ns(86_420))
    assert phase(cut, 86_419) is Phase.FINALIZING
    end = standing(cut, ns(86_420))
    assert (end.phase, end.finalizing_at, end.ended_at) == (Phase.EXPIRED, ns(86_400), ns(86_420))


def test_progress_follows_the_schedule_and_stops_at_a_cancel_request() -> None:
    assert progress(READ, ns(14)) == 0
    assert progress(READ, ns(65)) == 0.5
    assert progress(READ, ns(900)) == 1
    assert progress(replace(READ, cancel_at=ns(40)), ns(900)) == 0.25


times = st.integers(min_value=0, max_value=200_000 * SECOND)


@given(facts=st.sampled_from([SETTLED, replace(SETTLED, cancel_at=ns(60), settled_at=ns(90))]), one=times, two=times)
def test_once_ended_nothing_changes_and_before_it_no_state_comes_back(facts: Facts, one: int, two: int) -> None:
    early, late = sorted((one, two))
    before, after = standing(facts, early), standing(facts, late)
    if before.phase.terminal:
        assert after == before
    for earlier, later in ((before.begun_at, after.begun_at), (before.finalizing_at, after.finalizing_at)):
        assert earlier is None or earlier == later
