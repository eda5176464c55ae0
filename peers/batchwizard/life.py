"""batchwizard, which keeps OpenAI's and Anthropic's batches in one manifest: its command line as people type it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

NAMES = [f"row-{number}" for number in range(9)]


def wizard(*words: str) -> str:
    wide = os.environ | {"COLUMNS": "300"}  # tables are not cut
    done = subprocess.run(["batchwizard", *words], capture_output=True, text=True, timeout=50, env=wide)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def write(name: str, rows: list[dict[str, Any]]) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def chat(number: int, **changes: Any) -> dict[str, Any]:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"say {number}"}], "max_tokens": 9}
    return {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body | changes}


def message(number: int, name: str = "row", **changes: Any) -> dict[str, Any]:
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": f"say {number}"}]}
    return {"custom_id": f"{name}-{number}", "params": params | changes}


def collected(pattern: str) -> list[str]:
    """The ids of all rows in the files that it wrote."""
    lines = [line for path in Path("out").glob(pattern) for line in path.read_text().splitlines()]
    return sorted(json.loads(line)["custom_id"] for line in lines)


def check_openai() -> None:
    """OpenAI: process (submit, watch, collect); rows on their ids, failed ones apart"""
    rows = [chat(number) for number in range(9)] + [chat(9, temperature=9)]
    wizard("process", write("openai.jsonl", rows), "--output-directory", "out", "--check-interval", "1")
    assert collected("batch_*_results.jsonl") == NAMES
    assert collected("batch_*_errors.jsonl") == ["row-9"]


def check_anthropic() -> None:
    """Anthropic: submit two files, list, cancel one, watch, collect"""
    rows = [message(number) for number in range(9)] + [message(9, model="claude-unknown")]
    slow = [message(number, "slow") for number in range(3)]
    wizard("submit", "--provider", "anthropic", write("quick.jsonl", rows), write("slow.jsonl", slow))
    said = wizard("list-jobs", "--provider", "anthropic")
    (running,) = (line for line in said.splitlines() if "in_progress" in line)
    batch = next(word for word in running.split() if word.startswith("msgbatch_"))
    wizard("cancel", batch, "--provider", "anthropic")
    wizard("watch", "--output-directory", "out", "--check-interval", "1")
    assert collected("msgbatch_*_results.jsonl") == NAMES
    assert collected("msgbatch_*_errors.jsonl") == ["row-9", "slow-0", "slow-1", "slow-2"]


def check_manifest() -> None:
    """the manifest says how all of them ended"""
    said = wizard("status", "--all")
    assert said.count("collected") == 3 and said.count("9 ok / 1 failed") == 2, said


for check in (check_openai, check_anthropic, check_manifest):
    check()
    print("ok", check.__doc__, flush=True)
