"""Files that must be whole or absent: written beside, synced, then renamed over. Nothing here writes into a file in its place.

A file may be kept as it is or, once nobody needs it soon, compressed beside its name with `.zst` behind; `open_artifact`, `verify` and
`remove` take the plain name for both.

For tests only: `BATCHMARK_DISK_FULL_AT=*.requests` makes every write to a file of such a name fail as on a full disk. It is read when
a file is opened to be written, and matched against the name that the file will have in the end.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

from batchmark.errors import BadInput, LocalTrouble
from batchmark.ledger.lock import is_alive

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = [
    "HashedFile",
    "compress",
    "ensure_writable",
    "exists_artifact",
    "free_bytes",
    "hashed_file",
    "make_folder",
    "open_artifact",
    "remove",
    "remove_leftovers",
    "sha256_of",
    "sync_folder",
    "verify",
    "whole_file",
]

_BLOCK_BYTES = 1 << 20

# On 200 MB of 1 KB chat results (one core): level -5 at 570 MB/s leaves 35 %, -1 at 460 MB/s 32 %, 1 at 440 MB/s 23 %,
# 2 at 350 MB/s 22 %, 3 at 240 MB/s 22 %. Level 1 is where more time stops buying much.
_LEVEL = 1

_SUFFIX = ".zst"


class HashedFile(io.BufferedWriter):
    """A file being written whose length and SHA-256 are known at every moment, and stay known after it is closed.

    `write` is that of a buffered file, so a small write costs a copy; what gathers is hashed and written a block at a time.
    """

    def __init__(self, raw: _HashingFile) -> None:
        super().__init__(raw, buffer_size=_BLOCK_BYTES)
        self._hashing = raw

    @property
    def size(self) -> int:
        """How many bytes were written. `tell()` is the same, and quicker while the file is open."""
        return self._hashing.written if self.closed else self.tell()

    @property
    def sha256(self) -> str:
        """The SHA-256 of all that was written, in hexadecimal."""
        if not self.closed:
            self.flush()
        return self._hashing.digest.hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name only when the block ends well. Raises LocalTrouble where the disk refuses."""
    with _appearing(path) as part:
        full = _is_said_to_be_full(path)
        with io.BufferedWriter(_FullFile(part, "wb") if full else io.FileIO(part, "wb"), _BLOCK_BYTES) as file:
            yield cast(BinaryIO, file)
            _sync(file)


@contextmanager
def hashed_file(path: Path) -> Iterator[HashedFile]:
    """The same, for a file whose SHA-256 is to be recorded: read `sha256` and `size` after the block. Raises LocalTrouble."""
    with _appearing(path) as part:
        kind = _FullHashingFile if _is_said_to_be_full(path) else _HashingFile
        with HashedFile(kind(part, "wb")) as file:
            yield file
            _sync(file)


