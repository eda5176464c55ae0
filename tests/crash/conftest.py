"""Real processes against an emulator that outlives them, as a provider does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from batchmark.domain.ids import batch_label
from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.ledger.records import ShardRecord
from batchmark.ledger.store import Ledger
from tests.cli.conftest import clean_environment

__all__ = [
    "PROVIDERS",
    "Made",
    "Process",
    "Site",
    "Stopped",
    "Zygote",
    "at_once",
    "opened",
    "opened_all",
    "told",
    "until",
    "write_rows",
]

PROVIDERS = ["openai", "google", "anthropic"]
QUICK = {"BATCHMARK_POLL_S": "0.03", "BATCHMARK_GRACE_S": "0.2", "BATCHMARK_CREATE_TIMEOUT_S": "1"}
DEADLINE_S = 180.0


class Zygote:
    """Starts commands, each in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        )
        assert self._answer() == "ready"

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

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

    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


@dataclass(slots=True)
class Process:
    """A command that is running."""

    pid: int
    zygote: Zygote
    out: Path
    err: Path

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def is_stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def try_wait(self, timeout_s: float) -> Stopped | None:
        """How it ended, or None where it still runs after so many seconds."""
        status = self.zygote.ask({"wait": self.pid, "timeout_s": timeout_s})
        if status is None:
            return None
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        return Stopped(code, killed, self.out.read_text(), self.err.read_text())

    def wait(self, timeout_s: float = DEADLINE_S) -> Stopped:
        """How it ended; it is killed, and the test failed, where that takes too long."""
        ended = self.try_wait(timeout_s)
        if ended is None:
            self.send(signal.SIGKILL)
            ended = self.try_wait(10)
            pytest.fail(f"still running after {timeout_s} s: {ended}")
        return ended


@dataclass(frozen=True, slots=True)
class Made:
    """A batch on the account, as the emulator remembers it."""

    id: str
    label: str
    rows: int


@dataclass(slots=True)
class Site:
    """One user's home and one provider account at the emulator."""

    provider: str
    home: Path
    folder: Path
    cloud: Emulator
    zygote: Zygote
    settings: dict[str, str] = field(default_factory=dict)
    patches: dict[str, Any] = field(default_factory=dict)
    started: int = 0

    def begin(self, *argv: str, **environment: str) -> Process:
        """Start `batchmark …` as a process."""
        self.started += 1
        out, err = self.folder / f"out-{self.started}", self.folder / f"err-{self.started}"
        pid = self.zygote.ask(
            {
                "argv": list(argv),
                "environment": clean_environment(
                    self.home, **(self.cloud.environment() | QUICK | self.settings | environment)
                ),
                "folder": str(self.folder),
                "out": str(out),
                "err": str(err),
                "patches": self.patches,
            }
        )
        return Process(pid, self.zygote, out, err)

    def run(self, *argv: str, **environment: str) -> Stopped:
        """Run `batchmark …` as a process."""
        return self.begin(*argv, **environment).wait()

    def killed_at(self, point: str, *argv: str, **environment: str) -> None:
        """Run a command that must be killed at a point."""
        stopped = self.run(*argv, BATCHMARK_KILL_AT=point, **environment)
        assert stopped.signal == signal.SIGKILL, (point, stopped)

    # what the user has afterwards

    def rows(self, name: str = "answers.jsonl") -> list[dict[str, Any]]:
        """The answers in a file, without the ids that differ between runs."""
        return told((self.folder / name).read_text())

    def jobs(self) -> list[str]:
        """The ids of all jobs in the ledger, oldest first."""
        ledger = self.ledger()
        try:
            return [job.id for line in reversed(ledger.runs()) for job in ledger.jobs(line.id)]
        finally:
            ledger.close()

    def shards(self) -> list[ShardRecord]:
        """The shard attempts of all jobs."""
        ledger = self.ledger()
        try:
            return [shard for line in ledger.runs() for job in ledger.jobs(line.id) for shard in ledger.shards(job.id)]
        finally:
            ledger.close()

    def ledger(self) -> Ledger:
        return Ledger(self.home / "ledger.sqlite3")

    # what the provider has seen

    def journal(self, operation: str = "*") -> list[dict[str, Any]]:
        """What the account was asked, oldest first."""
        with urlopen(f"{self.cloud.base_url}/_emulator/journal?limit=1000000&operation={operation}") as answer:
            entries: list[dict[str, Any]] = json.loads(answer.read())["entries"]
        return [entry for entry in entries if entry["dialect"] == _DIALECT[self.provider]]

    def made(self) -> list[Made]:
        """Every batch that was ever made on the account, oldest first."""
        return [
            Made(entry["stored"], _label(entry["labels"], self.provider), entry["rows"])
            for entry in self.journal("batches.create*")
            if entry["stored"]
        ]

    def batches(self) -> list[str]:
        """The ids of all batches ever made on the account."""
        return [each.id for each in self.made()]

    def uploads(self) -> Counter[str]:
        """How often each shard attempt was uploaded, by its label."""
        operation = {"openai": "files.create", "google": "files.upload"}.get(self.provider)
        if operation is None:
            return Counter()
        names = [entry["file_name"] for entry in self.journal(operation) if entry["file_name"]]
        return Counter(name.removesuffix(".jsonl") for name in names)

    def steer(self, page: str, **document: Any) -> None:
        """Change the emulator: `faults` or `clock`."""
        body = json.dumps(document).encode()
        headers = {"content-type": "application/json"}
        with urlopen(Request(f"{self.cloud.base_url}/_emulator/{page}", data=body, headers=headers)) as answer:
            assert answer.status == 200

    # the promise

    def check_bought_once(self, *, uploaded_again: int = 0) -> None:
        """One batch per shard attempt, as the account tells it; nothing cancelled or deleted; no shard uploaded twice but so many."""
        made = Counter(each.label for each in self.made())
        assert {label: count for label, count in made.items() if count > 1} == {}, "bought twice"
        here = ("submitted", "fetched", "collected")
        # a batch that met a full queue counts for nothing, and is made again under a label of its own
        sent = {
            batch_label(shard.label, number)
            for shard in self.shards()
            for number in range(shard.sends + (shard.state in here))
        }
        assert set(made) == sent, "batches that no shard attempt knows, or the reverse"
        assert self.journal("batches.cancel") + self.journal("batches.delete") == []
        uploads = self.uploads()
        assert uploads.total() - len(uploads) <= uploaded_again, uploads
        ours = {shard.file_id for shard in self.shards()}
        assert {entry["path"].rpartition("/")[2] for entry in self.journal("files.delete")} <= {
            each.removeprefix("files/") for each in ours if each
        }


