"""A disk that is full at any moment: one sentence that says so, and nothing lost or bought twice once there is room again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.conftest import PROVIDERS, Site, Stopped, Zygote, at_once, opened, opened_all, until, write_rows

ROWS = 10
AGAIN = "* answers row=1 label=*-1 -> fail 500"


@pytest.fixture
def sites(zygote: Zygote, tmp_path: Path) -> Iterator[list[Site]]:
    with opened_all(tmp_path, zygote, [AGAIN]) as found:
        for site in found:
            write_rows(site.folder, ROWS)
        yield found


def words(site: Site) -> list[str]:
    return ["run", "rows.jsonl", "--on", site.provider, "-o", "answers.jsonl", "--shard-rows", "4"]


def resume(site: Site) -> list[str]:
    return ["resume", *site.jobs()]


def check_says_so(stopped: Stopped, what: str = "disk is full") -> None:
    """Exit code 6, and one sentence with a hint instead of a trace."""
    assert stopped.code == 6, stopped
    (error,) = [line for line in stopped.err.splitlines() if line.startswith("error: ")]
    assert what in error, stopped.err
    assert "hint: " in stopped.err
    assert "Traceback" not in stopped.err


def check_ended(site: Site, ended: Stopped) -> None:
    assert ended.code == 0, ended.err
    assert [(row["row"], row["mine"], row["outcome"]) for row in site.rows()] == [
        (number, number, "succeeded") for number in range(ROWS)
    ]
    assert len(site.made()) == 6
    site.check_bought_once(uploaded_again=4)


@pytest.mark.parametrize("name", ["*.requests", "*.rows"])
def test_no_room_for_shard_files_sends_nothing_and_leaves_nothing(sites: list[Site], name: str) -> None:
    for site, stopped in zip(sites, at_once(sites, words, BATCHMARK_DISK_FULL_AT=name), strict=True):
        check_says_so(stopped)
        assert site.journal() == [], "something was sent"
        assert site.run("runs", "--json").json()["runs"] == []
        assert not list(site.home.glob("runs/*/*/*")), "files are left behind"
    for site, ended in zip(sites, at_once(sites, words), strict=True):
        check_ended(site, ended)


@pytest.mark.parametrize("name", ["*-2.requests", "*-2.rows", "*.answers", "*.lines.jsonl", "answers.jsonl"])
def test_no_room_on_the_way_stops_the_run_until_there_is(sites: list[Site], name: str) -> None:
    # only Google's answers are taken out of an operation
    chosen = [site for site in sites if name != "*.lines.jsonl" or site.provider == "google"]
    for argv in (words, resume):
        for stopped in at_once(chosen, argv, BATCHMARK_DISK_FULL_AT=name):
            check_says_so(stopped)
    for site in chosen:
        assert not (site.folder / "answers.jsonl").exists()
    for site, ended in zip(chosen, at_once(chosen, resume), strict=True):
        check_ended(site, ended)


def test_no_room_to_compress_costs_nothing_but_room(sites: list[Site]) -> None:
    for site, ended in zip(sites, at_once(sites, words, BATCHMARK_DISK_FULL_AT="*.zst"), strict=True):
        check_ended(site, ended)
        assert "disk is full" in ended.err


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own with room for 16 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "batchmark-test", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs root and the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, but_bytes: int) -> Path:
    """Take all the room but a little."""
    filler = folder / "filler"
    free = shutil.disk_usage(folder).free
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - but_bytes, 1))
    return filler


@pytest.mark.parametrize(
    ("provider", "point", "but_bytes"),
    [
        ("anthropic", "staged", 16_384),
        ("openai", "staged", 81_920),
        ("openai", "uploaded", 65_536),
        ("anthropic", "intent-recorded", 0),
        ("google", "created", 32_768),
        ("openai", "looked", 0),
        ("anthropic", "looked", 40_960),
        ("openai", "fetched", 24_576),
        ("google", "answers-written", 0),
        ("openai", "collection-recorded", 81_920),
        ("anthropic", "merged", 0),
    ],
)
def test_a_disk_that_runs_full_stops_a_run_until_there_is_room(
    small: Path, zygote: Zygote, tmp_path: Path, provider: str, point: str, but_bytes: int
) -> None:
    with opened(provider, tmp_path, zygote, [AGAIN]) as site:
        site.home = small / "home"
        write_rows(site.folder, ROWS)
        process = site.begin(*words(site), BATCHMARK_STOP_AT=point)
        until(process.is_stopped, f"SIGSTOP at {point}")
        filler = fill(small, but_bytes=but_bytes)
        process.send(signal.SIGCONT)
        stopped = process.wait()
        check_says_so(stopped, "disk")
        filler.unlink()
        check_ended(site, site.run(*resume(site)))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_results_that_find_no_room_are_fetched_again_once_there_is(
    small: Path, zygote: Zygote, tmp_path: Path, provider: str
) -> None:
    with opened(provider, tmp_path, zygote) as site:
        site.home = small / "home"
        write_rows(site.folder, 2_000)
        process = site.begin("run", "rows.jsonl", "--on", provider, "-o", "answers.jsonl", BATCHMARK_STOP_AT="looked")
        until(process.is_stopped, "SIGSTOP at looked")
        filler = fill(small, but_bytes=400_000)
        process.send(signal.SIGCONT)
        check_says_so(process.wait(), "cannot be written: No space left on device")
        assert not list(site.home.glob("runs/*/*/raw/*/.*.part")), "half a download is left behind"
        filler.unlink()
        ended = site.run(*resume(site))
        assert ended.code == 0, ended.err
        assert [row["mine"] for row in site.rows()] == list(range(2_000))
        site.check_bought_once()


def test_a_disk_too_small_to_begin_says_so(small: Path, zygote: Zygote, tmp_path: Path) -> None:
    with opened("anthropic", tmp_path, zygote, [AGAIN]) as site:
        site.home = small / "home"
        write_rows(site.folder, ROWS)
        filler = fill(small, but_bytes=0)
        stopped = site.run(*words(site))
        check_says_so(stopped, "full")
        assert site.made() == []
        filler.unlink()
        check_ended(site, site.run(*words(site)))
