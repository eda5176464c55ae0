"""Killed with SIGKILL at every named point and gone on from there: nothing lost, nothing bought twice, every answer on its row."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from batchmark.engine.points import POINTS
from tests.crash.conftest import Site

PROVIDERS = ["openai", "google", "anthropic"]
ROWS = [{"custom_id": f"id-{number}", "prompt": f"Say {number}", "mine": number} for number in range(5)]


def write_rows(folder: Path) -> None:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))


def told(text: str) -> list[tuple[Any, ...]]:
    """What a user reads from answers, without the ids that differ between runs."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [(each["row"], each["custom_id"], each["mine"], each["outcome"], each["text"]) for each in lines]


@pytest.mark.parametrize("site", PROVIDERS, indirect=True)
@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_anywhere_is_gone_on_from_without_a_second_batch(site: Site, point: str) -> None:
    write_rows(site.folder)
    site.killed_at(point, site.provider, "create", "rows.jsonl")
    (job,) = site.jobs()
    back = site.run(site.provider, "results", job, "--wait")
    assert back.code == 0, back.err
    assert len(site.batches()) == 1
    unharmed = site.run(site.provider, "create", "rows.jsonl", "-o", "unharmed.jsonl")
    assert unharmed.code == 0, unharmed.err
    assert told(back.out) == told((site.folder / "unharmed.jsonl").read_text())


@pytest.mark.parametrize("site", PROVIDERS, indirect=True)
def test_a_process_killed_again_and_again_still_makes_one_batch(site: Site) -> None:
    write_rows(site.folder)
    site.killed_at("uploaded", site.provider, "create", "rows.jsonl")
    (job,) = site.jobs()
    for point in ("intent-recorded", "created", "looked", "fetched", "merging", "merged"):
        stopped = site.run(site.provider, "results", job, "--wait", BATCHMARK_KILL_AT=point)
        assert stopped.signal is not None or stopped.code == 0, (point, stopped)
    back = site.run(site.provider, "results", job, "--wait")
    assert back.code == 0, back.err
    assert len(site.batches()) == 1
    assert [row[0] for row in told(back.out)] == list(range(5))


@pytest.mark.parametrize("site", ["anthropic"], indirect=True)
def test_another_clients_batch_of_the_same_size_is_never_taken_cancelled_or_deleted(site: Site) -> None:
    import anthropic

    write_rows(site.folder)
    variables = site.cloud.environment()
    site.killed_at("intent-recorded", "anthropic", "create", "rows.jsonl")
    params: Any = {"model": "claude-haiku-5-5", "max_tokens": 5, "messages": [{"role": "user", "content": "theirs"}]}
    with anthropic.Anthropic(
        base_url=variables["ANTHROPIC_BASE_URL"], api_key=variables["ANTHROPIC_API_KEY"]
    ) as theirs:
        other = theirs.messages.batches.create(requests=[{"custom_id": f"x-{n}", "params": params} for n in range(5)])
        (job,) = site.jobs()
        back = site.run("anthropic", "results", job, "--wait")
        assert back.code == 0, back.err
        assert [row[2] for row in told(back.out)] == list(range(5))
        kept = theirs.messages.batches.retrieve(other.id)
    assert kept.cancel_initiated_at is None
    assert len(site.batches()) == 2


@pytest.mark.parametrize("site", ["openai"], indirect=True)
def test_a_second_process_on_the_same_job_is_refused_by_the_firsts_number(site: Site) -> None:
    from batchmark.ledger.lock import held

    write_rows(site.folder)
    site.killed_at("created", "openai", "create", "rows.jsonl")
    (job,) = site.jobs()
    (path,) = site.home.glob(f"runs/*/{job}/lock")
    with held(path, "job"):
        second = site.run("openai", "results", job, "--wait")
    assert second.code == 6
    assert f"process {os.getpid()}" in second.err
    back = site.run("openai", "results", job, "--wait")
    assert back.code == 0, back.err
    assert len(site.batches()) == 1
