"""A job from staged to ended on every provider, and again after every kind of interruption, with nothing made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from batchmark.domain.lifecycle import FileRef, Intent
from batchmark.domain.request import Row
from batchmark.domain.totals import Totals
from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.engine.drive import Account, answers_path, drive
from batchmark.engine.events import BatchSeen, Event, JobEnded, Submitted, Uploading
from batchmark.engine.pace import Pace
from batchmark.engine.stage import shard_path, stage
from batchmark.ledger.records import JobRecord, RunRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.providers import registry
from batchmark.providers.credentials import base_url_of, key_of
from batchmark.providers.seam import ProviderSpec, Submission
from tests.support import answers_in, rows_of, wire

_T = TypeVar("_T")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PACE = Pace(young_s=0.01, longest_s=0.05, patience_s=5, grace_s=0.05)


@pytest.fixture(params=list(registry.BUILT_IN))
def spec(request: pytest.FixtureRequest) -> ProviderSpec:
    return registry.find(request.param)


class Site:
    """A home with a ledger, where jobs are staged and driven against one cloud."""

    def __init__(self, home: Path, cloud: Emulator, spec: ProviderSpec) -> None:
        self.home, self.cloud, self.spec = home, cloud, spec
        self.ledger = Ledger(home / "ledger.sqlite3")
        self.ledger.record_run(RunRecord(id="run1", kind="run", source="x", emulated=True, created_at=NOW))
        self.told: list[Event] = []
        self.foreign: frozenset[str] = frozenset()
        self.foreign = frozenset(self.batches())

    def stage(self, rows: list[Row], *, job_id: str = "job1", model: str | None = None, **most: Any) -> JobRecord:
        model = model or self.spec.default_model
        folder = self.home / job_id
        shards = stage(
            rows,
            wire(self.spec.name),
            replace(self.spec.limits, **most),
            source="x",
            model=model,
            job_id=job_id,
            folder=folder,
        )
        job = JobRecord(
            id=job_id,
            run_id="run1",
            provider=self.spec.name,
            model=model,
            round=1,
            rows=len(rows),
            folder=job_id,
            emulated=True,
            created_at=NOW,
        )
        self.ledger.record_job(job)
        for shard in shards:
            self.ledger.record_shard(shard)
        return job

    @asynccontextmanager
    async def account(self, **limits: Any) -> AsyncIterator[Account]:
        environment = self.cloud.environment()
        spec = replace(self.spec, limits=replace(self.spec.limits, **limits))
        provider = registry.connect(spec, key=key_of(spec, environment), base_url=base_url_of(spec, environment))
        try:
            yield Account(provider=provider, wire=wire(spec.name), ledger=self.ledger, home=self.home, pace=PACE)
        finally:
            await provider.close()

    def run(self, work: Callable[[Account], Awaitable[_T]], **limits: Any) -> _T:
        async def go() -> _T:
            async with self.account(**limits) as account:
                return await asyncio.wait_for(work(account), 30)

        return asyncio.run(go())

    def drive(self, *jobs: JobRecord, **limits: Any) -> dict[str, Totals | None]:
        """Drive the jobs as the ledger knows them now, as a new process would."""
        self.told.clear()
        fresh = [self.ledger.job(job.id) or job for job in jobs]
        return self.run(lambda account: drive(account, fresh, self.told.append), **limits)

    def batches(self) -> list[str]:
        """The ids of all batches on the account that were not there before."""

        async def work(account: Account) -> list[str]:
            found = [each.ref.id async for each in account.provider.list_batches()]
            return [id_ for id_ in found if id_ not in self.foreign]

        return self.run(work)

    def shards(self, job: JobRecord) -> list[ShardRecord]:
        return self.ledger.shards(job.id)

    def answers(self, job: JobRecord) -> list[dict[str, Any]]:
        return answers_in(answers_path(self.home, job))

    def kinds(self, kind: type[Event]) -> int:
        return sum(isinstance(each, kind) for each in self.told)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One cloud for tests that do not mind each other's batches."""
    options = EmulatorOptions(home=tmp_path_factory.mktemp("cloud"), profile="instant", answers="synthetic")
    with Emulator(options) as running:
        yield running


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One cloud where every state lasts for seconds of its own clock."""
    options = EmulatorOptions(home=tmp_path_factory.mktemp("slow"), profile="demo", answers="synthetic", time_scale=10)
    with Emulator(options) as running:
        yield running


@pytest.fixture
def site(home: Path, shared: Emulator, spec: ProviderSpec) -> Site:
    return Site(home, shared, spec)


@pytest.mark.parametrize("inline_max_bytes", [0, 1_000_000])
def test_a_job_of_several_shards_comes_back_whole_and_in_order(site: Site, inline_max_bytes: int) -> None:
    job = site.stage(rows_of(25), max_rows=10)
    totals = site.drive(job, inline_max_bytes=inline_max_bytes)[job.id]
    assert totals is not None
    assert (totals.submitted, totals.succeeded, totals.failed) == (25, 25, 0)
    assert totals.cost_usd is not None and totals.cost_usd > 0
    answers = site.answers(job)
    assert [each["custom_id"] for each in answers] == [f"user-{number}" for number in range(25)]
    assert [each["row"] for each in answers] == list(range(25))
    assert all(each["outcome"] == "succeeded" and each["text"] for each in answers)
    assert sum(each["cost_usd"] for each in answers) == pytest.approx(totals.cost_usd)
    assert [shard.rows for shard in site.shards(job)] == [10, 10, 5]
    assert {each["batch_id"] for each in answers} == set(site.batches()) and len(site.batches()) == 3
    ended = site.ledger.job(job.id)
    assert ended is not None and ended.ended_at is not None and ended.problem is None
    assert (site.kinds(Uploading), site.kinds(Submitted), site.kinds(JobEnded)) == (3, 3, 1)
    for shard in site.shards(job):
        batch = site.ledger.batch_of(shard.id)
        assert batch is not None and (batch.state, shard.state) == ("succeeded", "collected")
        assert batch.created_at is not None and batch.ended_at is not None


def test_driving_an_ended_job_again_changes_and_sends_nothing(site: Site) -> None:
    job = site.stage(rows_of(4), max_rows=2)
    first = site.drive(job)
    path = answers_path(site.home, job)
    before = (path.read_bytes(), path.stat().st_mtime_ns, site.shards(job), site.ledger.job(job.id))
    assert site.drive(job) == first
    assert (path.read_bytes(), path.stat().st_mtime_ns, site.shards(job), site.ledger.job(job.id)) == before
    assert len(site.batches()) == 2
    assert site.told == []


def test_answers_that_were_lost_after_the_end_are_merged_again_from_what_is_kept(site: Site) -> None:
    job = site.stage(rows_of(3))
    first = site.drive(job)
    content = answers_path(site.home, job).read_bytes()
    answers_path(site.home, job).unlink()
    assert site.drive(job) == first
    assert answers_path(site.home, job).read_bytes() == content
    assert len(site.batches()) == 1


def test_jobs_are_driven_side_by_side(site: Site) -> None:
    jobs = [site.stage(rows_of(count), job_id=f"job{count}") for count in (1, 2, 3)]
    totals = site.drive(*jobs)
    assert [each.submitted for each in totals.values() if each] == [1, 2, 3]
    assert len(site.batches()) == 3


async def killed_after_create(account: Account, site: Site, job: JobRecord) -> str:
    """What a process leaves that dies between the create and the record of its answer."""
    ledger, provider = account.ledger, account.provider
    shard = ledger.shards(job.id)[0]
    path = shard_path(account.folder(job), shard.label)
    file = await provider.upload(path, shard.label)
    assert ledger.record_upload(shard, file)
    sent_at = await provider.now()
    assert ledger.record_intent(shard, Intent(label=shard.label, rows=shard.rows, sent_at=sent_at, timeout_s=600))
    made = await provider.create(
        Submission(
            path=path,
            label=shard.label,
            model=job.model,
            endpoint=shard.endpoint,
            rows=shard.rows,
            timeout_s=30,
            file=file,
        )
    )
    return made.id


def test_a_batch_that_a_killed_process_left_behind_is_adopted_and_not_made_again(
    home: Path, cloud: Emulator, spec: ProviderSpec
) -> None:
    # a cloud of its own: where the API has no labels, other tests' batches would be candidates too
    site = Site(home, cloud, spec)
    job = site.stage(rows_of(5), max_rows=3)
    made = site.run(lambda account: killed_after_create(account, site, job))
    totals = site.drive(job)[job.id]
    assert totals is not None and totals.succeeded == 5
    assert len(site.batches()) == 2 and made in site.batches()
    assert [each["batch_id"] for each in site.answers(job)][:3] == [made] * 3


@pytest.mark.parametrize("reached", ["uploaded", "withdrawn"])
def test_a_process_killed_before_its_create_is_gone_on_from(site: Site, reached: str) -> None:
    job = site.stage(rows_of(2))
    (shard,) = site.shards(job)

    async def killed(account: Account) -> FileRef | None:
        file = await account.provider.upload(shard_path(account.folder(job), shard.label), shard.label)
        account.ledger.record_upload(shard, file)
        if reached == "withdrawn":
            intent = Intent(label=shard.label, rows=2, sent_at=await account.provider.now(), timeout_s=600)
            account.ledger.record_intent(shard, intent)
            account.ledger.withdraw_intent(shard)
        return file

    site.run(killed)
    totals = site.drive(job)[job.id]
    assert totals is not None and totals.succeeded == 2
    assert (len(site.batches()), site.kinds(Uploading)) == (1, 0)


def test_a_process_killed_while_its_batch_ran_goes_on_from_there(
    spec: ProviderSpec, home: Path, slow: Emulator
) -> None:
    site = Site(home, slow, spec)
    job = site.stage(rows_of(3))

    async def killed(account: Account) -> None:
        seen = asyncio.Event()

        def tell(event: Event) -> None:
            if isinstance(event, BatchSeen):
                seen.set()

        work = asyncio.ensure_future(drive(account, [job], tell))
        await asyncio.wait_for(seen.wait(), 10)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    site.run(killed)
    assert [shard.state for shard in site.shards(job)] == ["submitted"]
    totals = site.drive(job)[job.id]
    assert totals is not None and totals.succeeded == 3
    assert (len(site.batches()), site.kinds(Submitted)) == (1, 0)


def test_raw_results_are_fetched_again_where_the_process_died_before_recording_them(site: Site) -> None:
    job = site.stage(rows_of(3))
    site.drive(job)
    other = Site(site.home / "other", site.cloud, site.spec)
    job2 = other.stage(rows_of(3))
    (mine,), (theirs,) = site.shards(job), other.shards(job2)
    # the same batch as seen by a ledger that stopped one step earlier
    batch = site.ledger.batch_of(mine.id)
    assert batch is not None
    sent_at = mine.sent_at or NOW
    other.ledger.record_upload(theirs, None)
    other.ledger.record_intent(theirs, Intent(label=theirs.label, rows=3, sent_at=sent_at, timeout_s=600))
    other.ledger.record_submitted(theirs, replace(batch, shard_id=theirs.id))
    totals = other.drive(job2)[job2.id]
    assert totals is not None and totals.succeeded == 3
    assert (other.home / job2.folder / "raw" / theirs.label).is_dir()


def test_a_shard_that_is_refused_ends_its_job_with_the_reason_on_every_row(site: Site) -> None:
    job = site.stage(rows_of(3), max_rows=2, model="no-such-model")
    totals = site.drive(job)[job.id]
    assert totals is not None
    assert (totals.submitted, totals.succeeded, totals.errored) == (3, 0, 3)
    answers = site.answers(job)
    assert all("no-such-model" in each["error"]["message"] for each in answers)
    assert all(each["usage"] is None and each["cost_usd"] is None for each in answers)
    ended = site.ledger.job(job.id)
    assert ended is not None and ended.ended_at is not None
    if site.spec.name != "anthropic":  # there a batch never fails as a whole
        assert ended.problem is not None and "no-such-model" in ended.problem


def test_a_cancelled_job_ends_with_what_there_is(spec: ProviderSpec, home: Path, slow: Emulator) -> None:
    site = Site(home, slow, spec)
    job = site.stage(rows_of(10))

    async def work(account: Account) -> Totals | None:
        async def cancel_soon() -> None:
            await made.wait()
            newest = await anext(aiter(account.provider.list_batches()))
            await account.provider.cancel(newest.ref)

        made = asyncio.Event()

        def tell(event: Event) -> None:
            if isinstance(event, Submitted):
                made.set()

        ended, _ = await asyncio.gather(drive(account, [job], tell), cancel_soon())
        return ended[job.id]

    totals = site.run(work)
    assert totals is not None and totals.submitted == 10
    assert totals.cancelled > 0 and totals.succeeded + totals.cancelled == 10
    assert {each["outcome"] for each in site.answers(job)} <= {"succeeded", "cancelled"}
