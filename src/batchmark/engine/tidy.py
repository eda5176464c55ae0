"""After the answers are durable: uploaded inputs are deleted, and what is kept here is compressed. Nothing that fails here matters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from batchmark.domain.lifecycle import FileRef
from batchmark.engine.account import Account
from batchmark.engine.events import Listener, Trouble
from batchmark.engine.stage import answers_part, carried_path, shard_path
from batchmark.errors import BatchmarkError, NotFound
from batchmark.ledger.artifacts import compress
from batchmark.ledger.points import reach
from batchmark.ledger.records import JobRecord, ShardRecord

__all__ = ["delete_input", "tidy"]


async def tidy(
    account: Account, job: JobRecord, shards: Sequence[ShardRecord], *, keep_files: bool, tell: Listener
) -> None:
    """Clean up behind an ended job. Raises nothing that concerns the provider; `batchmark clean` takes up what is left."""
    folder = account.folder(job)
    if not keep_files:
        for shard in shards:
            try:
                await delete_input(account, shard)
            except BatchmarkError as error:
                tell(Trouble(job, f"uploaded input files are left on the account: {error.message}"))
                break
    reach("inputs-deleted")
    try:
        with account.meter.stage("compress"):
            await asyncio.to_thread(_compress, account, folder, shards)
    except BatchmarkError as error:
        tell(Trouble(job, error.message))


async def delete_input(account: Account, shard: ShardRecord) -> bool:
    """Delete the uploaded input of a shard attempt, if there is one on this account. Returns whether it is gone now because of that."""
    if shard.file_id is None or shard.file_deleted_at is not None:
        return False
    if shard.account is not None and shard.account != account.identity:
        return False
    with suppress(NotFound):  # it has expired, or was deleted by hand
        await account.provider.delete_file(FileRef(account.provider.spec.name, shard.file_id))
    account.ledger.record_file_deleted(shard)
    return True


def _compress(account: Account, folder: Path, shards: Sequence[ShardRecord]) -> None:
    with account.meter.stage("compress"):
        for shard in shards:
            raw = [folder / entry["path"] for entry in shard.raw or ()]
            for path in (
                shard_path(folder, shard.label), carried_path(folder, shard.label), answers_part(folder, shard.label), *raw
            ):  # fmt: skip
                if path.exists():
                    compress(path)
