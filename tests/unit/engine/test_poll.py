"""Looking at batches: one list for all, changes alone are recorded, and what the provider denies is waited for, but not for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchmark.domain.lifecycle import BatchRef, Counts, FileRef, Intent, Snapshot, State
from batchmark.engine.poll import Poller
from batchmark.engine.reconcile import new_batch
from batchmark.errors import NotFound
from batchmark.ledger.records import BatchRecord
from tests.support import in_virtual_time
from tests.unit.engine.fakes import EPOCH, FakeProvider, Scene


class Forgetful(FakeProvider):
    """An account that denies every batch."""

    async def get(self, ref: BatchRef) -> Snapshot:
        raise NotFound(f"no batch {ref.id}")


def submitted(home: Path, provider: FakeProvider, *, shards: int = 1) -> tuple[Scene, list[BatchRecord]]:
    """So many shards whose batches are known to the ledger."""
    scene = Scene(home, provider, shards=shards)
    for shard in scene.shards:
        scene.ledger.record_upload(shard, FileRef(provider.spec.name, "f"))
        scene.ledger.record_intent(shard, Intent(label=shard.label, rows=3, sent_at=EPOCH, timeout_s=600))
        ref = BatchRef(provider.spec.name, f"batch_{shard.number}")
        scene.ledger.record_submitted(shard, new_batch(scene.job, shard, ref))
    return scene, list(scene.ledger.batches("job1").values())


def test_a_batch_that_is_denied_for_a_moment_is_polled_on(home: Path) -> None:
    scene, batches = submitted(home, Forgetful("openai"))
    assert asyncio.run(Poller(scene.provider, scene.ledger, lost_s=600).look(batches, EPOCH)) == {}
    kept = scene.ledger.batch_of(batches[0].shard_id)
    assert kept is not None and kept.state == "queued"


def test_a_batch_that_is_denied_for_long_is_known_to_be_lost_and_kept(home: Path) -> None:
    provider = Forgetful("openai")
    scene, (batch,) = submitted(home, provider)
    poller = Poller(provider, scene.ledger, lost_s=0)
    asyncio.run(poller.look([batch], EPOCH))
    assert "has denied batch_0" in poller.lost["batch_0"].message
    kept = scene.ledger.batch_of(batch.shard_id)
    assert kept is not None and kept.state == "queued"

    async def shown_again() -> None:
        provider.store(None, 3)
        await poller.look([batch], EPOCH)

    in_virtual_time(shown_again())
    assert poller.lost == {}


def test_one_list_covers_all_batches_and_only_changes_are_recorded(home: Path) -> None:
    provider = FakeProvider("openai")
    scene, batches = submitted(home, provider, shards=5)

    async def look() -> dict[str, Snapshot]:
        for each in batches:
            if not any(each.id == made.ref.id for made in provider.batches):
                provider.store(None, 3)
        return await Poller(provider, scene.ledger, lost_s=600).look(batches, EPOCH)

    seen, _ = in_virtual_time(look())
    assert {id_: each.state for id_, each in seen.items()} == {f"batch_{number}": State.RUNNING for number in range(5)}
    assert provider.lists == 1
    events = len(scene.ledger.events("job1"))
    known = list(scene.ledger.batches("job1").values())

    async def again() -> None:
        await Poller(provider, scene.ledger, lost_s=600).look(known, EPOCH)

    in_virtual_time(again())
    assert (provider.lists, len(scene.ledger.events("job1"))) == (2, events)
    assert list(scene.ledger.batches("job1").values()) == known


class Unlisted(FakeProvider):
    """An account whose lists show nothing, and which is asked for each batch by its id."""

    asked: list[str]

    async def list_batches(self, since: Any = None) -> Any:
        return
        yield

    async def get(self, ref: BatchRef) -> Snapshot:
        self.asked.append(ref.id)
        return Snapshot(ref=ref, state=State.RUNNING, raw_status="", created_at=EPOCH, counts=Counts(total=3))


def test_batches_that_lists_do_not_show_are_asked_for_by_turns_and_not_all_at_once(home: Path) -> None:
    provider = Unlisted("openai")
    provider.asked = []
    scene, batches = submitted(home, provider, shards=50)
    poller = Poller(provider, scene.ledger, lost_s=600)
    for _ in range(3):
        before = len(provider.asked)
        asyncio.run(poller.look(batches, EPOCH))
        assert len(provider.asked) - before == 20
    # after three looks every one was asked for
    assert set(provider.asked) == {each.id for each in batches}


def test_how_long_a_batch_was_not_seen_is_recorded_with_the_change(home: Path) -> None:
    provider = FakeProvider("openai")
    scene, (batch,) = submitted(home, provider)
    poller = Poller(provider, scene.ledger, lost_s=600)

    async def look(state: State) -> None:
        if not provider.batches:
            provider.store(None, 3)
        provider.batches[0] = replace(provider.batches[0], state=state)
        known = scene.ledger.batch_of(batch.shard_id)
        assert known is not None
        await poller.look([known], EPOCH)

    in_virtual_time(look(State.RUNNING))
    first = scene.ledger.batch_of(batch.shard_id)
    assert first is not None and first.unseen_s is None
    in_virtual_time(look(State.SUCCEEDED))
    second = scene.ledger.batch_of(batch.shard_id)
    assert second is not None and second.unseen_s is not None and second.unseen_s >= 0
