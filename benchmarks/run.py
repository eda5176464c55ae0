"""Speed and memory of `batchmark run` from end to end, as users meet it: a command of its own against the emulator in a process of its own.

    python benchmarks/run.py [--rows N] [--providers openai,google,anthropic] [--shard-rows N] [--json FILE]

Every run has a BATCHMARK_HOME of its own, its output is checked row by row, and each figure stands beside floors measured
in the same run: a copy of the input, and a bare msgspec parse of the input, of the provider's answers and of the output.
CPU is user and system time of the command with all its children; MB/s are of the bytes that a stage went through.
`--command` tries the harness with something else in place of `batchmark`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

TEXT = ("The quick brown fox jumps over the lazy dog while the band plays on and the rain keeps falling. " * 10)[:900]
DIALECTS = {"google": "gemini"}  # the emulator's names where they are others
_decode = msgspec.json.decode


@dataclass(kw_only=True)
class Figures:
    """What one run cost."""

    provider: str
    rows: int
    input_bytes: int
    answer_bytes: int = 0
    output_bytes: int = 0
    wall_s: float = 0
    cpu_s: float = 0
    peak_rss_bytes: int = 0
    emulator_cpu_s: float = 0
    floor_answers_s: float = 0
    floor_output_s: float = 0
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    exit_code: int = 0
    trouble: str | None = None


def main() -> int:
    """Measure and print; 1 where a run failed or its output is wrong."""
    options = _options()
    failed = False
    with tempfile.TemporaryDirectory(prefix="batchmark-bench-", dir=options.folder) as name:
        root = Path(name)
        source = root / "rows.jsonl"
        _write_rows(source, options.rows)
        size = source.stat().st_size
        copy_s = _cpu(lambda: shutil.copyfile(source, root / "copy"))
        (root / "copy").unlink()
        parse_s = _cpu(lambda: _parse_all(source))
        print(
            f"{options.rows:,} rows, {size / 1e6:,.0f} MB; {os.cpu_count()} cores, Python {platform.python_version()}\n"
            f"floors, CPU: copy of the input {copy_s:.2f} s, bare parse of the input {parse_s:.2f} s "
            f"({size / 1e6 / parse_s:,.0f} MB/s)",
            flush=True,
        )
        done: list[Figures] = []
        for provider in options.providers.split(","):
            figures = _measure(options, provider, source, root / provider)
            done.append(figures)
            failed = failed or figures.trouble is not None
            _print(figures, parse_s)
            if not options.keep:
                shutil.rmtree(root / provider, ignore_errors=True)
        if options.json:
            floors = {"input_bytes": size, "copy_s": copy_s, "parse_s": parse_s}
            options.json.write_text(
                json.dumps({"floors": floors, "runs": [asdict(one) for one in done]}, indent=2) + "\n"
            )
        if options.keep:
            kept = Path(tempfile.mkdtemp(prefix="batchmark-kept-", dir=options.folder))
            for left in root.iterdir():
                shutil.move(left, kept)
            print(f"kept in {kept}")
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure `batchmark run` against the emulator.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--providers", default="openai,google,anthropic")
    parser.add_argument("--shard-rows", type=int, help="rows of a shard; default: the most that the provider takes")
    parser.add_argument("--command", default=f"{sys.executable} -m batchmark", help="what stands for `batchmark`")
    parser.add_argument("--run-options", default="", help="more options for `run`, as one string")
    parser.add_argument("--emulator-options", default="", help="more options for `emulator`, as one string")
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--keep", action="store_true", help="leave files behind")
    return parser.parse_args()


def _measure(options: argparse.Namespace, provider: str, source: Path, folder: Path) -> Figures:
    """One provider: an emulator with an empty world, one run, the checks."""
    folder.mkdir()
    world, out, timings, said = (folder / name for name in ("world", "answers.jsonl", "timings.json", "said.txt"))
    figures = Figures(provider=provider, rows=options.rows, input_bytes=source.stat().st_size)
    with _emulator(options, world) as (environment, emulator_pid):
        command = [*shlex.split(options.command), "run", str(source), "--on", provider, "-o", str(out)]
        if options.shard_rows:
            command += ["--shard-rows", str(options.shard_rows)]
        command += shlex.split(options.run_options)
        environment |= {"BATCHMARK_HOME": str(folder / "home"), "BATCHMARK_TIMINGS": str(timings)}
        before = _cpu_of(emulator_pid)
        began = time.monotonic()
        with said.open("wb") as log:
            child = subprocess.Popen(
                command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
        figures.wall_s = time.monotonic() - began
        figures.emulator_cpu_s = _cpu_of(emulator_pid) - before
    figures.exit_code = child.returncode = os.waitstatus_to_exitcode(status)
    figures.cpu_s = usage.ru_utime + usage.ru_stime
    figures.peak_rss_bytes = usage.ru_maxrss * 1024
    if figures.exit_code:
        tail = "\n".join(said.read_text(errors="replace").splitlines()[-20:])
        figures.trouble = f"the command ended with {figures.exit_code}:\n{tail}"
        return figures
    if timings.exists():
        figures.stages = json.loads(timings.read_text()).get("stages", {})
    figures.output_bytes = out.stat().st_size
    answers = list(_answer_files(world, DIALECTS.get(provider, provider)))
    figures.answer_bytes = sum(path.stat().st_size for path in answers)
    figures.floor_answers_s = _cpu(lambda: _parse_all(*answers))
    figures.floor_output_s = _cpu(lambda: _parse_all(out))
    figures.trouble = _check(out, options.rows)
    return figures


def _write_rows(path: Path, count: int) -> None:
    with path.open("wb", buffering=1 << 20) as out:
        for number in range(count):
            row = {"custom_id": f"order-{number}", "prompt": f"{number}: {TEXT}", "max_tokens": 200, "mine": number}
            out.write(msgspec.json.encode(row) + b"\n")


def _check(out: Path, rows: int) -> str | None:
    """What is wrong with the output, if anything: every row is there once, in order, and has an answer."""
    number = 0
    with out.open("rb", buffering=1 << 20) as opened:
        for number, line in enumerate(opened, start=1):
            answer = _decode(line)
            row = number - 1
            found = (answer.get("row"), answer.get("custom_id"), answer.get("outcome"), _mine(answer))
            if found != (row, f"order-{row}", "succeeded", row) or not answer.get("text"):
                return f"line {number} of the output is not the answer of row {row}: {line[:300]!r}"
    return None if number == rows else f"the output has {number} lines for {rows} rows"


def _mine(answer: dict[str, Any]) -> object:
    """The user's own column, beside the answer or in an object of such columns."""
    if "mine" in answer:
        return answer["mine"]
    return next((value["mine"] for value in answer.values() if isinstance(value, dict) and "mine" in value), None)


