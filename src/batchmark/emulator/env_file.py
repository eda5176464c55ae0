"""Writes the variables that point clients at an emulator into a `.env` file, and never over somebody's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["EnvFileError", "write_env"]

_FIRST_LINE = (
    "# Written by batchmark emulator: points the SDKs at it, with a made-up key. It is written anew at each start.\n"
)


class EnvFileError(Exception):
    """The file cannot be written; the message is one sentence."""


def write_env(path: Path, variables: Mapping[str, str]) -> None:
    """Write NAME=VALUE lines. A file that is not of our own making stays as it is. Raises EnvFileError."""
    try:
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as opened:
                if opened.readline() != _FIRST_LINE:
                    raise EnvFileError(f"{path} is there already and may hold your own keys: name another file")
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        lines = [f"{name}={value}\n" for name, value in variables.items()]
        part.write_text(_FIRST_LINE + "".join(lines), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise EnvFileError(f"the variables cannot be written to {path}: {error.strerror}") from error
