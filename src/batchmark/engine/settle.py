"""Raw result files of one shard attempt -> its answers, in the order of its rows, and the next attempt for the rows that are asked again.

First note where each row's line lies, then write the rows in order, decoding each line once. Memory is 12 bytes per row of one shard.
The join is by our wire id, whose number is the row in the shard; order and counts of the provider are never trusted. The same raw files
give the same bytes, so a settling that was interrupted is simply done again.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from batchmark.domain.ids import make_label, parse_wire_id, row_of
from batchmark.domain.lifecycle import State
from batchmark.domain.result import Failure, Outcome, Result
from batchmark.domain.totals import Totals
from batchmark.domain.usage import Usage
from batchmark.engine.estimate import Estimate, part_of
from batchmark.engine.stage import DamagedShard, answers_part, carried_path, encoded_rows, shard_path
from batchmark.errors import LocalTrouble
from batchmark.ledger.artifacts import hashed_file, open_artifact, remove, verify
from batchmark.ledger.points import reach
from batchmark.ledger.records import CANCELLED_UNSENT, BatchRecord, JobRecord, ShardRecord
from batchmark.prices.lookup import Price, cost_usd
from batchmark.providers.seam import Wire
from batchmark.workload.answers import Answer, decode_carried, encode_answer

__all__ = ["Places", "Settled", "index", "settle", "without_line"]

_NOWHERE = -1
_FILE_SHIFT = 48  # the file's number stands above the offset in one 64-bit place
_OFFSET = (1 << _FILE_SHIFT) - 1
_WINDOW = 1 << 20
_BLOCK_BYTES = 8 << 20
_FEWEST_ROWS, _MOST_ROWS = 64, 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What one shard attempt came to. `handed_on` is the part of `totals` that the attempt `following` asks again."""

    answers: dict[str, object]
    totals: Totals
    handed_on: Totals | None = None
    following: ShardRecord | None = None


def without_line(state: State, problems: Iterable[str], *, stopped_by_us: bool = False) -> tuple[Outcome, Failure]:
    """What became of a row that no result line speaks of, by how its batch ended.

    `stopped_by_us`: the batch was cancelled because it was stuck, and its rows are to be asked again.
    """
    words = "; ".join(problems)
    match state:
        case State.FAILED:
            return Outcome.ERRORED, Failure("batch_failed", words or "the provider refused the whole batch", False)
        case State.EXPIRED:
            return Outcome.EXPIRED, Failure("expired", "the completion window ended before this request ran", True)
        case State.CANCELLED if stopped_by_us:
            return Outcome.CANCELLED, Failure(
                "stopped", "the batch was stuck and was stopped before this request ran", True
            )
        case State.CANCELLED:
            return Outcome.CANCELLED, Failure("cancelled", "the batch was cancelled before this request ran", False)
        case _:
            return Outcome.MISSING, Failure("missing", "the batch ended without a line for this request", True)


class Places:
    """Where each row's line lies in the raw files of a shard attempt. `lines` counts all that are not empty."""

    def __init__(self, rows: int) -> None:
        self.at = array("q", [_NOWHERE]) * rows
        self.length = array("I", [0]) * rows
        self.lines = 0
        self.duplicates = 0
        self.unknown = 0
        self.unreadable = 0
        self.others = False
        self.ours = False


