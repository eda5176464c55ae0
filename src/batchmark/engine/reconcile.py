"""Finding the batch of a create that got no clear answer, so that nothing is bought twice.

Where the API takes a label, a batch that carries ours is the one. Where it takes none (Anthropic), a batch with the right number of
requests, made while our call was under way and belonging to no other shard, is a candidate; what proves it is its results, which
carry our wire ids. A single candidate that still runs is adopted as *unconfirmed*: it is watched, but never cancelled or deleted, and
is released again if its results are not ours. With several, nothing more is sent until their results tell.

That a batch was never made is believed only of the account that it was sent on: under another key it would not be seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from batchmark.domain.ids import batch_label, parse_wire_id
from batchmark.domain.lifecycle import BatchRef, FileRef, Intent, RawFile, Snapshot, State
from batchmark.engine.account import Account
from batchmark.engine.calls import repeat
from batchmark.engine.events import Listener, Trouble
from batchmark.engine.pace import Pace
from batchmark.errors import Ambiguous, NotFound, Refused
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.providers.seam import Provider, Wire

__all__ = ["carries_label", "intent_of", "new_batch", "reconcile"]

_LOOK_EVERY_S = 5.0


def new_batch(job: JobRecord, shard: ShardRecord, ref: BatchRef, *, standing: str = "confirmed") -> BatchRecord:
    """The ledger's record of a batch that was just made or adopted."""
    return BatchRecord(
        provider=job.provider,
        id=ref.id,
        emulated=job.emulated,
        shard_id=shard.id,
        standing=standing,
        state=State.QUEUED.value,
        raw_status="",
        seen_at=datetime.now(UTC),
    )


def intent_of(shard: ShardRecord, provider: str) -> Intent:
    """The recorded intent of a shard that may have a batch."""
    assert shard.sent_at is not None and shard.timeout_s is not None
    return Intent(
        label=batch_label(shard.label, shard.sends),
        rows=shard.rows,
        sent_at=shard.sent_at,
        timeout_s=shard.timeout_s,
        file=FileRef(provider, shard.file_id) if shard.file_id else None,
    )


async def reconcile(
    account: Account, job: JobRecord, shard: ShardRecord, intent: Intent, *, tell: Listener
) -> BatchRef | None:
    """Find the shard's batch and record it. None: it was never made, and the intent is withdrawn.

    That it does not exist is believed only when the call could no longer arrive, and then only at a second look, since new batches may
    take a while to appear in lists. Raises Ambiguous where several running batches may be it, and where it was sent on an account that
    this key cannot be shown to belong to.
    """
    provider, wire, ledger, pace = account.provider, account.wire, account.ledger, account.pace

    def warn(message: str) -> None:
        tell(Trouble(job, message))

    # a shard that a killed process left behind may have been intended long ago
    deadline = intent.sent_at + timedelta(seconds=intent.timeout_s + pace.grace_s)
    foreign: set[str] = set()
    last_look = False
    while True:
        now = await repeat(provider.now, pace, warn=warn)
        if not provider.spec.has_labels:
            # a process that was stopped in the middle may have sent it much later than it had meant to
            intent = replace(intent, timeout_s=max(intent.timeout_s, (now - intent.sent_at).total_seconds()))
        found = await repeat(
            lambda intent=intent: _candidates(provider, wire, ledger, job, shard, intent),  # type: ignore[misc]
            pace,
            warn=warn,
        )
        running = []
        for snapshot in found:
            if snapshot.label is None and snapshot.ref.id not in foreign:
                proved = await _proved(provider, wire, shard, snapshot, pace, warn)
                if proved:
                    return _adopt(ledger, job, shard, snapshot.ref)
                if proved is None:
                    running.append(snapshot)
                else:
                    foreign.add(snapshot.ref.id)
        labelled = sorted(
            (snapshot for snapshot in found if snapshot.label == intent.label),
            key=lambda snapshot: (snapshot.created_at or intent.sent_at, snapshot.ref.id),
        )
        if labelled:
            for surplus in labelled[1:]:
                # the label proves it ours, and one batch is enough; one that has ended meanwhile cannot be cancelled
                with suppress(Refused):
                    await repeat(lambda ref=surplus.ref: provider.cancel(ref), pace, warn=warn)  # type: ignore[misc]
            return _adopt(ledger, job, shard, labelled[0].ref)
        held = ledger.unconfirmed_batches(job.provider, emulated=job.emulated)
        if len(running) == 1 and running[0].ref.id not in held:
            warn(f"{running[0].ref.id} may be this shard's batch; its results will tell")
            return _adopt(ledger, job, shard, running[0].ref, standing="unconfirmed")
        if running:
            raise Ambiguous(
                f"{job.provider} has {len(running)} running batches that may be shard {shard.label}: "
                f"{', '.join(each.ref.id for each in running)}. Nothing more was sent, and nothing was cancelled",
                hint=f"once they have ended their results tell: batchmark resume {job.run_id}",
            )
        if last_look:
            await _ensure_same_account(account, job, shard, warn)
            ledger.withdraw_intent(shard)
            return None
        last_look = now >= deadline
        await asyncio.sleep(pace.grace_s if last_look else min(_LOOK_EVERY_S, pace.create_timeout_s))


