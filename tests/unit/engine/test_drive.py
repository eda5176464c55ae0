"""The conductor on an account in memory: what waits for room, what is waited for, and what stops a run without losing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from batchmark.domain.lifecycle import BatchRef, Snapshot, State
from batchmark.engine.account import answers_path
from batchmark.engine.dispatch import Kind
from batchmark.engine.pace import Pace
from batchmark.engine.stage import shard_path
from batchmark.engine.stall import Policy
from batchmark.errors import (
    Ambiguous,
    BadCredentials,
    BadInput,
    LocalTrouble,
    NotFound,
    RateLimited,
    Refused,
    Retryable,
)
from tests.support import answers_in, in_virtual_time
from tests.unit.engine.fakes import FakeProvider, Scene

FULL = RateLimited("openai has no room")


@pytest.fixture
def scene(home: Path) -> Callable[..., Scene]:
    def make(name: str, *script: object, shards: int = 1, pace: Pace | None = None, **more: Any) -> Scene:
        provider = FakeProvider(name, *script, **{"lasts_s": 300.0, **more})
        return Scene(home, provider, shards=shards, pace=pace or Pace(grace_s=30))

    return make


def drive(here: Scene, **options: Any) -> float:
    """Drive to the end; how long it is believed to have taken."""
    totals, passed_s = in_virtual_time(here.conductor(**options).drive())
    assert list(totals) == ["job1"]
    return passed_s


def answered(here: Scene) -> list[dict[str, Any]]:
    return answers_in(answers_path(here.home, here.job))


@pytest.mark.parametrize("name", ["openai", "google", "anthropic"])
def test_a_job_of_many_shards_is_sent_watched_collected_and_merged(scene: Callable[..., Scene], name: str) -> None:
    here = scene(name, shards=7)
    drive(here)
    assert [each["row"] for each in answered(here)] == list(range(21))
    assert {each["outcome"] for each in answered(here)} == {"succeeded"}
    assert (here.provider.creates, len(here.provider.batches)) == (7, 7)
    assert sorted(here.dispatcher.ran) == sorted(
        (kind, shard.label) for shard in here.shards for kind in (Kind.SUBMIT, Kind.COLLECT)
    )


def test_a_queue_that_is_full_is_waited_for(scene: Callable[..., Scene]) -> None:
    here = scene("openai", RateLimited("queue full", retry_after_s=50), RateLimited("queue full"))
    passed_s = drive(here)
    assert (here.provider.creates, here.provider.uploads, here.shard.state) == (3, 1, "collected")
    assert passed_s >= 50 + 5 + 300
    # said once, not at every refusal at the same number of batches
    assert [each.partition(";")[0] for each in here.troubles()] == ["queue full"]


def test_a_room_of_three_is_found_and_never_overfilled_for_long(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=12, room=lambda account: FULL if account.running() >= 3 else None)
    drive(here)
    assert len(answered(here)) == 36
    assert here.provider.most_running == 3
    # it was learnt, not hammered: one refusal for each of the creates that were under way together, and the probes
    assert here.provider.creates - 12 <= 8


def test_room_that_grows_is_found_by_a_probe(scene: Callable[..., Scene]) -> None:
    def room(account: FakeProvider) -> BaseException | None:
        wide = asyncio.get_running_loop().time() > 2_000
        return FULL if account.running() >= (6 if wide else 2) else None

    here = scene("openai", shards=40, room=room)
    drive(here)
    assert here.provider.most_running > 3
    assert len(answered(here)) == 120


def test_the_users_in_flight_is_kept(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=6)
    drive(here, in_flight=2)
    assert here.provider.most_running == 2


def test_without_labels_one_create_is_under_way_at_a_time(scene: Callable[..., Scene]) -> None:
    here = scene("anthropic", shards=5)
    create, under_way, most = here.provider.create, 0, 0

    async def counted(submission: Any) -> BatchRef:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await create(submission)
        finally:
            under_way -= 1

    here.provider.create = counted  # type: ignore[method-assign]
    drive(here)
    assert (most, here.provider.most_running) == (1, 5)


def test_a_shard_that_is_refused_does_not_stop_the_others(scene: Callable[..., Scene]) -> None:
    here = scene("openai", None, Refused("line 2 is bad"), shards=3)
    drive(here)
    assert sorted(shard.state for shard in here.shards) == ["collected", "collected", "failed"]
    assert [each["outcome"] for each in answered(here)].count("errored") == 3
    job = here.ledger.job("job1")
    assert job is not None and job.problem == "line 2 is bad"


def test_sending_returns_the_first_refusal_once_the_others_are_sent(scene: Callable[..., Scene]) -> None:
    here = scene("openai", Refused("line 2 is bad"), shards=3)
    refused, _ = in_virtual_time(here.conductor().send())
    assert refused is not None and refused.message == "line 2 is bad"
    assert sorted(shard.state for shard in here.shards) == ["failed", "submitted", "submitted"]
    job = here.ledger.job("job1")
    assert job is not None and job.ended_at is None


def test_sending_stops_where_there_is_no_more_room(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=5)
    refused, _ = in_virtual_time(here.conductor(in_flight=2).send())
    assert refused is None
    assert sorted(shard.state for shard in here.shards) == ["staged"] * 3 + ["submitted"] * 2


def test_a_key_that_is_revoked_stops_the_run_and_a_good_one_goes_on(scene: Callable[..., Scene]) -> None:
    here = scene("openai", None, BadCredentials("the key was revoked"), shards=6)
    with pytest.raises(BadCredentials):
        in_virtual_time(here.conductor().drive())
    assert here.provider.creates < 6
    assert "failed" not in {shard.state for shard in here.shards}
    drive(here)
    assert len(here.provider.batches) == 6
    assert {each["outcome"] for each in answered(here)} == {"succeeded"}


def test_a_provider_that_cannot_be_reached_stops_the_run_after_our_patience(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=2)

    async def unreachable() -> datetime:
        raise Retryable("cannot reach openai")

    now = here.provider.now
    here.provider.now = unreachable  # type: ignore[method-assign]
    with pytest.raises(Retryable, match="cannot reach openai"):
        in_virtual_time(here.conductor().drive())
    assert {shard.state for shard in here.shards} == {"uploaded"}
    here.provider.now = now  # type: ignore[method-assign]
    drive(here)
    assert len(here.provider.batches) == 2


def test_a_shard_in_doubt_lets_the_others_go_on_and_then_stops_the_run(scene: Callable[..., Scene]) -> None:
    here = scene("anthropic", shards=3)
    lost = here.shards[0]

    async def two_that_may_be_it() -> None:
        for _ in range(2):
            here.provider.store(None, lost.rows)
        await here.account().provider.now()

    in_virtual_time(two_that_may_be_it())
    here.provider.lasts_s = None
    here.provider.script = [Ambiguous("no answer to create")]
    with pytest.raises(Ambiguous, match="may be shard"):
        in_virtual_time(here.conductor().drive())
    states = {shard.number: shard.state for shard in here.shards}
    assert states[0] == "intended"
    # without labels nothing more is sent while one is in doubt
    assert (states[1], states[2]) == ("staged", "staged")
    assert here.provider.cancelled == []


def test_with_labels_the_others_are_finished_while_one_is_in_doubt(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=3)
    create = here.provider.create

    async def denied(submission: Any) -> BatchRef:
        ref = await create(submission)
        if submission.label.endswith("-0-1"):
            raise Ambiguous("no answer to create")
        return ref

    here.provider.create = denied  # type: ignore[method-assign]
    drive(here)
    # its label leads to it
    assert (len(here.provider.batches), len(answered(here))) == (3, 9)
    assert {each["outcome"] for each in answered(here)} == {"succeeded"}


def test_a_damaged_shard_file_stops_the_run_unless_it_can_be_made_again(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=2)
    path = shard_path(here.home / "job", here.shards[1].label)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(LocalTrouble, match="is not as it was written"):
        in_virtual_time(here.conductor().drive())
    assert "batch" not in here.shards[1].state and here.shards[1].batch_id is None

    def mend(job: Any, shard: Any) -> bool:
        path.write_bytes(content)
        return True

    conductor = here.conductor()
    conductor._rebuild = mend  # what the use case gives
    in_virtual_time(conductor.drive())
    assert len(answered(here)) == 6
    assert any("has been made again" in each for each in here.troubles())


# money


def with_costs(here: Scene, most_usd: float) -> None:
    """What each shard may cost at most."""
    import sqlalchemy

    from batchmark.ledger.tables import shards

    with here.ledger.transaction() as connection:
        for shard in here.shards:
            estimate = {**(shard.estimate or {}), "most_cost_usd": most_usd, "input_cost_usd": 0.0}
            connection.execute(sqlalchemy.update(shards).where(shards.c.id == shard.id).values(estimate=estimate))


def test_nothing_more_is_sent_once_the_money_may_be_gone_and_what_is_paid_for_is_kept(
    scene: Callable[..., Scene],
) -> None:
    here = scene("openai", shards=5)
    here.job = replace(here.job, model="gpt-5-nano")
    with_costs(here, 1.0)
    with pytest.raises(BadInput, match="stopped at --max-cost") as caught:
        # a model without a price: what was spent cannot be told, so only two may ever be under way
        in_virtual_time(here.conductor(max_cost_usd=2.0).drive())
    assert caught.value.hint is not None and "resume run1" in caught.value.hint
    states = sorted(shard.state for shard in here.shards)
    assert states == ["collected", "collected", "staged", "staged", "staged"]
    assert len(here.provider.batches) == 2
    drive(here, max_cost_usd=None)
    assert len(here.provider.batches) == 5


# batches that take too long


def test_a_late_batch_is_spoken_of_once_for_every_step_with_what_can_be_done(scene: Callable[..., Scene]) -> None:
    here = scene("openai", lasts_s=23 * 3600.0)
    drive(here)
    late = [each for each in here.troubles() if "To do:" in each]
    assert len(late) == 3
    assert "later than 95 % of earlier ones" in late[0]
    assert "half of its window is over" in late[1] and "nine tenths" in late[2]
    assert all("batchmark cancel run1" in each and "Nothing is lost" in each for each in late)
    assert here.provider.cancelled == []


def test_many_late_batches_are_one_sentence(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=5, lasts_s=8 * 3600.0)
    drive(here)
    late = [each for each in here.troubles() if "To do:" in each]
    assert len(late) <= 2 and "5 batches are" in late[-1]


class Stoppable(FakeProvider):
    """An account where the first batch never ends unless it is cancelled; then it has answered nothing."""

    async def cancel(self, ref: BatchRef) -> None:
        await super().cancel(ref)
        number = int(ref.id.removeprefix("batch_"))
        self.results[ref.id] = b""
        self.end(number, State.CANCELLED)

    def _age(self) -> None:
        kept = self.batches[:1]
        super()._age()
        if kept and not self.cancelled:
            self.batches[0] = kept[0]


def test_a_stuck_batch_is_cancelled_and_asked_again_where_that_is_wanted(home: Path) -> None:
    here = Scene(home, Stoppable("openai", lasts_s=300.0), shards=2)
    drive(here, stall=Policy.CANCEL_AND_RETRY, attempts=2)
    assert [ref.id for ref in here.provider.cancelled] == ["batch_0"]
    assert any("it is stuck" in each for each in here.troubles())
    assert {each["outcome"] for each in answered(here)} == {"succeeded"}
    assert sorted(each["attempt"] for each in answered(here)) == [1, 1, 1, 2, 2, 2]


def test_a_stuck_batch_stops_the_run_where_that_is_wanted_and_is_left_alone(home: Path) -> None:
    here = Scene(home, Stoppable("openai", lasts_s=300.0), shards=2)
    with pytest.raises(Retryable, match="stopped: batch_0 has been under way for") as caught:
        in_virtual_time(here.conductor(stall=Policy.STOP).drive())
    assert caught.value.hint is not None and "resume run1" in caught.value.hint
    assert here.provider.cancelled == []
    assert sorted(shard.state for shard in here.shards) == ["collected", "submitted"]


def test_a_batch_whose_expiry_gives_nothing_is_cancelled_minutes_before(home: Path) -> None:
    here = Scene(home, Stoppable("google", lasts_s=300.0))
    passed_s = drive(here, attempts=2)
    assert [ref.id for ref in here.provider.cancelled] == ["batch_0"]
    expires_s = here.provider.spec.limits.expires_s
    assert expires_s - 1200 < passed_s < expires_s + 3600
    assert {(each["outcome"], each["attempt"]) for each in answered(here)} == {("succeeded", 2)}


# cancelled by the user meanwhile


def test_a_job_that_is_cancelled_elsewhere_asks_no_row_again(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=2)
    get = here.provider.get

    async def cancelled_meanwhile(ref: BatchRef) -> Snapshot:
        here.ledger.record_cancel_asked("job1")
        here.provider.results[ref.id] = b""
        return await get(ref)

    here.provider.get = cancelled_meanwhile  # type: ignore[method-assign]
    drive(here, attempts=3)
    assert len(here.provider.batches) == 2
    assert {(each["outcome"], each["attempt"]) for each in answered(here)} == {("missing", 1)}


def test_a_batch_whose_create_was_still_being_answered_when_its_job_was_cancelled_is_cancelled_too(
    scene: Callable[..., Scene],
) -> None:
    here = scene("openai")
    create = here.provider.create

    async def cancelled_meanwhile(submission: Any) -> BatchRef:
        here.ledger.record_cancel_asked("job1")
        return await create(submission)

    here.provider.create = cancelled_meanwhile  # type: ignore[method-assign]
    drive(here)
    assert [ref.id for ref in here.provider.cancelled][:1] == ["batch_0"]


# at the end


@pytest.mark.parametrize("keep", [False, True])
def test_uploaded_files_are_deleted_at_the_end_unless_they_are_to_be_kept(
    scene: Callable[..., Scene], keep: bool
) -> None:
    here = scene("openai", shards=3)
    drive(here, keep_files=keep)
    files = sorted(str(shard.file_id) for shard in here.shards)
    assert sorted(here.provider.deleted_files) == ([] if keep else files)
    assert all((shard.file_deleted_at is None) is keep for shard in here.shards)


def test_what_is_kept_here_is_compressed_at_the_end(scene: Callable[..., Scene]) -> None:
    here = scene("openai")
    drive(here)
    names = {path.name for path in (here.home / "job").iterdir() if path.is_file()}
    label = here.shard.label
    assert names == {"answers.jsonl", *(f"{label}.{kind}.zst" for kind in ("requests", "rows", "answers"))}


def test_a_file_that_cannot_be_deleted_is_spoken_of_and_ends_nothing(scene: Callable[..., Scene]) -> None:
    here = scene("openai")

    async def refuses(file: Any) -> None:
        raise Refused("openai does not delete it")

    here.provider.delete_file = refuses  # type: ignore[method-assign]
    drive(here)
    assert any("left on the account" in each for each in here.troubles())
    assert here.shard.file_deleted_at is None
    assert len(answered(here)) == 3


def test_an_interrupt_leaves_nothing_running_and_can_be_gone_on_from(scene: Callable[..., Scene]) -> None:
    here = scene("openai", shards=4)

    async def interrupted() -> None:
        work = asyncio.ensure_future(here.conductor().drive())
        await asyncio.sleep(30)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert len(asyncio.all_tasks()) == 1

    in_virtual_time(interrupted())
    assert {shard.state for shard in here.shards} == {"submitted"}
    drive(here)
    assert (here.provider.creates, len(answered(here))) == (4, 12)


def test_an_old_run_is_looked_at_as_seldom_as_its_age_allows(scene: Callable[..., Scene]) -> None:
    here = scene("openai", lasts_s=4 * 3600.0)
    passed_s = drive(here)
    assert passed_s >= 4 * 3600
    # every 2 s for 100 s, and then within 2 % of the age
    assert here.provider.lists < 350


def test_a_batch_that_the_provider_denies_stops_the_run_only_once_the_others_are_here(home: Path) -> None:
    here = Scene(home, FakeProvider("openai", lasts_s=300.0), shards=3, pace=Pace(lost_s=0.0))
    list_batches = here.provider.list_batches

    async def without_the_first(since: Any = None) -> Any:
        async for each in list_batches(since):
            if each.ref.id != "batch_0":
                yield each

    async def denies_the_first(ref: BatchRef) -> Snapshot:
        if ref.id == "batch_0":
            raise NotFound(f"openai knows no {ref.id}", hint="see: batchmark openai list")
        return next(each for each in here.provider.batches if each.ref == ref)

    here.provider.list_batches = without_the_first  # type: ignore[method-assign]
    here.provider.get = denies_the_first  # type: ignore[method-assign]
    with pytest.raises(NotFound, match="has denied batch_0") as caught:
        in_virtual_time(here.conductor().drive())
    assert caught.value.hint is not None
    assert sorted(shard.state for shard in here.shards) == ["collected", "collected", "submitted"]
    job = here.ledger.job("job1")
    assert job is not None and job.ended_at is None
