"""The ledger: every fact that must outlive this process goes through here, one committed transaction each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from batchmark.domain.lifecycle import FileRef, Intent, Snapshot, State
from batchmark.ledger import queries
from batchmark.ledger.database import Database
from batchmark.ledger.records import BatchRecord, EventRecord, JobRecord, RunLine, RunRecord, ShardRecord

__all__ = ["BEGUN", "CANCEL_ASKED", "LOOKED", "Ledger", "changes_of"]

CANCEL_ASKED = "cancel-asked"
BEGUN = "begun"
LOOKED = "looked"
_ALL = 2_147_483_647  # no database has a word for "no limit" that the others know


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger(Database):
    """An open ledger. Every method is one transaction; raises LocalTrouble where the database cannot be read or written."""

    # runs and jobs

    def record_run(self, run: RunRecord) -> None:
        """A new run, before anything of it is sent."""
        with self.transaction() as connection:
            connection.execute(queries.ADD_RUN, _values(run))

    def record_staged(self, run: RunRecord, staged: Sequence[tuple[JobRecord, Sequence[ShardRecord]]]) -> None:
        """A run with all its jobs and shards, or nothing: a job that is half here would be sent half."""
        with self.transaction() as connection:
            connection.execute(queries.ADD_RUN, _values(run))
            for job, shards in staged:
                connection.execute(queries.ADD_JOB, _values(job))
                for shard in shards:
                    _add_shard(connection, shard)

    def record_job(self, job: JobRecord) -> None:
        """A new job of a run."""
        with self.transaction() as connection:
            connection.execute(queries.ADD_JOB, _values(job))

    def record_options(self, run_id: str, options: dict[str, Any], output: str | None) -> None:
        """How the run is to be driven from now on."""
        with self.transaction() as connection:
            connection.execute(queries.CHANGE_RUN.values(options=options, output=output), {"wanted": run_id})

    def record_end(self, job_id: str, *, totals: dict[str, Any] | None, problem: str | None = None) -> None:
        """The job is over: its answers are durable here, or `problem` says why there are none."""
        with self.transaction() as connection:
            connection.execute(
                queries.CHANGE_JOB.values(ended_at=_now(), totals=totals, problem=problem), {"wanted": job_id}
            )
            _add_event(connection, job_id, None, "ended", problem)

    def record_run_end(self, run_id: str) -> None:
        """Every job of the run is over."""
        with self.transaction() as connection:
            connection.execute(queries.CHANGE_RUN.values(ended_at=_now()), {"wanted": run_id})

    def forget_run(self, run_id: str) -> None:
        """Take a run and all that is known of it out of the ledger."""
        with self.transaction() as connection:
            for query in queries.FORGET_RUN:
                connection.execute(query, {"wanted": run_id})

    def run(self, run_id: str) -> RunRecord | None:
        """The run of this id."""
        return self.one(RunRecord, queries.RUN_BY_ID, {"wanted": run_id})

    def runs(self, *, limit: int | None = None) -> list[RunLine]:
        """The newest runs with how far they are, newest first."""
        return self.all(RunLine, queries.RUN_LINES, {"most": _ALL if limit is None else limit})

    def job(self, job_id: str) -> JobRecord | None:
        """The job of this id."""
        return self.one(JobRecord, queries.JOB_BY_ID, {"wanted": job_id})

    def job_of_batch(self, provider: str, batch_id: str, *, emulated: bool) -> JobRecord | None:
        """The job that a provider's batch was made for, if it is one of ours."""
        bound = {
            "provider": provider,
            "wanted": batch_id,
            "other_spelling": batch_id.removeprefix("batches/") if "/" in batch_id else f"batches/{batch_id}",
            "emulated": emulated,
        }
        return self.one(JobRecord, queries.JOB_BY_BATCH, bound)

    def jobs(self, run_id: str) -> list[JobRecord]:
        """The jobs of a run, by round."""
        return self.all(JobRecord, queries.JOBS_OF_RUN, {"wanted": run_id})

    def jobs_by_batch(self, provider: str, *, emulated: bool) -> dict[str, str]:
        """Batch id to job id, for all of a provider's batches that are ours."""
        with self.transaction() as connection:
            rows = connection.execute(queries.JOBS_OF_BATCHES, {"provider": provider, "emulated": emulated})
            return {row.id: row.job_id for row in rows}

    # events

    def record_cancel_asked(self, job_id: str) -> None:
        """The user wants nothing more of the job: no shard of it is sent and no row asked again from now on."""
        with self.transaction() as connection:
            _add_event(connection, job_id, None, CANCEL_ASKED, None)

    def cancel_asked(self, job_id: str) -> bool:
        """Whether the user has cancelled the job."""
        return bool(self.all(EventRecord, queries.EVENTS_OF_KIND, {"wanted": job_id, "kind": CANCEL_ASKED}))

    def record_begun(self, job_id: str) -> None:
        """The job's turn has come: its first upload or create is about to begin."""
        with self.transaction() as connection:
            _add_event(connection, job_id, None, BEGUN, None)

    def begun_at(self, job_id: str) -> datetime | None:
        """When the job's turn came, on our clock; None where it has not."""
        found = self.all(EventRecord, queries.EVENTS_OF_KIND, {"wanted": job_id, "kind": BEGUN})
        return min((event.at for event in found), default=None)

    def record_looks(self, job_ids: Iterable[str], at: datetime) -> None:
        """The last time that batches of these jobs were looked at and had not ended, on the provider's clock. Only the last is kept."""
        with self.transaction() as connection:
            for job_id in job_ids:
                connection.execute(queries.FORGET_EVENTS, {"wanted": job_id, "kind": LOOKED})
                _add_event(connection, job_id, None, LOOKED, at.isoformat())

    def cancelled_jobs(self, run_id: str) -> set[str]:
        """The jobs of a run that the user has cancelled."""
        with self.transaction() as connection:
            return {
                row.job_id
                for row in connection.execute(queries.JOBS_WITH_EVENT, {"wanted": run_id, "kind": CANCEL_ASKED})
            }

    def events(self, job_id: str) -> list[EventRecord]:
        """What became known of a job, oldest first."""
        return self.all(EventRecord, queries.EVENTS_OF_JOB, {"wanted": job_id})

    # shards

    def record_shard(self, shard: ShardRecord) -> int:
        """A staged shard; returns its id. The `id` of the value is ignored."""
        with self.transaction() as connection:
            return _add_shard(connection, shard)

    def record_upload(
        self, shard: ShardRecord, file: FileRef | None, *, account: str | None = None, at: datetime | None = None
    ) -> bool:
        """The shard's file is at the provider (or needs not be), since `at` on its clock."""
        file_id = file.id if file else None
        return self._move(shard, "staged", state="uploaded", file_id=file_id, account=account, uploaded_at=at or _now())

    def forget_upload(self, shard: ShardRecord) -> bool:
        """The uploaded file is of no use any more (too old, or on another account): it is sent anew."""
        return self._move(shard, "uploaded", state="staged", file_id=None, account=None, uploaded_at=None)

    def record_intent(self, shard: ShardRecord, intent: Intent, *, account: str | None = None) -> bool:
        """We are about to create. Committed and synced before the first byte leaves; False where another got there first."""
        return self._move(
            shard, "uploaded", state="intended", sent_at=intent.sent_at, timeout_s=intent.timeout_s, account=account
        )

    def withdraw_intent(self, shard: ShardRecord) -> bool:
        """It is certain that nothing was made: the shard may be sent again."""
        return self._move(shard, "intended", state="uploaded", sent_at=None, timeout_s=None)

    def record_submitted(self, shard: ShardRecord, batch: BatchRecord) -> bool:
        """The batch exists; False where the shard has moved on without us."""
        with self.transaction() as connection:
            if not _move(connection, shard, "intended", state="submitted", batch_id=batch.id):
                return False
            if batch.standing == "confirmed":
                _take_back(connection, batch)
            connection.execute(queries.FORGET_RELEASED, _key(batch))
            connection.execute(queries.ADD_BATCH, _values(batch))
            return True

    def turn_away(self, shard: ShardRecord, batch: BatchRecord) -> bool:
        """The provider's queue had no room for the batch, and nothing of it ran: the same file is sent again later."""
        with self.transaction() as connection:
            changes = {"sends": shard.sends + 1, "batch_id": None, "sent_at": None, "timeout_s": None}
            if not _move(connection, shard, "submitted", state="uploaded", **changes):
                return False
            connection.execute(queries.CHANGE_BATCH.values(standing="turned-away"), _key(batch))
            return True

    def record_failed(self, shard: ShardRecord, from_state: str, problem: str) -> bool:
        """The shard will never be at the provider, which refused it or is not asked any more."""
        return self._move(shard, from_state, state="failed", problem=problem)

    def record_fetched(self, shard: ShardRecord, raw: list[dict[str, Any]]) -> bool:
        """The shard's raw result files are durable here."""
        return self._move(shard, "submitted", state="fetched", raw=raw)

    def fetch_again(self, shard: ShardRecord) -> bool:
        """A raw result file is not as it was written: it is not used, and fetched once more."""
        return self._move(shard, "fetched", state="submitted", raw=None)

    def record_collected(
        self,
        shard: ShardRecord,
        from_state: str,
        *,
        answers: dict[str, Any],
        totals: dict[str, Any],
        handed_on: dict[str, Any] | None = None,
        following: ShardRecord | None = None,
    ) -> ShardRecord | None:
        """The shard's answers are durable here, and so is the next attempt for those rows that are asked again: all in one, so that no
        row can be in two attempts or in none. Returns the next attempt as recorded."""
        state = "failed" if from_state == "failed" else "collected"
        with self.transaction() as connection:
            moved = _move(
                connection,
                shard,
                from_state,
                state=state,
                answers=answers,
                totals=totals,
                handed_on=handed_on,
                collected_at=_now(),
            )
            if not moved or following is None:
                return None
            key = _add_shard(connection, following)
        return self.shard(key)

    def record_file_deleted(self, shard: ShardRecord) -> None:
        """The uploaded input is gone from the account."""
        with self.transaction() as connection:
            connection.execute(queries.CHANGE_SHARD.values(file_deleted_at=_now()), {"wanted": shard.id})

    def shard(self, shard_id: int) -> ShardRecord:
        """The shard attempt of this id as it is now. Raises KeyError where there is none."""
        found = self.one(ShardRecord, queries.SHARD_BY_ID, {"wanted": shard_id})
        if found is None:
            raise KeyError(shard_id)
        return found

    def shards(self, job_id: str) -> list[ShardRecord]:
        """The shard attempts of a job, in order."""
        return self.all(ShardRecord, queries.SHARDS_OF_JOB, {"wanted": job_id})

    def _move(self, shard: ShardRecord, from_state: str, **changes: Any) -> bool:
        with self.transaction() as connection:
            return _move(connection, shard, from_state, **changes)

    # batches

    def confirm(self, batch: BatchRecord) -> None:
        """The batch's results carry our wire ids: it is ours beyond doubt."""
        with self.transaction() as connection:
            connection.execute(queries.CHANGE_BATCH.values(standing="confirmed"), _key(batch))

    def release(self, shard: ShardRecord, batch: BatchRecord) -> bool:
        """The batch proved to be somebody else's: the shard is as before the create was answered, and is looked for again."""
        with self.transaction() as connection:
            if not _move(connection, shard, "submitted", state="intended", batch_id=None):
                return False
            connection.execute(queries.CHANGE_BATCH.values(standing="released"), _key(batch))
            return True

    def record_snapshots(self, seen: Iterable[tuple[BatchRecord, Snapshot]], *, unseen_s: float | None) -> None:
        """What one poll saw, where it differs from what is known: one transaction for all, none where nothing changed."""
        news = [(batch, snapshot, changes) for batch, snapshot in seen if (changes := changes_of(batch, snapshot))]
        if not news:
            return
        with self.transaction() as connection:
            for batch, snapshot, changes in news:
                connection.execute(
                    queries.CHANGE_BATCH.values(**changes, seen_at=_now(), unseen_s=unseen_s), _key(batch)
                )
                if snapshot.state.value != batch.state:
                    _add_event(connection, None, batch.shard_id, snapshot.state.value, snapshot.raw_status)

    def record_cancel(self, batch: BatchRecord) -> None:
        """We have asked the provider to stop the batch, because it is stuck or about to expire."""
        with self.transaction() as connection:
            connection.execute(queries.CHANGE_BATCH.values(cancel_asked_at=_now()), _key(batch))

    def record_gone(self, batch: BatchRecord) -> None:
        """The user gives up a batch that the provider denies: no result of it will ever come."""
        with self.transaction() as connection:
            connection.execute(
                queries.CHANGE_BATCH.values(
                    standing="gone", state=State.CANCELLED.value, problems=["it is not at the provider any more"]
                ),
                _key(batch),
            )

    def batch_of(self, shard_id: int) -> BatchRecord | None:
        """The batch of a shard attempt, as last seen."""
        return self.one(BatchRecord, queries.BATCH_OF_SHARD, {"wanted": shard_id})

    def batches(self, job_id: str) -> dict[int, BatchRecord]:
        """The batches of a job as last seen, by the id of their shard attempt."""
        return {batch.shard_id: batch for batch in self.all(BatchRecord, queries.BATCHES_OF_JOB, {"wanted": job_id})}

    def known_batches(self, provider: str, shard: ShardRecord, *, emulated: bool) -> set[str]:
        """Ids of batches that the shard's cannot be: other shards', and those that proved to be somebody else's."""
        bound = {"provider": provider, "emulated": emulated, "shard": shard.id}
        return self._ids(queries.KNOWN_BATCHES, bound)

    def unconfirmed_batches(self, provider: str, *, emulated: bool) -> set[str]:
        """Ids of batches that some shard holds without proof."""
        return self._ids(queries.HELD_WITHOUT_PROOF, {"provider": provider, "emulated": emulated})

    def batches_on(self, provider: str, account: str, *, emulated: bool) -> list[str]:
        """Ids of batches that were certainly made on an account, newest first."""
        with self.transaction() as connection:
            bound = {"provider": provider, "account": account, "emulated": emulated}
            return [row.id for row in connection.execute(queries.BATCHES_ON_ACCOUNT, bound)]

    def turnarounds_s(self, provider: str, model: str, *, emulated: bool) -> list[float]:
        """How long earlier batches of a model took from creation to end, in seconds of the provider's clock, the newest thousand."""
        with self.transaction() as connection:
            bound = {"provider": provider, "model": model, "emulated": emulated}
            rows = connection.execute(queries.ENDED_BATCHES, bound)
            return [(row.ended_at - row.created_at).total_seconds() for row in rows]

    def _ids(self, query: Any, bound: dict[str, Any]) -> set[str]:
        with self.transaction() as connection:
            return {row.id for row in connection.execute(query, bound)}


