"""The ledger: what is recorded comes back, and of two that would move a shard only one does."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from batchmark.domain.lifecycle import BatchRef, Counts, FileRef, Intent, Snapshot, State
from batchmark.errors import LocalTrouble
from batchmark.ledger.records import BatchRecord, JobRecord, RunRecord, ShardRecord
from batchmark.ledger.store import Ledger

NOW = datetime(2026, 11, 22, 12, 30, 15, 123456, UTC)
RUN = RunRecord(id="run1", kind="create", source="in.jsonl", emulated=True, created_at=NOW)
JOB = JobRecord(
    id="job1",
    run_id="run1",
    provider="openai",
    model="m",
    round=1,
    rows=3,
    folder="runs/run1/job1",
    emulated=True,
    created_at=NOW,
)
SHARD = ShardRecord(
    id=0,
    job_id="job1",
    number=0,
    attempt=1,
    label="bm-job1-0-1",
    endpoint="/v1/x",
    rows=3,
    bytes=99,
    digest="d" * 64,
    state="staged",
)
INTENT = Intent(label="bm-job1-0-1", rows=3, sent_at=NOW, timeout_s=600.0)


@pytest.fixture
def path(home: Path) -> Path:
    return home / "deep" / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    opened = Ledger(path)
    opened.record_run(RUN)
    opened.record_job(JOB)
    return opened


def staged(ledger: Ledger) -> ShardRecord:
    key = ledger.record_shard(SHARD)
    (found,) = ledger.shards("job1")
    assert found == replace(SHARD, id=key)
    return found


def batch_for(shard: ShardRecord) -> BatchRecord:
    return BatchRecord(
        provider="openai", id="batch_1", emulated=True, shard_id=shard.id, state="queued", raw_status="", seen_at=NOW
    )


def submitted(ledger: Ledger) -> tuple[ShardRecord, BatchRecord]:
    shard = staged(ledger)
    assert ledger.record_upload(shard, FileRef("openai", "file-1"))
    assert ledger.record_intent(shard, INTENT)
    assert ledger.record_submitted(shard, batch_for(shard))
    (shard,) = ledger.shards("job1")
    return shard, batch_for(shard)


def test_runs_and_jobs_come_back_as_they_were_recorded(ledger: Ledger, path: Path) -> None:
    assert (ledger.run("run1"), ledger.job("job1"), ledger.jobs("run1")) == (RUN, JOB, [JOB])
    assert (ledger.run("none"), ledger.job("none"), ledger.jobs("none")) == (None, None, [])
    ledger.close()
    assert Ledger(path).job("job1") == JOB


def test_times_are_utc_whatever_zone_they_came_in(ledger: Ledger) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    ledger.record_job(replace(JOB, id="job2", created_at=there))
    found = ledger.job("job2")
    assert found is not None and found.created_at == NOW and found.created_at.tzinfo is UTC


def test_a_digest_and_the_ends_are_recorded(ledger: Ledger) -> None:
    ledger.record_run(replace(RUN, id="run2", digest="abc"))
    ledger.record_end("job1", totals={"submitted": 3, "errors": {"ключ": 1}}, problem="it broke")
    ledger.record_run_end("run2")
    run, job = ledger.run("run2"), ledger.job("job1")
    assert run is not None and (run.digest, run.ended_at is not None) == ("abc", True)
    assert job is not None and (job.totals, job.problem) == ({"submitted": 3, "errors": {"ключ": 1}}, "it broke")
    assert job.ended_at is not None


def test_a_shard_goes_from_staged_to_collected_and_keeps_every_fact(ledger: Ledger) -> None:
    shard, batch = submitted(ledger)
    assert (shard.state, shard.file_id, shard.batch_id) == ("submitted", "file-1", "batch_1")
    assert (shard.sent_at, shard.timeout_s) == (NOW, 600.0)
    assert ledger.batch_of(shard.id) == batch
    assert ledger.record_collected(shard, [{"path": "raw/x", "kind": "lines"}])
    (shard,) = ledger.shards("job1")
    assert (shard.state, shard.raw) == ("collected", [{"path": "raw/x", "kind": "lines"}])
    assert shard.collected_at is not None


def test_the_second_to_move_a_shard_is_told_that_it_came_too_late(ledger: Ledger, path: Path) -> None:
    shard, other = staged(ledger), Ledger(path)
    assert ledger.record_upload(shard, None)
    assert not other.record_upload(shard, FileRef("openai", "file-2"))
    assert ledger.record_intent(shard, INTENT)
    assert not other.record_intent(shard, INTENT)
    assert ledger.record_submitted(shard, batch_for(shard))
    assert not other.record_submitted(shard, replace(batch_for(shard), id="batch_2"))
    assert not other.withdraw_intent(shard)
    assert not other.record_failed(shard, "intended", "x")
    assert other.jobs_by_batch("openai", emulated=True) == {"batch_1": "job1"}
    assert ledger.record_collected(shard, [])
    assert not other.record_collected(shard, [])


def test_of_many_at_once_exactly_one_may_create(ledger: Ledger, path: Path) -> None:
    shard = staged(ledger)
    ledger.record_upload(shard, None)
    won: list[bool] = []
    start = threading.Barrier(6)

    def race() -> None:
        mine = Ledger(path)
        start.wait()
        won.append(mine.record_intent(shard, INTENT))

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 5 + [True]


def test_who_holds_an_older_fence_moves_nothing(ledger: Ledger) -> None:
    shard = staged(ledger)
    assert not ledger.record_upload(replace(shard, fence=shard.fence + 1), None)
    assert ledger.record_upload(shard, None)


def test_a_withdrawn_intent_may_be_recorded_again(ledger: Ledger) -> None:
    shard = staged(ledger)
    ledger.record_upload(shard, None)
    ledger.record_intent(shard, INTENT)
    assert ledger.withdraw_intent(shard)
    (seen,) = ledger.shards("job1")
    assert (seen.state, seen.sent_at, seen.timeout_s) == ("uploaded", None, None)
    assert ledger.record_intent(shard, INTENT)


def test_a_failed_shard_keeps_its_problem(ledger: Ledger) -> None:
    shard = staged(ledger)
    assert ledger.record_failed(shard, "staged", "no")
    (seen,) = ledger.shards("job1")
    assert (seen.state, seen.problem) == ("failed", "no")


def test_shards_come_in_order(ledger: Ledger) -> None:
    for number, attempt in ((2, 1), (0, 2), (10, 1), (0, 1)):
        ledger.record_shard(replace(SHARD, number=number, attempt=attempt, label=f"bm-job1-{number}-{attempt}"))
    assert [(each.number, each.attempt) for each in ledger.shards("job1")] == [(0, 1), (0, 2), (2, 1), (10, 1)]


def test_a_poll_is_recorded_where_it_saw_something_new(ledger: Ledger) -> None:
    shard, batch = submitted(ledger)
    seen = Snapshot(
        ref=BatchRef("openai", "batch_1"),
        state=State.RUNNING,
        raw_status="in_progress",
        created_at=NOW,
        started_at=NOW + timedelta(seconds=1),
        counts=Counts(total=3, succeeded=1, failed=0),
        problems=("odd",),
    )
    ledger.record_snapshot(batch, seen, unseen_s=2.5)
    found = ledger.batch_of(shard.id)
    assert found is not None
    assert (found.state, found.raw_status, found.total, found.succeeded) == ("running", "in_progress", 3, 1)
    assert (found.created_at, found.started_at) == (NOW, NOW + timedelta(seconds=1))
    assert (found.problems, found.unseen_s) == (["odd"], 2.5)
    ledger.record_snapshot(found, seen, unseen_s=9.0)
    assert ledger.batch_of(shard.id) == found


def test_a_batch_leads_to_its_job_in_its_own_world_and_by_both_of_geminis_spellings(ledger: Ledger) -> None:
    ledger.record_job(replace(JOB, id="job2", provider="google"))
    key = ledger.record_shard(replace(SHARD, job_id="job2", label="bm-job2-0-1", state="intended"))
    (shard,) = ledger.shards("job2")
    assert shard.id == key
    ledger.record_submitted(shard, replace(batch_for(shard), provider="google", id="batches/abc"))
    for spelling in ("batches/abc", "abc"):
        found = ledger.job_of_batch("google", spelling, emulated=True)
        assert found is not None and found.id == "job2"
    assert ledger.job_of_batch("google", "batches/abc", emulated=False) is None
    assert ledger.job_of_batch("openai", "batches/abc", emulated=True) is None
    assert ledger.jobs_by_batch("google", emulated=True) == {"batches/abc": "job2"}
    assert ledger.jobs_by_batch("google", emulated=False) == {}


# files that are no ledger of ours


def test_a_ledger_of_a_newer_version_is_left_alone_with_a_sentence(ledger: Ledger, path: Path) -> None:
    ledger.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()
    with pytest.raises(LocalTrouble, match=r"written by a newer batchmark \(schema 99") as caught:
        Ledger(path)
    assert caught.value.hint is not None and "upgrade" in caught.value.hint


def test_a_ledger_that_was_cut_short_at_its_making_is_completed(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY)")
    raw.close()
    ledger = Ledger(path)
    ledger.record_run(RUN)
    assert ledger.run("run1") == RUN


def test_many_may_open_a_new_ledger_at_once(path: Path) -> None:
    start, troubles = threading.Barrier(8), []

    def open_one() -> None:
        start.wait()
        try:
            Ledger(path).close()
        except Exception as error:  # noqa: BLE001  whatever it is, the test must show it
            troubles.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but text" * 40, b"SQLite format 3\x00" + b"\xff" * 4000]
)
def test_a_damaged_file_is_said_to_be_so_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(LocalTrouble, match=r"damaged|cannot be used"):
        Ledger(path)
    assert path.read_bytes() == content


def test_a_home_that_cannot_be_made_is_said_to_be_so(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(LocalTrouble, match="cannot be made") as caught:
        Ledger(home / "file" / "ledger.sqlite3")
    assert caught.value.hint is not None and "BATCHMARK_HOME" in caught.value.hint


def test_a_folder_in_the_place_of_the_ledger_is_this_machines_trouble(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(LocalTrouble, match="cannot be used"):
        Ledger(path)


def test_what_was_committed_survives_losing_the_process(ledger: Ledger, path: Path) -> None:
    """The write-ahead log is all that is left of it: nothing was closed."""
    shard = staged(ledger)
    ledger.record_upload(shard, None)
    copy = path.with_name("copy.sqlite3")
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            copy.with_name(copy.name + suffix).write_bytes(source.read_bytes())
    assert [each.state for each in Ledger(copy).shards("job1")] == ["uploaded"]


def test_a_batch_that_one_shard_releases_may_be_anothers_but_not_its_own_again(ledger: Ledger) -> None:
    first = staged(ledger)
    ledger.record_shard(replace(SHARD, number=1, label="bm-job1-1-1"))
    second = ledger.shards("job1")[1]
    for shard in (first, second):
        ledger.record_upload(shard, None)
        ledger.record_intent(shard, INTENT)
    batch = BatchRecord(
        provider="openai",
        id="batch_1",
        emulated=True,
        shard_id=first.id,
        standing="unconfirmed",
        state="running",
        raw_status="",
    )
    assert ledger.record_submitted(first, batch)
    assert ledger.unconfirmed_batches("openai", emulated=True) == {"batch_1"}
    assert "batch_1" not in ledger.known_batches("openai", second, emulated=True)
    assert ledger.release(first, batch)
    assert ledger.batch_of(first.id) is None
    assert "batch_1" in ledger.known_batches("openai", first, emulated=True)
    assert "batch_1" not in ledger.known_batches("openai", second, emulated=True)
    assert ledger.record_submitted(second, replace(batch, shard_id=second.id, standing="confirmed"))
    assert ledger.jobs_by_batch("openai", emulated=True) == {"batch_1": "job1"}


def test_a_batch_held_without_proof_goes_to_the_shard_whose_create_was_answered(ledger: Ledger) -> None:
    first = staged(ledger)
    ledger.record_shard(replace(SHARD, number=1, label="bm-job1-1-1"))
    second = ledger.shards("job1")[1]
    for shard in (first, second):
        ledger.record_upload(shard, None)
        ledger.record_intent(shard, INTENT)
    batch = BatchRecord(
        provider="openai",
        id="batch_1",
        emulated=True,
        shard_id=first.id,
        standing="unconfirmed",
        state="running",
        raw_status="",
    )
    assert ledger.record_submitted(first, batch)
    assert ledger.record_submitted(second, replace(batch, shard_id=second.id, standing="confirmed"))
    assert [shard.state for shard in ledger.shards("job1")] == ["intended", "submitted"]
    held = ledger.batch_of(second.id)
    assert held is not None and (held.id, held.standing) == ("batch_1", "confirmed")
