"""`batchmark estimate` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def write(folder: Path, *rows: dict[str, object]) -> None:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_an_estimate_needs_no_key_and_gives_a_range(run: Run, folder: Path, home: Path) -> None:
    write(folder, *({"prompt": "x" * 400, "max_tokens": 50} for _ in range(10)))
    ended = run("estimate", "rows.jsonl", "--on", "openai:gpt-4o-mini", "--json")
    assert ended.code == 0, ended.err
    (target,) = ended.json()["targets"]
    assert (target["rows"], target["shards"], target["input_tokens"], target["max_output_tokens"]) == (10, 1, 1080, 500)
    # gpt-4o-mini in batches: 0.075 and 0.30 US dollars for a million tokens
    assert target["input_cost_usd"] == pytest.approx(1080 * 0.075e-6)
    assert target["most_cost_usd"] == pytest.approx(1.3 * 1080 * 0.075e-6 + 500 * 0.3e-6)
    assert not home.exists()


def test_an_answer_without_a_limit_has_no_upper_cost_and_that_is_said(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "Hello"})
    ended = run("estimate", "rows.jsonl")
    assert ended.code == 0, ended.err
    assert "no limit" in ended.out
    assert "set no max_tokens" in ended.out
    for provider in ("openai:", "google:", "anthropic:"):
        assert provider in ended.out


def test_a_target_that_cannot_take_the_file_is_named_beside_those_that_can(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "Hello", "max_tokens": 5, "temperature": 0.2})
    ended = run("estimate", "rows.jsonl", "--on", "google", "--on", "anthropic")
    assert ended.code == 0, ended.err
    assert "cannot take this file" in ended.out
    assert "temperature" in ended.out
    alone = run("estimate", "rows.jsonl", "--on", "anthropic")
    assert alone.code == 2
    assert "line 1" in alone.err
