"""One shard becomes one batch and never two, whatever a create answers and however late a batch shows itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchmark.domain.lifecycle import BatchRef, State
from batchmark.engine.events import Submitted, Uploading
from batchmark.engine.reconcile import intent_of, reconcile
from batchmark.engine.stage import shard_path
from batchmark.engine.submit import DamagedShard
from batchmark.errors import Ambiguous, BadCredentials, BatchmarkError, LocalTrouble, RateLimited, Refused, Retryable
from batchmark.ledger.lock import held
from batchmark.providers.seam import Submission
from tests.support import in_virtual_time
from tests.unit.engine.fakes import EPOCH, PACE, FakeProvider, Scene


@pytest.fixture
def scene(home: Path) -> Callable[..., Scene]:
    return lambda name, *script, shards=1, **more: Scene(home, FakeProvider(name, *script, **more), shards=shards)


LABELLED = ["openai", "google"]
ALL = [*LABELLED, "anthropic"]
LOST = Ambiguous("no answer from it to create; the batch may exist")


@pytest.mark.parametrize("name", ALL)
def test_a_shard_is_uploaded_intended_created_and_recorded(scene: Callable[..., Scene], name: str) -> None:
    here = scene(name)
    ref, _ = here.submit()
    shard = here.shard
    assert (shard.state, shard.batch_id, shard.file_id) == ("submitted", ref.id, "file-1")
    assert shard.sent_at == EPOCH and shard.timeout_s == 600
    batch = here.ledger.batch_of(shard.id)
    assert batch is not None and (batch.id, batch.state, batch.emulated) == (ref.id, "queued", False)
    assert [type(each) for each in here.told] == [Uploading, Submitted]


@pytest.mark.parametrize("name", LABELLED)
def test_a_lost_answer_leads_to_the_batch_by_its_label_and_to_no_second_create(
    scene: Callable[..., Scene], name: str
) -> None:
    here = scene(name, (LOST,))
    ref, _ = here.submit()
    assert (here.provider.creates, len(here.provider.batches)) == (1, 1)
    assert (here.shard.state, here.shard.batch_id) == ("submitted", ref.id)
    assert any("looking for it before anything is sent again" in each for each in here.troubles())


@pytest.mark.parametrize("visible_after_s", [10.0, 400.0, 620.0])
def test_a_batch_that_shows_itself_late_is_still_found(scene: Callable[..., Scene], visible_after_s: float) -> None:
    here = scene("openai", (LOST,), visible_after_s=visible_after_s)
    here.submit()
    assert (here.provider.creates, len(here.provider.batches), here.shard.state) == (1, 1, "submitted")


@pytest.mark.parametrize("name", ALL)
def test_only_when_the_lost_create_can_no_longer_arrive_is_it_sent_again(
    scene: Callable[..., Scene], name: str
) -> None:
    here = scene(name, LOST)
    _, passed_s = here.submit()
    assert (here.provider.creates, len(here.provider.batches)) == (2, 1)
    assert passed_s >= 600 + 2 * PACE.grace_s
    assert (here.shard.state, here.shard.file_id, here.provider.uploads) == ("submitted", "file-1", 1)


@pytest.mark.parametrize("name", ALL)
def test_a_create_that_is_never_answered_clearly_ends_with_a_word_and_not_in_a_circle(
    scene: Callable[..., Scene], name: str
) -> None:
    here = scene(name, *[LOST] * 9)
    with pytest.raises(Retryable, match="no clear answer for long"):
        here.submit()
    assert 1 < here.provider.creates < 9
    assert (here.shard.state, here.provider.batches) == ("uploaded", [])


def test_of_several_with_our_label_the_first_is_kept_and_the_others_are_cancelled(scene: Callable[..., Scene]) -> None:
    here = scene("openai", (LOST,))
    twin = here.provider.create

    async def twice(submission: Submission) -> BatchRef:
        here.provider.store(submission.label, submission.rows, age_s=1)
        return await twin(submission)

    here.provider.create = twice  # type: ignore[method-assign]  # a provider that stores what it is sent twice
    ref, _ = here.submit()
    assert ref.id == "batch_0"
    assert [each.id for each in here.provider.cancelled] == ["batch_1"]


def test_a_batch_of_somebody_else_is_never_taken_nor_cancelled(scene: Callable[..., Scene]) -> None:
    here = scene("openai", LOST)

    async def stored_before() -> None:
        here.provider.store("nightly run", 3)
        here.provider.store("bm-job1-0-2", 3)
        here.provider.store(None, 3)

    in_virtual_time(stored_before())
    ref, _ = here.submit()
    assert ref.id == "batch_3" and here.provider.cancelled == []


def end_with_results_of(scene: Scene, number: int, label: str) -> None:
    """The batch is over, and its results carry the ids of a shard."""
    batch = scene.provider.batches[number]
    scene.provider.batches[number] = replace(batch, state=State.SUCCEEDED)
    line = {"custom_id": f"{label}-0", "result": {"type": "canceled"}}
    scene.provider.results[batch.ref.id] = msgspec.json.encode(line) + b"\n"


def test_without_a_label_a_single_running_candidate_is_adopted_unconfirmed(scene: Callable[..., Scene]) -> None:
    here = scene("anthropic", (LOST,))
    ref, _ = here.submit()
    batch = here.ledger.batch_of(here.shard.id)
    assert batch is not None and (batch.id, batch.standing) == (ref.id, "unconfirmed")
    assert (here.provider.creates, here.provider.cancelled) == (1, [])


def test_without_a_label_several_running_candidates_stop_us_and_nothing_is_cancelled(
    scene: Callable[..., Scene],
) -> None:
    here = scene("anthropic", (LOST,))

    async def somebody_else() -> None:
        here.provider.store(None, 3)

    in_virtual_time(somebody_else())
    with pytest.raises(Ambiguous, match="Nothing more was sent") as caught:
        here.submit()
    assert "batch_0" in caught.value.message and "batch_1" in caught.value.message
    assert caught.value.hint is not None
    assert (here.provider.creates, here.provider.cancelled, here.shard.state) == (1, [], "intended")


def test_without_a_label_an_ended_candidate_is_taken_only_where_its_results_carry_our_ids(
    scene: Callable[..., Scene],
) -> None:
    here = scene("anthropic", LOST)

    async def two_of_the_same_size() -> None:
        here.provider.store(None, 3)
        here.provider.store(None, 3)

    in_virtual_time(two_of_the_same_size())
    end_with_results_of(here, 0, "bm-other-0-1")
    end_with_results_of(here, 1, here.shard.label)
    ref, _ = here.submit()
    batch = here.ledger.batch_of(here.shard.id)
    assert ref.id == "batch_1" and batch is not None and batch.standing == "confirmed"
    assert (here.provider.creates, here.provider.cancelled) == (1, [])


def test_without_a_label_batches_that_proved_to_be_somebody_elses_do_not_stop_us(scene: Callable[..., Scene]) -> None:
    here = scene("anthropic", LOST)

    async def somebody_else() -> None:
        here.provider.store(None, 3)

    in_virtual_time(somebody_else())
    end_with_results_of(here, 0, "bm-other-0-1")
    ref, took_s = here.submit()
    assert ref.id == "batch_1" and here.provider.creates == 2
    assert took_s >= PACE.create_timeout_s + PACE.grace_s


def test_a_batch_without_a_label_that_is_known_to_be_another_shards_is_no_candidate(
    scene: Callable[..., Scene],
) -> None:
    here = scene("anthropic", shards=2)
    first, _ = here.submit(here.shards[0])
    here.provider.script = [LOST]
    ref, _ = here.submit(here.shards[1])
    assert ref != first and len(here.provider.batches) == 2


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Refused("no such model"), "failed"),
        (Retryable("cannot reach it"), "uploaded"),
        (BadCredentials("the key was revoked"), "uploaded"),
    ],
)
def test_after_a_clear_no_the_shard_is_where_it_can_go_on_from(
    scene: Callable[..., Scene], error: BatchmarkError, state: str
) -> None:
    here = scene("openai", error)
    with pytest.raises(type(error)):
        here.submit()
    assert (here.shard.state, here.provider.creates) == (state, 1)
    assert here.shard.problem == (error.message if state == "failed" else None)
    if state == "uploaded":
        here.submit()
        assert (here.shard.state, here.provider.uploads, len(here.provider.batches)) == ("submitted", 1, 1)


def test_a_create_for_which_there_is_no_room_leaves_the_shard_uploaded_for_its_turn(
    scene: Callable[..., Scene],
) -> None:
    here = scene("openai", RateLimited("queue full", retry_after_s=50))
    with pytest.raises(RateLimited, match="queue full") as caught:
        here.submit()
    assert (caught.value.retry_after_s, here.shard.state, here.shard.file_id) == (50, "uploaded", "file-1")
    assert (here.shard.sent_at, here.shard.timeout_s) == (None, None)
    here.submit()
    assert (here.provider.creates, here.provider.uploads, here.shard.state) == (2, 1, "submitted")


def test_a_ledger_in_trouble_after_the_create_leaves_the_intent_so_that_the_batch_is_found(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scene("openai")

    def locked(*_: Any) -> bool:
        raise LocalTrouble("the ledger is locked")

    with monkeypatch.context() as patch:
        patch.setattr(here.ledger, "record_submitted", locked)
        with pytest.raises(LocalTrouble):
            here.submit()
    assert (here.shard.state, len(here.provider.batches)) == ("intended", 1)


def test_a_shard_that_another_process_is_sending_is_not_sent(scene: Callable[..., Scene]) -> None:
    here = scene("openai")
    stale = here.shard
    here.submit()
    with pytest.raises(Ambiguous, match="being sent by another process"):
        here.submit(replace(stale, state="uploaded"))
    assert here.provider.creates == 1


def test_an_interrupt_waits_for_the_answer_to_a_create_under_way(scene: Callable[..., Scene]) -> None:
    here = scene("openai")

    async def interrupted() -> None:
        work = asyncio.ensure_future(here.submitting())
        await asyncio.sleep(0.5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    in_virtual_time(interrupted())
    assert (here.shard.state, here.shard.batch_id) == ("submitted", "batch_0")


def test_an_interrupt_that_hears_a_clear_no_leaves_nothing_to_look_for(scene: Callable[..., Scene]) -> None:
    here = scene("openai", Refused("no such model"))

    async def interrupted() -> None:
        work = asyncio.ensure_future(here.submitting())
        await asyncio.sleep(0.5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    in_virtual_time(interrupted())
    assert (here.shard.state, here.shard.sent_at, here.provider.batches) == ("uploaded", None, [])


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_shard_file_that_is_not_as_it_was_written_is_never_sent(scene: Callable[..., Scene], damage: str) -> None:
    here = scene("openai")
    path = shard_path(here.home / "job", here.shard.label)
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-20] if damage == "cut" else content.replace(b"question 1", b"question 7"))
    with pytest.raises(DamagedShard, match="it was not sent"):
        here.submit()
    assert (here.provider.uploads, here.provider.creates, here.shard.state) == (0, 0, "staged")


def test_an_uploaded_file_that_may_have_expired_is_sent_anew(scene: Callable[..., Scene]) -> None:
    here = scene("google", Retryable("cannot reach it"))
    with pytest.raises(Retryable):
        here.submit()
    uploaded = here.shard
    assert (uploaded.state, uploaded.file_id) == ("uploaded", "file-1")
    life_s = here.provider.spec.limits.file_life_s
    assert life_s is not None and uploaded.uploaded_at is not None
    # the ledger keeps our own clock, so the age is put into what is given to the call
    old = replace(uploaded, uploaded_at=uploaded.uploaded_at - timedelta(seconds=0.9 * life_s))
    here.submit(old)
    assert (here.provider.uploads, here.shard.file_id, here.shard.state) == (2, "file-2", "submitted")


def test_a_file_that_was_uploaded_on_another_account_is_sent_anew_on_this_one(scene: Callable[..., Scene]) -> None:
    here = scene("openai", BadCredentials("the key was revoked"))
    with pytest.raises(BadCredentials):
        here.submit(identity="the first key")
    assert here.shard.account == "the first key"
    here.submit(identity="another key")
    assert (here.provider.uploads, here.shard.file_id, here.shard.account) == (2, "file-2", "another key")


def test_a_shard_that_was_cancelled_before_its_create_is_not_sent(scene: Callable[..., Scene]) -> None:
    here = scene("openai", Retryable("cannot reach it"))
    with pytest.raises(Retryable):
        here.submit()
    stale = here.shard
    here.ledger.record_failed(stale, "uploaded", "cancelled before it was sent")
    with pytest.raises(Refused, match="cancelled before it was sent"):
        here.submit(stale)
    assert (here.provider.creates, here.shard.state) == (1, "failed")


def test_a_create_without_an_answer_is_given_up_after_its_time_and_looked_for(scene: Callable[..., Scene]) -> None:
    here = scene("openai")
    create = here.provider.create

    async def never_answers(submission: Submission) -> BatchRef:
        await create(submission)
        await asyncio.sleep(100_000)
        raise AssertionError

    here.provider.create = never_answers  # type: ignore[method-assign]  # a provider that stores and then says nothing
    ref, passed_s = here.submit()
    assert (ref.id, here.shard.state, len(here.provider.batches)) == ("batch_0", "submitted", 1)
    assert passed_s < 2 * PACE.create_timeout_s


def test_a_batch_that_a_full_queue_turned_away_is_not_taken_for_the_next_one_of_the_same_file(
    scene: Callable[..., Scene],
) -> None:
    here = scene("openai")
    here.submit()
    batch = here.ledger.batch_of(here.shard.id)
    assert batch is not None and here.ledger.turn_away(here.shard, batch)
    here.provider.end(0, State.FAILED)
    here.provider.script = [(LOST,)]
    ref, _ = here.submit()
    assert (ref.id, here.provider.uploads, here.provider.creates) == ("batch_1", 1, 2)
    assert here.provider.labels == [here.shard.label, f"{here.shard.label}-q1"]


@pytest.mark.parametrize("name", ALL)
def test_with_another_key_a_batch_is_not_believed_never_to_have_been_made(
    scene: Callable[..., Scene], name: str
) -> None:
    here = scene(name, LOST)

    async def stopped_in_the_middle() -> None:
        work = asyncio.ensure_future(here.submitting(identity="the first key"))
        await asyncio.sleep(5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    in_virtual_time(stopped_in_the_middle())
    assert here.shard.state == "intended"
    with pytest.raises(Ambiguous, match="another key or to another address") as caught:
        in_virtual_time(reconciling(here, "another key"))
    assert caught.value.hint is not None
    assert (here.shard.state, here.provider.creates) == ("intended", 1)
    assert in_virtual_time(reconciling(here, "the first key"))[0] is None
    assert here.shard.state == "uploaded"


def test_another_key_of_the_same_account_is_known_by_the_batches_that_it_shows(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=2)
    here.submit(here.shards[0], identity="the first key")
    here.provider.script = [LOST]

    async def stopped_in_the_middle() -> None:
        work = asyncio.ensure_future(here.submitting(here.shards[1], identity="the first key"))
        await asyncio.sleep(5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    in_virtual_time(stopped_in_the_middle())
    assert in_virtual_time(reconciling(here, "another key", at=1))[0] is None
    assert here.shards[1].state == "uploaded"


async def reconciling(here: Scene, identity: str, *, at: int = 0) -> BatchRef | None:
    shard = here.shards[at]
    account = here.account(identity)
    return await reconcile(account, here.job, shard, intent_of(shard, here.job.provider), tell=here.told.append)


def test_a_shard_without_a_label_waits_for_its_turn_while_another_process_sends(scene: Callable[..., Scene]) -> None:
    here = scene("anthropic")
    turns: list[str] = []

    async def one_after_the_other() -> None:
        with held(here.home / "sending-anthropic-me.lock", "a create at anthropic"):
            work = asyncio.ensure_future(here.submitting())
            await asyncio.sleep(30)
            turns.append(here.shard.state)
        await work

    in_virtual_time(one_after_the_other())
    assert (turns, here.shard.state, here.provider.creates) == (["uploaded"], "submitted", 1)
