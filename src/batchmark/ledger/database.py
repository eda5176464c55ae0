"""An open database: transactions, and what its troubles mean for a user. What is asked of it stands in `queries.py`.

SQLite in WAL mode with `synchronous=FULL`: a commit that has returned survives a crash of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from batchmark.errors import LocalTrouble
from batchmark.ledger.artifacts import free_bytes
from batchmark.ledger.schema import bring_up_to_date

__all__ = ["Database"]

_Record = TypeVar("_Record")

# SQLite's file of shared memory takes 32 kB.
_LEAST_BYTES = 65_536


class Database:
    """The ledger's database file. Raises LocalTrouble where it cannot be read or written."""

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
        with self._said_plainly():
            bring_up_to_date(self._engine, path)

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All of the block or nothing."""
        with self._said_plainly(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            reason = str(error.orig)
            if "disk I/O error" in reason and free_bytes(self.path) < _LEAST_BYTES:
                # where not even its side files find room, SQLite does not say why
                reason = "the disk is full"
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

    def one(self, kind: type[_Record], query: Any, bound: Mapping[str, Any]) -> _Record | None:
        """The first row that a query finds, as a record."""
        found = self.all(kind, query, bound)
        return found[0] if found else None

    def all(self, kind: type[_Record], query: Any, bound: Mapping[str, Any]) -> list[_Record]:
        """The rows that a query finds, as records."""
        names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # records are dataclasses
        with self.transaction() as connection:
            return [
                kind(**{name: value for name, value in row.items() if name in names})
                for row in connection.execute(query, dict(bound)).mappings()
            ]


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