_DIALECT = {"openai": "openai", "google": "gemini", "anthropic": "anthropic"}


def _label(labels: Sequence[str], provider: str) -> str:
    """Our label of a batch; where it carries none, that of its first request."""
    (name,) = labels
    return name.rpartition("-")[0] if provider == "anthropic" else name


def told(text: str) -> list[dict[str, Any]]:
    """What a user reads from answers, without the ids that differ between runs."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [{name: value for name, value in line.items() if name != "batch_id"} for line in lines]


def write_rows(folder: Path, count: int = 5, name: str = "rows.jsonl") -> None:
    """A workload whose rows can be told apart."""
    rows = ({"custom_id": f"id-{number}", "prompt": f"Say {number}", "mine": number} for number in range(count))
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def until(condition: Callable[[], object], what: str, deadline_s: float = 20.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s for {what}"
        time.sleep(0.005)


@contextmanager
def opened(provider: str, folder: Path, zygote: Zygote, faults: Sequence[str] = (), **options: Any) -> Iterator[Site]:
    """A fresh home and a fresh account."""
    with opened_all(folder, zygote, faults, [provider], **options) as (site,):
        yield site


@contextmanager
def opened_all(
    folder: Path, zygote: Zygote, faults: Sequence[str] = (), providers: Sequence[str] = PROVIDERS, **options: Any
) -> Iterator[list[Site]]:
    """A fresh home and a fresh account at each provider, so that what takes its time can take it at all of them at once."""
    chosen: Mapping[str, Any] = {"profile": "instant", "answers": "synthetic", "control": True, **options}
    with Emulator(EmulatorOptions(home=folder / "cloud", faults=tuple(faults), **chosen)) as cloud:
        sites = []
        for provider in providers:
            work = folder / provider / "work"
            work.mkdir(parents=True)
            home = folder / provider / "home"
            sites.append(Site(provider=provider, home=home, folder=work, cloud=cloud, zygote=zygote))
        yield sites


def at_once(sites: Sequence[Site], words: Callable[[Site], Sequence[str]], **environment: str) -> list[Stopped]:
    """Run a command at every site, all at once."""
    running = [site.begin(*words(site), **environment) for site in sites]
    return [process.wait() for process in running]


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, zygote: Zygote) -> Iterator[Site]:
    """A fresh home and a fresh account; parametrize indirectly with the provider's name, and fault rules after it."""
    provider, *faults = [request.param] if isinstance(request.param, str) else request.param
    with opened(provider, tmp_path, zygote, faults) as here:
        yield here
