"""Real processes against an emulator that outlives them, as a provider does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.ledger.store import Ledger
from tests.cli.conftest import clean_environment

__all__ = ["Site", "Stopped"]


class Zygote:
    """Runs commands, each in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(self, order: dict[str, Any]) -> int:
        """Run one command and return its wait status."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a process ended: its exit code, or the signal that killed it."""

    code: int | None
    signal: int | None
    out: str
    err: str


@dataclass(slots=True)
class Site:
    """One user's home and one provider account at the emulator."""

    provider: str
    home: Path
    folder: Path
    cloud: Emulator
    zygote: Zygote
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *argv: str, **environment: str) -> Stopped:
        """Run `batchmark …` as a process."""
        quick = {"BATCHMARK_POLL_S": "0.05", "BATCHMARK_GRACE_S": "0.3", "BATCHMARK_CREATE_TIMEOUT_S": "2"}
        out, err = self.folder / "out", self.folder / "err"
        status = self.zygote.run(
            {
                "argv": list(argv),
                "environment": clean_environment(
                    self.home, **self.cloud.environment(), **quick, **self.settings, **environment
                ),
                "folder": str(self.folder),
                "out": str(out),
                "err": str(err),
            }
        )
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        return Stopped(code, killed, out.read_text(), err.read_text())

    def batches(self) -> list[str]:
        """The ids of all batches on the account."""
        found = self.run(self.provider, "list", "--json", "--limit", "1000")
        assert found.code == 0, found.err
        return [each["id"] for each in json.loads(found.out)["batches"]]

    def jobs(self) -> list[str]:
        """The ids of all jobs in the ledger."""
        import sqlite3

        with sqlite3.connect(self.home / "ledger.sqlite3") as connection:
            rows = connection.execute("select id from jobs order by created_at").fetchall()
        connection.close()
        return [row[0] for row in rows]

    def ledger(self) -> Ledger:
        return Ledger(self.home / "ledger.sqlite3")

    def killed_at(self, point: str, *argv: str) -> None:
        """Run a command that must be killed at a point."""
        stopped = self.run(*argv, BATCHMARK_KILL_AT=point)
        assert stopped.signal == signal.SIGKILL, (point, stopped)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, zygote: Zygote) -> Iterator[Site]:
    """A fresh home and a fresh account; parametrize indirectly with the provider's name, and fault rules after it."""
    provider, *faults = [request.param] if isinstance(request.param, str) else request.param
    folder = tmp_path / "work"
    folder.mkdir()
    options = EmulatorOptions(home=tmp_path / "cloud", profile="instant", answers="synthetic", faults=tuple(faults))
    with Emulator(options) as cloud:
        yield Site(provider=provider, home=tmp_path / "home", folder=folder, cloud=cloud, zygote=zygote)
