"""Runs other people's clients, unmodified, against the emulator: `python peers/run.py [-j N] [NAME …]`.

Without a name it runs all but those that take minutes to install; `all` runs those too.

Each peer is installed once under `.peers/`, apart from this project and from the others. For every run it gets an emulator
of its own on an empty home, an empty home of its own, and the variables that its users set, nothing else. Its script says on
stdout what it saw: `ok WHAT` for what worked, `fault WHY` for what fails by the client's own fault, `gap WHAT` for what is
not emulated. A script that ends with an error or after its deadline FAILS, and so does a peer to which the emulator answered
with a 5xx that nobody asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roster import PEERS, Peer

HERE = Path(__file__).resolve().parent
AREA = HERE.parent / ".peers"
INSTALL_DEADLINE_S = 900
START_DEADLINE_S = 60


@dataclass(kw_only=True)
class Report:
    """What came of one peer."""

    peer: Peer
    version: str
    seen: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    trouble: str = ""
    took_s: float = 0.0

    @property
    def verdict(self) -> str:
        return "FAILS" if self.trouble else "the peer's fault" if self.faults else "passes"


class Trouble(Exception):
    """Why a peer fails; the message is for people."""


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Run other people's clients against the emulator.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which peers; `all` adds those that install slowly")
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="how many at the same time (default: 1)")
    given = parser.parse_args(words)
    known = {peer.name: peer for peer in PEERS}
    names = given.names
    if names in ([], ["all"]):
        names = [peer.name for peer in PEERS if names or not peer.heavy]
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no peer is called {', '.join(unknown)}; there are {', '.join(known)}")
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        reports = list(pool.map(_report, [known[name] for name in names]))
    print(_table(reports))
    for report in reports:
        if report.trouble:
            print(f"\n{report.peer.name} FAILS: {report.trouble}")
    return 1 if any(report.trouble for report in reports) else 0


def _report(peer: Peer) -> Report:
    """Install, start, run, look at what the emulator answered."""
    began = time.monotonic()
    report = Report(peer=peer, version=_pins(peer)[0][1])
    print(f"{peer.name} {report.version} …", file=sys.stderr, flush=True)
    try:
        folder = _installed(peer)
        with tempfile.TemporaryDirectory(prefix="peer-") as work, _emulator(peer, Path(work) / "cloud") as url:
            home = Path(work) / "home"
            home.mkdir()
            for script in peer.scripts:
                _run(peer, script, folder, home, url, report)
            _look_back(url, report)
    except Trouble as trouble:
        report.trouble = str(trouble)
    report.took_s = time.monotonic() - began
    return report


# Installing


def _pins(peer: Peer) -> list[tuple[str, str]]:
    """The packages asked for, with their exact versions; the first one is the peer itself."""
    if peer.kind == "node":
        listed: dict[str, str] = json.loads((HERE / peer.name / "package.json").read_text())["dependencies"]
        return list(listed.items())
    lines = (HERE / peer.name / "requirements.txt").read_text().splitlines()
    pins = [line.partition("==") for line in lines if line.strip() and not line.startswith("#")]
    return [(name.strip(), version.strip()) for name, _, version in pins]


def _installed(peer: Peer) -> Path:
    """The folder with the peer's packages, filled if it is new or its pins have changed."""
    folder = AREA / peer.name
    stamp = folder / "installed"
    wanted = json.dumps([sys.version, _pins(peer)])
    if stamp.is_file() and stamp.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if peer.kind == "node":
        shutil.copy(HERE / peer.name / "package.json", folder)
        flags = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _install(["npm", "install", *flags], folder)
    else:
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        into = ["--python", str(_python(folder))]
        what = [
            "--quiet",
            "--no-compile",
            "--disable-pip-version-check",
            "-r",
            str(HERE / peer.name / "requirements.txt"),
        ]
        _install([sys.executable, "-m", "pip", *into, "install", *what], folder)
    stamp.write_text(wanted)
    return folder


def _install(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise Trouble(f"{command[0]} is not on this machine")
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_DEADLINE_S)
    except subprocess.TimeoutExpired as expired:
        raise Trouble(f"it was not installed within {INSTALL_DEADLINE_S} s") from expired
    if done.returncode:
        raise Trouble(f"it could not be installed:\n{_tail(done.stderr or done.stdout)}")