class _Lines:
    """Lines of the raw files, read through a window."""

    def __init__(self, paths: list[Path], stack: ExitStack) -> None:
        files = [stack.enter_context(path.open("rb", buffering=0)) for path in paths]
        self._handles = [file.fileno() for file in files]
        self._bytes = sum(os.fstat(handle).st_size for handle in self._handles)
        self._begin = self._end = 0
        self._window = b""

    def read(self, place: int, length: int) -> bytes:
        """The line at a place. Quick where places rise."""
        if place < self._begin or place + length > self._end:
            file = place >> _FILE_SHIFT
            self._window = os.pread(self._handles[file], max(length, _WINDOW), place & _OFFSET)
            self._begin, self._end = place, place + len(self._window)
        start = place - self._begin
        return self._window[start : start + length]

    def by_row(self, places: Places) -> Iterator[bytes]:
        """The line of every row, in the order of rows; empty where there is none.

        Providers may give results in any order, and a read for each line would cost more than all else. So the lines of a block of rows
        are read in the order in which they lie, as many rows at a time as fit a few megabytes.
        """
        at, lengths = places.at, places.length
        average = self._bytes // max(len(at), 1) + 1
        rows = min(max(_BLOCK_BYTES // average, _FEWEST_ROWS), _MOST_ROWS)
        for first in range(0, len(at), rows):
            block, sizes = at[first : first + rows], lengths[first : first + rows]
            lines = [b""] * len(block)
            for number in sorted(range(len(block)), key=block.__getitem__):
                place = block[number]
                if place != _NOWHERE:
                    lines[number] = self.read(place, sizes[number])
            yield from lines


def index(paths: list[Path], wire: Wire, shard: ShardRecord) -> Places:
    """Find every row's line. Of several lines for one row a usable answer counts, wherever it stands."""
    places = Places(shard.rows)
    at, lengths, rows = places.at, places.length, shard.rows
    label = shard.label
    wire_id_of = wire.wire_id_of
    again: list[tuple[int, int, int]] = []
    for number, path in enumerate(paths):
        offset = number << _FILE_SHIFT
        with path.open("rb", buffering=_WINDOW) as raw:
            for line in raw:
                start, offset = offset, offset + len(line)
                if line.isspace():
                    continue
                places.lines += 1
                try:
                    text = wire_id_of(line)
                except (ValueError, RecursionError):
                    places.unreadable += 1
                    continue
                row = row_of(text, label)
                if row is None or row >= rows:
                    places.unknown += 1
                    found = parse_wire_id(text)
                    if found is None or found[0] != shard.label:
                        places.others = True
                    continue
                places.ours = True
                if at[row] == _NOWHERE:
                    at[row], lengths[row] = start, len(line)
                else:
                    places.duplicates += 1
                    again.append((row, start, len(line)))
    if again:
        with ExitStack() as stack:
            _choose(places, again, _Lines(paths, stack), wire)
    return places


def _choose(places: Places, again: list[tuple[int, int, int]], lines: _Lines, wire: Wire) -> None:
    for row, place, length in again:
        first = _decode(wire, lines.read(places.at[row], places.length[row]))
        if first.outcome is Outcome.SUCCEEDED:
            continue
        if _decode(wire, lines.read(place, length)).outcome is Outcome.SUCCEEDED:
            places.at[row], places.length[row] = place, length


def settle(
    job: JobRecord,
    shard: ShardRecord,
    batch: BatchRecord | None,
    wire: Wire,
    price: Price | None,
    *,
    folder: Path,
    paths: list[Path],
    places: Places | None = None,
    ask_again: bool = False,
) -> Settled:
    """Write the attempt's answers, and with `ask_again` the files of the next attempt, both whole or not at all.

    Raises DamagedShard where a file of the attempt is not as it was staged, LocalTrouble where the disk refuses.
    """
    rows = carried_path(folder, shard.label)
    if shard.carried_digest is not None and not verify(rows, shard.carried_digest):
        raise DamagedShard(f"{rows}, which says whose answers these are, is not as it was written; they are kept")
    if places is None:
        places = index(paths, wire, shard)
    totals = Totals(cost_usd=0.0 if price else None, price_note=price.note if price else None)
    totals.duplicates, totals.unknown, totals.unreadable = places.duplicates, places.unknown, places.unreadable
    part = answers_part(folder, shard.label)
    handed_on = Totals(cost_usd=None)
    retried = array("I")
    reports = _Reports(job, shard, batch)
    decode, encode, count = wire.decode, encode_answer, totals.count
    stopped = batch is not None and batch.cancel_asked_at is not None
    lost = reports.without_line(stopped)
    with ExitStack() as stack:
        lines = _Lines(paths, stack)
        carried_file = stack.enter_context(open_artifact(carried_path(folder, shard.label)))
        out = stack.enter_context(hashed_file(part))
        read = wrote = cached = written = reasoning = 0
        spent = wasted = 0.0
        succeeded = 0
        for number, (row, line) in enumerate(zip(carried_file, lines.by_row(places), strict=True)):
            carried = decode_carried(row)
            if not line:
                result = lost
            else:
                try:
                    result = decode(line)
                except (ValueError, RecursionError) as error:
                    result = _unreadable(error)
            cost = None
            usage = result.usage
            if usage is not None:
                # summed by hand: an object per row would cost more than the sums
                read += usage.input_tokens
                wrote += usage.output_tokens
                cached += usage.cached_tokens
                written += usage.cache_write_tokens
                reasoning += usage.reasoning_tokens
                if price is not None:
                    cost = round(cost_usd(price, usage), 12)
                    spent += cost
            failure = result.error
            if failure is None:
                succeeded += 1
            else:
                count(result.outcome, failure)
                wasted += cost or 0.0
                if ask_again and _worth_asking(result, failure, stopped):
                    retried.append(number)
                    handed_on.count(result.outcome, failure)
            out.write(
                encode(
                    reports.answer(result, carried.row, carried.custom_id, cost, carried.wants_json), carried.columns
                )
            )
    totals.submitted += succeeded
    totals.succeeded += succeeded
    totals.usage = Usage(read, wrote, cached, written, reasoning)
    totals.wasted_usd = wasted
    if price is not None:
        totals.cost_usd = spent
    entry: dict[str, object] = {"path": part.name, "sha256": out.sha256, "bytes": out.size}
    reach("answers-written")
    if not retried:
        return Settled(answers=entry, totals=totals)
    following = _next_attempt(shard, retried, wire, folder)
    reach("retry-staged")
    return Settled(answers=entry, totals=totals, handed_on=handed_on, following=following)


def _worth_asking(result: Result, failure: Failure, stopped: bool) -> bool:
    return failure.retryable or (stopped and result.outcome is Outcome.CANCELLED)


class _Reports:
    """What all answers of a shard attempt have in common."""

    def __init__(self, job: JobRecord, shard: ShardRecord, batch: BatchRecord | None) -> None:
        self.provider, self.model = job.provider, job.model
        self.batch_id = batch.id if batch else ""
        self.attempt = shard.attempt
        self._state = State(batch.state) if batch else _unsent(shard)
        self._problems = batch.problems if batch else [shard.problem or ""]

    def without_line(self, stopped: bool) -> Result:
        outcome, failure = without_line(self._state, self._problems, stopped_by_us=stopped)
        return Result("", outcome, error=failure)

    def answer(
        self, result: Result, row: int, custom_id: str | int | None, cost: float | None, wants_json: bool
    ) -> Answer:
        parsed: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
        if wants_json and result.text is not None:
            try:
                # models print JSON over many lines, and an answer must be one
                parsed = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(result.text)))
            except msgspec.DecodeError:
                parsed = msgspec.Raw(b"null")
        return Answer(
            custom_id,
            row,
            result.outcome,
            result.text,
            result.finish_reason,
            result.usage,
            cost,
            self.provider,
            result.model or self.model,
            self.batch_id,
            self.attempt,
            result.error,
            msgspec.UNSET if result.embedding is None else result.embedding,
            parsed,
            msgspec.UNSET if result.tool_calls is None else result.tool_calls,
            msgspec.UNSET if result.embeddings is None else result.embeddings,
        )


