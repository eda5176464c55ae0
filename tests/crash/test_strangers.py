"""Anthropic takes no label, so a batch of another client may look like ours: it is never cancelled, deleted or kept for ours."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.crash.conftest import Site, Zygote, opened, until, write_rows

ROWS = 12
WORDS = ["run", "rows.jsonl", "--on", "anthropic", "-o", "answers.jsonl", "--shard-rows", "4"]
PARAMS: Any = {"model": "claude-haiku-5-5", "max_tokens": 5, "messages": [{"role": "user", "content": "theirs"}]}


class Stranger:
    """Another client of the same workspace."""

    def __init__(self, site: Site) -> None:
        variables = site.cloud.environment()
        self._client = anthropic.Anthropic(
            base_url=variables["ANTHROPIC_BASE_URL"], api_key=variables["ANTHROPIC_API_KEY"]
        )
        self.made: list[str] = []

    def create(self, rows: int = 4) -> str:
        requests: Any = [{"custom_id": f"x-{number}", "params": PARAMS} for number in range(rows)]
        batch = self._client.messages.batches.create(requests=requests)
        self.made.append(batch.id)
        return batch.id

    def check_left_alone(self, site: Site) -> None:
        """None was cancelled or deleted, and the ledger holds none for its own."""
        for batch_id in self.made:
            kept = self._client.messages.batches.retrieve(batch_id)
            assert kept.cancel_initiated_at is None
            assert kept.archived_at is None
        assert site.journal("batches.cancel") + site.journal("batches.delete") == []
        shown = site.run("show", *site.jobs(), "--json").json()
        held = {batch["id"] for job in shown["jobs"] for batch in job["batches"]}
        assert held.isdisjoint(self.made)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def quick(zygote: Zygote, tmp_path: Path) -> Iterator[tuple[Site, Stranger]]:
    """Where batches end at once."""
    yield from meeting(zygote, tmp_path)


@pytest.fixture
def slow(zygote: Zygote, tmp_path: Path) -> Iterator[tuple[Site, Stranger]]:
    """Where batches run until the clock is put forward."""
    yield from meeting(zygote, tmp_path, ["anthropic life -> stuck 3600"])


def meeting(zygote: Zygote, folder: Path, faults: Sequence[str] = ()) -> Iterator[tuple[Site, Stranger]]:
    with opened("anthropic", folder, zygote, faults) as site:
        write_rows(site.folder, ROWS)
        stranger = Stranger(site)
        yield site, stranger
        stranger.close()


def ours(site: Site) -> list[str]:
    """The labels of all batches of ours, as the account has them."""
    return [each.label for each in site.made() if each.label.startswith("bm-")]


def check_ended(site: Site) -> None:
    assert [(row["row"], row["mine"], row["outcome"]) for row in site.rows()] == [
        (number, number, "succeeded") for number in range(ROWS)
    ]
    assert len(ours(site)) == len(set(ours(site))) == 3


@pytest.mark.parametrize("point", ["intent-recorded", "created"])
def test_batches_of_others_that_have_ended_are_told_apart_by_their_results(
    quick: tuple[Site, Stranger], point: str
) -> None:
    site, stranger = quick
    stranger.create()
    site.killed_at(point, *WORDS)
    stranger.create()
    stranger.create()
    back = site.run("resume")
    assert back.code == 0, back.err
    check_ended(site)
    stranger.check_left_alone(site)


def test_others_may_create_all_the_while(quick: tuple[Site, Stranger]) -> None:
    site, stranger = quick
    process = site.begin(*WORDS)
    for _ in range(20):
        stranger.create()
    ended = process.wait()
    assert ended.code == 0, ended.err
    check_ended(site)
    stranger.check_left_alone(site)


def test_while_several_may_be_ours_nothing_is_sent_and_once_they_have_ended_ours_is_found(
    slow: tuple[Site, Stranger],
) -> None:
    site, stranger = slow
    site.killed_at("created", *WORDS)
    stranger.create()
    before = ours(site)
    for _ in range(2):
        back = site.run("resume")
        assert back.code == 5, back
        assert "Nothing more was sent, and nothing was cancelled" in back.err
        assert "hint: once they have ended their results tell" in back.err
        assert all(id_ in back.err for id_ in site.batches())
    assert ours(site) == before
    stranger.check_left_alone(site)
    assert site.run("show", "--json").json()["states"]["in doubt"] == 1
    site.steer("clock", jump_s=4_000)
    site.steer("faults", rules=[])
    back = site.run("resume")
    assert back.code == 0, back.err
    check_ended(site)
    stranger.check_left_alone(site)


def test_a_running_batch_of_another_that_was_taken_for_ours_is_given_back(slow: tuple[Site, Stranger]) -> None:
    site, stranger = slow
    site.killed_at("intent-recorded", *WORDS)
    taken = stranger.create()
    process = site.begin("resume")
    until(lambda: taken in batches_in_ledger(site), "the other's batch to be taken for ours")
    assert site.journal("batches.cancel") == []
    until(lambda: len(ours(site)) == 2, "the other shards to be sent")
    site.steer("faults", rules=[])
    site.steer("clock", jump_s=4_000)
    ended = process.wait()
    assert ended.code == 0, ended.err
    assert "somebody else's" in ended.err
    check_ended(site)
    stranger.check_left_alone(site)


def test_a_run_cancelled_while_a_batch_may_be_ours_touches_it_not_and_buys_nothing_more(
    slow: tuple[Site, Stranger],
) -> None:
    site, stranger = slow
    site.killed_at("intent-recorded", *WORDS, "--in-flight", "1")
    taken = stranger.create()
    process = site.begin("resume")
    until(lambda: taken in batches_in_ledger(site), "the other's batch to be taken for ours")
    process.send(signal.SIGKILL)
    process.wait()
    cancelled = site.run("cancel", *site.jobs())
    assert cancelled.code == 4, cancelled
    assert taken in cancelled.err
    site.steer("faults", rules=[])
    site.steer("clock", jump_s=4_000)
    back = site.run("resume", *site.jobs())
    assert back.code == 1, back
    assert [(row["row"], row["outcome"]) for row in site.rows()] == [(number, "cancelled") for number in range(ROWS)]
    assert ours(site) == [], "bought after it was cancelled"
    stranger.check_left_alone(site)


def batches_in_ledger(site: Site) -> set[str]:
    ledger = site.ledger()
    try:
        return {batch.id for job in site.jobs() for batch in ledger.batches(job).values()}
    finally:
        ledger.close()
