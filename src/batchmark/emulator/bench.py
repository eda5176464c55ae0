"""Answering with a slow source: its slots shared fairly between batches, every answer on disk as soon as it is there.

A Bench is one batch being answered. Its log is append-only, so work that is cut short goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from batchmark.emulator.answers import AnswersClosed, AnswerSource, Ask, AskDropped, Reply
from batchmark.emulator.rows import Row
from batchmark.emulator.world import Batch

__all__ = ["AnswerLog", "Bench", "Benches"]

log = logging.getLogger(__name__)


class _Logged(msgspec.Struct, array_like=True):
    row: int
    reply: Reply | None  # None: the source failed on this row


class _Glanced(msgspec.Struct, array_like=True):
    row: int
    reply: msgspec.Raw


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Logged)
_glance = msgspec.json.Decoder(_Glanced).decode


class AnswerLog:
    """The answers of one batch that are on disk: in memory is only where each row's lies.

    `repair` removes a last line that a crash has cut, before more is appended.
    """

    def __init__(self, path: Path, *, repair: bool = False) -> None:
        self._places: dict[int, int] = {}
        self._opened: IO[bytes] | None = None
        if not path.exists():
            return
        good = 0
        self._opened = opened = path.open("rb")
        for line in opened:
            try:
                row = _glance(line).row
            except msgspec.DecodeError:
                break
            if not line.endswith(b"\n"):
                break
            self._places[row] = good
            good += len(line)
        if repair and good < path.stat().st_size:
            with path.open("rb+") as whole:
                whole.truncate(good)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __contains__(self, row: int) -> bool:
        return row in self._places

    def reply(self, row: int) -> Reply | None:
        """The answer of a row that is here; None where the source failed on it."""
        assert self._opened is not None
        self._opened.seek(self._places[row])
        return _decoder.decode(self._opened.readline()).reply

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _has_failed(reply: Reply | None) -> bool:
    return reply is None or reply.status >= 400


class Bench:
    """One batch being answered: hands out its asks in order and logs the replies. Raises OSError where it has no files."""

    def __init__(self, batch: Batch, read: Callable[[bytes], Row]) -> None:
        self.batch = batch
        self._read = read
        self._done = AnswerLog(batch.log_path, repair=True)
        self.failed = sum(_has_failed(self._done.reply(row)) for row in self._done)
        self._done.close()  # from here on it matters only that an answer is there
        self._input = batch.input_path.open("rb", buffering=1 << 18)
        try:
            self._log = batch.log_path.open("ab")
        except OSError:
            self._input.close()
            raise
        self._lines = enumerate(self._input)
        self._lock = threading.Lock()
        self.in_flight = 0
        self.exhausted = False
        self.dropped = False  # nobody waits for it any more
        self.broken = False  # its input cannot be read, or its answers not be kept
        self.count = 0

    def next_ask(self) -> tuple[int, Ask] | None:
        for number, line in self._lines:
            row = self._read(line)
            if row.ask is not None and number not in self._done:
                self.in_flight += 1
                return number, row.ask
            self.count += 1
            self.failed += row.refusal is not None
        self.exhausted = True
        return None

    def record(self, number: int, reply: Reply | None) -> None:
        with self._lock:
            if not self._log.closed:
                self._log.write(_encoder.encode(_Logged(row=number, reply=reply)) + b"\n")
                self._log.flush()

    def close(self) -> None:
        with self._lock:
            self._input.close()
            with contextlib.suppress(OSError):  # what a full disk did not take is asked again
                self._log.close()


class Benches:
    """The threads that keep a source's slots busy, taking one ask of each waiting batch in turn."""

    def __init__(
        self, source: AnswerSource, *, finished: Callable[[Bench], None], failed: Callable[[Bench], None]
    ) -> None:
        """`finished` is called for a batch with all its answers, `failed` for one whose files are in the way of that."""
        self._source = source
        self._finished = finished
        self._failed = failed
        self._turn: deque[Bench] = deque()
        self._active: dict[int, Bench] = {}
        self._ready = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def add(self, bench: Bench) -> None:
        with self._ready:
            if not self._threads:
                for number in range(self._source.slots):
                    thread = threading.Thread(target=self._work, name=f"emulator-answer-{number}", daemon=True)
                    self._threads.append(thread)
                    thread.start()
            self._active[bench.batch.seq] = bench
            self._turn.append(bench)
            self._ready.notify_all()

    def active(self) -> list[Bench]:
        with self._ready:
            return list(self._active.values())

    def drop(self, bench: Bench) -> None:
        """Hand out no more of this batch; answers in flight still reach its log."""
        with self._ready:
            bench.dropped = True
            self._active.pop(bench.batch.seq, None)
            if bench.in_flight == 0:
                bench.close()

    def stop(self) -> None:
        with self._ready:
            self._stopping = True
            self._ready.notify_all()

    def join(self, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        for bench in self.active():
            bench.close()

    def _next(self) -> tuple[Bench, int, Ask] | None:
        """The next ask, round robin over batches; None once stopping."""
        ended: list[Bench] = []
        try:
            with self._ready:
                while not self._stopping:
                    if not self._turn:
                        if ended:
                            return None
                        self._ready.wait()
                        continue
                    bench = self._turn.popleft()
                    if bench.dropped:
                        continue
                    try:
                        found = bench.next_ask()
                    except Exception:  # such as a batch deleted at this moment: no reason for a thread to end
                        log.exception("a batch cannot be read on", extra={"batch": bench.batch.id})
                        bench.broken = bench.dropped = True
                        found = None
                    if found is not None:
                        self._turn.append(bench)
                        self._ready.notify()
                        return bench, *found
                    if bench.in_flight == 0:
                        self._active.pop(bench.batch.seq, None)
                        ended.append(bench)
                return None
        finally:
            for bench in ended:
                self._end(bench)

    def _end(self, bench: Bench) -> None:
        bench.close()
        (self._failed if bench.broken else self._finished)(bench)

    def _work(self) -> None:
        while not self._stopping:
            found = self._next()
            if found is None:
                continue
            bench, number, ask = found
            closed = answered = False
            reply: Reply | None = None
            try:
                reply = self._source.answer(ask, lambda: bench.dropped)  # noqa: B023  it is asked before the next
                answered = True
            except AskDropped:
                pass
            except AnswersClosed:
                closed = True
            except Exception:
                log.exception("the answer source failed on a row", extra={"batch": bench.batch.id, "row": number})
                answered = True
            try:
                if answered:
                    bench.record(number, reply)
            except (OSError, ValueError):
                log.exception("an answer cannot be kept", extra={"batch": bench.batch.id, "row": number})
                bench.broken = bench.dropped = True
            if self._put_back(bench, answered=answered, failed=answered and _has_failed(reply)):
                self._end(bench)
            if closed:
                return

    def _put_back(self, bench: Bench, *, answered: bool, failed: bool) -> bool:
        """One ask is in flight no more; whether that was the last thing to be done for the batch."""
        with self._ready:
            bench.in_flight -= 1
            bench.count += answered
            bench.failed += failed
            if bench.in_flight:
                return False
            ours = self._active.get(bench.batch.seq) is bench
            over = ours and (bench.broken or (answered and bench.exhausted and not bench.dropped))
            if over:
                del self._active[bench.batch.seq]
            elif bench.dropped:
                bench.close()
            return over
