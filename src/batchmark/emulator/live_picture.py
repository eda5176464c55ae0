"""What the live page is told: the newest and the unfinished batches, the newest calls, and what this emulator is.

A look costs little where little has happened: only rows that changed are decoded, and of the journal only what is new is
read. What one page lacks is the difference between the picture it has and the present one.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nlargest
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from batchmark.emulator.clock import Line
from batchmark.emulator.limits import parse_limits
from batchmark.emulator.live_batch import BatchView, clip, milliseconds, view
from batchmark.emulator.service import Service
from batchmark.emulator.world import Batch

__all__ = ["KEPT", "Call", "Looker", "Picture", "news"]

KEPT = 5_000  # calls that a page which was cut off can still be given
_FIRST = 500  # calls that a new page is given
_NEWEST = 200  # batches in sight whatever their state
_UNFINISHED = 200  # and of older ones those that have not ended
_PATH = 300

_encode = msgspec.json.encode


class Call(NamedTuple):
    """One entry of the journal, as JSON."""

    seq: int
    text: bytes


class _CallView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    seq: int
    at: int
    dialect: str
    operation: str
    method: str
    path: str
    status: int
    subject: str = ""
    file: str = ""
    size: int = 0
    faults: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that a page may know at one moment. Never changed: a later look makes another one."""

    world: str
    about: Mapping[str, Any]
    line: Line
    batches: Mapping[int, bytes] = field(default_factory=dict)  # by sequence number, as JSON
    total: int = 0
    unfinished: int = 0
    calls: Sequence[Call] = ()
    first_call: int = 1  # the oldest entry that the journal still has
    last_call: int = 0


def news(before: Picture | None, now: Picture, seen_call: int | None) -> tuple[bytes, int]:
    """The events that bring a page from one picture to another, and the last call it then has seen.

    `seen_call` None: none yet, so it gets the newest ones.
    """
    events = []
    if before is None or before.about is not now.about or before.line != now.line:
        events.append(_status(now))
    same = before is not None and (before.total, before.unfinished) == (now.total, now.unfinished)
    if before is None or before.batches is not now.batches or not same:
        events.append(_batches(before, now))
    at = 0 if seen_call is None else bisect_right(now.calls, seen_call, key=itemgetter(0))
    fresh = now.calls[-_FIRST:] if seen_call is None else now.calls[at:]
    if before is None or fresh or before.first_call != now.first_call:
        events.append(_journal(now, fresh))
    return b"".join(events), now.last_call


def _status(now: Picture) -> bytes:
    real = time.time_ns()
    clock = {
        "now": milliseconds(real),
        "real": now.line.real_ns / 1e6,
        "emulated": now.line.emulated_ns / 1e6,
        "scale": now.line.scale,
    }
    return _event("status", _encode({"world": now.world, "clock": clock, **now.about}))


def _batches(before: Picture | None, now: Picture) -> bytes:
    had = {} if before is None else before.batches
    changed = [text for seq, text in now.batches.items() if had.get(seq) is not text]
    gone = [seq for seq in had if seq not in now.batches]
    head = _encode({"all": before is None, "total": now.total, "unfinished": now.unfinished, "gone": gone})
    return _event("batches", head[:-1] + b',"batches":[' + b",".join(changed) + b"]}")


def _journal(now: Picture, fresh: Sequence[Call]) -> bytes:
    after = fresh[0].seq - 1 if fresh else now.last_call
    head = _encode({"first": now.first_call, "last": now.last_call, "after": after})
    entries = b",".join(call.text for call in fresh)
    return _event("journal", head[:-1] + b',"entries":[' + entries + b"]}", id=f"{now.world}.{now.last_call}")


def _event(name: str, data: bytes, *, id: str | None = None) -> bytes:
    mark = b"" if id is None else f"id: {id}\n".encode()
    return b"event: " + name.encode() + b"\n" + mark + b"data: " + data + b"\n\n"


class _Known:
    """A batch that is in sight, decoded once for each change of its row."""

    __slots__ = ("_batch", "_hidden_until", "_next", "mark", "text", "view")

    def __init__(self, mark: tuple[Any, ...], batch: Batch) -> None:
        self.mark = mark
        self._batch = batch
        self._hidden_until: int = mark[_HIDDEN]
        self._next = 0  # the moment before which it stays as it is, unless its row changes
        self.view: BatchView | None = None
        self.text = b""

    def see(self, now: int, free: bool) -> None:
        if now < self._next:
            return
        seen = view(self._batch, now, free=free, hidden_until=self._hidden_until)
        if seen != self.view:
            self.view, self.text = seen, _encode(seen)
        if self._batch.faults and seen.ended is None:
            return  # a fault may let it show another state at any moment
        moments = [self._hidden_until, *((leg.end + 1) * 1_000_000 for leg in seen.legs)]
        self._next = min((moment for moment in moments if moment > now), default=_NEVER)


# What can change in a batch's row, as far as it can be seen.
_MARK = (
    "seq, hidden_until, model, total, answered, checked_at, answered_at, expired, cancel_at, settled_at,"
    " problems IS NULL, outcome IS NULL"
)
_HIDDEN = 1
_NEVER = 1 << 63


