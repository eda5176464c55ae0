"""The ledger: what is recorded comes back, and of two that would move a shard only one does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

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
ANSWERS = {"path": "bm-job1-0-1.answers", "sha256": "abc", "bytes": 9}
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
    assert ledger.record_fetched(shard, [{"path": "raw/x", "sha256": "abc"}])
    (shard,) = ledger.shards("job1")
    assert (shard.state, shard.raw) == ("fetched", [{"path": "raw/x", "sha256": "abc"}])
    assert ledger.record_collected(shard, "fetched", answers=ANSWERS, totals={"submitted": 3}) is None
    (shard,) = ledger.shards("job1")
    assert (shard.state, shard.raw) == ("collected", [{"path": "raw/x", "sha256": "abc"}])
    assert (shard.answers, shard.totals, shard.handed_on) == (ANSWERS, {"submitted": 3}, None)
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
    assert ledger.record_fetched(shard, [])
    assert not other.record_fetched(shard, [])
    following = replace(SHARD, attempt=2, label="bm-job1-0-2")
    assert ledger.record_collected(shard, "fetched", answers=ANSWERS, totals={}, following=following) is not None
    assert other.record_collected(shard, "fetched", answers=ANSWERS, totals={}, following=following) is None
    assert [each.attempt for each in other.shards("job1")] == [1, 2]


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
    ledger.record_snapshots([(batch, seen)], unseen_s=2.5)
    found = ledger.batch_of(shard.id)
    assert found is not None
    assert (found.state, found.raw_status, found.total, found.succeeded) == ("running", "in_progress", 3, 1)
    assert (found.created_at, found.started_at) == (NOW, NOW + timedelta(seconds=1))
    assert (found.problems, found.unseen_s) == (["odd"], 2.5)
    ledger.record_snapshots([(found, seen)], unseen_s=9.0)
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


# every way of a shard, and who comes too late


def at(ledger: Ledger, state: str) -> ShardRecord:
    """A shard that has got to a state."""
    shard = staged(ledger)
    moves: list[tuple[str, Callable[[], bool]]] = [
        ("uploaded", lambda: ledger.record_upload(shard, FileRef("openai", "file-1"), account="me")),
        ("intended", lambda: ledger.record_intent(shard, INTENT, account="me")),
        ("submitted", lambda: ledger.record_submitted(shard, batch_for(shard))),
        ("fetched", lambda: ledger.record_fetched(shard, [{"path": "raw/x", "sha256": "abc"}])),
    ]
    for reached, move in moves:
        if ledger.shard(shard.id).state == state:
            break
        assert move()
        assert ledger.shard(shard.id).state == reached
    return ledger.shard(shard.id)


MOVES: dict[str, tuple[str, Callable[[Ledger, ShardRecord], object]]] = {
    "upload": ("staged", lambda ledger, shard: ledger.record_upload(shard, None)),
    "upload anew": ("uploaded", lambda ledger, shard: ledger.forget_upload(shard)),
    "intend": ("uploaded", lambda ledger, shard: ledger.record_intent(shard, INTENT)),
    "withdraw": ("intended", lambda ledger, shard: ledger.withdraw_intent(shard)),
    "submit": ("intended", lambda ledger, shard: ledger.record_submitted(shard, batch_for(shard))),
    "turn away": ("submitted", lambda ledger, shard: ledger.turn_away(shard, batch_for(shard))),
    "release": ("submitted", lambda ledger, shard: ledger.release(shard, batch_for(shard))),
    "fetch": ("submitted", lambda ledger, shard: ledger.record_fetched(shard, [])),
    "fetch again": ("fetched", lambda ledger, shard: ledger.fetch_again(shard)),
}


@pytest.mark.parametrize("name", list(MOVES))
@pytest.mark.parametrize("state", ["staged", "uploaded", "intended", "submitted", "fetched"])
def test_a_shard_moves_only_from_the_state_that_it_is_in(ledger: Ledger, name: str, state: str) -> None:
    origin, move = MOVES[name]
    shard = at(ledger, state)
    events = len(ledger.events("job1"))
    assert bool(move(ledger, shard)) is (origin == state)
    moved = ledger.shard(shard.id)
    assert (moved == shard) is (origin != state)
    assert len(ledger.events("job1")) - events == (origin == state)


@pytest.mark.parametrize("name", list(MOVES))
def test_who_holds_an_older_fence_makes_no_move_at_all(ledger: Ledger, name: str) -> None:
    origin, move = MOVES[name]
    shard = at(ledger, origin)
    assert not move(ledger, replace(shard, fence=shard.fence + 1))
    assert ledger.shard(shard.id) == shard
    batch = ledger.batch_of(shard.id)
    assert batch is None or batch.standing == "confirmed"


@pytest.mark.parametrize("state", ["staged", "uploaded", "intended"])
def test_a_shard_fails_only_from_where_it_was_last_seen(ledger: Ledger, state: str) -> None:
    shard = at(ledger, state)
    for other in {"staged", "uploaded", "intended", "submitted"} - {state}:
        assert not ledger.record_failed(shard, other, "no")
    assert ledger.record_failed(shard, state, "no")
    assert (ledger.shard(shard.id).state, ledger.shard(shard.id).problem) == ("failed", "no")


def test_the_answers_and_the_next_attempt_are_recorded_together_or_not_at_all(ledger: Ledger) -> None:
    shard = at(ledger, "fetched")
    following = replace(SHARD, attempt=2, label="bm-job1-0-2", rows=1)
    taken = replace(SHARD, number=9, label=following.label)
    ledger.record_shard(taken)
    # the label of the next attempt is taken: nothing of it may stand
    with pytest.raises(IntegrityError):
        ledger.record_collected(shard, "fetched", answers=ANSWERS, totals={}, following=following)
    assert ledger.shard(shard.id) == shard
    found = ledger.record_collected(
        shard,
        "fetched",
        answers=ANSWERS,
        totals={},
        handed_on={"submitted": 1},
        following=replace(following, label="y"),
    )
    assert found is not None and (found.attempt, found.state, found.rows) == (2, "staged", 1)
    assert found == ledger.shard(found.id)
    assert (ledger.shard(shard.id).state, ledger.shard(shard.id).handed_on) == ("collected", {"submitted": 1})


def test_the_rows_of_a_shard_that_failed_are_recorded_without_a_change_of_its_state(ledger: Ledger) -> None:
    shard = staged(ledger)
    ledger.record_failed(shard, "staged", "no such model")
    failed = ledger.shard(shard.id)
    ledger.record_collected(failed, "failed", answers=ANSWERS, totals={"submitted": 3})
    found = ledger.shard(shard.id)
    assert (found.state, found.problem, found.answers) == ("failed", "no such model", ANSWERS)


def test_a_batch_that_a_full_queue_turned_away_stands_for_nothing_but_is_known(ledger: Ledger) -> None:
    shard, batch = submitted(ledger)
    assert ledger.turn_away(shard, batch)
    now = ledger.shard(shard.id)
    assert (now.state, now.sends, now.batch_id, now.file_id, now.sent_at) == ("uploaded", 1, None, "file-1", None)
    assert ledger.batch_of(shard.id) is None
    assert ledger.batches("job1") == {}
    # it is ours, so it is no candidate for any shard, and `status` of it leads to the job
    assert ledger.known_batches("openai", now, emulated=True) == {"batch_1"}
    assert ledger.jobs_by_batch("openai", emulated=True) == {"batch_1": "job1"}
    assert not ledger.turn_away(shard, batch)
    assert ledger.record_intent(now, INTENT)
    assert ledger.record_submitted(now, replace(batch, id="batch_2"))
    found = ledger.batch_of(shard.id)
    assert found is not None and found.id == "batch_2"
    assert list(ledger.batches("job1")) == [shard.id]


def test_which_batches_are_on_an_account(ledger: Ledger) -> None:
    for number, (account, standing) in enumerate(
        [("me", "confirmed"), ("me", "confirmed"), ("other", "confirmed"), ("me", "unconfirmed")]
    ):
        key = ledger.record_shard(replace(SHARD, number=number, label=f"bm-job1-{number}-1"))
        shard = ledger.shard(key)
        ledger.record_upload(shard, None)
        ledger.record_intent(shard, INTENT, account=account)
        created = NOW + timedelta(minutes=number)
        batch = replace(batch_for(shard), id=f"batch_{number}", standing=standing, created_at=created)
        assert ledger.record_submitted(shard, batch)
    assert ledger.batches_on("openai", "me", emulated=True) == ["batch_1", "batch_0"]
    assert ledger.batches_on("openai", "other", emulated=True) == ["batch_2"]
    assert ledger.batches_on("openai", "me", emulated=False) == []
    assert ledger.batches_on("google", "me", emulated=True) == []


def test_how_long_earlier_batches_took_is_told_by_provider_model_and_world(ledger: Ledger) -> None:
    for number, (state, took_s) in enumerate(
        [("succeeded", 60.0), ("succeeded", 90.5), ("expired", 1.0), ("running", None)]
    ):
        key = ledger.record_shard(replace(SHARD, number=number, label=f"bm-job1-{number}-1"))
        shard = ledger.shard(key)
        ledger.record_upload(shard, None)
        ledger.record_intent(shard, INTENT)
        ended = None if took_s is None else NOW + timedelta(seconds=took_s)
        batch = replace(batch_for(shard), id=f"b{number}", state=state, created_at=NOW, ended_at=ended)
        ledger.record_submitted(shard, batch)
    assert ledger.turnarounds_s("openai", "m", emulated=True) == [90.5, 60.0]
    assert ledger.turnarounds_s("openai", "m", emulated=False) == []
    assert ledger.turnarounds_s("openai", "other", emulated=True) == []
    assert ledger.turnarounds_s("google", "m", emulated=True) == []


def test_a_cancel_of_ours_is_recorded_with_the_batch(ledger: Ledger) -> None:
    shard, batch = submitted(ledger)
    ledger.record_cancel(batch)
    found = ledger.batch_of(shard.id)
    assert found is not None and found.cancel_asked_at is not None


def test_that_the_user_cancelled_a_job_is_known_to_every_process(ledger: Ledger, path: Path) -> None:
    assert not ledger.cancel_asked("job1")
    ledger.record_cancel_asked("job1")
    assert Ledger(path).cancel_asked("job1")
    assert not ledger.cancel_asked("job2")


def test_a_poll_of_many_is_one_transaction_and_none_where_nothing_is_new(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for number in range(5):
        shard = ledger.shard(ledger.record_shard(replace(SHARD, number=number, label=f"bm-job1-{number}-1")))
        ledger.record_upload(shard, None)
        ledger.record_intent(shard, INTENT)
        batch = replace(batch_for(shard), id=f"b{number}")
        ledger.record_submitted(shard, batch)
        snapshot = Snapshot(ref=BatchRef("openai", batch.id), state=State.RUNNING, raw_status="in_progress")
        seen.append((batch, snapshot))
    count = 0
    transaction = ledger.transaction

    def counted() -> Any:
        nonlocal count
        count += 1
        return transaction()

    monkeypatch.setattr(ledger, "transaction", counted)
    ledger.record_snapshots(seen, unseen_s=None)
    assert count == 1
    known = list(ledger.batches("job1").values())
    count = 0
    ledger.record_snapshots([(batch, snapshot) for batch, (_, snapshot) in zip(known, seen, strict=True)], unseen_s=1.0)
    assert count == 0


# runs


def run_of(ledger: Ledger, number: int, *, shards: int = 1, jobs: int = 1) -> RunRecord:
    run = replace(
        RUN, id=f"r{number}", created_at=NOW + timedelta(minutes=number), output="a.jsonl", options={"attempts": 2}
    )
    staged_jobs = []
    for each in range(jobs):
        job = replace(JOB, id=f"j{number}x{each}", run_id=run.id, provider=f"p{each}", round=1)
        made = [replace(SHARD, job_id=job.id, number=at_, label=f"bm-{job.id}-{at_}-1") for at_ in range(shards)]
        staged_jobs.append((job, made))
    ledger.record_staged(run, staged_jobs)
    return run


def test_a_run_is_recorded_with_all_its_jobs_and_shards_or_not_at_all(ledger: Ledger) -> None:
    run = run_of(ledger, 1, shards=3, jobs=2)
    assert ledger.run("r1") == run
    assert [job.id for job in ledger.jobs("r1")] == ["j1x0", "j1x1"]
    assert [len(ledger.shards(job.id)) for job in ledger.jobs("r1")] == [3, 3]
    twice = replace(SHARD, job_id="j2", label="bm-j2-0-1")
    with pytest.raises(IntegrityError):
        ledger.record_staged(replace(run, id="r2"), [(replace(JOB, id="j2", run_id="r2"), [twice, twice])])
    assert (ledger.run("r2"), ledger.job("j2")) == (None, None)


def test_the_list_of_runs_says_how_far_each_is_newest_first(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.runs() == []
    for number in range(4):
        run_of(ledger, number, shards=3, jobs=1 if number else 2)
    first, second, third = ledger.shards("j3x0")
    ledger.record_upload(first, None)
    ledger.record_intent(first, INTENT)  # in doubt
    ledger.record_failed(second, "staged", "no")
    ledger.record_failed(third, "staged", "no")
    ledger.record_collected(ledger.shard(third.id), "failed", answers=ANSWERS, totals={})
    # a later attempt that was never sent leaves its rows what they have, so it is over too
    again = ledger.shard(ledger.record_shard(replace(third, attempt=2, label="bm-j3x0-2-2")))
    ledger.record_failed(again, "staged", "no")
    ledger.record_end("j2x0", totals={})
    ledger.record_run_end("r2")
    lines = ledger.runs()
    assert [line.id for line in lines] == ["r3", "r2", "r1", "r0"]
    newest, ended, _, oldest = lines
    assert (newest.jobs, newest.rows, newest.shards, newest.shards_closed, newest.in_doubt) == (1, 3, 4, 2, 1)
    assert (newest.ended_at, newest.jobs_ended, newest.output, newest.source) == (None, 0, "a.jsonl", "in.jsonl")
    assert ended.ended_at is not None and ended.jobs_ended == 1
    assert (oldest.jobs, oldest.rows, oldest.shards, oldest.provider) == (2, 6, 6, "p0")
    assert [line.id for line in ledger.runs(limit=2)] == ["r3", "r2"]


def test_how_a_run_is_driven_can_be_changed(ledger: Ledger) -> None:
    run_of(ledger, 1)
    ledger.record_options("r1", {"attempts": 5}, "elsewhere.jsonl")
    found = ledger.run("r1")
    assert found is not None and (found.options, found.output) == ({"attempts": 5}, "elsewhere.jsonl")


def test_a_run_that_is_forgotten_takes_all_that_is_its_own_and_nothing_else(ledger: Ledger) -> None:
    run_of(ledger, 1, shards=2)
    shard, batch = submitted(ledger)
    mine = ledger.shards("j1x0")[0]
    ledger.record_upload(mine, None)
    ledger.record_intent(mine, INTENT)
    ledger.record_submitted(mine, replace(batch_for(mine), id="batch_9"))
    ledger.record_cancel_asked("j1x0")
    ledger.forget_run("r1")
    assert (ledger.run("r1"), ledger.job("j1x0"), ledger.shards("j1x0"), ledger.events("j1x0")) == (None, None, [], [])
    assert ledger.jobs_by_batch("openai", emulated=True) == {"batch_1": "job1"}
    assert (ledger.run("run1"), ledger.shards("job1"), ledger.batch_of(shard.id)) == (RUN, [shard], batch)


def test_a_deleted_input_file_is_recorded(ledger: Ledger) -> None:
    shard, _ = submitted(ledger)
    ledger.record_file_deleted(shard)
    assert ledger.shard(shard.id).file_deleted_at is not None


def test_a_shard_that_is_not_there_is_a_key_error(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        ledger.shard(4711)
