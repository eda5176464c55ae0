"""One shard becomes one batch and never two, whatever a create answers and however late a batch shows itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchmark.domain.lifecycle import BatchRef, Counts, FileRef, ModelInfo, RawFile, Snapshot, State
from batchmark.engine.events import Event, Submitted, Trouble, Uploading
from batchmark.engine.pace import Pace
from batchmark.engine.submit import submit
from batchmark.errors import Ambiguous, BadCredentials, BatchmarkError, LocalTrouble, RateLimited, Refused, Retryable
from batchmark.ledger.records import JobRecord, RunRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.providers import registry
from batchmark.providers.seam import Submission
from tests.support import in_virtual_time, wire

EPOCH = datetime(2026, 8, 1, tzinfo=UTC)
PACE = Pace(grace_s=30)


class FakeProvider:
    """An account in memory on the loop's clock, at the seam. `script` says what each create does, in order.

    A step is an error to raise, or `stored` followed by one: the batch was made all the same.
    """

    def __init__(self, name: str, *script: object, visible_after_s: float = 0.0) -> None:
        self.spec = registry.find(name)
        self.script = list(script)
        self.visible_after_s = visible_after_s
        self.batches: list[Snapshot] = []
        self.cancelled: list[BatchRef] = []
        self.uploads = self.creates = 0
        self.results: dict[str, bytes] = {}

    def _now(self) -> datetime:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    def store(self, label: str | None, rows: int, *, age_s: float = 0.0) -> BatchRef:
        ref = BatchRef(self.spec.name, f"batch_{len(self.batches)}")
        self.batches.append(
            Snapshot(
                ref=ref,
                state=State.RUNNING,
                raw_status="",
                created_at=self._now() - timedelta(seconds=age_s),
                counts=Counts(total=rows),
                label=None if self.spec.name == "anthropic" else label,
            )
        )
        return ref

    async def now(self) -> datetime:
        return self._now()

    async def upload(self, shard: Path, label: str) -> FileRef | None:
        self.uploads += 1
        return FileRef(self.spec.name, "file-1")

    async def create(self, submission: Submission) -> BatchRef:
        self.creates += 1
        await asyncio.sleep(1)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, tuple):
            self.store(submission.label, submission.rows)
            step = step[0]
        if isinstance(step, BaseException):
            raise step
        return self.store(submission.label, submission.rows)

    async def list_batches(self, since: datetime | None = None) -> AsyncIterator[Snapshot]:
        for snapshot in reversed(self.batches):
            assert snapshot.created_at is not None
            if self._now() >= snapshot.created_at + timedelta(seconds=self.visible_after_s):
                yield snapshot

    async def get(self, ref: BatchRef) -> Snapshot:
        return next(each for each in self.batches if each.ref == ref)

    async def fetch(self, snapshot: Snapshot, into: Path) -> list[RawFile]:
        path = into / "results.jsonl"
        path.write_bytes(self.results.get(snapshot.ref.id, b""))
        return [RawFile(path)]

    async def cancel(self, ref: BatchRef) -> None:
        self.cancelled.append(ref)

    async def delete(self, ref: BatchRef) -> None: ...

    async def delete_file(self, file: FileRef) -> None: ...

    async def models(self) -> AsyncIterator[ModelInfo]:
        return
        yield

    async def close(self) -> None: ...


class Scene:
    """A job with one staged shard, and an account to send it to."""

    def __init__(self, home: Path, provider: FakeProvider) -> None:
        self.provider, self.home = provider, home
        self.ledger = Ledger(home / "ledger.sqlite3")
        self.job = JobRecord(
            id="job1",
            run_id="run1",
            provider=provider.spec.name,
            model="m",
            round=1,
            rows=3,
            folder="job",
            emulated=False,
            created_at=EPOCH,
        )
        self.ledger.record_run(RunRecord(id="run1", kind="run", source="x", emulated=False, created_at=EPOCH))
        self.ledger.record_job(self.job)
        self.ledger.record_shard(
            ShardRecord(
                id=0,
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
        )
        self.told: list[Event] = []

    @property
    def shard(self) -> ShardRecord:
        (found,) = self.ledger.shards("job1")
        return found

    def submit(self) -> tuple[BatchRef, float]:
        name = self.provider.spec.name
        return in_virtual_time(
            submit(
                self.provider,
                wire(name),
                self.ledger,
                self.job,
                self.shard,
                self.home,
                pace=PACE,
                tell=self.told.append,
            )
        )

    def troubles(self) -> list[str]:
        return [each.message for each in self.told if isinstance(each, Trouble)]


@pytest.fixture
def scene(home: Path) -> Callable[..., Scene]:
    return lambda name, *script, **more: Scene(home, FakeProvider(name, *script, **more))


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
    here = scene("anthropic")
    first, _ = here.submit()
    here.ledger.record_shard(replace(here.shard, state="staged", number=1, label="bm-job1-1-1", file_id=None))
    second = here.ledger.shards("job1")[1]
    here.provider.script = [LOST]

    async def again() -> BatchRef:
        return await submit(
            here.provider,
            wire("anthropic"),
            here.ledger,
            here.job,
            second,
            here.home,
            pace=PACE,
            tell=here.told.append,
        )

    ref, _ = in_virtual_time(again())
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


def test_a_queue_that_is_full_is_waited_for(scene: Callable[..., Scene]) -> None:
    here = scene("openai", RateLimited("queue full", retry_after_s=50), RateLimited("queue full"))
    _, passed_s = here.submit()
    assert (here.provider.creates, here.shard.state) == (3, "submitted")
    assert passed_s >= 50 + 5
    assert here.troubles() == ["queue full", "queue full"]


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
        in_virtual_time(
            submit(
                here.provider,
                wire("openai"),
                here.ledger,
                here.job,
                replace(stale, state="uploaded"),
                here.home,
                pace=PACE,
                tell=here.told.append,
            )
        )
    assert here.provider.creates == 1


def test_an_interrupt_waits_for_the_answer_to_a_create_under_way(scene: Callable[..., Scene]) -> None:
    here = scene("openai")

    async def interrupted() -> None:
        work = asyncio.ensure_future(
            submit(
                here.provider,
                wire("openai"),
                here.ledger,
                here.job,
                here.shard,
                here.home,
                pace=PACE,
                tell=here.told.append,
            )
        )
        await asyncio.sleep(0.5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    in_virtual_time(interrupted())
    assert (here.shard.state, here.shard.batch_id) == ("submitted", "batch_0")
