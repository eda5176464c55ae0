"""A staged job of a provider, to whose shard attempts a test gives result lines."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from batchmark.domain.ids import wire_id
from batchmark.domain.lifecycle import State
from batchmark.domain.request import Row
from batchmark.domain.totals import Totals
from batchmark.engine.merge import merge, sum_up
from batchmark.engine.settle import Settled, settle
from batchmark.engine.stage import stage
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.prices.lookup import Price, Rate
from batchmark.providers import registry
from tests.support import answers_in, wire
from tests.unit.engine.fakes import bad, good

__all__ = ["PRICE", "PROVIDERS", "Job"]

PROVIDERS = list(registry.BUILT_IN)
PRICE = Price(provider="p", model="m", rates=(Rate(0, 0.25, 0.5, 0.125, 0.25),), assumed=False, source="a list")


class Job:
    """Staged shards; `give` says what came back for one attempt, `merged` settles what was not settled yet and joins all."""

    def __init__(self, provider: str, home: Path, rows: list[Row], *, shard_rows: int = 100, **most: Any) -> None:
        self.provider, self.folder = provider, home / "job"
        self.wire = wire(provider)
        self.record = JobRecord(
            id="job1",
            run_id="run1",
            provider=provider,
            model="m",
            round=1,
            rows=len(rows),
            folder="job",
            emulated=True,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        self.limits = replace(registry.find(provider).limits, max_rows=shard_rows, vary_rows=False, **most)
        self.shards = stage(
            rows, self.wire, self.limits, source="x", model="m", job_id="job1", folder=self.folder, price=PRICE
        )
        self.parts: list[tuple[ShardRecord, BatchRecord | None]] = []
        self.done: list[ShardRecord] = []

    def id(self, shard: int, at: int) -> str:
        return wire_id(self.shards[shard].label, at)

    def good(self, shard: int, at: int) -> bytes:
        return json.dumps(good(self.provider, self.id(shard, at), f"answer {shard}.{at}")).encode()

    def bad(self, shard: int, at: int) -> bytes:
        return json.dumps(bad(self.provider, self.id(shard, at))).encode()

    def give(
        self,
        shard: int | ShardRecord,
        *files: list[bytes],
        state: State = State.SUCCEEDED,
        problems: tuple[str, ...] = (),
        stopped: bool = False,
    ) -> tuple[ShardRecord, BatchRecord]:
        """The result files of a shard attempt, whose batch ended in this state; `stopped` by us where it was stuck."""
        attempt = self.shards[shard] if isinstance(shard, int) else shard
        raw = []
        for number, lines in enumerate(files):
            path = self.folder / f"raw-{attempt.label}-{number}.jsonl"
            path.write_bytes(b"\n".join(lines) + (b"\n" if lines else b""))
            raw.append({"path": path.name, "sha256": ""})
        batch = BatchRecord(
            provider=self.provider,
            id=f"batch_{attempt.number}" if attempt.attempt == 1 else f"batch_{attempt.number}_{attempt.attempt}",
            emulated=True,
            shard_id=attempt.number,
            state=state,
            raw_status="",
            problems=list(problems),
            cancel_asked_at=datetime(2026, 1, 1, tzinfo=UTC) if stopped else None,
        )
        part = (replace(attempt, raw=raw), batch)
        self.parts.append(part)
        return part

    def settled(
        self, shard: ShardRecord, batch: BatchRecord | None, *, ask_again: bool = False, price: Price | None = PRICE
    ) -> Settled:
        """One attempt's answers; they count in `merged` from now on."""
        paths = [self.folder / entry["path"] for entry in shard.raw or ()]
        found = settle(
            self.record, shard, batch, self.wire, price, folder=self.folder, paths=paths, ask_again=ask_again
        )
        self.done = [each for each in self.done if each.label != shard.label]
        self.done.append(
            replace(
                shard,
                answers=found.answers,
                totals=msgspec.to_builtins(found.totals),
                handed_on=None if found.handed_on is None else msgspec.to_builtins(found.handed_on),
            )
        )
        return found

    def merged(self, price: Price | None = PRICE) -> tuple[Totals, list[dict[str, Any]]]:
        settled = {each.label for each in self.done}
        for shard, batch in self.parts:
            if shard.label not in settled:
                self.settled(shard, batch, price=price)
        attempts = sorted(self.done, key=lambda each: (each.number, each.attempt))
        into = self.folder / "answers.jsonl"
        merge(attempts, folder=self.folder, into=into)
        totals = sum_up(attempts)
        answers = answers_in(into)
        assert [each["row"] for each in answers] == list(range(self.record.rows))
        assert totals.submitted == self.record.rows
        return totals, answers
