"""The ledger: every fact that must outlive this process goes through here, one committed transaction each.

SQLite in WAL mode with `synchronous=FULL`: a commit that has returned survives a crash of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, create_engine, event, select
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from batchmark.domain.lifecycle import FileRef, Intent, Snapshot
from batchmark.errors import LocalTrouble
from batchmark.ledger import queries
from batchmark.ledger.records import BatchRecord, JobRecord, RunRecord, ShardRecord
from batchmark.ledger.tables import SCHEMA_VERSION, metadata, versions

__all__ = ["Ledger"]

_Record = TypeVar("_Record", RunRecord, JobRecord, ShardRecord, BatchRecord)


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """An open ledger. Every method is one transaction; raises LocalTrouble where the database cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LocalTrouble(
                f"the folder {path.parent} cannot be made: {error.strerror}",
                hint="set BATCHMARK_HOME to a folder you may write",
            ) from None
        self._engine = create_engine(
            f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": 30.0, "check_same_thread": False}
        )
        event.listen(self._engine, "connect", _prepare)
        with self._transaction() as connection:
            self._ensure_schema(connection)

    def _ensure_schema(self, connection: Connection) -> None:
        found = _schema_version(connection)
        if found is None:
            # one process makes the tables, all of them or none
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            found = _schema_version(connection)
        if found is None:
            metadata.create_all(connection)
            connection.execute(versions.insert().values(version=SCHEMA_VERSION))
        elif found > SCHEMA_VERSION:
            raise LocalTrouble(
                f"the ledger {self.path} was written by a newer batchmark (schema {found}, this one knows {SCHEMA_VERSION})",
                hint="upgrade batchmark, or set BATCHMARK_HOME to another folder",
            )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except OperationalError as error:
            reason = str(error.orig)
            hint = (
                "another batchmark may be busy; try again"
                if "locked" in reason
                else "check the disk and its permissions"
            )
            raise LocalTrouble(
                f"the ledger {self.path} cannot be used: {reason}; what was saved is safe", hint=hint
            ) from None
        except DatabaseError as error:
            if "file is not a database" not in str(error.orig) and "malformed" not in str(error.orig):
                raise
            raise LocalTrouble(
                f"the ledger {self.path} is damaged or no ledger: {error.orig}",
                hint="move it aside; batches at the providers are not touched by that",
            ) from None

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()

    # runs and jobs

    def record_run(self, run: RunRecord) -> None:
        """A new run, before anything of it is sent."""
        with self._transaction() as connection:
            connection.execute(queries.ADD_RUN, _values(run))

    def record_staged(self, run: RunRecord, staged: Sequence[tuple[JobRecord, Sequence[ShardRecord]]]) -> None:
        """A run with all its jobs and shards, or nothing: a job that is half here would be sent half."""
        with self._transaction() as connection:
            connection.execute(queries.ADD_RUN, _values(run))
            for job, shards in staged:
                connection.execute(queries.ADD_JOB, _values(job))
                for shard in shards:
                    _add_shard(connection, shard)

    def record_job(self, job: JobRecord) -> None:
        """A new job of a run."""
        with self._transaction() as connection:
            connection.execute(queries.ADD_JOB, _values(job))

    def record_end(self, job_id: str, *, totals: dict[str, Any] | None, problem: str | None = None) -> None:
        """The job is over: its answers are durable here, or `problem` says why there are none."""
        with self._transaction() as connection:
            connection.execute(
                queries.END_JOB.values(ended_at=_now(), totals=totals, problem=problem), {"wanted": job_id}
            )
            _add_event(connection, job_id, None, "ended", problem)

    def record_run_end(self, run_id: str) -> None:
        """Every job of the run is over."""
        with self._transaction() as connection:
            connection.execute(queries.END_RUN.values(ended_at=_now()), {"wanted": run_id})

    def run(self, run_id: str) -> RunRecord | None:
        """The run of this id."""
        return self._one(RunRecord, queries.RUN_BY_ID, {"wanted": run_id})

    def job(self, job_id: str) -> JobRecord | None:
        """The job of this id."""
        return self._one(JobRecord, queries.JOB_BY_ID, {"wanted": job_id})

    def job_of_batch(self, provider: str, batch_id: str, *, emulated: bool) -> JobRecord | None:
        """The job that a provider's batch was made for, if it is one of ours."""
        bound = {
            "provider": provider,
            "wanted": batch_id,
            "other_spelling": batch_id.removeprefix("batches/") if "/" in batch_id else f"batches/{batch_id}",
            "emulated": emulated,
        }
        return self._one(JobRecord, queries.JOB_BY_BATCH, bound)

    def jobs(self, run_id: str) -> list[JobRecord]:
        """The jobs of a run, by round."""
        return self._all(JobRecord, queries.JOBS_OF_RUN, {"wanted": run_id})

    def jobs_by_batch(self, provider: str, *, emulated: bool) -> dict[str, str]:
        """Batch id to job id, for all of a provider's batches that are ours."""
        with self._transaction() as connection:
            rows = connection.execute(queries.LABELS_OF_BATCHES, {"provider": provider, "emulated": emulated})
            return {row.id: row.job_id for row in rows}

    def known_batches(self, provider: str, shard: ShardRecord, *, emulated: bool) -> set[str]:
        """Ids of batches that the shard's cannot be: other shards', and those that proved to be somebody else's."""
        bound = {"provider": provider, "emulated": emulated, "shard": shard.id}
        with self._transaction() as connection:
            rows = connection.execute(queries.KNOWN_BATCHES, bound)
            return {row.id for row in rows}

    def unconfirmed_batches(self, provider: str, *, emulated: bool) -> set[str]:
        """Ids of batches that some shard holds without proof."""
        with self._transaction() as connection:
            rows = connection.execute(queries.HELD_WITHOUT_PROOF, {"provider": provider, "emulated": emulated})
            return {row.id for row in rows}

    # shards

    def record_shard(self, shard: ShardRecord) -> int:
        """A staged shard; returns its id. The `id` of the value is ignored."""
        with self._transaction() as connection:
            return _add_shard(connection, shard)

    def record_upload(self, shard: ShardRecord, file: FileRef | None) -> bool:
        """The shard's file is at the provider (or needs not be)."""
        return self._move(shard, "staged", state="uploaded", file_id=file.id if file else None)

    def record_intent(self, shard: ShardRecord, intent: Intent) -> bool:
        """We are about to create. Committed and synced before the first byte leaves; False where another got there first."""
        return self._move(shard, "uploaded", state="intended", sent_at=intent.sent_at, timeout_s=intent.timeout_s)

    def withdraw_intent(self, shard: ShardRecord) -> bool:
        """It is certain that nothing was made: the shard may be sent again."""
        return self._move(shard, "intended", state="uploaded", sent_at=None, timeout_s=None)

    def record_submitted(self, shard: ShardRecord, batch: BatchRecord) -> bool:
        """The batch exists; False where the shard has moved on without us."""
        with self._transaction() as connection:
            if not _move(connection, shard, "intended", state="submitted", batch_id=batch.id):
                return False
            if batch.standing == "confirmed":
                _take_back(connection, batch)
            connection.execute(queries.FORGET_RELEASED, _key(batch))
            connection.execute(queries.ADD_BATCH, _values(batch))
            return True

    def record_failed(self, shard: ShardRecord, from_state: str, problem: str) -> bool:
        """The provider refused the shard; nothing exists there."""
        return self._move(shard, from_state, state="failed", problem=problem)

    def record_collected(self, shard: ShardRecord, raw: list[dict[str, str]]) -> bool:
        """The shard's raw result files are durable here."""
        return self._move(shard, "submitted", state="collected", raw=raw, collected_at=_now())

    def shards(self, job_id: str) -> list[ShardRecord]:
        """The shard attempts of a job, in order."""
        return self._all(ShardRecord, queries.SHARDS_OF_JOB, {"wanted": job_id})

    def _move(self, shard: ShardRecord, from_state: str, **changes: Any) -> bool:
        with self._transaction() as connection:
            return _move(connection, shard, from_state, **changes)

    # batches

    def confirm(self, batch: BatchRecord) -> None:
        """The batch's results carry our wire ids: it is ours beyond doubt."""
        with self._transaction() as connection:
            connection.execute(queries.UPDATE_BATCH.values(standing="confirmed"), _key(batch))

    def release(self, shard: ShardRecord, batch: BatchRecord) -> bool:
        """The batch proved to be somebody else's: the shard is as before the create was answered, and is looked for again."""
        with self._transaction() as connection:
            if not _move(connection, shard, "submitted", state="intended", batch_id=None):
                return False
            connection.execute(queries.UPDATE_BATCH.values(standing="released"), _key(batch))
            return True

    def record_snapshot(self, batch: BatchRecord, snapshot: Snapshot, *, unseen_s: float | None) -> None:
        """What a poll saw, where it differs from what is known."""
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
        if all(getattr(batch, name) == value for name, value in changes.items()):
            return
        with self._transaction() as connection:
            connection.execute(
                queries.UPDATE_BATCH.values(**changes, seen_at=_now(), unseen_s=unseen_s),
                _key(batch),
            )
            if snapshot.state.value != batch.state:
                _add_event(connection, None, batch.shard_id, snapshot.state.value, snapshot.raw_status)

    def batch_of(self, shard_id: int) -> BatchRecord | None:
        """The batch of a shard attempt, as last seen."""
        return self._one(BatchRecord, queries.BATCH_OF_SHARD, {"wanted": shard_id})

    # reading

    def _one(self, kind: type[_Record], query: Any, bound: dict[str, Any]) -> _Record | None:
        found = self._all(kind, query, bound)
        return found[0] if found else None

    def _all(self, kind: type[_Record], query: Any, bound: dict[str, Any]) -> list[_Record]:
        names = {field.name for field in fields(kind)}
        with self._transaction() as connection:
            return [
                kind(**{name: value for name, value in row.items() if name in names})
                for row in connection.execute(query, bound).mappings()
            ]


def _schema_version(connection: Connection) -> int | None:
    if not sqlalchemy.inspect(connection).has_table(versions.name):
        return None
    return connection.execute(select(versions.c.version)).scalar_one_or_none()


def _values(record: RunRecord | JobRecord | ShardRecord | BatchRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


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
        connection.execute(queries.UPDATE_BATCH.values(standing="released"), _key(batch))


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


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
