"""One process at a time acts on a job. The lock dies with its process, however that dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from batchmark.errors import LocalTrouble

__all__ = ["held", "held_all"]


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block; `what` is what messages call the thing that it guards.

    Raises LocalTrouble, naming the other's process id, where another process holds it.
    """
    try:
        file = path.open("a+b")
    except OSError as error:
        raise LocalTrouble(f"{path} cannot be opened: {error.strerror}; what was saved before is safe") from None
    with file:
        if not _try_lock(file):
            raise LocalTrouble(
                f"{what} is being worked on by process {_holder(file)}; nothing was done twice",
                hint="wait for that process, or stop it; what it has submitted goes on",
            )
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def held_all(paths: list[tuple[Path, str]]) -> Iterator[None]:
    """Hold several locks, or none."""
    with ExitStack() as stack:
        for path, what in paths:
            stack.enter_context(held(path, what))
        yield


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(20).decode(errors="replace") or "unknown"


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO) -> bool:
        # a byte far behind the process id, which others must be able to read
        file.seek(1 << 20)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(0)
        return True

else:
    import fcntl

    def _try_lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