def _answer_files(world: Path, dialect: str) -> Iterator[Path]:
    """The result files that the emulated provider wrote."""
    yield from world.glob(f"work/{dialect}-*/results.jsonl")
    with sqlite3.connect(world / "world.sqlite3") as store:
        found = store.execute(
            "SELECT path FROM files WHERE dialect = ? AND purpose IN ('batch_output', 'generated') AND deleted = 0",
            (dialect,),
        ).fetchall()
    store.close()
    yield from (world / "files" / path for (path,) in found)


@contextmanager
def _emulator(options: argparse.Namespace, world: Path) -> Iterator[tuple[dict[str, str], int]]:
    """An emulator in its own process, and the environment that points `batchmark` at it."""
    command = [sys.executable, "-m", "batchmark", "emulator", "--port", "0", "--home", str(world)]
    command += ["--profile", "instant", "--answers", "synthetic", *shlex.split(options.emulator_options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHMARK_")}
        assert process.stdout is not None
        while "GOOGLE_API_KEY" not in environment or "OPENAI_API_KEY" not in environment:
            line = process.stdout.readline()
            if not line:
                raise SystemExit("error: the emulator did not start")
            name, _, value = line.strip().removeprefix("export ").partition("=")
            environment[name] = value
        yield environment, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _cpu_of(pid: int) -> float:
    """CPU seconds of a running process so far; 0 where the system does not tell."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _parse_all(*paths: Path) -> None:
    """The floor: every line through a bare parser, one at a time."""
    decode = _decode
    for path in paths:
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                decode(line)


def _print(figures: Figures, parse_s: float) -> None:
    through = (figures.input_bytes + figures.answer_bytes) / 1e6
    print(f"\n{figures.provider}")
    print(
        f"  client CPU {figures.cpu_s:.2f} s ({figures.cpu_s / figures.rows * 1e6:.1f} us a row), "
        f"wall {figures.wall_s:.2f} s, peak RSS {figures.peak_rss_bytes / 1e6:.0f} MB, "
        f"emulator CPU {figures.emulator_cpu_s:.2f} s"
    )
    if figures.trouble is not None:
        print(f"  FAILED: {figures.trouble}", flush=True)
        return
    floor = parse_s + figures.floor_answers_s
    print(
        f"  input {figures.input_bytes / 1e6:,.0f} MB, answers {figures.answer_bytes / 1e6:,.0f} MB, "
        f"output {figures.output_bytes / 1e6:,.0f} MB; {through / figures.cpu_s:,.0f} MB/s of CPU, "
        f"{through / figures.wall_s:,.0f} MB/s of wall"
    )
    print(
        f"  floors, CPU: bare parse of input and answers {parse_s:.2f} + {figures.floor_answers_s:.2f} s, of the output "
        f"{figures.floor_output_s:.2f} s; the client took {figures.cpu_s / floor:.1f} x the first two"
    )
    if figures.stages:
        print(
            f"  {'stage':<10} {'CPU s':>8} {'us/row':>8} {'wall s':>8} {'MB':>9} {'MB/s CPU':>9} {'MB/s wall':>9} {'x floor':>8}"
        )
        for name, stage in figures.stages.items():
            cpu_s, wall_s, size = stage.get("cpu_s", 0.0), stage.get("wall_s", 0.0), stage.get("bytes", 0) / 1e6
            base = {
                "stage": parse_s,
                "index": figures.floor_answers_s,
                "settle": figures.floor_answers_s,
                "merge": figures.floor_output_s,
            }.get(name)
            print(
                f"  {name:<10} {cpu_s:>8.2f} {cpu_s / figures.rows * 1e6:>8.1f} {wall_s:>8.2f} {size:>9,.0f} "
                f"{_rate(size, cpu_s):>9} {_rate(size, wall_s):>9} {f'{cpu_s / base:.1f}' if base else '-':>8}"
            )
        known = sum(stage.get("cpu_s", 0.0) for stage in figures.stages.values())
        print(f"  {'the rest':<10} {figures.cpu_s - known:>8.2f}")
    sys.stdout.flush()


def _rate(megabytes: float, seconds: float) -> str:
    return f"{megabytes / seconds:,.0f}" if seconds > 0 and megabytes else "-"


if __name__ == "__main__":
    sys.exit(main())
