"""Rows -> shard files, in one pass and in bounded memory. The bytes written are the bytes that will be sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchmark.domain.limits import Limits
from batchmark.domain.request import ChatRequest, Request, Row
from batchmark.engine.plan import pack
from batchmark.ledger.artifacts import make_folder, whole_file
from batchmark.ledger.records import ShardRecord
from batchmark.providers.seam import Wire
from batchmark.workload.answers import encode_carried

__all__ = ["carried_path", "raw_folder", "shard_path", "stage"]


def shard_path(folder: Path, label: str) -> Path:
    """The shard file: requests as the wire carries them."""
    return folder / f"{label}.requests"


def carried_path(folder: Path, label: str) -> Path:
    """The side file: row number, custom_id and columns of each request, in order."""
    return folder / f"{label}.rows"


def raw_folder(folder: Path, label: str) -> Path:
    """Where the provider's result files are kept verbatim."""
    return folder / "raw" / label


@dataclass(slots=True)
class _Open:
    """The shard that is being written."""

    label: str
    number: int
    endpoint: str
    requests: BinaryIO
    carried: BinaryIO
    rows: int = 0


def stage(
    rows: Iterable[Row],
    wire: Wire,
    limits: Limits,
    *,
    source: str,
    model: str,
    job_id: str,
    folder: Path,
    attempt: int = 1,
    one_model: bool = False,
) -> list[ShardRecord]:
    """Write the shard files of a job and describe them, in order.

    Raises RowError, leaving no file behind, where a row cannot be honoured by the provider, fits no shard, or needs another endpoint
    than the rows before it. Raises LocalTrouble where the disk refuses.
    """
    make_folder(folder)
    done: list[ShardRecord] = []
    try:
        _stage(
            rows,
            wire,
            limits,
            done,
            source=source,
            model=model,
            job_id=job_id,
            folder=folder,
            attempt=attempt,
            one_model=one_model,
        )
    except BaseException:
        # only what this call wrote: the folder may hold the results of earlier attempts
        for shard in done:
            shard_path(folder, shard.label).unlink(missing_ok=True)
            carried_path(folder, shard.label).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
        raise
    return done


def _stage(
    rows: Iterable[Row],
    wire: Wire,
    limits: Limits,
    done: list[ShardRecord],
    *,
    source: str,
    model: str,
    job_id: str,
    folder: Path,
    attempt: int,
    one_model: bool,
) -> None:
    frame = wire.FRAME
    files = ExitStack()
    current: _Open | None = None

    def begin(number: int, label: str, endpoint: str) -> _Open:
        shard = _Open(
            label,
            number,
            endpoint,
            files.enter_context(whole_file(shard_path(folder, label))),
            files.enter_context(whole_file(carried_path(folder, label))),
        )
        shard.requests.write(frame.prefix)
        return shard

    def finish(shard: _Open) -> None:
        shard.requests.write(frame.suffix)
        files.close()
        path = shard_path(folder, shard.label)
        done.append(
            ShardRecord(
                id=0,
                job_id=job_id,
                number=shard.number,
                attempt=attempt,
                label=shard.label,
                endpoint=shard.endpoint,
                rows=shard.rows,
                bytes=path.stat().st_size,
                digest=_digest(path),
                state="staged",
            )
        )

    with files:
        for number, label, endpoint, row, encoded in pack(
            rows, wire, limits, source=source, model=model, job_id=job_id, attempt=attempt, one_model=one_model
        ):
            if current is None or number != current.number:
                if current is not None:
                    finish(current)
                current = begin(number, label, endpoint)
            else:
                current.requests.write(frame.separator)
            current.requests.write(encoded)
            current.carried.write(encode_carried(row.number, row.custom_id, row.columns, _wants_json(row.request)))
            current.rows += 1
        if current is not None:
            finish(current)


def _wants_json(request: Request) -> bool:
    return isinstance(request, ChatRequest) and (request.schema is not None or request.json_only)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