class Looker:
    """Makes the pictures of one emulator. One thread at a time."""

    def __init__(self, service: Service, about: Mapping[str, Any]) -> None:
        """`about`: what this emulator is, of which the page is told a part beside its faults, limits and clock."""
        self._service = service
        self._world = service.world
        self._store = service.world.store
        self._given = {name: about[name] for name in ("name", "version", "profile", "answers")}
        self._usual = parse_limits(())
        self._known: dict[int, _Known] = {}
        self._seen: tuple[int, ...] = ()

    def look(self, before: Picture | None) -> Picture:
        """The present picture; `before` itself where nothing is different."""
        line = self._world.clock()
        seen = self._changes()
        about = self._about()
        if before is None:
            home = self._world.home.resolve()
            inode = (home / "world.sqlite3").stat().st_ino
            world = hashlib.blake2b(f"{home}/{inode}".encode(), digest_size=6).hexdigest()
            before = Picture(world=world, about=about, line=line)
            self._seen = ()
        now = replace(before, about=before.about if before.about == about else about, line=line)
        if seen != self._seen:
            self._seen = seen
            now = self._calls(self._rows(now))
        now = self._batches(now)
        return before if now == before and now.about is before.about else now

    def _changes(self) -> tuple[int, ...]:
        """Numbers that move whenever a table does, whether by this process or another."""
        ours = self._store.one("SELECT total_changes() AS number")
        others = self._store.one("PRAGMA data_version")
        assert ours is not None
        assert others is not None
        return int(ours[0]), int(others[0])

    def _about(self) -> dict[str, Any]:
        given = self._service.limits
        limits = [
            [f"{dialect}.{name}", value]
            for dialect, table in self._usual.items()
            for name, usual in table.items()
            for value in (given[dialect][name],)
            if value != usual
        ]
        return {**self._given, "faults": [rule.text for rule in self._service.faults.rules], "limits": limits}

    def _rows(self, now: Picture) -> Picture:
        """Which batches are in sight; decodes those whose rows have changed."""
        newest = self._store.all(f"SELECT {_MARK} FROM batches WHERE deleted = 0 ORDER BY seq DESC LIMIT {_NEWEST}")
        working = self._store.all("SELECT seq FROM batches INDEXED BY batches_to_do WHERE step <> 'done'")
        marks = {row[0]: tuple(row) for row in newest}
        older = nlargest(_UNFINISHED, (row[0] for row in working if row[0] not in marks))
        marks |= {row[0]: tuple(row) for row in self._select(_MARK, older)}
        stale = [seq for seq, mark in marks.items() if seq not in self._known or self._known[seq].mark != mark]
        for row in self._select("*", stale):
            known = _Known(marks[row["seq"]], self._world.decode_batch(row))
            old = self._known.get(row["seq"])
            if old is not None:
                known.view, known.text = old.view, old.text
            self._known[row["seq"]] = known
        self._known = {seq: self._known[seq] for seq in sorted(marks, reverse=True) if seq in self._known}
        total = self._store.one("SELECT count(*) AS number FROM batches WHERE deleted = 0")
        assert total is not None
        return replace(now, total=int(total["number"]), unfinished=len(working))

    def _select(self, columns: str, seqs: Sequence[int]) -> list[Any]:
        places = ", ".join("?" * len(seqs))
        return self._store.all(f"SELECT {columns} FROM batches WHERE seq IN ({places}) AND deleted = 0", seqs)

    def _batches(self, now: Picture) -> Picture:
        """The batches in sight as they stand at this moment."""
        works = self._service.works
        free = works is not None and works.source.free
        moment = self._world.now()
        for known in self._known.values():
            known.see(moment, free)
        batches = {seq: known.text for seq, known in self._known.items()}
        return now if batches == now.batches else replace(now, batches=batches)

    def _calls(self, now: Picture) -> Picture:
        """The journal's newest entries; after a reset those from before it are gone."""
        ends = self._store.one(
            "SELECT (SELECT min(seq) FROM journal) AS first, (SELECT max(seq) FROM journal) AS last,"
            " (SELECT seq FROM sqlite_sequence WHERE name = 'journal') AS given"
        )
        assert ends is not None
        first = int(ends["given"] or 0) + 1 if ends["first"] is None else int(ends["first"])
        newest = first - 1 if ends["last"] is None else int(ends["last"])
        after = max(now.last_call, newest - KEPT)
        rows = self._store.all(
            "SELECT seq, at_ns, dialect, operation, method, path, status, subject, file_name, request_bytes, faults"
            " FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, KEPT),
        )
        kept = now.calls if after == now.last_call else ()  # no hole in the middle
        calls = [call for call in (*kept, *map(_call, rows)) if call.seq >= first][-KEPT:]
        if not rows and first == now.first_call:
            return now
        last = calls[-1].seq if calls else newest
        return replace(now, calls=calls, first_call=first, last_call=max(last, now.last_call))


def _call(row: Any) -> Call:
    seen = _CallView(
        seq=row["seq"],
        at=milliseconds(row["at_ns"]),
        dialect=row["dialect"],
        operation=row["operation"],
        method=row["method"],
        path=clip(row["path"], _PATH),
        status=row["status"],
        subject=clip(row["subject"] or ""),
        file=clip(row["file_name"] or ""),
        size=row["request_bytes"],
        faults=[] if row["faults"] is None else [clip(text) for text in msgspec.json.decode(row["faults"])],
    )
    return Call(seen.seq, _encode(seen))
