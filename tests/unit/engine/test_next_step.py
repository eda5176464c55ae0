"""What a shard attempt needs next, for every state that it and its batch can be in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchmark.domain.lifecycle import State
from batchmark.engine.next_step import Step, is_closed, is_under_way, next_step
from batchmark.ledger.records import BatchRecord, ShardRecord

SHARD = ShardRecord(
    id=1,
    job_id="job1",
    number=0,
    attempt=1,
    label="bm-job1-0-1",
    endpoint="/v1/x",
    rows=3,
    bytes=9,
    digest="",
    state="staged",
)
ANSWERS = {"path": "x", "sha256": "y", "bytes": 1}


def batch(state: State) -> BatchRecord:
    return BatchRecord(provider="openai", id="b", emulated=True, shard_id=1, state=state.value, raw_status="")


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("staged", Step.SUBMIT),
        ("uploaded", Step.SUBMIT),
        ("intended", Step.RECONCILE),
        ("submitted", Step.WATCH),
        ("fetched", Step.SETTLE),
        ("collected", Step.NOTHING),
        ("failed", Step.CLOSE),
    ],
)
def test_every_state_of_a_shard_has_its_next_step(state: str, step: Step) -> None:
    assert next_step(replace(SHARD, state=state), None) is step
    assert is_closed(replace(SHARD, state=state)) is (step is Step.NOTHING)


@pytest.mark.parametrize("state", list(State))
def test_only_a_batch_that_has_ended_is_collected(state: State) -> None:
    submitted = replace(SHARD, state="submitted")
    assert next_step(submitted, batch(state)) is (Step.COLLECT if state.terminal else Step.WATCH)
    assert is_under_way(submitted, batch(state)) is not state.terminal


def test_a_failed_shard_is_closed_once_its_rows_have_their_outcome() -> None:
    failed = replace(SHARD, state="failed")
    assert not is_closed(failed)
    assert is_closed(replace(failed, answers=ANSWERS))


def test_a_later_attempt_that_was_never_sent_leaves_its_rows_the_outcome_they_have() -> None:
    assert is_closed(replace(SHARD, state="failed", attempt=2))


@pytest.mark.parametrize(
    ("state", "room"),
    [
        ("staged", False),
        ("uploaded", False),
        ("intended", True),
        ("submitted", True),
        ("fetched", False),
        ("collected", False),
        ("failed", False),
    ],
)
def test_what_may_have_a_batch_takes_room_at_the_provider(state: str, room: bool) -> None:
    assert is_under_way(replace(SHARD, state=state), None) is room


def test_a_state_of_a_newer_version_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="'paused'"):
        next_step(replace(SHARD, state="paused"), None)
