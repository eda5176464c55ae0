"""The command as users run it from a checkout: `python main.py …` in a folder of its own, as a subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    def lines(self) -> list[dict[str, Any]]:
        """Answers on stdout, one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ended]


def clean_environment(home: Path, **changes: str) -> dict[str, str]:
    """The environment without keys and settings of whoever runs the tests."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_BASE_URL")) and not name.startswith("BATCHMARK_")
    }
    return {
        **kept,
        "BATCHMARK_HOME": str(home),
        "BATCHMARK_EMULATOR_PROFILE": "instant",
        "BATCHMARK_EMULATOR_ANSWERS": "synthetic",
        **changes,
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working directory of the commands."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def run(home: Path, folder: Path) -> Run:
    """Run a command to its end and return how it ended."""

    def run_command(*words: str, timeout_s: float = 90.0, **environment: str) -> Ended:
        done = subprocess.run(
            command(words),
            cwd=folder,
            env=clean_environment(home, **environment),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run_command


def command(words: Sequence[str]) -> list[str]:
    """The words as a command line from a checkout."""
    return [sys.executable, str(REPOSITORY / "main.py"), *words]
