"""Files are whole or absent, a user's file is never written over, and one process at a time holds a lock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard

from batchmark.errors import BadInput, LocalTrouble
from batchmark.ledger import artifacts
from batchmark.ledger.artifacts import (
    HashedFile,
    compress,
    ensure_writable,
    exists_artifact,
    free_bytes,
    hashed_file,
    make_folder,
    open_artifact,
    remove,
    sha256_of,
    verify,
    whole_file,
)
from batchmark.ledger.lock import held, held_all, holder

Writing = Callable[[Path], AbstractContextManager[BinaryIO | HashedFile]]

LINES = [b'{"row": %d, "text": "%s"}\n' % (number, b"x" * (number % 97)) for number in range(50_000)]
CONTENT = b"".join(LINES)


def written(path: Path, content: bytes = CONTENT) -> Path:
    with whole_file(path) as file:
        file.write(content)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


# whole or absent


def test_a_file_appears_whole_at_the_end(home: Path) -> None:
    path = home / "out"
    with whole_file(path) as file:
        file.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert list(home.iterdir()) == [path]


@pytest.mark.parametrize("writing", [whole_file, hashed_file])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(home: Path, writing: Writing) -> None:
    path = home / "out"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), writing(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert list(home.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_this_machines_trouble(home: Path) -> None:
    with pytest.raises(LocalTrouble, match="cannot be written"), whole_file(home / "none" / "out"):
        pass
    (home / "file").write_text("")
    with pytest.raises(LocalTrouble, match="cannot be written"):
        make_folder(home / "file" / "folder")
    with pytest.raises(LocalTrouble, match="cannot be written"), hashed_file(home / "file" / "out"):
        pass


def test_a_folder_may_be_there_already(home: Path) -> None:
    assert make_folder(home / "a" / "b") == make_folder(home / "a" / "b")


# length and SHA-256


@pytest.mark.parametrize("pieces", [[], [b""], [b"abc"], LINES, [CONTENT, b"x", CONTENT * 3]])
def test_a_hashed_file_knows_what_was_written(home: Path, pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    with hashed_file(home / "out") as file:
        for piece in pieces:
            file.write(piece)
    assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (home / "out").read_bytes() == content
    assert names_in(home) == ["out"]


def test_a_hashed_file_tells_where_it_is_while_it_is_written(home: Path) -> None:
    with hashed_file(home / "out") as file:
        places = []
        for line in LINES:
            places.append(file.tell())
            assert file.size == places[-1]
            file.write(line)
        assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()
        file.write(b"more")
    assert file.sha256 == hashlib.sha256(CONTENT + b"more").hexdigest()
    whole = (home / "out").read_bytes()
    assert all(whole.startswith(line, place) for place, line in zip(places, LINES, strict=True))


def test_an_artifact_is_verified_by_its_plain_bytes_in_either_form(home: Path) -> None:
    path, digest = written(home / "out"), hashlib.sha256(CONTENT).hexdigest()
    assert sha256_of(path) == digest and verify(path, digest) and not verify(path, "0" * 64)
    compress(path)
    assert sha256_of(path) == digest and verify(path, digest) and not verify(path, "0" * 64)
    remove(path)
    assert not verify(path, digest)
    with pytest.raises(LocalTrouble, match="there is no such file"):
        sha256_of(path)


# compressed


def test_a_compressed_file_takes_the_plain_ones_place_and_reads_the_same(home: Path) -> None:
    path = written(home / "out.jsonl")
    packed = compress(path)
    assert names_in(home) == ["out.jsonl.zst"] and packed == home / "out.jsonl.zst"
    assert packed.stat().st_size < len(CONTENT) / 4
    with open_artifact(path) as file:
        assert list(file) == LINES
    with open_artifact(path) as file:
        assert file.read(10) + file.readline() + file.read(3) + file.read() == CONTENT
    with packed.open("rb") as raw:
        parameters = zstandard.get_frame_parameters(raw.read(18))
    assert parameters.has_checksum and parameters.content_size == len(CONTENT)


@pytest.mark.parametrize("content", [b"", b"x", b"no end of line"])
def test_small_files_can_be_compressed_too(home: Path, content: bytes) -> None:
    path = written(home / "out", content)
    compress(path)
    with open_artifact(path) as file:
        assert file.read() == content
    assert verify(path, hashlib.sha256(content).hexdigest())


def test_to_compress_again_is_nothing_and_after_a_crash_goes_on(home: Path) -> None:
    path = written(home / "out")
    packed = compress(path)
    assert compress(path) == packed
    # as after a crash between the two steps, with a compressed form that is older than the plain one
    written(path, b"newer")
    with open_artifact(path) as file:
        assert file.read() == b"newer"
    compress(path)
    assert names_in(home) == ["out.zst"]
    with open_artifact(path) as file:
        assert file.read() == b"newer"
    with pytest.raises(LocalTrouble, match="there is no such file"):
        compress(home / "none")


def test_a_crash_before_the_plain_file_is_gone_leaves_both(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(home / "out")

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(LocalTrouble, match="out cannot be removed: Permission denied; what was saved before is safe"):
        compress(path)
    assert names_in(home) == ["out", "out.zst"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda packed: packed[:-20],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-1] + bytes([packed[-1] ^ 1]),
        lambda packed: packed[:20],
        lambda packed: packed[:3],
        lambda packed: b"",
        lambda packed: b"not compressed at all" * 100,
    ],
)
def test_a_damaged_file_is_said_to_be_so_and_not_taken_for_a_shorter_one(
    home: Path, harm: Callable[[bytes], bytes]
) -> None:
    path = written(home / "out")
    packed = compress(path)
    packed.write_bytes(harm(packed.read_bytes()))
    with pytest.raises(LocalTrouble, match=r"out\.zst is damaged"), open_artifact(path) as file:
        for _ in file:
            pass
    assert not verify(path, hashlib.sha256(CONTENT).hexdigest())


def test_reading_and_compressing_take_the_same_memory_however_well_it_compresses(home: Path) -> None:
    path = home / "out"
    with whole_file(path) as file:
        for _ in range(24):
            file.write(b"the same line over and over\n" * (1 << 15))
    compress(path)
    tracemalloc.start()
    with open_artifact(path) as file:
        size = sum(len(line) for line in file)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 24 * 28 * (1 << 15)
    assert most < 8 << 20


def test_both_forms_are_there_or_gone_together(home: Path) -> None:
    path = home / "out"
    assert not exists_artifact(path)
    with pytest.raises(LocalTrouble, match="there is no such file"):
        open_artifact(path)
    written(path)
    assert exists_artifact(path)
    compress(path)
    assert exists_artifact(path)
    written(path)
    remove(path)
    assert names_in(home) == [] and not exists_artifact(path)
    remove(path)


def test_what_cannot_be_read_or_removed_is_this_machines_trouble(home: Path) -> None:
    folder = make_folder(home / "out")
    for action in (open_artifact, sha256_of, compress):
        with pytest.raises(LocalTrouble, match="out cannot be read: Is a directory"):
            action(folder)
    with pytest.raises(LocalTrouble, match="out cannot be removed"):
        remove(folder)


# a full disk


@pytest.mark.parametrize("writing", [whole_file, hashed_file])
@pytest.mark.parametrize("content", [b"little", b"x" * (3 << 20)])
def test_a_full_disk_is_said_to_be_so_and_leaves_what_was_there(
    home: Path, monkeypatch: pytest.MonkeyPatch, writing: Writing, content: bytes
) -> None:
    path = home / "a.requests"
    path.write_bytes(b"old")
    monkeypatch.setenv("BATCHMARK_DISK_FULL_AT", "*.requests")
    with pytest.raises(LocalTrouble) as caught, writing(path) as file:
        file.write(content)
    assert caught.value.message == f"the disk is full: {path} was not written; what was saved before is safe"
    assert caught.value.hint == "free some space, then try again"
    assert path.read_bytes() == b"old"
    written(home / "b.rows", b"fits")
    assert names_in(home) == ["a.requests", "b.rows"]


def test_a_disk_too_full_to_compress_keeps_the_plain_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(home / "out")
    monkeypatch.setenv("BATCHMARK_DISK_FULL_AT", "*.zst")
    with pytest.raises(LocalTrouble, match=r"the disk is full: .*out\.zst was not written"):
        compress(path)
    assert names_in(home) == ["out"] and path.read_bytes() == CONTENT


def test_a_disk_that_is_full_when_the_file_is_synced_is_full_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LocalTrouble, match="the disk is full"):
        written(home / "out")
    assert names_in(home) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_device_that_is_really_full_says_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def there(path: Path) -> Iterator[Path]:
        try:
            yield Path("/dev/full")
        except OSError as error:
            raise artifacts._unwritable(path, error) from None

    monkeypatch.setattr(artifacts, "_appearing", there)
    with pytest.raises(LocalTrouble, match="the disk is full"):
        written(home / "out")
    with pytest.raises(LocalTrouble, match="the disk is full"), hashed_file(home / "out") as file:
        file.write(CONTENT)


def test_free_space_is_that_of_the_folder_that_will_be_made(home: Path) -> None:
    assert free_bytes(home / "not" / "yet" / "there") > 0
    assert free_bytes(home) > 0


# the user's own file


def test_an_output_is_checked_before_anything_is_sent(home: Path) -> None:
    ensure_writable(home / "new")
    assert not (home / "new").exists()
    (home / "old").write_text("x")
    with pytest.raises(BadInput, match="exists already and is left alone") as caught:
        ensure_writable(home / "old")
    assert caught.value.hint == "choose another name with -o, or move it away"
    with pytest.raises(BadInput, match="exists already and is left alone") as caught:
        ensure_writable(home / "old", force_hint=True)
    assert caught.value.hint == "choose another name with -o, move it away, or add --force"
    ensure_writable(home / "old", replace=True)
    assert (home / "old").read_text() == "x"
    with pytest.raises(BadInput, match="is a folder"):
        ensure_writable(home, replace=True)
    with pytest.raises(BadInput, match="there is no folder"):
        ensure_writable(home / "none" / "out")


# one process at a time


@contextmanager
def another_process_holds(path: Path) -> Iterator[int]:
    script = """