def sha256_of(path: Path) -> str:
    """The SHA-256 of an artifact's plain bytes, compressed or not. Raises LocalTrouble where it is absent, damaged or unreadable."""
    with open_artifact(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it is a BufferedReader
        except OSError as error:
            raise _unreadable(path, error) from None


def verify(path: Path, sha256: str) -> bool:
    """Whether the artifact is there, plain or compressed, with just this content; a damaged one has not.

    Raises LocalTrouble where it cannot be read.
    """
    try:
        return sha256_of(path) == sha256
    except _Unusable:
        return False


def compress(path: Path) -> Path:
    """Replace a finished file by its compressed form, `<name>.zst`, and return where that is. Raises LocalTrouble.

    A crash at any moment leaves the plain file, or both. Where only the compressed form is there, there is nothing to do.
    """
    import zstandard

    packed = _packed(path)
    try:
        source = path.open("rb")
    except FileNotFoundError:
        if packed.exists():
            return packed
        raise _Unusable(f"{path} cannot be compressed: there is no such file") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    with source:
        size = os.fstat(source.fileno()).st_size
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
        with whole_file(packed) as target:
            try:
                read, _ = compressor.copy_stream(
                    source, target, size=size, read_size=_BLOCK_BYTES, write_size=_BLOCK_BYTES
                )
            except zstandard.ZstdError as error:
                raise LocalTrouble(f"{path} cannot be compressed: {error}; it is left as it was") from None
            if read != size:
                raise LocalTrouble(f"{path} changed while it was being compressed; it is left as it was")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _irremovable(path, error) from None
    return packed


def open_artifact(path: Path) -> BinaryIO:
    """An artifact's plain bytes to read, in bounded memory, whether it is kept plain or compressed.

    Raises LocalTrouble where neither form is there or can be read, and from a read that meets damage.
    """
    # the plain form first: it is the one that goes away, and only once the other is whole
    for form in (path, _packed(path)):
        try:
            file = form.open("rb", buffering=_BLOCK_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unreadable(form, error) from None
        return file if form is path else cast(BinaryIO, io.BufferedReader(_Unpacked(form, file), _BLOCK_BYTES))
    raise _Unusable(f"{path} cannot be read: there is no such file")


def exists_artifact(path: Path) -> bool:
    """Whether the artifact is there, plain or compressed."""
    return path.exists() or _packed(path).exists()


def remove(path: Path) -> None:
    """No artifact of this name afterwards, in either form. Raises LocalTrouble where the disk refuses."""
    for each in (path, _packed(path)):
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            raise _irremovable(each, error) from None


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed while they wrote `path` left beside it."""
    with suppress(OSError):
        for part in path.parent.glob(f".{escape(path.name)}.*.part"):
            number = part.name.split(".")[-2]
            if number.isdigit() and not is_alive(int(number)):
                part.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """A folder that is there afterwards. Raises LocalTrouble where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder, new and gone, outlive a crash of the machine. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_bytes(path: Path) -> int:
    """How much this user may still write on the disk that the path is on, or will be. Raises LocalTrouble."""
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        return shutil.disk_usage(there).free
    except OSError as error:
        raise _unreadable(there, error) from None


def ensure_writable(path: Path, *, replace: bool = False, force_hint: bool = False) -> None:
    """Check a user's output path before anything is sent. Raises BadInput where it is a folder, exists, or may not be written.

    `replace` is what the user's `--force` says; `force_hint` is for commands that have it.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; the output must be a file")
    if path.exists() and not replace:
        ways = "move it away, or add --force" if force_hint else "or move it away"
        raise BadInput(f"{path} exists already and is left alone", hint=f"choose another name with -o, {ways}")
    folder = path.parent
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder} to write {path.name} into")
    probe = folder / f".{path.name}.{os.getpid()}.probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", hint="choose another place with -o") from None


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """Where to write what gets its name when the block ends well, and is gone when it does not."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _sync(file: io.BufferedIOBase) -> None:
    file.flush()
    os.fsync(file.fileno())


def _packed(path: Path) -> Path:
    return path.with_name(path.name + _SUFFIX)


class _HashingFile(io.FileIO):
    """The lower half of a HashedFile: gets whole blocks."""

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(path, mode)
        self.digest = hashlib.sha256()
        self.written = 0

    def write(self, data: ReadableBuffer, /) -> int:
        count = super().write(data)
        self.digest.update(memoryview(data)[:count])
        self.written += count
        return count

    def tell(self) -> int:
        return self.written


def _no_space() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _FullFile(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        _no_space()


class _FullHashingFile(_HashingFile):
    def write(self, data: ReadableBuffer, /) -> int:
        _no_space()


def _is_said_to_be_full(path: Path) -> bool:
    pattern = os.environ.get("BATCHMARK_DISK_FULL_AT")
    return pattern is not None and fnmatchcase(path.name, pattern)


class _Unusable(LocalTrouble):
    """The artifact is absent or damaged."""


class _Unpacked(io.RawIOBase):
    """The plain bytes of a compressed file. One that ends early is damaged, where the library would take it for a shorter one."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        import zstandard

        self._path, self._file, self._damage = path, file, zstandard.ZstdError
        try:
            self._left = zstandard.frame_content_size(file.read(18))  # the longest head of a frame
            file.seek(0)
        except OSError as error:
            file.close()
            raise _unreadable(path, error) from None
        except zstandard.ZstdError as error:
            file.close()
            raise _damaged(path, error) from None
        self._stream = zstandard.ZstdDecompressor().stream_reader(file, read_size=_BLOCK_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            count = self._stream.readinto(buffer)
        except OSError as error:
            raise _unreadable(self._path, error) from None
        except self._damage as error:
            raise _damaged(self._path, error) from None
        self._left -= count
        if not count and self._left > 0:
            raise _damaged(self._path, f"{self._left} bytes of its content are missing")
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _unwritable(path: Path, error: OSError) -> LocalTrouble:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalTrouble(
            f"the disk is full: {path} was not written; what was saved before is safe",
            hint="free some space, then try again",
        )
    return LocalTrouble(f"{path} cannot be written: {error.strerror or error}; what was saved before is safe")


def _unreadable(path: Path, error: OSError) -> LocalTrouble:
    return LocalTrouble(f"{path} cannot be read: {error.strerror or error}")


def _irremovable(path: Path, error: OSError) -> LocalTrouble:
    return LocalTrouble(f"{path} cannot be removed: {error.strerror or error}; what was saved before is safe")


def _damaged(path: Path, why: object) -> LocalTrouble:
    return _Unusable(f"{path} is damaged: {why}")
