"""The emulated cloud's memory: its clock, files, batches and journal, kept under one folder between commands."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from batchmark.emulator.clock import SECOND, Line, ns
from batchmark.emulator.life import Facts, standing
from batchmark.emulator.profiles import Profiles, Schedule, schedule
from batchmark.emulator.records import Records
from batchmark.emulator.store import Store
from batchmark.emulator.stored import UPLOAD_LASTS_S, Batch, Outcome, StoredFile

__all__ = ["Batch", "Outcome", "StoredFile", "World", "WorldError"]


# What a reset forgets; the clock and the key that signs webhooks stay.
_FORGOTTEN = ("batches", "files", "uploads", "upload_parts", "hooks", "notices", "journal", "fault_counts")


class WorldError(Exception):
    """The folder cannot hold a world; the message says why."""


_DECODED = 4_096  # batches kept decoded: lists are asked for again and again

_schedule_decoder = msgspec.json.Decoder(Schedule)
_outcome_decoder = msgspec.json.Decoder(Outcome)
_json = msgspec.json


class World(Records):
    """Opens (or makes) the world under `home`; raises WorldError where that is impossible."""

    def __init__(self, home: Path, *, time_scale: float = 1.0) -> None:
        self.home = home
        self.files_folder = home / "files"
        self.work_folder = home / "work"
        self.incoming = home / "incoming"
        try:
            for folder in (home, self.files_folder, self.work_folder, self.incoming):
                folder.mkdir(parents=True, exist_ok=True)
            self.store = Store(home / "world.sqlite3")
        except (OSError, sqlite3.Error) as error:
            raise WorldError(f"cannot keep the emulator's world in {home}: {error}") from error
        self._sweep()
        self._decoded: dict[int, tuple[tuple[object, ...], Batch]] = {}
        self._clock_lock = threading.Lock()
        self._latest = 0
        self._line: Line | None = None
        self.pace = time_scale  # what the clock runs at when it is not frozen
        self.set_pace(time_scale)

    def close(self) -> None:
        self.store.close()

    def _sweep(self) -> None:
        """Remove what requests left behind when a process was killed; a day is longer than any request lasts."""
        old = time.time() - 86_400
        for left in self.incoming.iterdir():
            with contextlib.suppress(OSError):
                if left.stat().st_mtime < old:
                    if left.is_dir():
                        shutil.rmtree(left, ignore_errors=True)
                    else:
                        left.unlink()

    # The clock

    def set_pace(self, scale: float) -> None:
        """Let the clock run so many times as fast as the machine's from here on; 0 freezes it."""
        with self.store.transaction():
            real = time.time_ns()
            row = self.store.one("SELECT real_ns, emulated_ns, scale FROM clock")
            line = Line(real_ns=real, emulated_ns=real, scale=scale) if row is None else Line(**dict(row))
            self._set_line(line.rescaled(scale, real))

    def _set_line(self, line: Line) -> None:
        self.store.run("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)", (line.real_ns, line.emulated_ns, line.scale))

    def clock(self) -> Line:
        """Read afresh each time: another process may have changed the pace."""
        row = self.store.one("SELECT real_ns, emulated_ns, scale FROM clock")
        assert row is not None
        return Line(**dict(row))

    def now(self) -> int:
        with self._clock_lock:  # the machine's clock may be set back; ours may not go back
            line = self.clock()
            at = line.at(time.time_ns())
            if line != self._line:
                self._line = line
                if at < self._latest - SECOND:  # another process has put it back
                    self._latest = 0
            self._latest = max(self._latest, at)
            return self._latest

    # Files

    def scratch(self) -> Path:
        """A new private folder for one request's body."""
        return Path(tempfile.mkdtemp(dir=self.incoming))

    def add_file(
        self,
        *,
        id: str,
        dialect: str,
        name: str,
        purpose: str,
        source: Path,
        mime: str = "application/octet-stream",
        expires_at: int | None = None,
        created_at: int | None = None,
        sha256: str | None = None,
    ) -> StoredFile:
        """Take over the complete file `source` under a new id; `sha256`: its digest, or "" where nobody will ask for it."""
        home = self.files_folder / f"{dialect}-{id}"
        digest = sha256 if sha256 is not None else _sha256(source)
        size = source.stat().st_size
        source.replace(home)
        made = self.now() if created_at is None else created_at
        self.store.run(
            "INSERT OR REPLACE INTO files (id, dialect, name, purpose, mime, bytes, sha256, created_at, expires_at, path)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (id, dialect, name, purpose, mime, size, digest, made, expires_at, home.name),
        )
        # Not by `file`: work that is done late may date a file so far back that its time is over already.
        row = self.store.one("SELECT * FROM files WHERE dialect = ? AND id = ?", (dialect, id))
        assert row is not None
        return self._file(row)

    def file(self, dialect: str, id: str) -> StoredFile | None:
        row = self.store.one("SELECT * FROM files WHERE dialect = ? AND id = ? AND deleted = 0", (dialect, id))
        if row is None or (row["expires_at"] is not None and row["expires_at"] <= self.now()):
            return None
        return self._file(row)

    def has_file_id(self, dialect: str, id: str) -> bool:
        """Whether the id was ever given, to a file that may be gone by now."""
        return self.store.one("SELECT 1 FROM files WHERE dialect = ? AND id = ?", (dialect, id)) is not None

    def _file(self, row: sqlite3.Row) -> StoredFile:
        return StoredFile(
            seq=row["seq"],
            id=row["id"],
            dialect=row["dialect"],
            name=row["name"],
            purpose=row["purpose"],
            mime=row["mime"],
            bytes=row["bytes"],
            sha256=row["sha256"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            path=self.files_folder / row["path"],
        )

    def list_files(
        self,
        dialect: str,
        *,
        limit: int,
        after: int | None = None,
        newest_first: bool = True,
        purpose: str | None = None,
    ) -> list[StoredFile]:
        """A page of files, beyond the sequence number `after`."""
        where, values = "dialect = ? AND deleted = 0", [dialect]
        arguments: list[object] = [*values]
        if after is not None:
            where += " AND seq < ?" if newest_first else " AND seq > ?"
            arguments.append(after)
        if purpose is not None:
            where += " AND purpose = ?"
            arguments.append(purpose)
        where += " AND (expires_at IS NULL OR expires_at > ?)"
        arguments += [self.now(), limit]
        order = "DESC" if newest_first else "ASC"
        rows = self.store.all(f"SELECT * FROM files WHERE {where} ORDER BY seq {order} LIMIT ?", arguments)
        return [self._file(row) for row in rows]

    def stored_bytes(self, dialect: str) -> int:
        """The bytes of all files that are there."""
        row = self.store.one(
            "SELECT coalesce(sum(bytes), 0) AS bytes FROM files WHERE dialect = ? AND deleted = 0"
            " AND (expires_at IS NULL OR expires_at > ?)",
            (dialect, self.now()),
        )
        return 0 if row is None else int(row["bytes"])

    def drop_expired_files(self) -> None:
        """Give back the room of files whose time is over."""
        rows = self.store.all(
            "SELECT seq, path FROM files WHERE deleted = 0 AND expires_at IS NOT NULL AND expires_at <= ? LIMIT 1000",
            (self.now(),),
        )
        for row in rows:
            self.store.run("UPDATE files SET deleted = 1 WHERE seq = ?", (row["seq"],))
            (self.files_folder / row["path"]).unlink(missing_ok=True)

    def drop_expired_uploads(self) -> None:
        """Give back the room of OpenAI's uploads that were not completed in time; one that just was may still be read."""
        rows = self.store.all(
            "SELECT upload_parts.id AS id, upload_parts.path AS path FROM upload_parts"
            " JOIN uploads ON uploads.id = upload_parts.upload WHERE uploads.created_at <= ? LIMIT 1000",
            (self.now() - 2 * ns(UPLOAD_LASTS_S),),
        )
        for row in rows:
            self.store.run("DELETE FROM upload_parts WHERE id = ?", (row["id"],))
            (self.incoming / row["path"]).unlink(missing_ok=True)

    def delete_file(self, stored: StoredFile) -> None:
        self.store.run("UPDATE files SET deleted = 1 WHERE seq = ?", (stored.seq,))
        stored.path.unlink(missing_ok=True)

    # Batches

    def add_batch(
        self,
        *,
        id: str,
        dialect: str,
        endpoint: str,
        model: str,
        seed: int,
        profiles: Profiles,
        window_s: float,
        spec: dict[str, Any],
        source: Path,
        keep_source: bool = False,
        total: int = 0,
        created_at: int | None = None,
        labels: Sequence[str] = (),
        faults: Sequence[str] = (),
        bend: Callable[[Schedule], Schedule] | None = None,
        hidden_ns: int = 0,
        holds_ns: int = 0,
    ) -> Batch:
        """Make a batch of the rows in `source`, one JSON value a line; `keep_source` copies instead of taking the file.

        `faults` are the texts of the rules that befall it, `bend` changes its schedule accordingly.
        """
        spec = {**spec, "window_s": window_s}
        folder = self._work_of(dialect, id)
        folder.mkdir(parents=True)
        rows = folder / "input.jsonl"
        if keep_source:
            try:  # a name more for the same bytes: the input may be deleted while the batch runs
                os.link(source, rows)
            except OSError:
                shutil.copyfile(source, rows)
        else:
            source.replace(rows)
        made = self.now() if created_at is None else created_at
        size = rows.stat().st_size
        with self.store.transaction():
            row = self.store.one("SELECT seq FROM sqlite_sequence WHERE name = 'batches'")
            number = 1 if row is None else int(row["seq"]) + 1
            own_seed = int.from_bytes(hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=6).digest(), "big")
            plan = schedule(
                profiles,
                dialect=dialect,
                seed=own_seed,
                model=model,
                window_s=window_s,
                created_at=made,
                world_seed=seed,
            )
            if bend is not None:
                plan = bend(plan)
            self.store.run(
                "INSERT INTO batches (id, dialect, endpoint, model, seed, profile, schedule, spec, created_at,"
                " total, step, due_at, queue, input_bytes, labels, faults, hidden_until, holds_until)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'check', ?, ?, ?, ?, ?, ?, ?)",
                (
                    id,
                    dialect,
                    endpoint,
                    model,
                    own_seed,
                    profiles.name,
                    _json.encode(plan).decode(),
                    _json.encode(spec).decode(),
                    made,
                    total,
                    made,
                    model,
                    size,
                    _json.encode(list(labels)).decode(),
                    _json.encode(list(faults)).decode() if faults else None,
                    made + hidden_ns if hidden_ns else 0,
                    made + holds_ns if holds_ns else 0,
                ),
            )
            row = self.store.one("SELECT * FROM batches WHERE dialect = ? AND id = ?", (dialect, id))
        assert row is not None
        return self.decode_batch(row)

    def batch(self, dialect: str, id: str, *, lag_ns: int = 0) -> Batch | None:
        """A batch that can be seen; one younger than `lag_ns` cannot."""
        row = self.store.one("SELECT * FROM batches WHERE dialect = ? AND id = ? AND deleted = 0", (dialect, id))
        if row is None:
            return None
        seen_from = max(row["hidden_until"], row["created_at"] + lag_ns if lag_ns else 0)
        return None if seen_from and seen_from > self.now() else self.decode_batch(row)

    def list_batches(
        self, dialect: str, *, limit: int, before: int | None = None, after: int | None = None, lag_ns: int = 0
    ) -> list[Batch]:
        """Newest first: those older than sequence number `before`, or (for walking back) just newer than `after`."""
        now = self.now()
        youngest = now - lag_ns
        if after is not None:
            rows = self.store.all(
                "SELECT * FROM batches WHERE dialect = ? AND deleted = 0 AND seq > ? AND hidden_until <= ?"
                " AND created_at <= ? ORDER BY seq ASC LIMIT ?",
                (dialect, after, now, youngest, limit),
            )[::-1]
        else:
            rows = self.store.all(
                "SELECT * FROM batches WHERE dialect = ? AND deleted = 0 AND seq < ? AND hidden_until <= ?"
                " AND created_at <= ? ORDER BY seq DESC LIMIT ?",
                (dialect, 1 << 62 if before is None else before, now, youngest, limit),
            )
        return [self.decode_batch(row) for row in rows]

    def decode_batch(self, row: sqlite3.Row) -> Batch:
        """The batch in a row; the same object again while nothing about it has changed."""
        values, seq = tuple(row), row["seq"]
        known = self._decoded.get(seq)
        if known is not None and known[0] == values:
            return known[1]
        batch = self._decode_batch(row)
        if len(self._decoded) >= _DECODED:
            self._decoded.clear()
        self._decoded[seq] = values, batch
        return batch

    def _decode_batch(self, row: sqlite3.Row) -> Batch:
        problems: list[dict[str, Any]] = [] if row["problems"] is None else _json.decode(row["problems"])
        return Batch(
            seq=row["seq"],
            id=row["id"],
            dialect=row["dialect"],
            endpoint=row["endpoint"],
            model=row["model"],
            seed=row["seed"],
            profile=row["profile"],
            spec=_json.decode(row["spec"]),
            root=self.work_folder,
            input_bytes=row["input_bytes"],
            total=row["total"],
            answered=row["answered"],
            failing=row["failing"],
            problems=problems,
            seen_at=row["seen_at"],
            outcome=None if row["outcome"] is None else _outcome_decoder.decode(row["outcome"]),
            deleted=bool(row["deleted"]),
            step=row["step"],
            faults=() if row["faults"] is None else tuple(_json.decode(row["faults"])),
            labels=_json.decode(row["labels"]),
            facts=Facts(
                schedule=_schedule_decoder.decode(row["schedule"]),
                created_at=row["created_at"],
                checked_at=row["checked_at"],
                refused=bool(problems),
                answered_at=row["answered_at"],
                expired=bool(row["expired"]),
                cancel_at=row["cancel_at"],
                settled_at=row["settled_at"],
            ),
        )

    def request_cancel(self, batch: Batch, now: int) -> None:
        """Record the first cancel request; whoever works on the batch settles it when its time has come.

        A batch whose input was found bad, but which is still said to be validated, is cancelled as if nobody had read it.
        """
        with self.store.transaction():
            changed = self.store.run(
                "UPDATE batches SET cancel_at = ?, due_at = ? WHERE seq = ? AND cancel_at IS NULL AND step <> 'done'",
                (now, now, batch.seq),
            )
            row = self.store.one("SELECT * FROM batches WHERE seq = ?", (batch.seq,)) if changed == 0 else None
            if row is not None and not standing(self.decode_batch(row).facts, now).phase.terminal:
                changed = self.store.run(
                    "UPDATE batches SET cancel_at = ?, due_at = ?, step = 'settle', problems = NULL, checked_at = NULL,"
                    " settled_at = NULL, total = 0 WHERE seq = ? AND cancel_at IS NULL AND problems IS NOT NULL",
                    (now, now, batch.seq),
                )
                if changed == 1:  # the news of its failure must not go out
                    self.store.run("DELETE FROM notices WHERE batch = ?", (batch.seq,))

    def delete_batch(self, batch: Batch) -> None:
        """Remove it from the account and its rows from the disk; a worker that is at it notices."""
        self.store.run("UPDATE batches SET deleted = 1, step = 'done' WHERE seq = ?", (batch.seq,))
        self.discard_work(batch.dialect, batch.id)

    def discard_work(self, dialect: str, id: str) -> None:
        """Remove the rows, answers and results of a batch that is gone."""
        shutil.rmtree(self._work_of(dialect, id), ignore_errors=True)

    def _work_of(self, dialect: str, id: str) -> Path:
        return self.work_folder / f"{dialect}-{id}"

    def saw(self, batches: Iterable[Batch], now: int) -> None:
        """Somebody was told that these are still at it: what happens next to them may not be dated before."""
        older = [batch.seq for batch in batches if now > batch.seen_at]
        if older:
            with self.store.transaction():
                for seq in older:
                    self.store.run("UPDATE batches SET seen_at = max(seen_at, ?) WHERE seq = ?", (now, seq))

    # What a test may do to the world

    def jump(self, forward_ns: int) -> None:
        """Put the clock forward."""
        self.store.run("UPDATE clock SET emulated_ns = emulated_ns + ?", (forward_ns,))

    def set_clock(self, at_ns: int) -> bool:
        """Put the clock to a moment; whether that was possible. Back it goes only in an empty world, where nothing has a
        date yet that would then lie in the future."""
        with self.store.transaction():
            line = self.clock()
            real = time.time_ns()
            if at_ns < line.at(real):
                for table in ("batches", "files", "uploads", "hooks", "journal"):
                    if self.store.one(f"SELECT 1 FROM {table} LIMIT 1") is not None:
                        return False
            self._set_line(Line(real_ns=real, emulated_ns=at_ns, scale=line.scale))
        with self._clock_lock:
            self._latest = 0
        return True

    def reset(self) -> None:
        """Forget every batch, file, webhook, request and count; the clock goes on."""
        folders = self.store.all("SELECT dialect, id FROM batches")
        with self.store.transaction():
            for table in _FORGOTTEN:
                self.store.run(f"DELETE FROM {table}")
        for row in folders:
            self.discard_work(row["dialect"], row["id"])
        for left in self.files_folder.iterdir():
            left.unlink(missing_ok=True)
        for left in (
            path for path in self.incoming.iterdir() if path.is_file()
        ):  # parts of uploads; calls have folders
            left.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
