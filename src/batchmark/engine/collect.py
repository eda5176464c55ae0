"""An ended batch -> raw result files, durable and verbatim. Partial results of failed, expired and cancelled batches included."""

from __future__ import annotations

import asyncio
from pathlib import Path

from batchmark.domain.lifecycle import BatchRef, RawFile, State
from batchmark.engine.calls import repeat
from batchmark.engine.events import Listener, Trouble
from batchmark.engine.pace import Pace
from batchmark.engine.points import reach
from batchmark.engine.reconcile import carries_label
from batchmark.engine.stage import raw_folder
from batchmark.errors import Ambiguous, NotFound, Retryable
from batchmark.ledger.artifacts import make_folder, whole_file
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.providers.seam import Provider, Wire

__all__ = ["collect", "lines_of"]


async def collect(
    provider: Provider,
    wire: Wire,
    ledger: Ledger,
    job: JobRecord,
    shard: ShardRecord,
    batch: BatchRecord,
    folder: Path,
    *,
    pace: Pace,
    tell: Listener,
) -> None:
    """Bring the batch's results here. Repeatable: files are whole or absent, and the record is made once."""

    def warn(message: str) -> None:
        tell(Trouble(job, message))

    into = make_folder(raw_folder(folder, shard.label))
    ref = BatchRef(batch.provider, batch.id)

    async def fetch() -> list[RawFile]:
        try:
            # asked anew, since lists leave out where the results are
            return await provider.fetch(await provider.get(ref), into)
        except NotFound as error:
            # an ended batch and its results are denied for moments
            raise Retryable(error.message, hint=error.hint) from None

    files = await repeat(fetch, pace, warn=warn)
    expected = (batch.succeeded or 0) + (batch.failed or 0)
    if State(batch.state) is State.SUCCEEDED and _count(wire, files) < expected:
        # counts and results are written apart, and the results may be late
        await asyncio.sleep(pace.grace_s)
        files = await repeat(fetch, pace, warn=warn)
        lines = _count(wire, files)
        if not lines:
            raise Retryable(
                f"{batch.id} has ended with {expected:,} requests done, but {batch.provider} shows no results of it yet",
                hint=f"ask again: batchmark {batch.provider} results {job.id} --wait",
            )
        if lines < expected:
            warn(f"{batch.id} counts {expected:,} requests done, but its results hold {lines:,} lines")
    reach("fetched")
    if batch.standing == "unconfirmed":
        proof = carries_label(wire, files, shard.label)
        if proof is None:
            raise Ambiguous(
                f"{batch.id} may be shard {shard.label}, but shows no results that could prove it; nothing more was sent",
                hint=f"ask again later: batchmark {batch.provider} results {job.id} --wait",
            )
        if not proof:
            warn(f"{batch.id} is not this shard's batch: its results are somebody else's, and are left alone")
            for file in files:
                file.path.unlink(missing_ok=True)
            ledger.release(shard, batch)
            return
        ledger.confirm(batch)
    raw = [{"path": str(lines_of(file, wire).relative_to(folder)), "kind": "lines"} for file in files]
    ledger.record_collected(shard, raw)
    reach("collection-recorded")


def _count(wire: Wire, files: list[RawFile]) -> int:
    return sum(1 for file in files for _ in wire.split(file))


def lines_of(raw: RawFile, wire: Wire) -> Path:
    """A file of one answer a line: the raw file itself, or the answers taken out of an operation, kept beside it."""
    if raw.kind == "lines":
        return raw.path
    path = raw.path.with_suffix(".lines.jsonl")
    with whole_file(path) as out:
        for line in wire.split(raw):
            out.write(line + b"\n")
    return path
