"""An account in memory at the seam, on the loop's clock, and a job to bring there."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from batchmark.domain.lifecycle import BatchRef, Counts, FileRef, ModelInfo, RawFile, Snapshot, State
from batchmark.domain.request import Request
from batchmark.engine.account import Account
from batchmark.engine.drive import Conductor
from batchmark.engine.events import Event, Trouble
from batchmark.engine.options import DriveOptions
from batchmark.engine.pace import Pace
from batchmark.engine.stage import stage
from batchmark.engine.submit import submit
from batchmark.errors import NotFound
from batchmark.ledger.records import JobRecord, RunRecord, ShardRecord
from batchmark.ledger.store import Ledger
from batchmark.providers import registry
from batchmark.providers.seam import StoredFile, Submission
from tests.support import Inline, in_virtual_time, rows_of, wire

__all__ = ["EPOCH", "PACE", "FakeProvider", "Scene", "bad", "digest_of", "good"]

EPOCH = datetime(2026, 8, 1, tzinfo=UTC)
PACE = Pace(grace_s=30)


def good(provider: str, id_: str, text: str) -> dict[str, Any]:
    """A line of an answer, with 3 tokens in and 2 out."""
    if provider == "openai":
        body: dict[str, Any] = {
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "model": "m-dated",
        }
        body["usage"] = {"prompt_tokens": 3, "completion_tokens": 2}
        return {"custom_id": id_, "response": {"status_code": 200, "body": body}, "error": None}
    if provider == "anthropic":
        message: dict[str, Any] = {
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "model": "m-dated",
        }
        message["usage"] = {"input_tokens": 3, "output_tokens": 2}
        return {"custom_id": id_, "result": {"type": "succeeded", "message": message}}
    response = {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
    return {
        "key": id_,
        "response": {
            **response,
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
            "modelVersion": "m-dated",
        },
    }


def bad(provider: str, id_: str) -> dict[str, Any]:
    """A line of a failure that may pass."""
    if provider == "openai":
        return {"custom_id": id_, "response": {"status_code": 500, "body": {"error": {"message": "boom"}}}}
    if provider == "anthropic":
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}
        return {"custom_id": id_, "result": {"type": "errored", "error": error}}
    return {"key": id_, "error": {"code": 13, "message": "boom"}}


class FakeProvider:
    """An account in memory on the loop's clock, at the seam. `script` says what each create does, in order.

    A step is an error to raise, or a tuple of one: the batch was made all the same. With `lasts_s` a batch ends so long after its
    creation, and every request of it is answered. `room` is how many may run at once.
    """

    def __init__(
        self,
        name: str,
        *script: object,
        visible_after_s: float = 0.0,
        lasts_s: float | None = None,
        room: Callable[[FakeProvider], BaseException | None] = lambda _: None,
    ) -> None:
        self.spec = registry.find(name)
        self.script = list(script)
        self.visible_after_s = visible_after_s
        self.lasts_s = lasts_s
        self.room = room
        self.batches: list[Snapshot] = []
        self.cancelled: list[BatchRef] = []
        self.deleted_files: list[str] = []
        self.uploads = self.creates = self.lists = 0
        self.most_running = 0
        self.results: dict[str, bytes] = {}
        self.labels: list[str] = []
        self._paths: dict[str, Path] = {}

    def _now(self) -> datetime:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    @property
    def server_time(self) -> datetime | None:
        return self._now()

    def store(self, label: str | None, rows: int, *, age_s: float = 0.0) -> BatchRef:
        ref = BatchRef(self.spec.name, f"batch_{len(self.batches)}")
        self.batches.append(
            Snapshot(
                ref=ref,
                state=State.RUNNING,
                raw_status="",
                created_at=self._now() - timedelta(seconds=age_s),
                counts=Counts(total=rows),
                label=label if self.spec.has_labels else None,
            )
        )
        self.most_running = max(self.most_running, self.running())
        return ref

    def end(self, number: int, state: State = State.SUCCEEDED, **more: Any) -> None:
        """The batch is over."""
        self.batches[number] = replace(self.batches[number], state=state, **more)

    def running(self) -> int:
        self._age()
        return sum(not each.state.terminal for each in self.batches)

    def _age(self) -> None:
        for number, each in enumerate(self.batches):
            if self.lasts_s is None or each.state.terminal or each.created_at is None:
                continue
            if self._now() >= each.created_at + timedelta(seconds=self.lasts_s):
                self.end(number, ended_at=self._now())

    async def now(self) -> datetime:
        return self._now()

    async def upload(self, shard: Path, label: str) -> FileRef | None:
        self.uploads += 1
        return FileRef(self.spec.name, f"file-{self.uploads}")

    async def create(self, submission: Submission) -> BatchRef:
        self.creates += 1
        self.labels.append(submission.label)
        await asyncio.sleep(1)
        step = self.script.pop(0) if self.script else self.room(self)
        if isinstance(step, tuple):
            self.store(submission.label, submission.rows)
            step = step[0]
        if isinstance(step, BaseException):
            raise step
        ref = self.store(submission.label, submission.rows)
        self._paths[ref.id] = submission.path
        return ref

    async def list_batches(self, since: datetime | None = None) -> AsyncIterator[Snapshot]:
        self.lists += 1
        self._age()
        for snapshot in reversed(self.batches):
            assert snapshot.created_at is not None
            if self._now() >= snapshot.created_at + timedelta(seconds=self.visible_after_s):
                yield snapshot

    async def get(self, ref: BatchRef) -> Snapshot:
        self._age()
        found = next((each for each in self.batches if each.ref == ref), None)
        if found is None:
            raise NotFound(f"no batch {ref.id}")
        return found

    async def fetch(self, snapshot: Snapshot, into: Path) -> list[RawFile]:
        path = into / "results.jsonl"
        path.write_bytes(self.results.get(snapshot.ref.id, self._all_good(snapshot.ref.id)))
        return [RawFile(path)]

    def _all_good(self, batch_id: str) -> bytes:
        if self.lasts_s is None or batch_id not in self._paths:
            return b""
        content = self._paths[batch_id].read_bytes()
        frame = wire(self.spec.name).FRAME
        rows = content.removeprefix(frame.prefix).removesuffix(frame.suffix).split(frame.separator)
        ids = [json.loads(each)["key" if self.spec.name == "google" else "custom_id"] for each in rows]
        return b"".join(json.dumps(good(self.spec.name, each, "yes")).encode() + b"\n" for each in ids)

    async def cancel(self, ref: BatchRef) -> None:
        self.cancelled.append(ref)

    async def delete(self, ref: BatchRef) -> None: ...

    async def count_tokens(self, request: Request, model: str) -> int:
        raise NotImplementedError

    async def delete_file(self, file: FileRef) -> None:
        self.deleted_files.append(file.id)

    async def files(self) -> AsyncIterator[StoredFile]:
        return
        yield

    async def models(self) -> AsyncIterator[ModelInfo]:
        return
        yield

    async def close(self) -> None: ...


class Scene:
    """A job of one shard, or as many as `shards` says, and an account to bring it to."""

    def __init__(
        self, home: Path, provider: FakeProvider, *, shards: int = 1, rows: int = 3, pace: Pace = PACE
    ) -> None:
        self.provider, self.home = provider, home
        self.pace = pace
        self.ledger = Ledger(home / "ledger.sqlite3")
        self.wire = wire(provider.spec.name)
        self.job = JobRecord(
            id="job1",
            run_id="run1",
            provider=provider.spec.name,
            model="m",
            round=1,
            rows=rows * shards,
            folder="job",
            emulated=False,
            created_at=EPOCH,
        )
        self.ledger.record_run(RunRecord(id="run1", kind="run", source="x", emulated=False, created_at=EPOCH))
        self.ledger.record_job(self.job)
        staged = stage(
            rows_of(rows * shards),
            self.wire,
            replace(provider.spec.limits, max_rows=rows, vary_rows=False),
            source="x",
            model="m",
            job_id="job1",
            folder=home / "job",
        )
        for shard in staged:
            self.ledger.record_shard(shard)
        self.told: list[Event] = []
        self.dispatcher = Inline()

    @property
    def shard(self) -> ShardRecord:
        (found,) = self.ledger.shards("job1")
        return found

    @property
    def shards(self) -> list[ShardRecord]:
        return self.ledger.shards("job1")

    def account(self, identity: str = "me") -> Account:
        return Account(
            provider=self.provider,
            wire=self.wire,
            ledger=self.ledger,
            home=self.home,
            pace=self.pace,
            identity=identity,
        )

    def submit(self, shard: ShardRecord | None = None, *, identity: str = "me") -> tuple[BatchRef, float]:
        return in_virtual_time(self.submitting(shard, identity=identity))

    async def submitting(self, shard: ShardRecord | None = None, *, identity: str = "me") -> BatchRef:
        return await submit(self.account(identity), self.job, shard or self.shard, self.told.append)

    def conductor(self, **options: Any) -> Conductor:
        return Conductor(
            self.account(), [self.ledger.job("job1") or self.job], self.dispatcher, self.told.append,
            options=DriveOptions(**options),
        )  # fmt: skip

    def troubles(self) -> list[str]:
        return [each.message for each in self.told if isinstance(each, Trouble)]


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
