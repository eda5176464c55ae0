"""One shard -> one batch, and never two.

No provider has an idempotency key, so the order of events is the safety: upload (repeatable), commit the intent, create with every
retry off, record. Where the create gets no clear answer the batch may exist, and the shard is looked for before anything is sent again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from batchmark.domain.lifecycle import BatchRef, FileRef, Intent
from batchmark.engine.calls import repeat
from batchmark.engine.events import Listener, Submitted, Trouble, Uploading
from batchmark.engine.pace import Pace
from batchmark.engine.points import reach
from batchmark.engine.reconcile import new_batch, reconcile
from batchmark.engine.stage import shard_path
from batchmark.errors import Ambiguous, BadCredentials, RateLimited, Refused, Retryable
from batchmark.ledger.records import JobRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.providers.seam import Provider, Submission, Wire

__all__ = ["submit"]

# How long an interrupt waits for the answer to a create that is under way: its answer is worth more than the seconds.
_LAST_WORDS_S = 20.0
# The wait after a refusal for now that names no time of its own, doubled at each further one.
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 300.0


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
        try:
            file = await repeat(lambda: provider.upload(path, shard.label), pace, warn=warn)
        except Refused as error:
            ledger.record_failed(shard, "staged", error.message)
            raise
        reach("uploaded")
        ledger.record_upload(shard, file)
        reach("upload-recorded")
    wait_s = _FIRST_WAIT_S
    while True:
        sent_at = await repeat(provider.now, pace, warn=warn)
        intent = Intent(label=shard.label, rows=shard.rows, sent_at=sent_at, timeout_s=pace.create_timeout_s, file=file)
        if not ledger.record_intent(shard, intent):
            now = next(each for each in ledger.shards(job.id) if each.id == shard.id)
            if now.state == "failed":
                raise Refused(f"shard {shard.label} is not sent: {now.problem}")
            raise Ambiguous(
                f"shard {shard.label} is being sent by another process",
                hint=f"see: batchmark {job.provider} status {job.id}",
            )
        reach("intent-recorded")
        submission = Submission(
            path=path,
            label=shard.label,
            model=job.model,
            endpoint=shard.endpoint,
            rows=shard.rows,
            timeout_s=pace.create_timeout_s,
            file=file,
        )
        try:
            ref = await _create(provider, ledger, job, shard, submission)
        except Ambiguous as error:
            if not _still_intended(ledger, shard):
                raise
            warn(f"{error.message}; looking for it before anything is sent again")
            found = await reconcile(provider, wire, ledger, job, shard, intent, pace=pace, tell=tell)
            if found is None:
                continue
            ref = found
        except RateLimited as error:
            # a clear refusal: nothing was made, so the shard may be sent again later
            ledger.withdraw_intent(shard)
            warn(error.message)
            await asyncio.sleep(max(error.retry_after_s or 0.0, wait_s))
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            continue
        except (Retryable, BadCredentials):
            ledger.withdraw_intent(shard)
            raise
        except Refused as error:
            ledger.record_failed(shard, "intended", error.message)
            raise
        tell(Submitted(job, shard, ref.id))
        return ref


def _still_intended(ledger: Ledger, shard: ShardRecord) -> bool:
    return any(each.id == shard.id and each.state == "intended" for each in ledger.shards(shard.job_id))


async def _create(
    provider: Provider, ledger: Ledger, job: JobRecord, shard: ShardRecord, submission: Submission
) -> BatchRef:
    """The create call and the record of its answer, as one thing that an interrupt does not tear apart."""

    async def create_and_record() -> BatchRef:
        try:
            # the whole call, not each of its parts: a batch made later would not be looked for
            async with asyncio.timeout(submission.timeout_s):
                ref = await provider.create(submission)
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
