"""Killed with SIGKILL at every named point and gone on from there: nothing lost, nothing bought twice, every answer on its row."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchmark.ledger.points import POINTS
from tests.crash.conftest import PROVIDERS, Site, Zygote, at_once, opened_all, write_rows

ROWS = 10
# The second row of every shard fails at its first attempt, in a way that is worth asking again.
AGAIN = "* answers row=1 label=*-1 -> fail 500"
# So many uploads may be under way when a process is killed. What nobody knows of then is sent again: that costs nothing.
AT_ONCE = 4
# The points that `create` gets to, which asks each row once.
ONCE = [point for point in POINTS if point != "retry-staged"]


Told = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def unharmed(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What a run that nothing befalls comes to, by provider."""
    with opened_all(tmp_path_factory.mktemp("unharmed"), zygote, [AGAIN]) as sites:
        prepare(sites)
        for site, ended in zip(sites, at_once(sites, words), strict=True):
            assert ended.code == 0, ended.err
            assert [row["row"] for row in site.rows()] == list(range(ROWS))
            assert [row["attempt"] for row in site.rows()] == [1, 2, 1, 1, 1, 2, 1, 1, 1, 2]
            site.check_bought_once()
        return {site.provider: site.rows() for site in sites}


@pytest.fixture
def sites(zygote: Zygote, tmp_path: Path) -> Iterator[list[Site]]:
    """The three providers, where rows are to be asked again."""
    with opened_all(tmp_path, zygote, [AGAIN]) as found:
        prepare(found)
        yield found


def prepare(sites: list[Site]) -> None:
    for site in sites:
        write_rows(site.folder, ROWS)
        if site.provider == "google":
            # it takes small shards inside the create call and others as files; here all as files
            site.patches["batchmark.providers.google.limits:SPEC.limits.inline_max_bytes"] = 0


def words(site: Site) -> list[str]:
    return ["run", "rows.jsonl", "--on", site.provider, "-o", "answers.jsonl", "--shard-rows", "4", "--attempts", "3"]


def resume(site: Site) -> list[str]:
    return ["resume", *site.jobs()]


def killed_at(sites: list[Site], point: str, argv: Callable[[Site], list[str]]) -> None:
    for site, stopped in zip(sites, at_once(sites, argv, BATCHMARK_KILL_AT=point), strict=True):
        assert stopped.signal == signal.SIGKILL, (site.provider, point, stopped)


def check_resumed(sites: list[Site], unharmed: Told, *, uploaded_again: int = 0) -> None:
    """Each run is resumed to the answers of one that nothing befell, and six batches were bought: three shards, and a retry of each."""
    for site, back in zip(sites, at_once(sites, resume), strict=True):
        assert back.code == 0, (site.provider, back.err)
        assert site.rows() == unharmed[site.provider]
        site.check_bought_once(uploaded_again=uploaded_again)
        assert sorted(each.rows for each in site.made()) == [1, 1, 1, 2, 4, 4]
        assert list((site.home / "engine").iterdir()) == [], "the engine's databases are left behind"
        assert [each.name for each in site.folder.iterdir() if ".part" in each.name] == [], (
            "a half output is left behind"
        )


@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_anywhere_is_resumed_to_the_same_answers(sites: list[Site], point: str, unharmed: Told) -> None:
    killed_at(sites, point, words)
    check_resumed(sites, unharmed, uploaded_again=AT_ONCE)


def test_a_run_killed_again_and_again_makes_one_batch_of_each_shard_attempt(sites: list[Site], unharmed: Told) -> None:
    points = [
        *("uploaded", "intent-recorded", "created", "looked", "fetched", "answers-written", "retry-staged"),
        *("collection-recorded", "created", "fetch-recorded", "merging", "merged", "end-recorded"),
    ]
    for number, point in enumerate(points):
        killed_at(sites, point, resume if number else words)
    check_resumed(sites, unharmed, uploaded_again=len(points) * AT_ONCE)


def test_a_run_killed_at_the_second_or_third_shard_is_resumed_too(sites: list[Site], unharmed: Told) -> None:
    points = ("intent-recorded:2", "submission-recorded:2", "fetched:2", "answers-written:2", "merging:3")
    for number, point in enumerate(points):
        killed_at(sites, point, resume if number else words)
    for site in sites:
        assert not (site.folder / "answers.jsonl").exists(), "some of the answers look like all of them"
    check_resumed(sites, unharmed, uploaded_again=len(points) * AT_ONCE)


def test_without_the_engines_own_databases_nothing_is_lost(sites: list[Site], unharmed: Told) -> None:
    for number, point in enumerate(("created", "fetch-recorded:2")):
        killed_at(sites, point, resume if number else words)
        for site in sites:
            assert any((site.home / "engine").iterdir())
            shutil.rmtree(site.home / "engine")
    check_resumed(sites, unharmed, uploaded_again=2 * AT_ONCE)


def test_a_newer_version_of_the_code_goes_on_with_a_run(sites: list[Site], unharmed: Told) -> None:
    killed_at(sites, "intent-recorded:2", words)
    for site in sites:
        site.patches |= {"batchmark:__version__": "99.0", "batchmark.engine.durable:_VERSION": "batchmark-99"}
    killed_at(sites, "fetched", resume)
    check_resumed(sites, unharmed, uploaded_again=2 * AT_ONCE)


# `PROVIDER create` and `PROVIDER results`, which take the same way


def wait_for_results(site: Site) -> list[str]:
    return [site.provider, "results", *site.jobs(), "--wait", "-o", "answers.jsonl"]


@pytest.mark.parametrize("point", ONCE)
def test_a_create_killed_anywhere_is_gone_on_from_without_a_second_batch(
    tmp_path: Path, zygote: Zygote, point: str
) -> None:
    # every provider takes the whole way of a run above; here they take turns
    provider = PROVIDERS[ONCE.index(point) % len(PROVIDERS)]
    with opened_all(tmp_path, zygote, providers=[provider]) as sites:
        for site in sites:
            write_rows(site.folder)
        killed_at(sites, point, lambda site: [site.provider, "create", "rows.jsonl"])
        for site, ended in zip(sites, at_once(sites, wait_for_results), strict=True):
            assert ended.code == 0, ended.err
            assert len(site.batches()) == 1, site.provider
            site.check_bought_once(uploaded_again=1 if point == "uploaded" else 0)
            kept = [(row["row"], row["custom_id"], row["mine"], row["outcome"], row["attempt"]) for row in site.rows()]
            assert kept == [(number, f"id-{number}", number, "succeeded", 1) for number in range(5)]
