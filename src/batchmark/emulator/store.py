"""The world's database: one SQLite file that several processes may have open at once.

Transactions are short and begin with the write lock, so that two processes wait for each other instead of failing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["SCHEMA_VERSION", "Store"]

SCHEMA_VERSION = 5

_SCHEMA = """
CREATE TABLE IF NOT EXISTS clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    real_ns INTEGER NOT NULL, emulated_ns INTEGER NOT NULL, scale REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, dialect TEXT NOT NULL,
    name TEXT NOT NULL, purpose TEXT NOT NULL, mime TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    created_at INTEGER NOT NULL, expires_at INTEGER, path TEXT NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (dialect, id)
);
CREATE INDEX IF NOT EXISTS files_by_age ON files (dialect, deleted, seq);
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, dialect TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL,
    seed INTEGER NOT NULL, profile TEXT NOT NULL, schedule TEXT NOT NULL, spec TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    total INTEGER NOT NULL DEFAULT 0, problems TEXT, answered INTEGER NOT NULL DEFAULT 0,
    checked_at INTEGER, answered_at INTEGER, expired INTEGER NOT NULL DEFAULT 0, cancel_at INTEGER, settled_at INTEGER,
    seen_at INTEGER NOT NULL DEFAULT 0, outcome TEXT,
    deleted INTEGER NOT NULL DEFAULT 0,
    step TEXT NOT NULL, due_at INTEGER NOT NULL,
    owner TEXT, owner_pid INTEGER, owner_until REAL,
    queue TEXT NOT NULL DEFAULT '', input_bytes INTEGER NOT NULL DEFAULT 0, labels TEXT NOT NULL DEFAULT '[]',
    faults TEXT, hidden_until INTEGER NOT NULL DEFAULT 0, holds_until INTEGER NOT NULL DEFAULT 0,
    failing INTEGER NOT NULL DEFAULT 0,
    UNIQUE (dialect, id)
);
CREATE INDEX IF NOT EXISTS batches_by_age ON batches (dialect, deleted, seq);
CREATE INDEX IF NOT EXISTS batches_to_do ON batches (due_at) WHERE step <> 'done';
CREATE INDEX IF NOT EXISTS batches_holding ON batches (holds_until) WHERE holds_until > 0;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, dialect TEXT NOT NULL, spec TEXT NOT NULL, path TEXT NOT NULL,
    received INTEGER NOT NULL, status TEXT NOT NULL, created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS upload_parts (
    id TEXT PRIMARY KEY, upload TEXT NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS hooks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, dialect TEXT NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL, events TEXT NOT NULL,
    enabled INTEGER NOT NULL, secrets TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    UNIQUE (dialect, id)
);
CREATE TABLE IF NOT EXISTS notices (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    dialect TEXT NOT NULL, batch INTEGER NOT NULL, hook INTEGER, url TEXT NOT NULL, event TEXT NOT NULL, subject TEXT NOT NULL,
    body BLOB NOT NULL, due_at INTEGER NOT NULL, next_at REAL NOT NULL, attempts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS signing_keys (id TEXT PRIMARY KEY, pem TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL, dialect TEXT NOT NULL, operation TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    status INTEGER NOT NULL, subject TEXT, request_bytes INTEGER NOT NULL,
    stored TEXT, batch_seq INTEGER, faults TEXT, file_name TEXT
);
CREATE TABLE IF NOT EXISTS fault_counts (rule TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""

# From each older version to the next.
_UPGRADES = {
    1: (
        "ALTER TABLE batches ADD COLUMN queue TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE batches ADD COLUMN input_bytes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE batches ADD COLUMN labels TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE batches ADD COLUMN faults TEXT",
        "ALTER TABLE batches ADD COLUMN hidden_until INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE batches ADD COLUMN holds_until INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE journal ADD COLUMN stored TEXT",
        "ALTER TABLE journal ADD COLUMN batch_seq INTEGER",
        "ALTER TABLE journal ADD COLUMN faults TEXT",
        "CREATE TABLE fault_counts (rule TEXT PRIMARY KEY, count INTEGER NOT NULL)",
    ),
    2: (
        "ALTER TABLE journal ADD COLUMN file_name TEXT",
        "CREATE INDEX batches_holding ON batches (holds_until) WHERE holds_until > 0",
    ),
    3: (
        "CREATE TABLE upload_parts (id TEXT PRIMARY KEY, upload TEXT NOT NULL, path TEXT NOT NULL,"
        " bytes INTEGER NOT NULL, created_at INTEGER NOT NULL)",
    ),
    4: (
        "ALTER TABLE batches ADD COLUMN failing INTEGER NOT NULL DEFAULT 0",
        "CREATE TABLE hooks (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, dialect TEXT NOT NULL,"
        " name TEXT NOT NULL, url TEXT NOT NULL, events TEXT NOT NULL, enabled INTEGER NOT NULL, secrets TEXT NOT NULL,"
        " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, UNIQUE (dialect, id))",
        "CREATE TABLE notices (seq INTEGER PRIMARY KEY AUTOINCREMENT, dialect TEXT NOT NULL,"
        " batch INTEGER NOT NULL, hook INTEGER,"
        " url TEXT NOT NULL, event TEXT NOT NULL, subject TEXT NOT NULL, body BLOB NOT NULL, due_at INTEGER NOT NULL,"
        " next_at REAL NOT NULL, attempts INTEGER NOT NULL)",
        "CREATE TABLE signing_keys (id TEXT PRIMARY KEY, pem TEXT NOT NULL)",
    ),
}


class Store:
    """A connection shared by the threads of this process, one statement or transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA busy_timeout = 20000")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            if self.one("SELECT 1 FROM sqlite_master WHERE name = 'journal'") is None:
                with self.transaction():
                    for statement in _SCHEMA.split(";"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            if self._version() in _UPGRADES:
                with self.transaction():
                    while (version := self._version()) in _UPGRADES:  # another process may have been first
                        for statement in _UPGRADES[version]:
                            self._connection.execute(statement)
                        self._connection.execute(f"PRAGMA user_version = {version + 1}")
            if self._version() != SCHEMA_VERSION:
                raise sqlite3.DatabaseError(
                    "it was made by another version of batchmark; remove the folder to begin anew"
                )
        except sqlite3.Error:
            self._connection.close()
            raise

    def _version(self) -> int:
        row = self.one("PRAGMA user_version")
        return 0 if row is None else int(row[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def one(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Row | None:
        with self._lock:
            row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return row

    def all(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        """Execute one statement; the number of rows it changed."""
        with self._lock:
            return self._connection.execute(sql, values).rowcount

    def close(self) -> None:
        with self._lock:
            self._connection.close()