async def _ensure_same_account(
    account: Account, job: JobRecord, shard: ShardRecord, warn: Callable[[str], None]
) -> None:
    """A key may have been changed for another of the same account, or of another one: what shows is a batch that is known to be on it."""
    if shard.account is None or shard.account == account.identity:
        return
    for batch_id in account.ledger.batches_on(job.provider, shard.account, emulated=job.emulated):
        ref = BatchRef(job.provider, batch_id)
        with suppress(NotFound):
            await repeat(lambda ref=ref: account.provider.get(ref), account.pace, warn=warn)  # type: ignore[misc]
            return
    raise Ambiguous(
        f"shard {shard.label} was sent with another key or to another address, where its batch may exist; with the present key "
        f"{job.provider} shows no batch of that account, so nothing was sent again",
        hint="set the key and base URL that the run began with, then resume it",
    )


def _adopt(
    ledger: Ledger, job: JobRecord, shard: ShardRecord, ref: BatchRef, *, standing: str = "confirmed"
) -> BatchRef:
    ledger.record_submitted(shard, new_batch(job, shard, ref, standing=standing))
    return ref


async def _candidates(
    provider: Provider, wire: Wire, ledger: Ledger, job: JobRecord, shard: ShardRecord, intent: Intent
) -> list[Snapshot]:
    taken = ledger.known_batches(job.provider, shard, emulated=job.emulated)
    since = intent.sent_at - timedelta(minutes=1)
    return [
        snapshot
        async for snapshot in provider.list_batches(since)
        if snapshot.ref.id not in taken and wire.matches(intent, snapshot)
    ]


async def _proved(
    provider: Provider, wire: Wire, shard: ShardRecord, snapshot: Snapshot, pace: Pace, warn: Callable[[str], None]
) -> bool | None:
    """Whether a candidate's results carry our ids; None where it has none yet to tell."""
    if not snapshot.state.terminal:
        return None

    async def fetch_and_see() -> bool | None:
        with TemporaryDirectory(prefix="batchmark-") as folder:
            files = await provider.fetch(await provider.get(snapshot.ref), Path(folder))
            return carries_label(wire, files, shard.label)

    try:
        return await repeat(fetch_and_see, pace, warn=warn)
    except NotFound:
        # ended batches are denied for moments, and their results too
        return None


def carries_label(wire: Wire, files: list[RawFile], label: str) -> bool | None:
    """Whether results are those of the shard with this label: any line with one of its wire ids proves it, and other ids alone prove
    the contrary. None where there is no line to tell."""
    others = False
    for file in files:
        for line in wire.split(file):
            try:
                text = wire.wire_id_of(line)
            except (ValueError, RecursionError):
                continue
            found = parse_wire_id(text)
            if found is not None and found[0] == label:
                return True
            others = True
    return False if others else None
