"""One shard -> one batch, and never two.

No provider has an idempotency key, so the order of events is the safety: upload (repeatable), commit the intent, create with every
retry off, record. Where the create gets no clear answer the batch may exist, and the shard is looked for before anything is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from batchmark.domain.ids import batch_label
from batchmark.domain.lifecycle import BatchRef, FileRef, Intent
from batchmark.engine.account import Account, stamp_of
from batchmark.engine.calls import repeat
from batchmark.engine.events import Listener, Submitted, Trouble, Uploading
from batchmark.engine.reconcile import new_batch, reconcile
from batchmark.engine.stage import DamagedShard, shard_path
from batchmark.errors import Ambiguous, BadCredentials, LocalTrouble, Refused, Retryable
from batchmark.ledger.artifacts import verify
from batchmark.ledger.lock import held
from batchmark.ledger.points import reach
from batchmark.ledger.records import CANCELLED_UNSENT, JobRecord, ShardRecord
from batchmark.providers.seam import Submission

__all__ = ["DamagedShard", "submit"]

# How long an interrupt waits for the answer to a create that is under way: its answer is worth more than the seconds.
_LAST_WORDS_S = 20.0
# An uploaded file is sent anew when so much of its life is over.
_OLD = 0.8


async def submit(account: Account, job: JobRecord, shard: ShardRecord, tell: Listener) -> BatchRef:
    """Bring a staged shard to the provider and return its batch.

    Raises Refused or BadCredentials where the provider clearly said no, RateLimited where it has no room now (nothing was made; the file
    stays for the next try), Retryable where it cannot be reached (nothing was made), Ambiguous where a batch may exist that cannot be
    told to be ours, and DamagedShard where the shard file is not the one that was staged.
    """
    ledger, provider, pace = account.ledger, account.provider, account.pace

    def warn(message: str) -> None:
        tell(Trouble(job, message))

    if shard.state == "uploaded" and await _is_stale(account, shard, warn):
        ledger.forget_upload(shard)
        shard = ledger.shard(shard.id)
    path = shard_path(account.folder(job), shard.label)
    from_disk = shard.state == "staged" or shard.file_id is None
    if from_disk and not await asyncio.to_thread(_is_as_staged, account, path, shard):
        raise DamagedShard(f"the shard file {path} is not as it was written; it was not sent")
    if shard.state == "staged":
        tell(Uploading(job, shard))
        try:
            file = await account.meter.timed(
                "upload", repeat(lambda: provider.upload(path, shard.label), pace, warn=warn), shard.bytes
            )
        except Refused as error:
            ledger.record_failed(shard, "staged", error.message)
            raise
        reach("uploaded")
        ledger.record_upload(shard, file, account=account.identity, at=provider.server_time)
        reach("upload-recorded")
        shard = ledger.shard(shard.id)
    async with _turn(account, job):
        ref = await account.meter.timed("create", _send(account, job, shard, tell), 0 if shard.file_id else shard.bytes)
    tell(Submitted(job, shard, ref.id))
    return ref


async def _send(account: Account, job: JobRecord, shard: ShardRecord, tell: Listener) -> BatchRef:
    ledger, provider, pace = account.ledger, account.provider, account.pace

    def warn(message: str) -> None:
        tell(Trouble(job, message))

    clock = asyncio.get_running_loop().time
    began = clock()
    label = batch_label(shard.label, shard.sends)
    file = FileRef(job.provider, shard.file_id) if shard.file_id else None
    while True:
        if ledger.cancel_asked(job.id) and ledger.record_failed(shard, "uploaded", CANCELLED_UNSENT):
            # in doubt, or turned away, when the user cancelled the job
            raise Refused(f"shard {shard.label} is not sent: {CANCELLED_UNSENT}")
        sent_at = await repeat(provider.now, pace, warn=warn)
        intent = Intent(label=label, rows=shard.rows, sent_at=sent_at, timeout_s=pace.create_timeout_s, file=file)
        if not ledger.record_intent(shard, intent, account=account.identity):
            now = ledger.shard(shard.id)
            if now.state == "failed":
                raise Refused(f"shard {shard.label} is not sent: {now.problem}")
            raise Ambiguous(
                f"shard {shard.label} is being sent by another process", hint=f"see: batchmark show {job.run_id}"
            )
        reach("intent-recorded")
        submission = Submission(
            path=shard_path(account.folder(job), shard.label),
            label=label,
            model=job.model,
            endpoint=shard.endpoint,
            rows=shard.rows,
            timeout_s=pace.create_timeout_s,
            file=file,
        )
        try:
            return await _create(account, job, shard, submission)
        except Ambiguous as error:
            if ledger.shard(shard.id).state != "intended":
                raise
            warn(f"{error.message}; looking for it before anything is sent again")
            found = await reconcile(account, job, shard, intent, tell=tell)
            if found is not None:
                return found
            if clock() - began > pace.patience_s:
                raise Retryable(
                    f"{error.message}; it does not exist, and {job.provider} has given no clear answer for long. Nothing was bought",
                    hint=f"go on with: batchmark resume {job.run_id}",
                ) from None
        except (Retryable, BadCredentials):
            # a clear refusal for now: nothing was made, so the shard may be sent again later
            ledger.withdraw_intent(shard)
            raise
        except Refused as error:
            ledger.record_failed(shard, "intended", error.message)
            raise


def _is_as_staged(account: Account, path: Path, shard: ShardRecord) -> bool:
    """Whether the shard file is, byte for byte, the one that was planned."""
    stamp = account.staged_here.get(shard.label)
    if stamp is not None and path.exists() and stamp_of(path) == stamp:
        return True
    return verify(path, shard.digest)


async def _is_stale(account: Account, shard: ShardRecord, warn: Callable[[str], None]) -> bool:
    """Whether the uploaded file may be gone by now, or is on an account that this is not."""
    if shard.file_id is None:
        return False
    if shard.account is not None and shard.account != account.identity:
        return True
    life_s = account.provider.spec.limits.file_life_s
    if life_s is None or shard.uploaded_at is None:
        return False
    now = account.provider.server_time
    if now is None:
        now = await repeat(account.provider.now, account.pace, warn=warn)
    return now - shard.uploaded_at > timedelta(seconds=life_s * _OLD)


@asynccontextmanager
async def _turn(account: Account, job: JobRecord) -> AsyncIterator[None]:
    """Where batches carry no label, one create at a time for the account, among all processes of this home."""
    if account.provider.spec.has_labels:
        yield
        return
    path = account.home / f"sending-{job.provider}-{account.identity}.lock"
    while True:
        # it must not wait itself: that would stop everything else that this process does
        lock = held(path, f"a create at {job.provider}", wait_s=0.0)
        try:
            lock.__enter__()
            break
        except LocalTrouble:
            await asyncio.sleep(0.2)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


async def _create(account: Account, job: JobRecord, shard: ShardRecord, submission: Submission) -> BatchRef:
    """The create call and the record of its answer, as one thing that an interrupt does not tear apart."""
    ledger = account.ledger

    async def create_and_record() -> BatchRef:
        try:
            # the whole call, not each of its parts: a batch made later would not be looked for
            async with asyncio.timeout(submission.timeout_s):
                ref = await account.provider.create(submission)
        except TimeoutError:
            raise Ambiguous(
                f"no answer from {job.provider} to create the batch for {shard.label} in {submission.timeout_s:.0f} s; it may exist"
            ) from None
        reach("created")
        if not ledger.record_submitted(shard, new_batch(job, shard, ref)):
            raise Ambiguous(
                f"{ref.id} was made for shard {shard.label}, but another process has taken the shard over meanwhile",
                hint=f"look at it: batchmark {job.provider} status {ref.id}",
            )
        reach("submission-recorded")
        return ref

    task = asyncio.ensure_future(create_and_record())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_LAST_WORDS_S)
        if not task.done():
            task.cancel()
        elif not task.cancelled() and isinstance(task.exception(), Refused | Retryable | BadCredentials):
            # a clear no, heard while leaving: nothing was made, and nothing needs to be looked for
            ledger.withdraw_intent(shard)
        raise
