"""Answers already given, on disk, so that a repeated ask costs nothing and survives a restart."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
import threading
from pathlib import Path

from batchmark.emulator.answers import Ask, Reply

__all__ = ["AnswerCache"]

_log = logging.getLogger(__name__)


class AnswerCache:
    """Replies by (recipe, model, messages, max_tokens, schema); several processes may share one folder.

    `recipe` names what turns an ask into a reply; replies of another recipe are never returned. A cache that cannot be
    opened or written is gone without: that is logged once, and every answer is made anew.
    """

    def __init__(self, folder: Path, *, recipe: str) -> None:
        self._recipe = recipe
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(folder / "answers.sqlite3", timeout=10, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
            return
        self._db = db
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS answers (digest BLOB PRIMARY KEY, text TEXT NOT NULL, finish TEXT NOT NULL,"
                " input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            self._give_up(error)

    def find(self, ask: Ask) -> Reply | None:
        """The reply kept for this very ask, if there is one."""
        with self._lock:
            if self._db is None:
                return None
            try:
                row = self._db.execute(
                    "SELECT text, finish, input_tokens, output_tokens FROM answers WHERE digest = ?",
                    (self._digest(ask),),
                ).fetchone()
            except sqlite3.Error as error:
                self._give_up(error)
                return None
        if row is None:
            return None
        return Reply(
            text=row[0],
            finish="length" if row[1] == "length" else "stop",
            input_tokens=row[2],
            output_tokens=row[3],
        )

    def keep(self, ask: Ask, reply: Reply) -> None:
        """Remember the reply; the first of two for one ask wins, so that what was once read never changes."""
        with self._lock:
            if self._db is None:
                return
            try:
                self._db.execute(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)",
                    (self._digest(ask), reply.text, reply.finish, reply.input_tokens, reply.output_tokens),
                )
            except sqlite3.Error as error:
                self._give_up(error)

    def close(self) -> None:
        """Give the file back; finds nothing and keeps nothing from now on."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _digest(self, ask: Ask) -> bytes:
        meaning = [self._recipe, ask.model, ask.messages, ask.max_tokens, ask.json_schema]
        return hashlib.sha256(json.dumps(meaning).encode()).digest()

    def _give_up(self, error: Exception) -> None:
        _log.warning("going on without the cache of answers: %s", error)
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
