"""Looking at batches: what the provider denies is waited for, but not for ever."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batchmark.domain.lifecycle import BatchRef, Intent, Snapshot
from batchmark.engine.poll import Poller
from batchmark.engine.reconcile import new_batch
from batchmark.errors import NotFound
from batchmark.ledger.records import BatchRecord, JobRecord, RunRecord, ShardRecord
from batchmark.ledger.store import Ledger
from tests.unit.engine.test_submit import FakeProvider

NOW = datetime(2026, 8, 1, tzinfo=UTC)


class Forgetful(FakeProvider):
    """An account that denies every batch."""

    async def get(self, ref: BatchRef) -> Snapshot:
        raise NotFound(f"no batch {ref.id}")


def submitted(home: Path) -> tuple[Ledger, BatchRecord]:
    ledger = Ledger(home / "ledger.sqlite3")
    job = JobRecord(
        id="job1",
        run_id="run1",
        provider="openai",
        model="m",
        round=1,
        rows=3,
        folder="job",
        emulated=False,
        created_at=NOW,
    )
    shard = ShardRecord(
        id=0,
        job_id="job1",
        number=0,
        attempt=1,
        label="bm-job1-0-1",
        endpoint="/v1/x",
        rows=3,
        bytes=9,
        digest="",
        state="staged",
    )
    ledger.record_run(RunRecord(id="run1", kind="create", source="rows", emulated=False, created_at=NOW))
    ledger.record_job(job)
    ledger.record_shard(shard)
    (shard,) = ledger.shards("job1")
    ledger.record_upload(shard, None)
    ledger.record_intent(shard, Intent(label=shard.label, rows=3, sent_at=NOW, timeout_s=600))
    ledger.record_submitted(shard, new_batch(job, shard, BatchRef("openai", "batch_gone")))
    batch = ledger.batch_of(shard.id)
    assert batch is not None
    return ledger, batch


def test_a_batch_that_is_denied_for_a_moment_is_polled_on(home: Path) -> None:
    ledger, batch = submitted(home)
    (seen,) = asyncio.run(Poller(Forgetful("openai"), ledger, lost_s=600).look([batch], NOW))
    assert seen.state == "queued"


def test_a_batch_that_is_denied_for_long_is_spoken_of_and_kept(home: Path) -> None:
    ledger, batch = submitted(home)
    with pytest.raises(NotFound, match="has denied batch_gone"):
        asyncio.run(Poller(Forgetful("openai"), ledger, lost_s=0).look([batch], NOW))
    kept = ledger.batch_of(batch.shard_id)
    assert kept is not None and kept.state == "queued"
