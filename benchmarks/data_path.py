"""Speed of the data path alone: encode and decode beside a bare parse of the same bytes, and rows -> shard files, results -> answers.

    python benchmarks/data_path.py [ROWS]

No network, no emulator, one process; CPU seconds. The floors are measured in the same run: a bare msgspec parse of the same bytes, and a
copy of the file.
"""

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
from batchmark.engine.settle import index, settle
from batchmark.engine.stage import shard_path, stage
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.prices.book import PriceBook
from batchmark.providers import registry
from batchmark.workload.rows import Workload

TEXT = ("The quick brown fox jumps over the lazy dog while the band plays on and the rain keeps falling. " * 9)[:800]
ALONE = 20_000  # rows for the figures of single functions


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process for one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def best(work: Callable[[], object]) -> float:
    """The least of five."""
    return min(seconds(work) for _ in range(5))


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


def alone(provider: str, source: Path) -> None:
    """One function at a time, beside a bare parse of what it makes or reads."""
    spec = registry.find(provider)
    wire = registry.wire_of(spec)
    rows = list(Workload(source, limit=ALONE).rows())
    encode, decode, parse = wire.encode, wire.decode, msgspec.json.decode
    encoded = [encode(row.request, "bm-bench000-0-1-7", spec.default_model) for row in rows]
    lines = [answer_line(provider, f"bm-bench000-0-1-{number}") for number in range(ALONE)]
    bare_encoded = best(lambda: [parse(each) for each in encoded])
    bare_lines = best(lambda: [parse(each) for each in lines])
    encoding = best(lambda: [encode(row.request, "bm-bench000-0-1-7", spec.default_model) for row in rows])
    decoding = best(lambda: [decode(each) for each in lines])
    print(
        f"{provider:10} encode {encoding / ALONE * 1e6:.2f} us a row, {bare_encoded / encoding:.2f} x the speed of a bare parse; "
        f"decode {decoding / ALONE * 1e6:.2f} us, {bare_lines / decoding:.2f} x"
    )


def whole(provider: str, source: Path, root: Path, count: int, parse: float) -> None:
    """Rows to shard files, and result files to answers."""
    spec = registry.find(provider)
    wire, price = registry.wire_of(spec), PriceBook().price(spec.name, spec.default_model)
    folder = root / provider
    shards: list[ShardRecord] = []

    def staging() -> None:
        shards.extend(
            stage(
                Workload(source).rows(), wire, spec.limits, source="rows", model=spec.default_model, job_id="bench000",
                folder=folder, price=price,
            )
        )  # fmt: skip

    staged = seconds(staging)
    job = JobRecord(
        id="bench000", run_id="r", provider=provider, model=spec.default_model, round=1, rows=count, folder=provider,
        emulated=True, created_at=datetime.now(UTC),
    )  # fmt: skip
    batch = BatchRecord(
        provider=provider, id="b", emulated=True, shard_id=0, state=State.SUCCEEDED.value, raw_status=""
    )
    floor = found = settled = 0.0
    size = 0
    for shard in shards:
        raw = folder / f"{shard.label}.results"
        with raw.open("wb") as file:
            for row in range(shard.rows):
                file.write(answer_line(provider, f"{shard.label}-{row}"))
        size += raw.stat().st_size
        floor += seconds(lambda raw=raw: parse_all(raw))  # type: ignore[misc]
        began = time.process_time()
        places = index([raw], wire, shard)
        found += time.process_time() - began
        began = time.process_time()
        settle(job, replace(shard, state="fetched"), batch, wire, price, folder=folder, paths=[raw], places=places)
        settled += time.process_time() - began
        raw.unlink()
        shard_path(folder, shard.label).unlink()
    print(
        f"{provider:10} {len(shards)} shards: stage {staged:.2f} s ({staged / parse:.1f} x the bare parse of the input); "
        f"index {found:.2f} s, settle {settled:.2f} s (together {(found + settled) / floor:.1f} x the bare parse of "
        f"{size / 1e6:.0f} MB of results)"
    )
    shutil.rmtree(folder)


def main(count: int) -> None:
    """Measure and print."""
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {count:,} rows of about 1 KB; CPU of one process"
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = root / "rows.jsonl"
        with source.open("wb") as file:
            for number in range(count):
                row = {"custom_id": f"row-{number}", "prompt": f"{number} {TEXT}", "max_tokens": 200, "mine": number}
                file.write(msgspec.json.encode(row) + b"\n")
        copy = seconds(lambda: shutil.copyfile(source, root / "copy"))
        parse = seconds(lambda: parse_all(source))
        print(f"floor: copy the input {copy:.2f} s, parse the input {parse:.2f} s")
        for provider in registry.BUILT_IN:
            alone(provider, source)
        for provider in registry.BUILT_IN:
            whole(provider, source, root, count, parse)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the whole benchmark: {peak:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