def _python(folder: Path) -> Path:
    return folder / "venv" / "bin" / "python"


# Running


@contextlib.contextmanager
def _emulator(peer: Peer, home: Path) -> Iterator[str]:
    """The base URL of an emulator on an empty home."""
    command = [sys.executable, "-m", "batchmark", "emulator", "--port", "0", "--json", "--home", str(home)]
    command += ["--profile", "instant", "--answers", "synthetic", *peer.emulator]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield _base_url(process, errors)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _base_url(process: subprocess.Popen[str], errors: Any) -> str:
    """What the emulator says on its first lines: one JSON document."""
    assert process.stdout is not None
    alarm = threading.Timer(START_DEADLINE_S, process.kill)
    alarm.start()
    text = ""
    try:
        for line in process.stdout:
            text += line
            with contextlib.suppress(json.JSONDecodeError):
                return str(json.loads(text)["base_url"])
    finally:
        alarm.cancel()
    errors.seek(0)
    raise Trouble(f"the emulator did not start:\n{_tail(errors.read())}")


def _run(peer: Peer, script: str, folder: Path, home: Path, url: str, report: Report) -> None:
    """One script of the peer, in an empty folder that is also its HOME."""
    if peer.kind == "node":
        here = folder / Path(script).name  # node looks for packages beside the script
        shutil.copy(HERE / script, here)
        command = ["node", str(here)]
    else:
        command = [str(_python(folder)), str(HERE / script)]
    given = {name: value.replace("{url}", url) for name, value in peer.environment.items()}
    path = f"{folder / 'venv' / 'bin'}:{os.environ.get('PATH', '')}"
    surroundings = {
        "PATH": path,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
    }
    process = subprocess.Popen(
        command,
        cwd=home,
        env=surroundings | given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    late = False
    try:
        said, errors = process.communicate(timeout=peer.deadline_s)
    except subprocess.TimeoutExpired:
        late = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the script and whatever it started
        said, errors = process.communicate()
    kinds = {"ok": report.seen, "fault": report.faults, "gap": report.gaps}
    for line in said.splitlines():
        word, _, rest = line.partition(" ")
        if word in kinds and rest:
            kinds[word].append(rest)
    if late:
        raise Trouble(f"{script} was not done after {peer.deadline_s} s:\n{_tail(errors or said)}")
    if process.returncode:
        raise Trouble(f"{script} ended with {process.returncode}:\n{_tail(errors or said)}")


def _look_back(url: str, report: Report) -> None:
    """What the emulator was asked for and does not have, and whether it broke on anything."""
    with urllib.request.urlopen(f"{url}/_emulator/journal", timeout=START_DEADLINE_S) as answer:
        entries: list[dict[str, Any]] = json.load(answer)["entries"]
    strange = {f"{entry['method']} {entry['path']}": None for entry in entries if entry["operation"] == "unknown"}
    report.gaps += strange
    broken = [entry for entry in entries if entry["status"] >= 500 and not entry["faults"]]
    if broken:
        raise Trouble(f"the emulator answered {broken[0]['status']} to {broken[0]['operation']}")


# Telling


def _tail(text: str, lines: int = 25) -> str:
    return "\n".join(text.rstrip().splitlines()[-lines:])


def _table(reports: list[Report]) -> str:
    """One row a peer; what was seen is last, wrapped."""
    heads = ("peer", "version", "verdict", "seconds")
    cells = [(one.peer.name, one.version, one.verdict, f"{one.took_s:.1f}") for one in reports]
    widths = [max(len(row[number]) for row in (heads, *cells)) for number in range(len(heads))]
    indent = sum(widths) + 2 * len(widths)
    room = max(40, shutil.get_terminal_size((140, 24)).columns - indent)

    def line(row: tuple[str, ...], rest: str) -> str:
        first, *more = textwrap.wrap(rest, room) or [""]
        start = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        return "\n".join([f"{start}  {first}".rstrip(), *(" " * indent + one for one in more)])

    rows = [line(heads, "what was done")]
    for one, row in zip(reports, cells, strict=True):
        faults = [f"its own fault: {fault}" for fault in one.faults]
        gaps = [f"not emulated: {gap}" for gap in one.gaps]
        rows.append(line(row, "; ".join([*one.seen, *faults, *gaps])))
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
