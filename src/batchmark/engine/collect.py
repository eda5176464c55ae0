"""An ended batch -> raw result files, durable and verbatim, and the answers in them. Partial results of failed, expired and cancelled
batches included: they are paid for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from batchmark.domain.lifecycle import BatchRef, RawFile, State
from batchmark.engine.account import Account
from batchmark.engine.calls import repeat
from batchmark.engine.events import Listener, ShardClosed, Trouble
from batchmark.engine.settle import Places, Settled, index, settle
from batchmark.engine.stage import raw_folder
from batchmark.errors import Ambiguous, NotFound, Retryable
from batchmark.ledger.artifacts import hashed_file, make_folder, sha256_of, verify
from batchmark.ledger.points import reach
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.providers.seam import Wire

__all__ = ["close_unsent", "collect", "lines_of"]


async def collect(
    account: Account, job: JobRecord, shard: ShardRecord, batch: BatchRecord, *, attempts: int, tell: Listener
) -> ShardClosed | None:
    """Bring the answers of an ended batch here, and with them the next attempt for rows that are worth asking again.

    Repeatable: files are whole or absent, and each record is made once. None where the batch proved to be somebody else's: the shard is
    looked for again. Raises Retryable where the results cannot be had now, Ambiguous where an unconfirmed batch shows no proof.
    """
    ledger, folder = account.ledger, account.folder(job)
    places: Places | None = None
    if shard.state == "submitted" and batch.standing == "gone":
        ledger.record_fetched(shard, [])
        shard = ledger.shard(shard.id)
    elif shard.state == "submitted":
        found, files = await account.meter.timed("download", _fetch(account, job, shard, batch, tell))
        if batch.standing == "unconfirmed":
            if not found.ours and not found.others:
                raise Ambiguous(
                    f"{batch.id} may be shard {shard.label}, but shows no results that could prove it; nothing more was sent",
                    hint=f"ask again later: batchmark resume {job.run_id}",
                )
            if not found.ours:
                tell(
                    Trouble(
                        job,
                        f"{batch.id} is not this shard's batch: its results are somebody else's, and are left alone",
                    )
                )
                for file in files:
                    file.path.unlink(missing_ok=True)
                ledger.release(shard, batch)
                return None
            ledger.confirm(batch)
        if not ledger.record_fetched(shard, [_entry(file, folder) for file in files]):
            return None
        reach("fetch-recorded")
        places, shard = found, ledger.shard(shard.id)
    elif not await asyncio.to_thread(_is_whole, shard, folder):
        tell(
            Trouble(job, f"a result file of {shard.label} is not as it was written; it is not used, and fetched again")
        )
        ledger.fetch_again(shard)
        return None
    ask_again = shard.attempt < attempts and not ledger.cancel_asked(job.id)
    return await _settle(account, job, shard, batch, places, ask_again=ask_again)


async def close_unsent(account: Account, job: JobRecord, shard: ShardRecord) -> ShardClosed:
    """Give every row of a shard that was never sent its outcome."""
    return await _settle(account, job, shard, None, None, ask_again=False)


async def _settle(
    account: Account,
    job: JobRecord,
    shard: ShardRecord,
    batch: BatchRecord | None,
    places: Places | None,
    *,
    ask_again: bool,
) -> ShardClosed:
    folder = account.folder(job)
    price = account.prices.price(job.provider, job.model, (batch and batch.created_at) or datetime.now(UTC))
    paths = [folder / entry["path"] for entry in shard.raw or ()]

    def work() -> Settled:
        with account.meter.stage("settle", sum(path.stat().st_size for path in paths)):
            return settle(
                job, shard, batch, account.wire, price,
                folder=folder, paths=paths, places=places, ask_again=ask_again,
            )  # fmt: skip

    settled = await asyncio.to_thread(work)
    following = account.ledger.record_collected(
        shard,
        shard.state,
        answers=settled.answers,
        totals=msgspec.to_builtins(settled.totals),
        handed_on=None if settled.handed_on is None else msgspec.to_builtins(settled.handed_on),
        following=settled.following,
    )
    reach("collection-recorded")
    done = account.ledger.shard(shard.id)
    return ShardClosed(job, done, settled.totals, folder / str(settled.answers["path"]), following)


async def _fetch(
    account: Account, job: JobRecord, shard: ShardRecord, batch: BatchRecord, tell: Listener
) -> tuple[Places, list[RawFile]]:
    """The raw result files, and where each row's line lies in them."""
    provider, wire, pace = account.provider, account.wire, account.pace

    def warn(message: str) -> None:
        tell(Trouble(job, message))

    into = make_folder(raw_folder(account.folder(job), shard.label))
    ref = BatchRef(batch.provider, batch.id)

    async def fetch() -> list[RawFile]:
        try:
            # asked anew, since lists leave out where the results are
            return await provider.fetch(await provider.get(ref), into)
        except NotFound as error:
            # an ended batch and its results are denied for moments
            raise Retryable(error.message, hint=error.hint) from None

    async def look() -> tuple[Places, list[RawFile]]:
        files = [lines_of(file, wire) for file in await repeat(fetch, pace, warn=warn)]

        def work() -> Places:
            with account.meter.stage("index", sum(file.path.stat().st_size for file in files)):
                return index([file.path for file in files], wire, shard)

        return await asyncio.to_thread(work), files

    places, files = await look()
    expected = (batch.succeeded or 0) + (batch.failed or 0) if State(batch.state) is State.SUCCEEDED else 0
    if places.lines < expected or places.unreadable:
        # counts and results are written apart, and the results may be late or still be written
        await asyncio.sleep(pace.grace_s)
        places, files = await look()
        if places.lines == 0 and expected:
            raise Retryable(
                f"{batch.id} has ended with {expected:,} requests done, but {batch.provider} shows no results of it yet",
                hint=f"ask again: batchmark resume {job.run_id}",
            )
        if places.lines < expected:
            warn(f"{batch.id} counts {expected:,} requests done, but its results hold {places.lines:,} lines")
    reach("fetched")
    return places, files


def _entry(file: RawFile, folder: Path) -> dict[str, Any]:
    return {"path": str(file.path.relative_to(folder)), "sha256": file.sha256 or sha256_of(file.path)}


def _is_whole(shard: ShardRecord, folder: Path) -> bool:
    """Whether the raw result files are what was fetched."""
    return all(verify(folder / entry["path"], entry["sha256"]) for entry in shard.raw or ())


def lines_of(raw: RawFile, wire: Wire) -> RawFile:
    """A file of one answer a line: the raw file itself, or the answers taken out of an operation, kept beside it."""
    if raw.kind == "lines":
        return raw
    path = raw.path.with_suffix(".lines.jsonl")
    with hashed_file(path) as out:
        for line in wire.split(raw):
            out.write(line + b"\n")
    return RawFile(path, sha256=out.sha256)
