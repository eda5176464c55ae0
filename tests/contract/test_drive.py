"""A job from staged to ended on every provider, and again after every kind of interruption, with nothing made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from batchmark.domain.lifecycle import FileRef, Intent
from batchmark.domain.request import Row
from batchmark.domain.totals import Totals
from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.engine.account import Account, answers_path
from batchmark.engine.drive import Conductor
from batchmark.engine.events import BatchSeen, Event, JobEnded, Listener, ShardClosed, Submitted, Trouble, Uploading
from batchmark.engine.options import DriveOptions
from batchmark.engine.pace import Pace
from batchmark.engine.stage import shard_path, stage
from batchmark.ledger.records import JobRecord, RunRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.providers import registry
from batchmark.providers.credentials import base_url_of, key_of
from batchmark.providers.seam import ProviderSpec, Submission
from tests.support import Inline, answers_in, journal, rows_of, wire

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
            replace(self.spec.limits, **{"vary_rows": False, **most}),
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
            yield Account(
                provider=provider, wire=wire(spec.name), ledger=self.ledger, home=self.home, pace=PACE, identity="me"
            )
        finally:
            await provider.close()

    def run(self, work: Callable[[Account], Awaitable[_T]], **limits: Any) -> _T:
        async def go() -> _T:
            async with self.account(**limits) as account:
                return await asyncio.wait_for(work(account), 90)

        return asyncio.run(go())

    def conductor(self, account: Account, *jobs: JobRecord, tell: Listener | None = None, **options: Any) -> Conductor:
        """What drives the jobs as the ledger knows them now, as a new process would."""
        fresh = [self.ledger.job(job.id) or job for job in jobs]
        return Conductor(account, fresh, Inline(), tell or self.told.append, options=DriveOptions(**options))

    def drive(self, *jobs: JobRecord, options: dict[str, Any] | None = None, **limits: Any) -> dict[str, Totals | None]:
        self.told.clear()
        return self.run(lambda account: self.conductor(account, *jobs, **(options or {})).drive(), **limits)

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
    assert {id_: each.submitted for id_, each in totals.items() if each} == {"job1": 1, "job2": 2, "job3": 3}
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

        work = asyncio.ensure_future(site.conductor(account, job, tell=tell).drive())
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

        ended, _ = await asyncio.gather(site.conductor(account, job, tell=tell).drive(), cancel_soon())
        return ended[job.id]

    totals = site.run(work)
    assert totals is not None and totals.submitted == 10
    assert totals.cancelled > 0 and totals.succeeded + totals.cancelled == 10
    assert {each["outcome"] for each in site.answers(job)} <= {"succeeded", "cancelled"}


# rows that are asked again


@pytest.fixture
def cloud_with(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """A cloud of its own where these faults strike and these limits hold."""
    with ExitStack() as stack:

        def start(*faults: str, limits: tuple[str, ...] = ()) -> Emulator:
            options = EmulatorOptions(
                home=tmp_path / "faulty", profile="instant", answers="synthetic", faults=faults, limits=limits
            )
            return stack.enter_context(Emulator(options))

        yield start


def test_rows_that_failed_for_now_are_asked_again_and_only_they(
    home: Path, spec: ProviderSpec, cloud_with: Callable[..., Emulator]
) -> None:
    site = Site(home, cloud_with("* answers label=*-1 row%10 -> fail 500"), spec)
    job = site.stage(rows_of(45), max_rows=30)
    totals = site.drive(job, options={"attempts": 3})[job.id]
    assert totals is not None and (totals.submitted, totals.succeeded, totals.errors) == (45, 45, {})
    answers = site.answers(job)
    assert [each["row"] for each in answers] == list(range(45))
    again = [each["row"] for each in answers if each["attempt"] == 2]
    # every tenth row of each shard
    assert again == [0, 10, 20, 30, 40]
    assert [(shard.number, shard.attempt, shard.rows) for shard in site.shards(job)] == [
        (0, 1, 30),
        (0, 2, 3),
        (1, 1, 15),
        (1, 2, 2),
    ]
    assert len(site.batches()) == 4
    assert sum(isinstance(each, ShardClosed) and each.following is not None for each in site.told) == 2


def test_rows_that_go_on_failing_are_asked_as_often_as_is_wanted_and_no_oftener(
    home: Path, spec: ProviderSpec, cloud_with: Callable[..., Emulator]
) -> None:
    site = Site(home, cloud_with("* answers row=0 -> fail 500"), spec)
    job = site.stage(rows_of(4))
    totals = site.drive(job, options={"attempts": 3})[job.id]
    assert totals is not None and (totals.submitted, totals.succeeded, totals.errored) == (4, 3, 1)
    first, *others = site.answers(job)
    assert (first["outcome"], first["attempt"], first["error"]["retryable"]) == ("errored", 3, True)
    assert {each["attempt"] for each in others} == {1}
    assert [shard.rows for shard in site.shards(job)] == [4, 1, 1]
    assert len(site.batches()) == 3


def test_rows_that_are_bad_themselves_are_not_asked_again(
    home: Path, spec: ProviderSpec, cloud_with: Callable[..., Emulator]
) -> None:
    status = 3 if spec.name == "google" else 400
    site = Site(home, cloud_with(f"* answers row=1 -> fail {status}"), spec)
    job = site.stage(rows_of(3))
    totals = site.drive(job, options={"attempts": 3})[job.id]
    assert totals is not None and (totals.succeeded, totals.errored) == (2, 1)
    assert len(site.batches()) == 1


@pytest.mark.parametrize(
    "fault", ["drop-line", "corrupt-line", "duplicate-line", "foreign-line"], ids=lambda fault: fault.split("-")[0]
)
def test_result_lines_that_are_odd_never_lead_to_a_wrong_row_and_are_made_up_for(
    home: Path, spec: ProviderSpec, cloud_with: Callable[..., Emulator], fault: str
) -> None:
    site = Site(home, cloud_with(f"* answers label=*-1 row%4 -> {fault}", "* answers -> reorder"), spec)
    job = site.stage(rows_of(12))
    # in files, since a document of inline answers cannot be odd in one of its lines
    totals = site.drive(job, options={"attempts": 2}, inline_max_bytes=0)[job.id]
    assert totals is not None and (totals.submitted, totals.succeeded) == (12, 12)
    assert [each["custom_id"] for each in site.answers(job)] == [f"user-{number}" for number in range(12)]
    lost = fault in ("drop-line", "corrupt-line")
    assert [each["row"] for each in site.answers(job) if each["attempt"] == 2] == ([0, 4, 8] if lost else [])
    assert totals.duplicates == (3 if fault == "duplicate-line" else 0)
    assert totals.unknown == (3 if fault == "foreign-line" else 0)


def test_what_an_expired_batch_finished_is_kept_and_the_rest_is_asked_again(
    home: Path, spec: ProviderSpec, cloud_with: Callable[..., Emulator]
) -> None:
    site = Site(home, cloud_with("* life nth=1 -> expire after=0.5"), spec)
    job = site.stage(rows_of(10))
    totals = site.drive(job, options={"attempts": 2})[job.id]
    assert totals is not None and (totals.submitted, totals.succeeded) == (10, 10)
    attempts = [each["attempt"] for each in site.answers(job)]
    if spec.expiry_keeps_finished:
        assert sorted(attempts) == [1] * 5 + [2] * 5
    else:
        assert attempts == [2] * 10
    assert len(site.batches()) == 2


# room


def test_batches_that_find_no_room_wait_for_it_and_none_is_lost_or_made_twice(
    home: Path, spec: ProviderSpec, tmp_path: Path
) -> None:
    dialect = {"google": "gemini"}.get(spec.name, spec.name)
    options = EmulatorOptions(
        home=tmp_path / "tight",
        profile="demo",
        answers="synthetic",
        time_scale=10,
        limits=(f"{dialect}.max_batches_in_flight=2",),
    )
    with Emulator(options) as cloud:
        site = Site(home, cloud, spec)
        job = site.stage(rows_of(10), max_rows=2, vary_rows=False)
        totals = site.drive(job)[job.id]
        assert totals is not None and (totals.submitted, totals.succeeded) == (10, 10)
        assert [each["custom_id"] for each in site.answers(job)] == [f"user-{number}" for number in range(10)]
        assert {shard.attempt for shard in site.shards(job)} == {1}
        # no upload is repeated for want of room
        assert site.kinds(Uploading) == 5
        used = {site.ledger.batch_of(shard.id).id for shard in site.shards(job)}  # type: ignore[union-attr]
        assert len(used) == 5
        ended_there = {each for each in site.batches() if each in used}
        assert ended_there == used


def test_a_batch_that_failed_for_want_of_room_is_no_attempt(home: Path, cloud_with: Callable[..., Emulator]) -> None:
    spec = registry.find("openai")
    site = Site(home, cloud_with("openai life nth=1 -> token-limit"), spec)
    job = site.stage(rows_of(6), max_rows=3)
    totals = site.drive(job)[job.id]
    assert totals is not None and (totals.submitted, totals.succeeded) == (6, 6)
    assert {shard.attempt for shard in site.shards(job)} == {1}
    assert sorted(shard.sends for shard in site.shards(job)) == [0, 1]
    assert len(site.batches()) == 3
    assert any("found no room" in each.message for each in site.told if isinstance(each, Trouble))
    assert site.kinds(Uploading) == 2


# after the end


def test_uploaded_inputs_are_deleted_once_the_answers_are_here(
    home: Path, spec: ProviderSpec, cloud_with: Callable[..., Emulator]
) -> None:
    cloud = cloud_with()
    site = Site(home, cloud, spec)
    job = site.stage(rows_of(4), max_rows=2)
    site.drive(job, inline_max_bytes=0)
    uploaded = {str(shard.file_id) for shard in site.shards(job) if shard.file_id is not None}
    deleted = {str(entry["subject"]) for entry in journal(cloud, "files.delete") if entry["status"] < 300}
    assert {each.removeprefix("files/") for each in deleted} == {each.removeprefix("files/") for each in uploaded}
    assert len(uploaded) == (0 if spec.name == "anthropic" else 2)

    async def files(account: Account) -> list[str]:
        return [each.name or "" async for each in account.provider.files()]

    assert [name for name in site.run(files) if name.startswith("bm-job1-")] == []


def test_a_raw_result_that_was_damaged_here_is_fetched_again_and_not_used(
    home: Path, spec: ProviderSpec, cloud_with: Callable[..., Emulator]
) -> None:
    site = Site(home, cloud_with(), spec)
    job = site.stage(rows_of(3))

    async def up_to_fetched(account: Account) -> None:
        # the process dies between the record of the raw files and the answers
        settle_at = asyncio.Event()

        def tell(event: Event) -> None:
            if isinstance(event, BatchSeen) and event.batch.state == "succeeded":
                settle_at.set()

        record = account.ledger.record_collected

        def killed(*_: Any, **__: Any) -> Any:
            raise KilledHere

        account.ledger.record_collected = killed  # type: ignore[method-assign]
        try:
            with pytest.raises(KilledHere):
                await site.conductor(account, job, tell=tell).drive()
        finally:
            account.ledger.record_collected = record  # type: ignore[method-assign]

    site.run(up_to_fetched)
    (shard,) = site.shards(job)
    assert shard.state == "fetched" and shard.raw
    path = site.home / job.folder / shard.raw[0]["path"]
    path.write_bytes(path.read_bytes().replace(b"e", b"a"))
    totals = site.drive(job)[job.id]
    assert totals is not None and totals.succeeded == 3
    assert any("is not as it was written" in each.message for each in site.told if isinstance(each, Trouble))
    assert len(site.batches()) == 1


class KilledHere(Exception):
    """Stands for a process that ended."""
