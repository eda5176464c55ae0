"""Looking at batches: one list call per account covers all that are watched, and the ledger hears of changes only."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from batchmark.domain.lifecycle import BatchRef, Snapshot
from batchmark.errors import NotFound
from batchmark.ledger.records import BatchRecord
from batchmark.ledger.store import Ledger
from batchmark.providers.seam import Provider

__all__ = ["Poller"]

# Batches that lists do not show are asked for one by one, the longest unseen first, so many at a look.
_ASKED_FOR = 20


class Poller:
    """The eyes on one provider account."""

    def __init__(self, provider: Provider, ledger: Ledger, *, lost_s: float) -> None:
        self._provider = provider
        self._ledger = ledger
        self._lost_s = lost_s
        self._looked_at: float | None = None
        self._denied_since: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}
        self.lost: dict[str, NotFound] = {}

    async def look(self, watched: Sequence[BatchRecord], since: datetime | None) -> dict[str, Snapshot]:
        """See every watched batch once, record what changed, and return what was seen by batch id.

        `since` is the provider's time at which the oldest was sent. A batch that lists do not show yet is asked for by its id; one that is
        not found there either stays as it was (Anthropic answers 404 for moments after a create). Once it was denied for `lost_s` it
        stands in `lost`, and nothing is closed, since the key may be the wrong one.
        """
        before, self._looked_at = self._looked_at, time.monotonic()
        unseen_s = None if before is None else self._looked_at - before
        missing = {batch.id for batch in watched}
        seen: dict[str, Snapshot] = {}
        async for snapshot in self._provider.list_batches(since - timedelta(minutes=1) if since else None):
            if snapshot.ref.id in missing:
                missing.discard(snapshot.ref.id)
                seen[snapshot.ref.id] = snapshot
                if not missing:
                    break
        for batch_id in sorted(missing, key=lambda each: self._asked_at.get(each, 0.0))[:_ASKED_FOR]:
            self._asked_at[batch_id] = self._looked_at
            try:
                seen[batch_id] = await self._provider.get(BatchRef(self._provider.spec.name, batch_id))
            except NotFound as error:
                denied_s = self._looked_at - self._denied_since.setdefault(batch_id, self._looked_at)
                if denied_s >= self._lost_s:
                    self.lost[batch_id] = NotFound(
                        f"{self._provider.spec.name} has denied {batch_id} for {denied_s / 60:.0f} minutes: it was deleted there, "
                        "or this key belongs to another account. What is known of it is kept",
                        hint=error.hint,
                    )
        for batch_id in seen:
            self._denied_since.pop(batch_id, None)
            self.lost.pop(batch_id, None)
        self._ledger.record_snapshots(
            [(batch, seen[batch.id]) for batch in watched if batch.id in seen], unseen_s=unseen_s
        )
        return seen
