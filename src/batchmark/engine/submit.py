"""One shard -> one batch, and never two.

No provider has an idempotency key, so the order of events is the safety: upload (repeatable), commit the intent, create with every
retry off, record. Where the create gets no clear answer the batch may exist, and the shard is looked for before anything is sent again.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batchmark.domain.lifecycle import BatchRef, FileRef, Intent, Snapshot, State
from batchmark.engine.calls import repeat
from batchmark.engine.events import Listener, Submitted, Trouble, Uploading
from batchmark.engine.pace import Pace
from batchmark.engine.stage import shard_path
from batchmark.errors import Ambiguous, BadCredentials, RateLimited, Refused, Retryable
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.providers.http import CREATE_TIMEOUT_S
from batchmark.providers.seam import Provider, Submission, Wire

__all__ = ["reconcile", "submit"]

# How long an interrupt waits for the answer to a create that is under way: its answer is worth more than the seconds.
_LAST_WORDS_S = 20.0
_LOOK_EVERY_S = 5.0


async def submit(
    provider: Provider,
    wire: Wire,
    ledger: Ledger,
    job: JobRecord,
    shard: ShardRecord,
    folder: Path,
    *,
    pace: Pace,
    tell: Listener,
) -> BatchRef:
    """Bring a staged shard to the provider and return its batch.

    Raises Refused or BadCredentials where the provider clearly said no, Retryable where it cannot be reached (nothing was made), and
    Ambiguous where a batch may exist that cannot be told to be ours.
    """

    def warn(message: str) -> None:
        tell(Trouble(job, message))

    path = shard_path(folder, shard.label)
    file = FileRef(job.provider, shard.file_id) if shard.file_id else None
    if shard.state == "staged":
        tell(Uploading(job, shard))
        file = await repeat(lambda: provider.upload(path, shard.label), pace, warn=warn)
        ledger.record_upload(shard, file)
    while True:
        sent_at = await repeat(provider.now, pace, warn=warn)
        intent = Intent(label=shard.label, rows=shard.rows, sent_at=sent_at, timeout_s=CREATE_TIMEOUT_S, file=file)
        if not ledger.record_intent(shard, intent):
            raise Ambiguous(
                f"shard {shard.label} is being sent by another process",
                hint=f"see: batchmark {job.provider} status {job.id}",
            )
        submission = Submission(
            path=path, label=shard.label, model=job.model, endpoint=shard.endpoint, rows=shard.rows, file=file
        )
        try:
            ref = await _create(provider, ledger, job, shard, submission)
        except Ambiguous as error:
            warn(f"{error.message}; looking for it before anything is sent again")
            found = await reconcile(provider, wire, ledger, job, shard, intent, pace=pace, tell=tell)
            if found is None:
                continue
            ref = found
        except RateLimited as error:
            # a clear refusal: nothing was made, so the shard may be sent again later
            ledger.withdraw_intent(shard)
            warn(error.message)
            await asyncio.sleep(max(error.retry_after_s or 0.0, 5.0))
            continue
        except (Retryable, BadCredentials):
            ledger.withdraw_intent(shard)
            raise
        except Refused as error:
            ledger.record_failed(shard, "intended", error.message)
            raise
        tell(Submitted(job, shard, ref.id))
        return ref


async def _create(
    provider: Provider, ledger: Ledger, job: JobRecord, shard: ShardRecord, submission: Submission
) -> BatchRef:
    """The create call and the record of its answer, as one thing that an interrupt does not tear apart."""

    async def create_and_record() -> BatchRef:
        ref = await provider.create(submission)
        ledger.record_submitted(shard, new_batch(job, shard, ref))
        return ref

    task = asyncio.ensure_future(create_and_record())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_LAST_WORDS_S)
        task.cancel()
        raise


def new_batch(job: JobRecord, shard: ShardRecord, ref: BatchRef) -> BatchRecord:
    """The ledger's record of a batch that was just made."""
    return BatchRecord(
        provider=job.provider,
        id=ref.id,
        emulated=job.emulated,
        shard_id=shard.id,
        state=State.QUEUED.value,
        raw_status="",
        seen_at=datetime.now(UTC),
    )


async def reconcile(
    provider: Provider,
    wire: Wire,
    ledger: Ledger,
    job: JobRecord,
    shard: ShardRecord,
    intent: Intent,
    *,
    pace: Pace,
    tell: Listener,
) -> BatchRef | None:
    """Find the batch of a create that got no clear answer. None: it was never made, the intent is withdrawn.

    With a label in the API a match is proof, and it is adopted as soon as it is seen. That it does not exist is believed only when the
    call could no longer arrive, and then only at a second look. Without a label a match proves nothing: raises Ambiguous.
    """

    def warn(message: str) -> None:
        tell(Trouble(job, message))

    # a shard that a killed process left behind may have been intended long ago
    deadline = intent.sent_at + timedelta(seconds=intent.timeout_s + pace.grace_s)
    last_look = False
    while True:
        now = await repeat(provider.now, pace, warn=warn)
        found = await repeat(lambda: _candidates(provider, wire, ledger, job, intent), pace, warn=warn)
        if found:
            return await _adopt(provider, ledger, job, shard, found, intent)
        if last_look:
            ledger.withdraw_intent(shard)
            return None
        last_look = now >= deadline
        await asyncio.sleep(pace.grace_s if last_look else _LOOK_EVERY_S)


async def _candidates(provider: Provider, wire: Wire, ledger: Ledger, job: JobRecord, intent: Intent) -> list[Snapshot]:
    known = ledger.jobs_by_batch(job.provider, emulated=job.emulated)
    since = intent.sent_at - timedelta(minutes=1)
    return [
        snapshot
        async for snapshot in provider.list_batches(since)
        if snapshot.ref.id not in known and wire.matches(intent, snapshot)
    ]


async def _adopt(
    provider: Provider, ledger: Ledger, job: JobRecord, shard: ShardRecord, found: list[Snapshot], intent: Intent
) -> BatchRef:
    proven = [snapshot for snapshot in found if snapshot.label == intent.label]
    if not proven:
        ids = ", ".join(snapshot.ref.id for snapshot in found)
        raise Ambiguous(
            f"{job.provider} has {len(found)} batch(es) that may be shard {shard.label}: {ids}. Nothing more was sent",
            hint=f"look at them: batchmark {job.provider} status {found[0].ref.id}",
        )
    first, *surplus = sorted(proven, key=lambda snapshot: (snapshot.created_at or intent.sent_at, snapshot.ref.id))
    ledger.record_submitted(shard, new_batch(job, shard, first.ref))
    for extra in surplus:
        await provider.cancel(extra.ref)
    return first.ref
