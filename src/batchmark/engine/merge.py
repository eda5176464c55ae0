"""Raw result files -> answers in the order of the user's rows.

Shard by shard: note where each row's line lies, then write the shard's rows in order, decoding each answer once. Memory is 8 bytes
per row of one shard. The join is by our wire id, whose number is the row in the shard; order and counts of the provider are never trusted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchmark.domain.ids import parse_wire_id
from batchmark.domain.lifecycle import State
from batchmark.domain.result import Failure, Outcome, Result
from batchmark.domain.totals import Totals
from batchmark.engine.points import reach
from batchmark.engine.stage import carried_path
from batchmark.ledger.artifacts import whole_file
from batchmark.ledger.records import CANCELLED_UNSENT, BatchRecord, JobRecord, ShardRecord
from batchmark.prices.lookup import Price, cost_usd
from batchmark.providers.seam import Wire
from batchmark.workload.answers import Answer, decode_carried, encode_answer

__all__ = ["merge", "without_line"]

_NOWHERE = -1
_FILE_SHIFT = 48  # the file's number stands above the offset in one 64-bit place


def without_line(state: State, problems: Iterable[str]) -> tuple[Outcome, Failure]:
    """What became of a row that no result line speaks of, by how its batch ended."""
    words = "; ".join(problems)
    match state:
        case State.FAILED:
            return Outcome.ERRORED, Failure("batch_failed", words or "the provider refused the whole batch", False)
        case State.EXPIRED:
            return Outcome.EXPIRED, Failure("expired", "the completion window ended before this request ran", True)
        case State.CANCELLED:
            return Outcome.CANCELLED, Failure("cancelled", "the batch was cancelled before this request ran", False)
        case _:
            return Outcome.MISSING, Failure("missing", "the batch ended without a line for this request", True)


@dataclass(slots=True)
class _Places:
    """Where each row's line lies in the raw files of a shard."""

    at: array[int]
    duplicates: int = 0
    unknown: int = 0
    unreadable: int = 0


def merge(
    job: JobRecord,
    shards: Iterable[tuple[ShardRecord, BatchRecord | None]],
    wire: Wire,
    price: Price | None,
    *,
    folder: Path,
    into: Path,
) -> Totals:
    """Write the job's answers to `into`, whole or not at all, and return what they add up to.

    Raises LocalTrouble where the disk refuses.
    """
    totals = Totals(cost_usd=0.0 if price else None, price_note=price.note if price else None)
    with whole_file(into) as out:
        for shard, batch in shards:
            _merge_shard(job, shard, batch, wire, price, folder, out, totals)
            reach("merging")
    return totals


def _merge_shard(
    job: JobRecord,
    shard: ShardRecord,
    batch: BatchRecord | None,
    wire: Wire,
    price: Price | None,
    folder: Path,
    out: BinaryIO,
    totals: Totals,
) -> None:
    with ExitStack() as stack:
        raws = [
            stack.enter_context((folder / entry["path"]).open("rb", buffering=1 << 18)) for entry in shard.raw or ()
        ]
        places = _index(raws, wire, shard)
        totals.duplicates += places.duplicates
        totals.unknown += places.unknown
        totals.unreadable += places.unreadable
        unsent = State.CANCELLED if shard.problem == CANCELLED_UNSENT else State.FAILED
        state = State(batch.state) if batch else unsent
        lost = without_line(state, batch.problems if batch else [shard.problem or ""])
        batch_id = batch.id if batch else ""
        carried_file = stack.enter_context(carried_path(folder, shard.label).open("rb", buffering=1 << 18))
        for place, line in zip(places.at, carried_file, strict=True):
            carried = decode_carried(line)
            if place == _NOWHERE:
                result = Result("", lost[0], error=lost[1])
            else:
                result = _decode(wire, _line_at(raws, place))
            cost = None
            if result.usage is not None:
                totals.usage += result.usage
                if price is not None:
                    cost = round(cost_usd(price, result.usage), 12)
                    totals.cost_usd = (totals.cost_usd or 0.0) + cost
            totals.count(result.outcome, result.error)
            out.write(
                encode_answer(
                    _answer(job, shard, batch_id, result, carried.row, carried.custom_id, cost, carried.wants_json),
                    carried.columns,
                )
            )


def _answer(
    job: JobRecord,
    shard: ShardRecord,
    batch_id: str,
    result: Result,
    row: int,
    custom_id: str | int | None,
    cost: float | None,
    wants_json: bool,
) -> Answer:
    parsed: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    if wants_json and result.text is not None:
        try:
            # models print JSON over many lines, and an answer must be one
            parsed = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(result.text)))
        except msgspec.DecodeError:
            parsed = msgspec.Raw(b"null")
    return Answer(
        custom_id=custom_id,
        row=row,
        outcome=result.outcome,
        text=result.text,
        finish_reason=result.finish_reason,
        usage=result.usage,
        cost_usd=cost,
        provider=job.provider,
        model=result.model or job.model,
        batch_id=batch_id,
        attempt=shard.attempt,
        error=result.error,
        embedding=msgspec.UNSET if result.embedding is None else result.embedding,
        parsed=parsed,
        tool_calls=msgspec.UNSET if result.tool_calls is None else result.tool_calls,
        embeddings=msgspec.UNSET if result.embeddings is None else result.embeddings,
    )


def _decode(wire: Wire, line: bytes) -> Result:
    """A line that names its row but cannot be read is that row's failure, not the run's."""
    try:
        return wire.decode(line)
    except (ValueError, RecursionError) as error:
        return Result(
            "", Outcome.ERRORED, error=Failure("unreadable_answer", f"the result line cannot be read: {error}", False)
        )


def _index(raws: list[BinaryIO], wire: Wire, shard: ShardRecord) -> _Places:
    places = _Places(array("q", [_NOWHERE]) * shard.rows)
    again: list[tuple[int, int]] = []
    for number, raw in enumerate(raws):
        offset = 0
        for line in raw:
            start, offset = offset, offset + len(line)
            if line.isspace():
                continue
            try:
                found = parse_wire_id(wire.wire_id_of(line))
            except (ValueError, RecursionError):
                places.unreadable += 1
                continue
            if found is None or found[0] != shard.label or found[1] >= shard.rows:
                places.unknown += 1
            elif places.at[found[1]] != _NOWHERE:
                places.duplicates += 1
                again.append((found[1], (number << _FILE_SHIFT) | start))
            else:
                places.at[found[1]] = (number << _FILE_SHIFT) | start
    for row, place in again:
        # of several lines for one row a usable answer counts, wherever it stands
        first = _decode(wire, _line_at(raws, places.at[row]))
        if first.outcome is Outcome.SUCCEEDED:
            continue
        if _decode(wire, _line_at(raws, place)).outcome is Outcome.SUCCEEDED:
            places.at[row] = place
    return places


def _line_at(raws: list[BinaryIO], place: int) -> bytes:
    raw = raws[place >> _FILE_SHIFT]
    raw.seek(place & ((1 << _FILE_SHIFT) - 1))
    return raw.readline()
