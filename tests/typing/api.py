"""How programs use the library. Checked by the type checker, never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import batchmark
from batchmark.api.library import Answer


def a_script() -> None:
    run = batchmark.run("questions.jsonl", on="openai", prompt="{question}")
    assert_type(run, batchmark.Run)
    assert_type(run.id, str)
    assert_type(run.path, Path)
    for answer in run:
        assert_type(answer, Answer)
    assert_type(batchmark.resume(run.id), batchmark.Run)
    found = batchmark.run_comparison("questions.jsonl", on=["openai", "google"], rounds=8)
    assert_type(found, batchmark.Comparison)
    assert_type(batchmark.open_report(run.id), batchmark.Comparison)


async def a_program_with_a_loop() -> None:
    run = await batchmark.run_async([{"prompt": "Hi"}], "google:gemini-2.5-flash-lite", attempts=2, stall="stop")
    assert_type(run, batchmark.Run)
    async for answer in batchmark.stream(Path("rows.csv"), on="anthropic"):
        assert_type(answer, Answer)
    assert_type(await batchmark.resume_async(), batchmark.Run)
