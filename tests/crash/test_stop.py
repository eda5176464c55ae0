"""A process that sleeps in the middle of a create, as machines do, and one that is in the way of another."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.crash.conftest import Process, Site, Zygote, opened, opened_all, until, write_rows

ROWS = 10


@pytest.fixture
def sites(zygote: Zygote, tmp_path: Path) -> Iterator[list[Site]]:
    with opened_all(tmp_path, zygote) as found:
        for site in found:
            write_rows(site.folder, ROWS)
        yield found


def stopped_at(sites: list[Site], point: str) -> list[Process]:
    """Runs that are held by SIGSTOP at a point, past the time at which their create may still arrive."""
    processes = [
        site.begin("run", "rows.jsonl", "--on", site.provider, "-o", "answers.jsonl", "--shard-rows", "4",
                   BATCHMARK_STOP_AT=point)
        for site in sites
    ]  # fmt: skip
    for process in processes:
        until(process.is_stopped, f"SIGSTOP at {point}")
    for site in sites:
        until(lambda site=site: is_past(site), "the deadline of the create to pass")  # type: ignore[misc]
    return processes


def is_past(site: Site) -> bool:
    """Whether every create that may be under way can no longer be awaited."""
    waited = [shard for shard in site.shards() if shard.state == "intended"]
    return bool(waited) and all(
        shard.sent_at is not None
        and shard.timeout_s is not None
        and datetime.now(UTC) > shard.sent_at + timedelta(seconds=shard.timeout_s + 0.3)
        for shard in waited
    )


def check_ended(site: Site) -> None:
    assert [(row["row"], row["mine"], row["outcome"]) for row in site.rows()] == [
        (number, number, "succeeded") for number in range(ROWS)
    ]
    assert len(site.made()) == 3
    site.check_bought_once(uploaded_again=4)


@pytest.mark.parametrize("point", ["intent-recorded", "created", "intent-recorded:2"])
def test_a_run_that_slept_past_its_deadline_goes_on_and_buys_nothing_twice(sites: list[Site], point: str) -> None:
    processes = stopped_at(sites, point)
    for site, process in zip(sites, processes, strict=True):
        second = site.run("resume", *site.jobs())
        assert second.code == 6, second
        assert f"process {process.pid}" in second.err
        assert "Traceback" not in second.err
    for process in processes:
        process.send(signal.SIGCONT)
    for site, process in zip(sites, processes, strict=True):
        ended = process.wait()
        assert ended.code == 0, (site.provider, ended.err)
        check_ended(site)


@pytest.mark.parametrize("point", ["intent-recorded", "created"])
def test_a_run_killed_just_as_it_wakes_is_resumed_and_buys_nothing_twice(sites: list[Site], point: str) -> None:
    for process in stopped_at(sites, point):
        process.send(signal.SIGCONT)
        process.send(signal.SIGKILL)
        assert process.wait().signal == signal.SIGKILL
    for process in [site.begin("resume", *site.jobs()) for site in sites]:
        ended = process.wait()
        assert ended.code == 0, ended.err
    for site in sites:
        check_ended(site)


def test_a_run_killed_while_its_late_create_is_on_its_way_is_resumed_and_buys_nothing_twice(sites: list[Site]) -> None:
    before = [len(site.made()) for site in sites]
    processes = stopped_at(sites, "intent-recorded")
    for process in processes:
        process.send(signal.SIGCONT)
    for site, count, process in zip(sites, before, processes, strict=True):
        until(lambda site=site, count=count: len(site.made()) > count, "a batch")  # type: ignore[misc]
        process.send(signal.SIGKILL)
        process.wait()
    for process in [site.begin("resume", *site.jobs()) for site in sites]:
        ended = process.wait()
        assert ended.code == 0, ended.err
    for site in sites:
        check_ended(site)


def test_a_second_process_on_the_same_run_is_refused_by_the_firsts_number(zygote: Zygote, tmp_path: Path) -> None:
    with opened("openai", tmp_path, zygote, ["openai life -> stuck 8"]) as site:
        write_rows(site.folder, ROWS)
        first = site.begin("run", "rows.jsonl", "--on", "openai", "-o", "answers.jsonl", "--shard-rows", "4")
        until(lambda: len(site.made()) == 3, "three batches")
        (job,) = site.jobs()
        for words in (["resume"], ["resume", job], ["openai", "results", job, "--wait"]):
            second = site.run(*words)
            assert second.code == 6, (words, second)
            assert f"process {first.pid}" in second.err
            assert "nothing was done twice" in second.err
        assert site.run("show", job, "--json").json()["worked_on_by"] == first.pid
        ended = first.wait()
        assert ended.code == 0, ended.err
        check_ended(site)


def test_of_two_that_resume_at_once_one_does_it(sites: list[Site]) -> None:
    for site in sites:
        site.killed_at(
            "created", "run", "rows.jsonl", "--on", site.provider, "-o", "answers.jsonl", "--shard-rows", "4"
        )
    pairs = [[site.begin("resume", *site.jobs()) for _ in range(2)] for site in sites]
    for site, pair in zip(sites, pairs, strict=True):
        ended = [process.wait() for process in pair]
        assert {each.code for each in ended} <= {0, 6}, ended
        assert 0 in {each.code for each in ended}, ended
        check_ended(site)
