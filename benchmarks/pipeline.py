"""Speed and memory of the data path on this machine: rows -> shard files, and raw results -> answers. No network, no emulator.

    python benchmarks/pipeline.py [ROWS]

Each figure stands beside a floor measured in the same run: a bare msgspec parse of the same bytes, and a copy of the file.
"""

# ruff: noqa: B023  the functions in the loop are called in the same turn

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.engine.merge import merge
from batchmark.engine.stage import stage
from batchmark.ledger.records import BatchRecord, JobRecord
from batchmark.prices.lookup import resolve
from batchmark.providers import registry
from batchmark.workload.rows import Workload

TEXT = ("The quick brown fox jumps over the lazy dog while the band plays on and the rain keeps falling. " * 9)[:800]


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process for one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def answer_line(provider: str, wire_id: str) -> bytes:
    """A result line of about 1 KB as the provider writes it."""
    usage = {"prompt_tokens": 200, "completion_tokens": 180, "total_tokens": 380}
    match provider:
        case "openai":
            message = {"role": "assistant", "content": TEXT, "refusal": None}
            body = {
                "object": "chat.completion",
                "model": "gpt-5-nano",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": usage,
            }
            value: object = {
                "id": "batch_req_1",
                "custom_id": wire_id,
                "response": {"status_code": 200, "request_id": "r", "body": body},
                "error": None,
            }
        case "anthropic":
            inner = {
                "type": "message",
                "model": "claude-haiku-5-5",
                "content": [{"type": "text", "text": TEXT}],
                "stop_reason": "end_turn",
            }
            value = {
                "custom_id": wire_id,
                "result": {
                    "type": "succeeded",
                    "message": {**inner, "usage": {"input_tokens": 200, "output_tokens": 180}},
                },
            }
        case _:
            candidate = {"content": {"parts": [{"text": TEXT}], "role": "model"}, "finishReason": "STOP", "index": 0}
            counts = {"promptTokenCount": 200, "candidatesTokenCount": 180, "totalTokenCount": 380}
            value = {
                "key": wire_id,
                "response": {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "gemini"},
            }
    return msgspec.json.encode(value) + b"\n"


def parse_all(path: Path) -> None:
    """The floor: every line through a bare parser."""
    decode = msgspec.json.decode
    with path.open("rb") as file:
        for line in file:
            decode(line)


def main(count: int) -> None:
    """Measure and print."""
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {count:,} rows of about 1 KB; CPU seconds of one process"
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = root / "rows.jsonl"
        with source.open("wb") as file:
            for number in range(count):
                file.write(
                    msgspec.json.encode(
                        {"custom_id": f"row-{number}", "prompt": TEXT, "max_tokens": 200, "mine": number}
                    )
                    + b"\n"
                )
        copy = seconds(lambda: shutil.copyfile(source, root / "copy"))
        parse = seconds(lambda: parse_all(source))
        print(f"floor: copy the input {copy:.2f} s, parse the input {parse:.2f} s")
        for provider in ("openai", "google", "anthropic"):
            spec = registry.find(provider)
            wire = registry.wire_of(spec)
            target = Target(provider, spec.default_model)
            folder = root / provider
            shards = []

            def staging() -> None:
                shards.extend(
                    stage(
                        Workload(source).rows(),
                        wire,
                        spec.limits,
                        source="rows",
                        model=target.model,
                        job_id="bench000",
                        folder=folder,
                    )
                )

            staged = seconds(staging)
            parts = []
            results_bytes = 0
            for shard in shards:
                raw = folder / f"{shard.label}.results"
                with raw.open("wb") as file:
                    for row in range(shard.rows):
                        file.write(answer_line(provider, f"{shard.label}-{row}"))
                results_bytes += raw.stat().st_size
                batch = BatchRecord(
                    provider=provider, id="b", emulated=True, shard_id=0, state=State.SUCCEEDED.value, raw_status=""
                )
                parts.append((replace(shard, raw=[{"path": raw.name, "kind": "lines"}]), batch))
            floor = seconds(lambda: [parse_all(folder / part[0].raw[0]["path"]) for part in parts if part[0].raw])
            job = JobRecord(
                id="bench000", run_id="r", provider=provider, model=target.model, round=1, rows=count, folder=provider,
                emulated=True, created_at=datetime.now(UTC),
            )  # fmt: skip
            price = resolve(provider, target.model)
            merged = seconds(lambda: merge(job, parts, wire, price, folder=folder, into=root / "answers.jsonl"))
            print(
                f"{provider:10} {len(shards)} shards: stage {staged:.2f} s ({staged / parse:.1f} x the bare parse of the input), "
                f"merge {merged:.2f} s ({merged / floor:.1f} x the bare parse of {results_bytes / 1e6:.0f} MB of results)"
            )
            shutil.rmtree(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the whole benchmark: {peak:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
