"""One process at a time acts on a job. The lock dies with its process, however that dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from batchmark.errors import LocalTrouble

__all__ = ["held", "held_all", "holder", "is_alive"]

# An observer has the lock for an instant, and a new holder needs one to write its process id.
_INSTANT_S = 0.2
_AGAIN_S = 0.01


@contextmanager
def held(path: Path, what: str, *, wait_s: float = _INSTANT_S) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block; `what` is what messages call the thing that it guards.

    Raises LocalTrouble, naming the other's process id, where another process still holds it after `wait_s`.
    """
    try:
        # unbuffered, so that a process id which a full disk refuses does not come up again when the file is closed
        file = cast(BinaryIO, path.open("a+b", buffering=0))
    except OSError as error:
        raise _trouble(path, error) from None
    with file:
        deadline = time.monotonic() + wait_s
        while not _try(path, file, shared=False):
            if time.monotonic() >= deadline:
                number = _number(file)
                raise LocalTrouble(
                    f"{what} is being worked on by {'another process' if number is None else f'process {number}'};"
                    " nothing was done twice",
                    hint="wait for that process, or stop it; what it has submitted goes on",
                )
            time.sleep(_AGAIN_S)
        # what stands there is of a process that died; ours is for messages only, so a full disk does not matter
        with suppress(OSError):
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        try:
            yield
        finally:
            with suppress(OSError):
                file.truncate(0)


@contextmanager
def held_all(paths: list[tuple[Path, str]]) -> Iterator[None]:
    """Hold several locks, or none."""
    with ExitStack() as stack:
        for path, what in paths:
            stack.enter_context(held(path, what))
        yield


def holder(path: Path) -> int | None:
    """The id of the process that holds the lock now, None where nobody does, 0 where the one who does has not said its number.

    Looks only for an instant, so it keeps no process from taking the lock, and other observers do not see it. Raises LocalTrouble.
    """
    try:
        file = cast(BinaryIO, path.open("rb", buffering=0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _trouble(path, error) from None
    with file:
        return None if _try(path, file, shared=True) else _number(file) or 0


def _number(file: BinaryIO) -> int | None:
    """The process id in the file of a held lock.

    It may be missing, or that of a process which died, in the instant before the holder has written its own. One that this machine does
    not know may also be a holder's in another container, so it counts after that instant.
    """
    deadline = time.monotonic() + _INSTANT_S
    while True:
        file.seek(0)
        text = file.read(20)
        number = int(text) if text.isdigit() else None
        if (number is not None and is_alive(number)) or time.monotonic() >= deadline:
            return number
        time.sleep(_AGAIN_S)


def _try(path: Path, file: BinaryIO, *, shared: bool) -> bool:
    try:
        return _try_lock(file, shared=shared)
    except OSError as error:
        raise _trouble(path, error) from None


def _trouble(path: Path, error: OSError) -> LocalTrouble:
    return LocalTrouble(f"{path} cannot be locked: {error.strerror or error}; what was saved before is safe")


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO, *, shared: bool) -> bool:
        # a byte far behind the process id, which others must be able to read; there is no shared kind
        file.seek(1 << 20)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(0)
        return True

    def is_alive(number: int) -> bool:
        """Whether there may be a process of this id."""
        # there is no harmless signal here
        return True

else:
    import fcntl

    def _try_lock(file: BinaryIO, *, shared: bool) -> bool:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_alive(number: int) -> bool:
        """Whether there is a process of this id."""
        try:
            os.kill(number, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True
