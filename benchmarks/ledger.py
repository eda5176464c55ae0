"""Speed of the ledger and the engine around it: listing 10,000 runs, and what a shard costs apart from its bytes.

python benchmarks/ledger.py [RUNS]
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.ledger.records import JobRecord, RunRecord, ShardRecord
from batchmark.ledger.store import Ledger

BATCHMARK = str(Path(sys.executable).with_name("batchmark"))
SHARDS = 200


def fill(home: Path, runs: int) -> None:
    """A ledger of so many runs of four shards each."""
    ledger = Ledger(home / "ledger.sqlite3")
    began = datetime.now(UTC) - timedelta(days=30)
    for number in range(runs):
        run_id, job_id = f"r{number:07}", f"j{number:07}"
        at = began + timedelta(minutes=number)
        run = RunRecord(id=run_id, kind="run", source="rows.jsonl", emulated=True, created_at=at)
        job = JobRecord(
            id=job_id, run_id=run_id, provider="openai", model="gpt-5-nano", round=1, rows=400, folder=f"runs/{run_id}",
            emulated=True, created_at=at,
        )  # fmt: skip
        shards = [
            ShardRecord(
                id=0, job_id=job_id, number=shard, attempt=1, label=f"bm-{job_id}-{shard}-1", endpoint="/v1/chat/completions",
                rows=100, bytes=1, digest="", state="collected", answers={}, totals={},
            )
            for shard in range(4)
        ]  # fmt: skip
        ledger.record_staged(run, [(job, shards)])
    ledger.close()


def timed(*words: str, home: Path, **environment: str) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    before, began = os.times(), time.perf_counter()
    subprocess.run(
        [BATCHMARK, *words],
        env={**os.environ, "BATCHMARK_HOME": str(home), **environment},
        check=True,
        capture_output=True,
    )
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, cpu


def main(runs: int) -> None:
    """Measure and print."""
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        fill(home, runs)
        floor = min(timed("--version", home=home)[0] for _ in range(3))
        few = min(timed("runs", home=home)[0] for _ in range(3))
        every = min(timed("runs", "--all", "--json", home=home)[0] for _ in range(3))
        print(
            f"ledger of {runs:,} runs: `runs` {few:.2f} s, `runs --all --json` {every:.2f} s; floor, `--version`: {floor:.2f} s"
        )
        rows = home / "rows.jsonl"
        rows.write_text('{"prompt": "Hi", "max_tokens": 5}\n' * SHARDS)
        options = EmulatorOptions(home=home / "cloud", profile="instant", answers="synthetic")
        with Emulator(options) as cloud:
            for provider in ("openai", "google", "anthropic"):
                costs = {}
                for rows_each in (1, SHARDS):
                    target = ["run", str(rows), "--on", provider, "--shard-rows", str(rows_each), "--quiet"]
                    costs[rows_each] = timed(
                        *target, home=home / f"{provider}{rows_each}", **cloud.environment(), BATCHMARK_POLL_S="0.2"
                    )[1]
                each = (costs[1] - costs[SHARDS]) / (SHARDS - 1) * 1000
                print(
                    f"{provider:10} {SHARDS} rows in {SHARDS} batches instead of one: {each:.0f} ms of CPU more a batch"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