def _unsent(shard: ShardRecord) -> State:
    return State.CANCELLED if shard.problem == CANCELLED_UNSENT else State.FAILED


def _unreadable(error: Exception) -> Result:
    """A line that names its row but cannot be read is that row's failure, not the run's."""
    failure = Failure("unreadable_answer", f"the result line cannot be read: {error}", False)
    return Result("", Outcome.ERRORED, error=failure)


def _decode(wire: Wire, line: bytes) -> Result:
    try:
        return wire.decode(line)
    except (ValueError, RecursionError) as error:
        return _unreadable(error)


def _next_attempt(shard: ShardRecord, rows: array[int], wire: Wire, folder: Path) -> ShardRecord:
    """The files of the next attempt: some rows of this one, byte for byte but for their wire ids."""
    if not verify(shard_path(folder, shard.label), shard.digest):
        raise DamagedShard(f"the shard file of {shard.label} is not as it was written; nothing of it is sent again")
    label = make_label(shard.job_id, shard.number, shard.attempt + 1)
    frame, relabel = wire.FRAME, wire.relabel
    wanted = iter(rows)
    row = next(wanted, None)
    count = 0
    with (
        open_artifact(shard_path(folder, shard.label)) as requests_in,
        open_artifact(carried_path(folder, shard.label)) as carried_in,
        hashed_file(shard_path(folder, label)) as requests,
        hashed_file(carried_path(folder, label)) as carried,
    ):
        requests.write(frame.prefix)
        both = zip(encoded_rows(requests_in, frame, shard.rows), carried_in, strict=True)
        for number, (encoded, line) in enumerate(both):
            if number != row:
                continue
            if count:
                requests.write(frame.separator)
            requests.write(relabel(encoded, f"{label}-{count}"))
            carried.write(line)
            count += 1
            row = next(wanted, None)
        requests.write(frame.suffix)
    if count != len(rows):
        remove(shard_path(folder, label))
        remove(carried_path(folder, label))
        raise LocalTrouble(f"the shard file of {shard.label} is not as it was written; what was collected is safe")
    whole = Estimate(**shard.estimate) if shard.estimate else None
    return replace(
        shard,
        id=0,
        attempt=shard.attempt + 1,
        label=label,
        rows=count,
        bytes=requests.size,
        digest=requests.sha256,
        carried_digest=carried.sha256,
        estimate=part_of(whole, count, requests.size).document if whole else None,
        state="staged",
        file_id=None,
        sent_at=None,
        timeout_s=None,
        batch_id=None,
        collected_at=None,
        raw=None,
        problem=None,
        sends=0,
        account=None,
        uploaded_at=None,
        file_deleted_at=None,
        answers=None,
        totals=None,
        handed_on=None,
    )