import sys
from pathlib import Path
from batchmark.ledger.lock import held
with held(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_lock_is_one_processs_and_tells_whose(home: Path) -> None:
    path = home / "lock"
    assert holder(path) is None
    with another_process_holds(path) as number:
        assert holder(path) == number
        with (
            pytest.raises(LocalTrouble, match=f"job x is being worked on by process {number}; nothing was done twice"),
            held(path, "job x"),
        ):
            pass
    # it was killed: its number still stands there, and the lock is free
    assert path.read_text() == str(number)
    assert holder(path) is None
    with held(path, "job x"):
        assert holder(path) == os.getpid()
        assert path.read_text() == str(os.getpid())
    assert holder(path) is None
    assert path.read_bytes() == b""


def test_several_locks_or_none(home: Path) -> None:
    paths = [(home / "a", "job a"), (home / "b", "job b")]
    with held(home / "b", "job b"), pytest.raises(LocalTrouble, match="job b is being worked on"), held_all(paths):
        pass
    with held_all(paths):
        assert holder(home / "a") == holder(home / "b") == os.getpid()
    assert holder(home / "a") is None


@pytest.mark.parametrize("text", ["", "what", "4194305"])
def test_a_holder_without_a_known_number_is_called_another_process(home: Path, text: str) -> None:
    path = home / "lock"
    path.write_text(text)
    said = "process 4194305" if text.isdigit() else "another process"
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LocalTrouble, match=f"worked on by {said};"), held(path, "it"):
            pass
        assert holder(path) == (4194305 if text.isdigit() else 0)


