"""Rows -> shard files, in one pass and in bounded memory. The bytes written are the bytes that will be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from batchmark.domain.ids import make_label
from batchmark.domain.limits import Frame, Limits
from batchmark.domain.request import ChatRequest, Request, Row
from batchmark.engine.estimate import Tally
from batchmark.engine.plan import pack
from batchmark.errors import LocalTrouble
from batchmark.ledger.artifacts import HashedFile, hashed_file, make_folder, remove
from batchmark.ledger.records import ShardRecord
from batchmark.prices.lookup import Price
from batchmark.providers.seam import Wire
from batchmark.workload.answers import encode_carried

__all__ = ["DamagedShard", "answers_part", "carried_path", "encoded_rows", "raw_folder", "shard_path", "stage"]


class DamagedShard(LocalTrouble):
    """A file of a shard is not as it was written; it must not be sent or used."""


def shard_path(folder: Path, label: str) -> Path:
    """The shard file: requests as the wire carries them."""
    return folder / f"{label}.requests"


def carried_path(folder: Path, label: str) -> Path:
    """The side file: row number, custom_id and columns of each request, in order."""
    return folder / f"{label}.rows"


def raw_folder(folder: Path, label: str) -> Path:
    """Where the provider's result files are kept verbatim."""
    return folder / "raw" / label


def answers_part(folder: Path, label: str) -> Path:
    """The answers of one shard attempt, in the order of its rows."""
    return folder / f"{label}.answers"


@dataclass(slots=True)
class _Open:
    """The shard that is being written."""

    number: int
    label: str
    endpoint: str
    requests: HashedFile
    carried: HashedFile
    tally: Tally


def stage(
    rows: Iterable[Row],
    wire: Wire,
    limits: Limits,
    *,
    source: str,
    model: str,
    job_id: str,
    folder: Path,
    one_model: bool = False,
    price: Price | None = None,
    tell: Callable[[int], None] | None = None,
) -> list[ShardRecord]:
    """Write the shard files of a job and describe them, in order. `tell` hears how many rows have been written, now and then.

    Raises RowError, leaving no file behind, where a row cannot be honoured by the provider, fits no shard, or needs another endpoint
    than the rows before it. Raises LocalTrouble where the disk refuses.
    """
    make_folder(folder)
    done: list[ShardRecord] = []
    begun: list[str] = []
    packed = pack(rows, wire, limits, source=source, model=model, job_id=job_id, one_model=one_model)
    try:
        _write(packed, wire, limits, done, begun, job_id=job_id, folder=folder, price=price, tell=tell)
    except BaseException:
        for label in begun:
            remove(shard_path(folder, label))
            remove(carried_path(folder, label))
        with suppress(OSError):
            folder.rmdir()
        raise
    return done


_TELL_EVERY = 10_000


def _write(
    packed: Iterator[tuple[int, Row, bytes]],
    wire: Wire,
    limits: Limits,
    done: list[ShardRecord],
    begun: list[str],
    *,
    job_id: str,
    folder: Path,
    price: Price | None,
    tell: Callable[[int], None] | None,
) -> None:
    frame, separator = wire.FRAME, wire.FRAME.separator
    current: _Open | None = None
    files = ExitStack()

    def begin(number: int, endpoint: str) -> _Open:
        label = make_label(job_id, number, 1)
        begun.append(label)
        requests = files.enter_context(hashed_file(shard_path(folder, label)))
        carried = files.enter_context(hashed_file(carried_path(folder, label)))
        requests.write(frame.prefix)
        return _Open(number, label, endpoint, requests, carried, Tally(price, limits))

    def finish(shard: _Open) -> None:
        shard.requests.write(frame.suffix)
        files.close()
        done.append(
            ShardRecord(
                id=0,
                job_id=job_id,
                number=shard.number,
                attempt=1,
                label=shard.label,
                endpoint=shard.endpoint,
                rows=shard.tally.rows,
                bytes=shard.requests.size,
                digest=shard.requests.sha256,
                carried_digest=shard.carried.sha256,
                estimate=shard.tally.estimate().document,
                state="staged",
            )
        )

    count = 0
    with files:
        for number, row, encoded in packed:
            if current is None or number != current.number:
                if current is not None:
                    finish(current)
                current = begin(number, wire.endpoint(row.request))
                write_request, write_carried, add = current.requests.write, current.carried.write, current.tally.add
            else:
                write_request(separator)
            write_request(encoded)
            write_carried(encode_carried(row.number, row.custom_id, row.columns, _wants_json(row.request)))
            add(row.request, len(encoded))
            count += 1
            if tell is not None and count % _TELL_EVERY == 0:
                tell(count)
        if current is not None:
            finish(current)


def _wants_json(request: Request) -> bool:
    return isinstance(request, ChatRequest) and (request.schema is not None or request.json_only)


def encoded_rows(file: BinaryIO, frame: Frame, rows: int) -> Iterator[bytes]:
    """The encoded requests of a shard file, one at a time, without what stands between them."""
    file.read(len(frame.prefix))
    for number, line in enumerate(islice(file, rows), start=1):
        yield line.removesuffix(frame.suffix[:1] if number == rows else frame.separator)
