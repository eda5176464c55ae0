"""An ended batch -> raw result files, durable and verbatim. Partial results of failed, expired and cancelled batches included."""

from __future__ import annotations

from pathlib import Path

from batchmark.domain.lifecycle import BatchRef, RawFile
from batchmark.engine.calls import repeat
from batchmark.engine.events import Listener, Trouble
from batchmark.engine.pace import Pace
from batchmark.engine.points import reach
from batchmark.engine.reconcile import carries_label
from batchmark.engine.stage import raw_folder
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

    if batch.raw_status == "not found":
        ledger.record_collected(shard, [])
        return
    into = make_folder(raw_folder(folder, shard.label))
    ref = BatchRef(batch.provider, batch.id)
    # asked anew, since lists leave out where the results are
    snapshot = await repeat(lambda: provider.get(ref), pace, warn=warn)
    files = await repeat(lambda: provider.fetch(snapshot, into), pace, warn=warn)
    reach("fetched")
    if batch.standing == "unconfirmed":
        if not carries_label(wire, files, shard.label):
            warn(f"{batch.id} is not this shard's batch: its results are somebody else's, and are left alone")
            for file in files:
                file.path.unlink(missing_ok=True)
            ledger.release(shard, batch)
            return
        ledger.confirm(batch)
    raw = [{"path": str(lines_of(file, wire).relative_to(folder)), "kind": "lines"} for file in files]
    ledger.record_collected(shard, raw)
    reach("collection-recorded")


def lines_of(raw: RawFile, wire: Wire) -> Path:
    """A file of one answer a line: the raw file itself, or the answers taken out of an operation, kept beside it."""
    if raw.kind == "lines":
        return raw.path
    path = raw.path.with_suffix(".lines.jsonl")
    with whole_file(path) as out:
        for line in wire.split(raw):
            out.write(line + b"\n")
    return path
