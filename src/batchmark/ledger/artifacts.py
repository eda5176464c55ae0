"""Files that must be whole or absent: written beside, synced, then renamed over."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchmark.errors import BadInput, LocalTrouble

__all__ = ["ensure_writable", "make_folder", "whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name only when the block ends well. Raises LocalTrouble where the disk refuses."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _trouble(path, error) from None
    finally:
        part.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """A folder that is there afterwards. Raises LocalTrouble where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _trouble(path, error) from None
    return path


def ensure_writable(path: Path, *, replace: bool = False) -> None:
    """Check a user's output path before anything is sent. Raises BadInput where it is a folder, exists, or may not be written."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder; the output must be a file")
    if path.exists() and not replace:
        raise BadInput(f"{path} exists already and is left alone", hint="choose another name with -o, or move it away")
    folder = path.parent
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder} to write {path.name} into")
    probe = folder / f".{path.name}.{os.getpid()}.probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", hint="choose another place with -o") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _trouble(path: Path, error: OSError) -> LocalTrouble:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalTrouble(
            f"the disk is full: {path} was not written; what was saved before is safe",
            hint="free some space, then try again",
        )
    return LocalTrouble(f"{path} cannot be written: {error.strerror or error}; what was saved before is safe")
