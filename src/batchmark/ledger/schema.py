"""Which shape the database has, and how one of an older batchmark gets today's without losing a row.

Every command opens the ledger, so the ordinary case is one query and no import of alembic.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import sqlalchemy
from sqlalchemy import Column, Connection, Engine, MetaData, PrimaryKeyConstraint, String, Table
from sqlalchemy.exc import OperationalError, ProgrammingError

from batchmark.errors import LocalTrouble
from batchmark.ledger.artifacts import sync_folder
from batchmark.ledger.lock import held
from batchmark.ledger.points import reach
from batchmark.ledger.tables import metadata

__all__ = ["HEAD", "REVISIONS", "bring_up_to_date", "copy_path"]

REVISIONS = ("0001", "0002")
"""Every shape there was, oldest first; each is a file in migrations/versions."""

HEAD = REVISIONS[-1]

# The table in which alembic notes the revision, as it makes it.
_revisions = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

# How long to wait for another process that is migrating: a ledger of a gigabyte is copied in seconds.
_PATIENCE_S = 120.0

# What PostgreSQL's advisory lock is taken on: any number that nobody else in the database uses.
_ADVISORY_KEY = 0x62617463

# alembic keeps the migration that is under way in a global
_one_at_a_time = threading.Lock()


def bring_up_to_date(engine: Engine, path: Path | None) -> None:
    """Give a new database its tables, and an older one today's, after a copy of it was put beside the file `path`.

    All or nothing, at whatever moment the process ends and however many open the ledger at once. Raises LocalTrouble, with nothing
    changed, where a newer batchmark wrote it or where no copy can be made; and SQLAlchemy's DatabaseError where it is locked, damaged
    or no database.
    """
    if _is_current(engine):
        return
    place = engine.url.render_as_string(hide_password=True) if path is None else str(path)
    with engine.connect() as connection:
        found = _revision(connection)
    if found is None:
        with _alone(engine) as connection:
            # another process may have been quicker
            found = _revision(connection)
            if found is None:
                _create(connection)
                return
    _refuse_unknown(found, place)
    if found != HEAD:
        _migrate(engine, path, place)


def copy_path(path: Path) -> Path:
    """Where the copy of an older ledger is kept that was made before it was changed to today's shape."""
    return path.with_name(f"{path.name}.before-{HEAD}")


def _is_current(engine: Engine) -> bool:
    try:
        with engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    except (OperationalError, ProgrammingError) as error:
        # without the table it is new or old; any other trouble is one
        if "no such table" in str(error.orig) or isinstance(error, ProgrammingError):
            return False
        raise
    return found == HEAD


def _revision(connection: Connection) -> str | None:
    """The revision of the database, None where it holds nothing yet. A version of before alembic that we do not know stays a number."""
    tables = sqlalchemy.inspect(connection).get_table_names()
    if _revisions.name in tables:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return None if found is None else str(found)
    if "schema_version" in tables:
        version = connection.exec_driver_sql("SELECT version FROM schema_version").scalar()
        return None if version is None else REVISIONS[0] if version == 1 else str(version)
    return None


def _refuse_unknown(found: str, place: str) -> None:
    if found not in REVISIONS:
        raise LocalTrouble(
            f"the ledger {place} was written by a newer batchmark (schema {found}, this one knows {HEAD})",
            hint="upgrade batchmark, or set BATCHMARK_HOME to another folder",
        )


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction, tables included, beside which no other of this kind runs."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            # said aloud, because the driver by itself begins no transaction before it makes or drops a table
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_KEY})")
        yield connection


def _create(connection: Connection) -> None:
    # a table of before alembic without a version in it: its making was cut short
    connection.exec_driver_sql("DROP TABLE IF EXISTS schema_version")
    metadata.create_all(connection)
    _note_revision(connection, HEAD)


def _note_revision(connection: Connection, revision: str) -> None:
    _revisions.create(connection, checkfirst=True)
    connection.execute(_revisions.insert().values(version_num=revision))


def _migrate(engine: Engine, path: Path | None, place: str) -> None:
    with _migrating(path, place):
        with _alone(engine) as connection:
            found = _revision(connection)
            if found is None or found == HEAD:  # another process was quicker
                return
            _refuse_unknown(found, place)
            if path is not None:
                # nobody writes now, so the copy holds all that was there before the change
                _keep_copy(path)
            reach("migration-copied")
            _upgrade(connection)
            reach("migration-done-uncommitted")
        reach("migrated")


@contextmanager
def _migrating(path: Path | None, place: str) -> Iterator[None]:
    if path is None:
        yield
        return
    with held(path.with_name(f"{path.name}.lock"), f"the ledger {place}", wait_s=_PATIENCE_S):
        yield


def _keep_copy(path: Path) -> None:
    """The ledger as it is, its write-ahead log included. A copy that is there is kept: an earlier try was cut short."""
    copy = copy_path(path)
    if copy.exists():
        return
    part = copy.with_name(f".{copy.name}.part")
    try:
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(path, timeout=30.0)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
            # one file that needs no other beside it
            target.execute("PRAGMA journal_mode=DELETE")
        shutil.copymode(path, part)
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        part.replace(copy)
        sync_folder(copy.parent)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise LocalTrouble(
            f"the ledger {path} is of an older batchmark and cannot be copied before it is changed: {reason}; nothing was changed",
            hint="free some space, or set BATCHMARK_HOME to another folder",
        ) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    if not sqlalchemy.inspect(connection).has_table(_revisions.name):
        _note_revision(connection, REVISIONS[0])
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "batchmark.ledger:migrations")
    config.set_main_option("path_separator", "os")
    with _one_at_a_time:
        command.upgrade(config, HEAD)
