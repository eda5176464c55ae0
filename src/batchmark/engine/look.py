"""One look at a job's batches, for whoever only wants to know where they stand."""

from __future__ import annotations

from batchmark.domain.lifecycle import State
from batchmark.engine.account import Account
from batchmark.engine.calls import repeat
from batchmark.engine.events import BatchSeen, Listener, Trouble
from batchmark.engine.poll import Poller
from batchmark.ledger.records import JobRecord

__all__ = ["look_once"]


async def look_once(account: Account, job: JobRecord, tell: Listener) -> None:
    """See every batch of the job once that is not known to be over."""
    ledger = account.ledger
    watched = [batch for batch in ledger.batches(job.id).values() if not State(batch.state).terminal]
    if not watched:
        return
    sent = [shard.sent_at for shard in ledger.shards(job.id) if shard.sent_at is not None]
    poller = Poller(account.provider, ledger, lost_s=account.pace.lost_s)
    await repeat(
        lambda: poller.look(watched, min(sent, default=None)),
        account.pace,
        warn=lambda text: tell(Trouble(None, text)),
    )
    for batch in ledger.batches(job.id).values():
        tell(BatchSeen(job, batch))