def test_a_dead_processs_number_is_not_taken_for_the_new_holders(home: Path) -> None:
    path = home / "lock"
    path.write_text("4194305")  # above the highest that Linux gives
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def say() -> None:
            file.write(str(os.getpid()))
            file.truncate()
            file.flush()

        soon = threading.Timer(0.05, say)
        soon.start()
        assert holder(path) == os.getpid()
        soon.join()


def test_who_only_looks_keeps_nobody_out_and_sees_no_other_who_looks(home: Path) -> None:
    path = home / "lock"
    path.touch()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert holder(path) is None
        threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with held(path, "it"):
            pass


def test_who_is_willing_to_wait_gets_the_lock_when_it_is_free(home: Path) -> None:
    path = home / "lock"
    path.touch()
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        threading.Timer(0.4, fcntl.flock, (other, fcntl.LOCK_UN)).start()
        with held(path, "it", wait_s=30.0):
            pass


def test_a_lock_that_cannot_be_made_is_this_machines_trouble(home: Path) -> None:
    with (
        pytest.raises(LocalTrouble, match="cannot be locked: No such file or directory"),
        held(home / "no" / "l", "it"),
    ):
        pass
    with pytest.raises(LocalTrouble, match="cannot be locked: Is a directory"):
        holder(home)
