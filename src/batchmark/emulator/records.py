"""What the world keeps beside files and batches: the journal of requests, and what faults and limits count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from batchmark.emulator.store import Store

__all__ = ["Records"]

_json = msgspec.json


class Records:
    """The part of a World that others only write to and look up."""

    store: Store

    def now(self) -> int:
        raise NotImplementedError

    # The journal

    def note(
        self,
        *,
        at_ns: int,
        dialect: str,
        operation: str,
        method: str,
        path: str,
        status: int,
        subject: str | None,
        request_bytes: int,
        batch_seq: int | None = None,
        file_name: str | None = None,
        faults: Sequence[str] = (),
    ) -> None:
        """`batch_seq`: the batch that the call made, whose name is its subject; `file_name`: what the client calls the
        file that the call made; `faults`: the rules that struck it."""
        self.store.run(
            "INSERT INTO journal (at_ns, dialect, operation, method, path, status, subject, request_bytes, stored,"
            " batch_seq, file_name, faults) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                at_ns,
                dialect,
                operation,
                method,
                path,
                status,
                subject,
                request_bytes,
                None if batch_seq is None else subject,
                batch_seq,
                file_name,
                _json.encode(list(faults)).decode() if faults else None,
            ),
        )

    def journal(
        self, *, after: int = 0, limit: int = 10_000, dialect: str | None = None, operation: str | None = None
    ) -> list[dict[str, Any]]:
        """What was asked, oldest first.

        `stored` is the batch that a create made, with its rows (null until the service has read them), its labels and the
        digest of its input, where such are made; `file_name` is what the client calls the file that an upload made.
        """
        rows = self.store.all(
            "SELECT journal.*, batches.labels AS labels, batches.spec AS spec,"
            " CASE WHEN batches.checked_at IS NOT NULL OR batches.total > 0 THEN batches.total END AS rows"
            " FROM journal LEFT JOIN batches ON batches.seq = journal.batch_seq"
            " WHERE journal.seq > ? AND (? IS NULL OR journal.dialect = ?) AND (? IS NULL OR journal.operation GLOB ?)"
            " ORDER BY journal.seq LIMIT ?",
            (after, dialect, dialect, operation, operation, limit),
        )
        entries = [dict(row) for row in rows]
        for entry in entries:
            del entry["batch_seq"]
            entry["labels"] = None if entry["labels"] is None else _json.decode(entry["labels"])
            entry["faults"] = [] if entry["faults"] is None else _json.decode(entry["faults"])
            spec = entry.pop("spec")
            entry["digest"] = None if spec is None else _json.decode(spec).get("digest")
        return entries

    # What faults and limits count

    def count_fault(self, rule: str) -> int:
        """One more match of a rule; how many there were, this one included."""
        rows = self.store.all(
            "INSERT INTO fault_counts VALUES (?, 1) ON CONFLICT (rule) DO UPDATE SET count = count + 1 RETURNING count",
            (rule,),
        )
        return int(rows[0]["count"])

    def fault_count(self, rule: str) -> int:
        row = self.store.one("SELECT count FROM fault_counts WHERE rule = ?", (rule,))
        return 0 if row is None else int(row["count"])

    def forget_fault_counts(self) -> None:
        self.store.run("DELETE FROM fault_counts")

    def in_flight(self, dialect: str, queue: str | None = None) -> tuple[int, int, int]:
        """Batches that have not ended, their rows and their bytes; of one model's queue only, if given."""
        # In two halves, each over an index of the few that matter: a create must not cost more in an old world.
        row = self.store.one(
            "SELECT count(*) AS batches, coalesce(sum(total), 0) AS rows, coalesce(sum(input_bytes), 0) AS bytes FROM ("
            "SELECT total, input_bytes FROM batches WHERE step <> 'done' AND deleted = 0 AND holds_until <= ?"
            " AND dialect = ? AND (? IS NULL OR queue = ?) UNION ALL "
            "SELECT total, input_bytes FROM batches WHERE holds_until > 0 AND holds_until > ?"
            " AND dialect = ? AND (? IS NULL OR queue = ?))",
            (now := self.now(), dialect, queue, queue, now, dialect, queue, queue),
        )
        assert row is not None
        return int(row["batches"]), int(row["rows"]), int(row["bytes"])

    def made_since(self, dialect: str, count: int) -> int | None:
        """When the `count`th batch from the last was made; None where there are fewer."""
        row = self.store.one(
            "SELECT created_at FROM batches WHERE dialect = ? AND deleted = 0 ORDER BY seq DESC LIMIT 1 OFFSET ?",
            (dialect, count - 1),
        )
        return None if row is None else int(row["created_at"])
