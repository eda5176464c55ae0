"""The command as users run it: `python main.py …` from a checkout, or its `main` in this process where that shows the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from batchmark.emulator import Emulator, EmulatorOptions
from tests.support import journal

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
    """The environment without keys and settings of whoever runs the tests, and unmeasured: coverage would add a third to
    the time of every command."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_BASE_URL")) and not name.startswith(("BATCHMARK_", "COVERAGE_"))
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
def run(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, which has the SDKs imported already: they cost a fresh process up to two seconds."""

    def run_here(*words: str, **environment: str) -> Ended:
        from batchmark.cli import main

        with monkeypatch.context() as patch:
            patch.chdir(folder)
            for name in list(os.environ):
                patch.delenv(name)
            for name, value in clean_environment(home, **environment).items():
                patch.setenv(name, value)
            capfd.readouterr()
            code = main.run(list(words))
            captured = capfd.readouterr()
        return Ended(code, captured.out, captured.err)

    return run_here


@dataclass(slots=True)
class Account:
    """Provider accounts at an emulator that outlives the commands, as a provider does, and the commands that use them."""

    cloud: Emulator
    command: Run
    settings: dict[str, str]

    def run(self, *words: str, **environment: str) -> Ended:
        return self.command(*words, **{**self.cloud.environment(), **QUICK, **self.settings, **environment})

    def batches(self, provider: str) -> list[str]:
        """The ids of all batches on the account."""
        found = self.run(provider, "list", "--json", "--limit", "1000")
        assert found.code == 0, found.err
        return [each["id"] for each in found.json()["batches"]]

    def journal(self, operation: str) -> list[dict[str, Any]]:
        """What the provider received."""
        return journal(self.cloud, operation)


QUICK = {"BATCHMARK_POLL_S": "0.05", "BATCHMARK_GRACE_S": "0.2", "BATCHMARK_PATIENCE_S": "20"}


@pytest.fixture
def account(run: Run, tmp_path: Path) -> Iterator[Callable[..., Account]]:
    """Start an account where these faults strike; the options are the emulator's."""
    with ExitStack() as stack:

        def start(*faults: str, **options: Any) -> Account:
            home = tmp_path / "cloud"
            chosen = {"profile": "instant", "answers": "synthetic", **options}
            cloud = stack.enter_context(Emulator(EmulatorOptions(home=home, faults=faults, **chosen)))
            return Account(cloud, run, {})

        yield start


@pytest.fixture
def run_fresh(home: Path, folder: Path) -> Run:
    """Run a command as a process of its own, as users do."""
    return runner(home, folder)


def runner(home: Path, folder: Path) -> Run:
    """What runs commands in a folder on the world of a home."""

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
