"""A damaged shard file is made again, and used only where it comes out byte for byte as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from batchmark.domain.lifecycle import BatchRef, FileRef, Intent
from batchmark.domain.request import Row
from batchmark.engine.collect import collect
from batchmark.engine.rebuild import rebuild
from batchmark.engine.reconcile import new_batch
from batchmark.engine.stage import carried_path, shard_path, stage
from batchmark.errors import LocalTrouble
from batchmark.ledger.records import JobRecord, ShardRecord
from batchmark.prices.book import PriceBook
from tests.support import in_virtual_time, rows_of
from tests.unit.engine.fakes import EPOCH, FakeProvider, Scene

PROVIDERS = ["openai", "google", "anthropic"]


def from_rows(here: Scene, rows: list[Row]) -> Callable[[JobRecord, Path], None]:
    def restage(job: JobRecord, folder: Path) -> None:
        limits = replace(here.provider.spec.limits, max_rows=3, vary_rows=False)
        stage(rows, here.wire, limits, source="x", model=job.model, job_id=job.id, folder=folder)

    return restage


def again(here: Scene, shard: ShardRecord, restage: Callable[[JobRecord, Path], None] | None) -> bool:
    return rebuild(here.job, shard, here.ledger, here.wire, here.home / "job", restage, PriceBook())


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_first_attempt_is_made_again_from_the_users_file(home: Path, name: str) -> None:
    here = Scene(home, FakeProvider(name), shards=3)
    shard = here.shards[1]
    paths = [shard_path(home / "job", shard.label), carried_path(home / "job", shard.label)]
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.write_bytes(b"damaged")
    assert again(here, shard, from_rows(here, rows_of(9)))
    assert [path.read_bytes() for path in paths] == before
    assert not (home / "job" / "rebuilt").exists()


def test_a_file_that_comes_out_otherwise_is_not_used(home: Path) -> None:
    here = Scene(home, FakeProvider("openai"), shards=3)
    shard = here.shards[1]
    path = shard_path(home / "job", shard.label)
    path.write_bytes(b"damaged")
    assert not again(here, shard, from_rows(here, rows_of(4)))
    assert not again(here, shard, None)
    assert path.read_bytes() == b"damaged"
    assert not (home / "job" / "rebuilt").exists()


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_later_attempt_is_made_again_from_the_results_of_the_one_before(home: Path, name: str) -> None:
    here = Scene(home, FakeProvider(name, lasts_s=0.0))
    shard = here.shard
    here.ledger.record_upload(shard, FileRef(name, "f"))
    here.ledger.record_intent(shard, Intent(label=shard.label, rows=3, sent_at=EPOCH, timeout_s=600))
    here.ledger.record_submitted(shard, new_batch(here.job, shard, BatchRef(name, "batch_0")))

    async def collected() -> None:
        here.provider.store(None, 3)
        here.provider.running()
        here.provider.results["batch_0"] = b""
        batch = here.ledger.batch_of(shard.id)
        assert batch is not None
        await collect(here.account(), here.job, here.ledger.shard(shard.id), batch, attempts=2, tell=here.told.append)

    in_virtual_time(collected())
    _, second = here.shards
    assert (second.attempt, second.rows, second.state) == (2, 3, "staged")
    path = shard_path(home / "job", second.label)
    before = path.read_bytes()
    path.write_bytes(b"damaged")
    carried_path(home / "job", second.label).unlink()
    assert again(here, second, None)
    assert path.read_bytes() == before
    # without those results there is nothing to make it from
    for raw in (home / "job" / "raw").rglob("*.jsonl"):
        raw.write_bytes(b"")
    path.unlink()
    shard_path(home / "job", shard.label).unlink()
    with pytest.raises(LocalTrouble, match="is not as it was written"):
        again(here, second, None)
