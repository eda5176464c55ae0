"""Keys that are revoked, accounts that are others, files that are damaged, models that are retired and clocks that jump in mid-run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.conftest import Site, Zygote, at_once, opened_all, write_rows
from tests.crash.test_faults import of_each

ROWS = 10


@pytest.fixture
def sites(request: pytest.FixtureRequest, zygote: Zygote, tmp_path: Path) -> Iterator[list[Site]]:
    rules: list[str] = getattr(request, "param", [])
    with opened_all(tmp_path, zygote, of_each(*rules)) as found:
        for site in found:
            write_rows(site.folder, ROWS)
        yield found


def words(site: Site) -> list[str]:
    return ["run", "rows.jsonl", "--on", site.provider, "-o", "answers.jsonl", "--shard-rows", "4"]


def resume(site: Site) -> list[str]:
    return ["resume", *site.jobs()]


def check_ended(site: Site, batches: int = 3) -> None:
    assert [(row["row"], row["mine"], row["outcome"]) for row in site.rows()] == [
        (number, number, "succeeded") for number in range(ROWS)
    ], site.provider
    assert len(site.made()) == batches
    site.check_bought_once(uploaded_again=4)


def killed_at(sites: list[Site], point: str) -> None:
    for stopped in at_once(sites, words, BATCHMARK_KILL_AT=point):
        assert stopped.signal == signal.SIGKILL, stopped


def flip(path: Path) -> None:
    """Damage a file in its middle, as a bad disk does: its length stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)


def files(site: Site, pattern: str) -> list[Path]:
    found = sorted(site.home.glob(f"runs/*/*/{pattern}"))
    assert found, pattern
    return found


@pytest.mark.parametrize(
    "sites", [["life nth=2 -> revoke-key"], ["batches.* nth=9.. -> revoke-key"]], indirect=True, ids=str
)
def test_a_key_revoked_halfway_stops_the_run_until_there_is_a_good_one(sites: list[Site]) -> None:
    for site, stopped in zip(sites, at_once(sites, words), strict=True):
        assert stopped.code == 3, (site.provider, stopped)
        assert "hint: nothing is lost; go on with: batchmark resume" in stopped.err
        assert "Traceback" not in stopped.err
    for site in sites:
        assert site.run(*resume(site)).code == 3
    sites[0].steer("faults", rules=[])
    for site, back in zip(sites, at_once(sites, resume), strict=True):
        assert back.code == 0, (site.provider, back.err)
        check_ended(site)


def test_a_shard_in_doubt_is_not_sent_again_on_another_account(
    sites: list[Site], zygote: Zygote, tmp_path: Path
) -> None:
    killed_at(sites, "created")
    with opened_all(tmp_path / "elsewhere", zygote) as others:
        for site, other in zip(sites, others, strict=True):
            before = len(site.made())
            elsewhere = site.run(*resume(site), **(other.cloud.environment() | {"OPENAI_API_KEY": "another"}))
            assert elsewhere.code == 5, (site.provider, elsewhere)
            assert "with the present key" in elsewhere.err
            assert "set the key and base URL that the run began with" in elsewhere.err
            doubtful = {shard.label for shard in site.shards() if shard.state == "intended"}
            assert doubtful
            assert doubtful.isdisjoint(each.label for each in other.made())
            assert len(site.made()) == before


def test_another_key_of_the_same_account_goes_on(sites: list[Site]) -> None:
    killed_at(sites, "submission-recorded:2")
    for site in sites:
        back = site.run(*resume(site), OPENAI_API_KEY="new", ANTHROPIC_API_KEY="new", GOOGLE_API_KEY="new")
        assert back.code == 0, (site.provider, back)
        assert len(site.made()) == 3
        assert [row["outcome"] for row in site.rows()] == ["succeeded"] * ROWS


@pytest.mark.parametrize("point", ["staged", "upload-recorded", "intent-recorded"])
def test_a_damaged_shard_file_is_made_again_and_never_sent(sites: list[Site], point: str) -> None:
    killed_at(sites, point)
    for site in sites:
        first, second, third = files(site, "*-1.requests")
        flip(first)
        flip(second)
        flip(second.with_suffix(".rows"))
        flip(third.with_suffix(".rows"))
    for site, back in zip(sites, at_once(sites, resume), strict=True):
        assert back.code == 0, (site.provider, back)
        check_ended(site)


def test_a_damaged_shard_file_that_cannot_be_made_again_is_refused(sites: list[Site]) -> None:
    killed_at(sites, "staged")
    for site in sites:
        kept = {path: path.read_bytes() for path in files(site, "*-1.requests")}
        for path in kept:
            flip(path)
        (site.folder / "rows.jsonl").rename(site.folder / "away.jsonl")
        stopped = site.run(*resume(site))
        assert stopped.code == 6, (site.provider, stopped)
        assert "is not as it was written; it was not sent" in stopped.err
        assert site.made() == [] and not site.uploads()
        for path, content in kept.items():
            path.write_bytes(content)
        back = site.run(*resume(site))
        assert back.code == 0, back.err
        check_ended(site)


@pytest.mark.parametrize("sites", [["answers row=1 label=*-1 -> fail 500"]], indirect=True, ids=["again"])
def test_a_damaged_file_of_a_retry_is_made_again_from_the_results(sites: list[Site]) -> None:
    killed_at(sites, "collection-recorded")
    for site in sites:
        for path in files(site, "*-2.requests"):
            flip(path)
    for site, back in zip(sites, at_once(sites, resume), strict=True):
        assert back.code == 0, (site.provider, back)
        check_ended(site, batches=6)


def test_a_damaged_result_file_is_fetched_again_and_never_used(sites: list[Site]) -> None:
    killed_at(sites, "fetch-recorded")
    for site in sites:
        for path in files(site, "raw/*/*.jsonl"):
            flip(path)
    for site, back in zip(sites, at_once(sites, resume), strict=True):
        assert back.code == 0, (site.provider, back)
        assert "not used, and fetched again" in back.err
        check_ended(site)


@pytest.mark.parametrize(
    "sites",
    [["batches.create* nth=2.. -> status 404"], ["batches.create* nth=3 -> status 400"]],
    indirect=True,
    ids=["404", "400"],
)
def test_a_model_retired_halfway_keeps_the_answers_there_are(sites: list[Site]) -> None:
    for site, ended in zip(sites, at_once(sites, words), strict=True):
        assert ended.code in (1, 4), (site.provider, ended)
        rows = site.rows()
        assert [(row["row"], row["mine"]) for row in rows] == [(number, number) for number in range(ROWS)]
        outcomes = {row["outcome"] for row in rows}
        assert outcomes == {"succeeded", "errored"}, site.provider
        assert all(row["text"] for row in rows if row["outcome"] == "succeeded")
        assert all(row["error"]["message"] for row in rows if row["outcome"] == "errored")
        site.check_bought_once()
        assert len(site.made()) < 3


@pytest.mark.parametrize(
    ("point", "jump_s"),
    [("upload-recorded", 20 * 86_400), ("intent-recorded", 20 * 86_400), ("created", 7_200), ("looked", 20 * 86_400)],
)
def test_a_clock_that_jumps_does_not_make_a_second_batch(sites: list[Site], point: str, jump_s: int) -> None:
    killed_at(sites, point)
    before = {site.provider: {each.label for each in site.made()} for site in sites}
    sites[0].steer("clock", jump_s=jump_s)
    for site, back in zip(sites, at_once(sites, resume), strict=True):
        assert back.code == 0, (site.provider, back)
        assert before[site.provider] <= {each.label for each in site.made()}
        check_ended(site)
