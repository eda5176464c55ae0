"""The variables that point clients at an emulator, and a `.env` file of them, never written over somebody's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["MADE_UP_KEY", "PATHS", "EnvFileError", "check_ours", "variables", "write_env"]

MADE_UP_KEY = "emulated"
# Where each SDK's base URL leads: to a dialect's prefix, and in it to what the SDK takes for its root.
PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "gemini": "/gemini"}

_FIRST_LINE = (
    "# Written by batchmark emulator: points the SDKs at it, with a made-up key. It is written anew at each start.\n"
)


class EnvFileError(Exception):
    """The file cannot be written; the message is one sentence."""


def variables(base_url: str, key: str) -> dict[str, str]:
    """The variables that the three official SDKs read, for an emulator at this address."""
    return {
        "OPENAI_BASE_URL": base_url + PATHS["openai"],
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": base_url + PATHS["anthropic"],
        "ANTHROPIC_API_KEY": key,
        "GOOGLE_GEMINI_BASE_URL": base_url + PATHS["gemini"],
        "GOOGLE_API_KEY": key,
    }


def check_ours(path: Path) -> None:
    """Raise EnvFileError where a file is there that is not of our own making."""
    try:
        with path.open(encoding="utf-8", errors="replace") as opened:
            ours = opened.readline() == _FIRST_LINE
    except FileNotFoundError:
        return
    except OSError as error:
        raise EnvFileError(f"{path} cannot be read: {error.strerror}") from error
    if not ours:
        raise EnvFileError(f"{path} is there already and may hold your own keys: name another file")


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Write NAME=VALUE lines. A file that is not of our own making stays as it is. Raises EnvFileError."""
    check_ours(path)
    try:
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        lines = [f"{name}={value}\n" for name, value in values.items()]
        part.write_text(_FIRST_LINE + "".join(lines), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise EnvFileError(f"the variables cannot be written to {path}: {error.strerror}") from error