def _values(record: RunRecord | JobRecord | ShardRecord | BatchRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def changes_of(batch: BatchRecord, snapshot: Snapshot) -> dict[str, Any]:
    """All that a snapshot says of a batch, or nothing where that is known already."""
    counts = snapshot.counts
    changes = {
        "state": snapshot.state.value,
        "raw_status": snapshot.raw_status,
        "created_at": snapshot.created_at,
        "started_at": snapshot.started_at,
        "finalizing_at": snapshot.finalizing_at,
        "ended_at": snapshot.ended_at,
        "expires_at": snapshot.expires_at,
        "total": counts.total,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "processing": counts.processing,
        "problems": list(snapshot.problems),
    }
    return {} if all(getattr(batch, name) == value for name, value in changes.items()) else changes


def _add_shard(connection: Connection, shard: ShardRecord) -> int:
    values = _values(shard)
    del values["id"]
    key = connection.execute(queries.ADD_SHARD, values).inserted_primary_key
    assert key is not None
    return int(key[0])


def _take_back(connection: Connection, batch: BatchRecord) -> None:
    """Another shard had adopted the batch without proof, while its own create was still being answered: it looks again."""
    taken = connection.execute(queries.UNCONFIRMED, _key(batch)).mappings().first()
    if taken is not None and taken["shard_id"] != batch.shard_id:
        connection.execute(queries.LOOK_AGAIN, {"wanted": taken["shard_id"]})
        connection.execute(queries.CHANGE_BATCH.values(standing="released"), _key(batch))


def _key(batch: BatchRecord) -> dict[str, Any]:
    return {"of_provider": batch.provider, "wanted": batch.id, "is_emulated": batch.emulated}


def _move(connection: Connection, shard: ShardRecord, from_state: str, **changes: Any) -> bool:
    bound = {"wanted": shard.id, "from_state": from_state, "held_fence": shard.fence}
    moved = connection.execute(queries.MOVE_SHARD.values(**changes), bound).rowcount == 1
    if moved:
        _add_event(connection, shard.job_id, shard.id, changes["state"], changes.get("problem"))
    return moved


def _add_event(connection: Connection, job_id: str | None, shard_id: int | None, kind: str, detail: str | None) -> None:
    connection.execute(
        queries.ADD_EVENT, {"at": _now(), "job_id": job_id, "shard_id": shard_id, "kind": kind, "detail": detail}
    )
