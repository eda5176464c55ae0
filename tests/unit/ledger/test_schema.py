"""A ledger of any age becomes one of today's with every row in it, or stays as it was."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from batchmark.errors import LocalTrouble
from batchmark.ledger import schema
from batchmark.ledger.database import Database
from batchmark.ledger.schema import HEAD, REVISIONS, bring_up_to_date, copy_path
from batchmark.ledger.store import Ledger
from batchmark.ledger.tables import metadata

# The tables of the first ledgers, as SQLite keeps them.
FIRST = """
CREATE TABLE schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE runs (
    id VARCHAR(16) NOT NULL, kind VARCHAR(16) NOT NULL, source TEXT NOT NULL, digest VARCHAR(64), emulated BOOLEAN NOT NULL,
    created_at DATETIME NOT NULL, ended_at DATETIME, PRIMARY KEY (id)
);
CREATE TABLE jobs (
    id VARCHAR(16) NOT NULL, run_id VARCHAR(16) NOT NULL, provider VARCHAR(64) NOT NULL, model VARCHAR(256) NOT NULL,
    round INTEGER NOT NULL, rows INTEGER NOT NULL, folder TEXT NOT NULL, emulated BOOLEAN NOT NULL, created_at DATETIME NOT NULL,
    ended_at DATETIME, problem TEXT, totals JSON, PRIMARY KEY (id), FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE INDEX ix_jobs_run_id ON jobs (run_id);
CREATE INDEX jobs_by_time ON jobs (provider, created_at);
CREATE TABLE shards (
    id INTEGER NOT NULL, job_id VARCHAR(16) NOT NULL, number INTEGER NOT NULL, attempt INTEGER NOT NULL,
    label VARCHAR(64) NOT NULL, endpoint VARCHAR(128) NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
    digest VARCHAR(64) NOT NULL, state VARCHAR(16) NOT NULL, file_id VARCHAR(256), sent_at DATETIME, timeout_s FLOAT,
    owner VARCHAR(128), fence INTEGER NOT NULL, batch_id VARCHAR(256), collected_at DATETIME, raw JSON, problem TEXT,
    PRIMARY KEY (id), UNIQUE (job_id, number, attempt), FOREIGN KEY(job_id) REFERENCES jobs (id), UNIQUE (label)
);
CREATE INDEX ix_shards_job_id ON shards (job_id);
CREATE TABLE batches (
    provider VARCHAR(64) NOT NULL, id VARCHAR(256) NOT NULL, emulated BOOLEAN NOT NULL, shard_id INTEGER NOT NULL,
    standing VARCHAR(16) NOT NULL, state VARCHAR(16) NOT NULL, raw_status VARCHAR(64) NOT NULL, created_at DATETIME,
    started_at DATETIME, finalizing_at DATETIME, ended_at DATETIME, expires_at DATETIME, total INTEGER, succeeded INTEGER,
    failed INTEGER, processing INTEGER, problems JSON, seen_at DATETIME, unseen_s FLOAT,
    PRIMARY KEY (provider, id, emulated), FOREIGN KEY(shard_id) REFERENCES shards (id)
);
CREATE INDEX ix_batches_shard_id ON batches (shard_id);
CREATE TABLE events (
    id INTEGER NOT NULL, at DATETIME NOT NULL, job_id VARCHAR(16), shard_id INTEGER, kind VARCHAR(32) NOT NULL, detail TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX ix_events_job_id ON events (job_id);
INSERT INTO schema_version VALUES (1);
"""

# Rows in every table, with and without what may be absent.
CONTENT = """
INSERT INTO runs VALUES
    ('run1', 'create', 'in.jsonl', 'abc', 1, '2026-11-22 12:30:15.123456', '2026-11-22 13:00:00.000000'),
    ('run2', 'run', 'ключ.csv', NULL, 0, '2026-11-22 12:31:00.000000', NULL);
INSERT INTO jobs VALUES
    ('job1', 'run1', 'openai', 'm', 1, 3, 'runs/run1/job1', 1, '2026-11-22 12:30:15.123456', '2026-11-22 13:00:00.000000', NULL,
     '{"submitted": 3}'),
    ('job2', 'run2', 'google', 'm', 1, 9, 'runs/run2/job2', 0, '2026-11-22 12:31:00.000000', NULL, 'it broke', NULL);
INSERT INTO shards VALUES
    (7, 'job1', 0, 1, 'bm-job1-0-1', '/v1/x', 3, 99, 'def', 'collected', 'file-1', '2026-11-22 12:30:16.000000', 600.0, NULL, 0,
     'batch_1', '2026-11-22 12:59:59.000000', '[{"path": "raw/x", "kind": "lines"}]', NULL),
    (9, 'job2', 0, 1, 'bm-job2-0-1', '/v1/x', 9, 99, 'def', 'intended', NULL, '2026-11-22 12:31:01.000000', 600.0, 'me', 2,
     NULL, NULL, NULL, NULL);
INSERT INTO batches VALUES
    ('openai', 'batch_1', 1, 7, 'confirmed', 'succeeded', 'completed', '2026-11-22 12:30:17.000000', NULL, NULL,
     '2026-11-22 12:59:00.000000', NULL, 3, 2, 1, 0, '["odd"]', '2026-11-22 12:59:02.000000', 2.5);
INSERT INTO events VALUES
    (1, '2026-11-22 12:30:17.000000', 'job1', 7, 'submitted', NULL), (2, '2026-11-22 13:00:00.000000', 'job1', NULL, 'ended', 'fine');
"""

WIDTHS = {"runs": 7, "jobs": 12, "shards": 19, "batches": 19, "events": 6}


def rows_of(raw: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """What each table holds in the columns that the first ledgers had."""
    return {
        table: [row[:width] for row in raw.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]
        for table, width in WIDTHS.items()
    }


with closing(sqlite3.connect(":memory:")) as _raw:
    _raw.executescript(FIRST + CONTENT)
    ROWS = rows_of(_raw)


def rows_in(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as raw:
        return rows_of(raw)


def first_ledger(path: Path) -> Path:
    """A ledger as the first batchmark left it."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.executescript(FIRST + CONTENT)
    return path


def config_on(connection: sqlalchemy.Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "batchmark.ledger:migrations")
    config.set_main_option("path_separator", "os")
    return config


def ledger_at(revision: str, path: Path) -> Path:
    """A ledger that the steps up to `revision` made; before alembic had its table where it is the first."""
    with engine_for(path).begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        command.upgrade(config_on(connection), revision)
        if revision == REVISIONS[0]:
            connection.exec_driver_sql("DROP TABLE alembic_version")
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(CONTENT)
    return path


def engine_for(path: Path) -> Engine:
    return create_engine(f"sqlite:///{path}", poolclass=NullPool)


def shape_of(path: Path) -> dict[str, Any]:
    inspector = sqlalchemy.inspect(engine_for(path))
    return {
        table: {
            "columns": [(each["name"], str(each["type"]), each["nullable"]) for each in inspector.get_columns(table)],
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "indexes": sorted((each["name"] or "", each["column_names"]) for each in inspector.get_indexes(table)),
            "unique": sorted(each["column_names"] for each in inspector.get_unique_constraints(table)),
            "foreign": sorted(
                (each["constrained_columns"], each["referred_table"]) for each in inspector.get_foreign_keys(table)
            ),
        }
        for table in inspector.get_table_names()
    }


def revision_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as raw:
        return str(raw.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


@pytest.fixture
def path(home: Path) -> Path:
    return home / "ledger.sqlite3"


# the steps


def test_the_constant_names_the_last_of_the_steps_that_there_are() -> None:
    config = Config()
    config.set_main_option("script_location", "batchmark.ledger:migrations")
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [HEAD]
    assert tuple(each.revision for each in reversed(list(script.walk_revisions()))) == REVISIONS


def test_the_first_step_makes_what_the_first_batchmark_made(home: Path) -> None:
    assert shape_of(ledger_at("0001", home / "steps")) == shape_of(first_ledger(home / "first"))


@pytest.mark.parametrize("old", [first_ledger, lambda path: ledger_at("0001", path)], ids=["literal", "step"])
def test_an_old_ledger_gets_todays_shape_and_keeps_every_row(
    home: Path, path: Path, old: Callable[[Path], Path]
) -> None:
    Database(old(path)).close()
    assert rows_in(path) == ROWS
    Database(home / "fresh").close()
    assert shape_of(path) == shape_of(home / "fresh")
    assert revision_of(path) == HEAD
    with engine_for(path).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_new_ledger_is_as_alembic_would_mark_it(home: Path, path: Path) -> None:
    Database(path).close()
    with engine_for(home / "steps").begin() as connection:
        command.upgrade(config_on(connection), "head")
    assert shape_of(path) == shape_of(home / "steps")
    assert revision_of(path) == revision_of(home / "steps") == HEAD
    with engine_for(path).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_what_an_old_ledger_holds_can_be_read_and_goes_on(path: Path) -> None:
    ledger = Ledger(first_ledger(path))
    (shard,) = ledger.shards("job1")
    job = ledger.job("job1")
    assert job is not None and job.totals == {"submitted": 3}
    assert (shard.state, shard.raw) == ("collected", [{"path": "raw/x", "kind": "lines"}])
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT sends, typeof(sends), answers FROM shards").fetchall() == [(0, "integer", None)] * 2
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


# the copy


def test_the_copy_holds_the_old_ledger_with_what_was_only_in_its_log(home: Path, path: Path) -> None:
    first_ledger(path)
    with closing(sqlite3.connect(path)) as busy:
        # a reader keeps the log from being written back
        busy.execute("BEGIN")
        busy.execute("SELECT * FROM runs").fetchall()
        with closing(sqlite3.connect(path)) as writer, writer:
            writer.execute("UPDATE jobs SET problem = 'late' WHERE id = 'job2'")
        Database(path).close()
    copy = copy_path(path)
    assert copy.name == f"ledger.sqlite3.before-{HEAD}"
    alone = home / "elsewhere" / "copy"
    alone.parent.mkdir()
    alone.write_bytes(copy.read_bytes())
    assert set(shape_of(alone)) == {"schema_version", *ROWS}
    assert [row[10] for row in rows_in(alone)["jobs"]] == [None, "late"]
    assert rows_in(alone)["shards"] == ROWS["shards"]
    assert {each for each in names_in(home) if "before" in each} == {copy.name}


def test_a_copy_that_is_there_is_kept(path: Path) -> None:
    first_ledger(path)
    copy_path(path).write_bytes(b"of an earlier try")
    Database(path).close()
    assert copy_path(path).read_bytes() == b"of an earlier try"
    assert revision_of(path) == HEAD


def test_what_a_try_left_half_copied_does_not_stand_in_the_way(path: Path) -> None:
    first_ledger(path)
    left = path.with_name(f".{copy_path(path).name}.part")
    left.write_bytes(b"half")
    Database(path).close()
    assert not left.exists()
    assert rows_in(copy_path(path)) == ROWS


def test_without_a_copy_nothing_is_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_ledger(path)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LocalTrouble, match=r"cannot be copied .* No space left on device; nothing was changed"):
        Database(path)
    monkeypatch.undo()
    assert set(shape_of(path)) == {"schema_version", *ROWS}
    assert not any("before" in name for name in names_in(path.parent))
    Database(path).close()
    assert rows_in(path) == ROWS


def test_a_step_that_fails_leaves_the_old_ledger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(point: str) -> None:
        if point == "migration-done-uncommitted":
            raise KeyError(point)

    monkeypatch.setattr(schema, "reach", fail)
    with pytest.raises(KeyError):
        Database(first_ledger(path))
    assert shape_of(path) == shape_of(first_ledger(path.with_name("first")))
    assert rows_in(path) == ROWS
    monkeypatch.undo()
    Database(path).close()
    assert rows_in(path) == ROWS


# who else is there


def test_many_may_open_an_old_ledger_at_once(path: Path) -> None:
    first_ledger(path)
    start, troubles = threading.Barrier(6), []

    def open_one() -> None:
        start.wait()
        try:
            Database(path).close()
        except Exception as error:  # noqa: BLE001  whatever it is, the test must show it
            troubles.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert rows_in(path) == ROWS
    assert rows_in(copy_path(path)) == ROWS


def test_who_waits_for_another_that_migrates_is_told_its_number_in_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_ledger(path)
    monkeypatch.setattr(schema, "_PATIENCE_S", 0.0)
    with path.with_name("ledger.sqlite3.lock").open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LocalTrouble, match=f"is being worked on by process {os.getpid()}"):
            Database(path)
    assert set(shape_of(path)) == {"schema_version", *ROWS}


# newer, foreign and half-made ones


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["UPDATE schema_version SET version = 99"], "99"),
        (
            ["CREATE TABLE alembic_version (version_num VARCHAR(32))", "INSERT INTO alembic_version VALUES ('0999')"],
            "0999",
        ),
    ],
)
def test_a_newer_ledger_is_left_alone_with_a_sentence(path: Path, statements: list[str], named: str) -> None:
    first_ledger(path)
    with closing(sqlite3.connect(path)) as raw, raw:
        for statement in statements:
            raw.execute(statement)
    before = path.read_bytes()
    with pytest.raises(LocalTrouble) as caught:
        Database(path)
    assert caught.value.message == (
        f"the ledger {path} was written by a newer batchmark (schema {named}, this one knows {HEAD})"
    )
    assert caught.value.hint == "upgrade batchmark, or set BATCHMARK_HOME to another folder"
    assert path.read_bytes() == before
    assert not copy_path(path).exists()


def test_a_ledger_that_was_cut_short_at_its_making_is_completed(home: Path, path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY)")
    Database(path).close()
    Database(home / "fresh").close()
    assert shape_of(path) == shape_of(home / "fresh")
    assert not copy_path(path).exists()


def test_a_ledger_of_today_is_opened_without_alembic_and_with_one_query(path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
from batchmark.ledger.database import Database
from batchmark.ledger import schema
def looked(*_): raise AssertionError("looked twice")
Database(Path(sys.argv[1])).close()
made = "alembic" in sys.modules
schema._revision = looked
Database(Path(sys.argv[1])).close()
print(json.dumps([made, "alembic" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, False]


def test_a_database_without_a_file_is_brought_up_to_date_all_the_same(path: Path) -> None:
    engine = engine_for(first_ledger(path))
    bring_up_to_date(engine, None)
    bring_up_to_date(engine, None)
    assert revision_of(path) == HEAD
    assert rows_in(path) == ROWS
    assert not copy_path(path).exists()
