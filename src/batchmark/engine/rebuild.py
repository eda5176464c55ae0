"""Making a shard file again that is not as it was written. It is used only if it comes out byte for byte as it was staged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from batchmark.engine.settle import settle
from batchmark.engine.stage import carried_path, shard_path
from batchmark.ledger.artifacts import make_folder, verify
from batchmark.ledger.records import JobRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.prices.book import PriceBook
from batchmark.providers.seam import Wire

__all__ = ["Rebuild", "rebuild"]

# Makes the shard file again; False where that is not possible.
Rebuild: TypeAlias = Callable[[JobRecord, ShardRecord], bool]


def rebuild(
    job: JobRecord,
    shard: ShardRecord,
    ledger: Ledger,
    wire: Wire,
    folder: Path,
    restage: Callable[[JobRecord, Path], object] | None,
    prices: PriceBook,
) -> bool:
    """Make the files of a shard attempt again: the first attempt's from the user's file by `restage`, which stages the whole job into
    another folder; a later one's from the results of the attempt before. False where they do not come out as they were."""
    path = shard_path(folder, shard.label)
    if shard.attempt == 1:
        if restage is None:
            return False
        spare = make_folder(folder / "rebuilt")
        try:
            restage(job, spare)
            for made, wanted in ((shard_path, shard.digest), (carried_path, shard.carried_digest)):
                source = made(spare, shard.label)
                if wanted is None or not verify(source, wanted):
                    return False
                source.replace(made(folder, shard.label))
        finally:
            shutil.rmtree(spare, ignore_errors=True)
        return True
    before = next(
        (
            each
            for each in ledger.shards(job.id)
            if each.number == shard.number and each.attempt == shard.attempt - 1 and each.raw is not None
        ),
        None,
    )
    batch = ledger.batch_of(before.id) if before is not None else None
    if before is None or batch is None:
        return False
    paths = [folder / entry["path"] for entry in before.raw or ()]
    price = prices.price(job.provider, job.model, batch.created_at)
    settle(job, before, batch, wire, price, folder=folder, paths=paths, ask_again=True)
    return verify(path, shard.digest)
