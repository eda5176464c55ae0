"""Files are whole or absent, and a user's file is never written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchmark.errors import BadInput, LocalTrouble
from batchmark.ledger.artifacts import ensure_writable, make_folder, whole_file


def test_a_file_appears_whole_at_the_end(home: Path) -> None:
    path = home / "out"
    with whole_file(path) as file:
        file.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert list(home.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(home: Path) -> None:
    path = home / "out"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), whole_file(path) as file:
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


def test_a_folder_may_be_there_already(home: Path) -> None:
    assert make_folder(home / "a" / "b") == make_folder(home / "a" / "b")


def test_an_output_is_checked_before_anything_is_sent(home: Path) -> None:
    ensure_writable(home / "new")
    assert not (home / "new").exists()
    (home / "old").write_text("x")
    with pytest.raises(BadInput, match="exists already and is left alone"):
        ensure_writable(home / "old")
    ensure_writable(home / "old", replace=True)
    assert (home / "old").read_text() == "x"
    with pytest.raises(BadInput, match="is a folder"):
        ensure_writable(home)
    with pytest.raises(BadInput, match="there is no folder"):
        ensure_writable(home / "none" / "out")
