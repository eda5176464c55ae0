"""What the emulator can do on its own: answers a second, memory with a million rows, lists of ten thousand batches.

    python -m benchmarks.emulator [--rows N] [--batches N] [--part answers|rows|lists]

Rows go in batches of each provider's real maximum, from files on disk, to an emulator in a process of its own whose peak
memory is read from the system. Each figure stands beside a floor measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from batchmark.emulator.answers import AnswerSource, Ask
from batchmark.emulator.answers.echo import Echo
from batchmark.emulator.answers.synthetic import Synthetic
from batchmark.emulator.vectors import vector_base64, vector_text

TEXT = "The quick brown fox jumps over the lazy dog while the band plays on. " * 13
HEADERS = {"authorization": "Bearer any", "x-goog-api-key": "any", "anthropic-version": "2023-06-01"}
LIFTED = ("openai.batches_per_hour", "anthropic.queued_requests", "gemini.max_batches_in_flight")
CHUNK = 8 << 20
_SCHEMA = json.dumps(
    {"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer"}, "ok": {"type": "boolean"}}}
)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--part", choices=("answers", "rows", "lists"), default=None)
    options = parser.parse_args()
    print(f"the emulator alone; {os.cpu_count()} cores, Python {platform.python_version()}", flush=True)
    if options.part in (None, "answers"):
        answers()
    if options.part in (None, "rows"):
        for dialect, send in (("openai", send_openai), ("anthropic", send_anthropic), ("gemini", send_gemini)):
            rows(dialect, send, options.rows)
    if options.part in (None, "lists"):
        lists(options.batches)
    return 0


# Answers a second


def answers(count: int = 200_000) -> None:
    """Each kind of answer on one core, the floor being the same loop around a function that does nothing."""
    plain = [Ask(model="m", messages=(("user", f"{number} {TEXT}"),), max_tokens=64) for number in range(1000)]
    shaped = [msgspec.structs.replace(ask, json_schema=_SCHEMA) for ask in plain]
    texts = [ask.messages[0][1] for ask in plain]

    def ask_all(source: AnswerSource, asks: list[Ask]) -> Callable[[], None]:
        def work() -> None:
            answer = source.answer
            for number in range(count):
                answer(asks[number % 1000])

        return work

    def embed(make: Callable[..., str]) -> Callable[[], None]:
        def work() -> None:
            for number in range(count):
                make("text-embedding-3-small", texts[number % 1000], 1536)

        return work

    def nothing() -> None:
        for number in range(count):
            _idle(texts[number % 1000])

    floor_s = _cpu(nothing)
    print(f"  answers a second on one core (the empty loop: {count / floor_s:,.0f})")
    for name, work in (
        ("text", ask_all(Synthetic(), plain)),
        ("JSON by schema", ask_all(Synthetic(), shaped)),
        ("1,536 dimensions", embed(vector_text)),
        ("the same in base64", embed(vector_base64)),
        ("echo", ask_all(Echo(), plain)),
    ):
        work_s = _cpu(work)
        print(f"    {name:<20} {count / work_s:>11,.0f}   {work_s / floor_s:>6.1f} x the empty loop", flush=True)


def _idle(text: str) -> str:
    return text


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


# A million rows


@contextmanager
def emulator(home: Path, *arguments: str) -> Iterator[tuple[httpx2.Client, int]]:
    """An emulator in a process of its own: a client of it, and its process id."""
    command = [sys.executable, "-m", "batchmark", "emulator", "--port", "0", "--home", str(home), "--json", "--quiet"]
    command += [
        "--answers",
        "synthetic",
        *[part for name in LIFTED for part in ("--limit", f"{name}=none")],
        *arguments,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = ""
        while not told.rstrip().endswith("}") or told.count("{") > told.count("}"):
            told += process.stdout.readline()
        try:
            with httpx2.Client(base_url=json.loads(told)["base_url"], headers=HEADERS, timeout=600) as client:
                yield client, process.pid
        finally:
            process.terminate()
            process.wait(60)


def rows(dialect: str, send: Callable[[httpx2.Client, Path, int], list[str]], count: int) -> None:
    """Rows in batches of the real maximum, from upload to the last result byte."""
    with (
        tempfile.TemporaryDirectory(prefix="batchmark-bench-") as name,
        emulator(Path(name) / "home", "--profile", "instant") as (client, pid),
    ):
        began = time.perf_counter()
        results = send(client, Path(name), count)
        size = 0
        for url in results:
            with client.stream("GET", url) as answer:
                assert answer.status_code == 200, answer.status_code
                for piece in answer.iter_raw(1 << 20):
                    size += len(piece)
        wall_s = time.perf_counter() - began
        floor_s = _copy_s(Path(name), size)
        cpu_s, peak = _spent(pid)
        print(
            f"  {dialect}: {count:,} rows in {len(results)} batches, {size / 1e6:,.0f} MB of results, {wall_s:.1f} s; "
            f"the emulator used {cpu_s:.1f} s of CPU ({count / cpu_s:,.0f} rows/s) and {peak / 1e6:,.0f} MB at its peak; "
            f"a copy of the results takes {floor_s:.2f} s",
            flush=True,
        )


def send_openai(client: httpx2.Client, folder: Path, count: int) -> list[str]:
    made: list[str] = []
    for start in range(0, count, 50_000):
        path = folder / "input.jsonl"
        with path.open("w") as out:
            for number in range(start, min(start + 50_000, count)):
                body = f'{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{number} {TEXT}"}}]}}'
                out.write(f'{{"custom_id":"r-{number}","method":"POST","url":"/v1/chat/completions","body":{body}}}\n')
        with path.open("rb") as opened:
            file = client.post("/openai/v1/files", files={"file": ("input.jsonl", opened)}, data={"purpose": "batch"})
        create = {"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        made.append(client.post("/openai/v1/batches", json=create).json()["id"])
    ended = [_until(client, f"/openai/v1/batches/{one}", lambda batch: batch["status"] == "completed") for one in made]
    return [f"/openai/v1/files/{batch['output_file_id']}/content" for batch in ended]


def send_anthropic(client: httpx2.Client, folder: Path, count: int) -> list[str]:
    """Bodies of up to 256 MB, sent as a stream."""
    made: list[str] = []
    for start in range(0, count, 100_000):
        path = folder / "input.json"
        with path.open("w") as out:
            out.write('{"requests":[')
            for number in range(start, min(start + 100_000, count)):
                text = f"{number} {TEXT}{TEXT}"
                params = (
                    f'{{"model":"claude-haiku-4-5","max_tokens":64,"messages":[{{"role":"user","content":"{text}"}}]}}'
                )
                out.write(f'{"," if number > start else ""}{{"custom_id":"r-{number}","params":{params}}}')
            out.write("]}")
        headers = {"content-length": str(path.stat().st_size), "content-type": "application/json"}
        with path.open("rb") as opened:
            answer = client.post("/anthropic/v1/messages/batches", content=_pieces(opened), headers=headers)
        made.append(answer.json()["id"])
    place = "/anthropic/v1/messages/batches"
    for one in made:
        _until(client, f"{place}/{one}", lambda batch: batch["processing_status"] == "ended")
    return [f"{place}/{one}/results" for one in made]


def send_gemini(client: httpx2.Client, folder: Path, count: int) -> list[str]:
    """One file of all rows, in chunks of 8 MiB."""
    path = folder / "input.jsonl"
    with path.open("w") as out:
        for number in range(count):
            request = f'{{"contents":[{{"parts":[{{"text":"{number} {TEXT}"}}],"role":"user"}}]}}'
            out.write(f'{{"key":"r-{number}","request":{request}}}\n')
    size = path.stat().st_size
    start = client.post(
        "/gemini/upload/v1/files",
        json={"file": {"mimeType": "application/jsonl"}},
        headers={"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"},
    )
    at = 0
    answer = start
    with path.open("rb") as opened:
        while piece := opened.read(CHUNK):
            last = at + len(piece) == size
            headers = {
                "x-goog-upload-command": "upload, finalize" if last else "upload",
                "x-goog-upload-offset": str(at),
            }
            answer = client.post(start.headers["x-goog-upload-url"], content=piece, headers=headers)
            at += len(piece)
    create = {"batch": {"inputConfig": {"fileName": answer.json()["file"]["name"]}}}
    job = client.post("/gemini/v1/models/gemini-2.5-flash:batchGenerateContent", json=create).json()
    ended = _until(client, f"/gemini/v1/{job['name']}", lambda operation: bool(operation.get("done")))
    return [f"/gemini/v1/{ended['response']['responsesFile']}:download?alt=media"]


def _pieces(opened: Any) -> Iterator[bytes]:
    while piece := opened.read(1 << 20):
        yield piece


def _until(client: httpx2.Client, path: str, done: Callable[[Any], bool]) -> Any:
    while True:
        body = client.get(path).json()
        if done(body):
            return body
        time.sleep(0.1)


def _copy_s(folder: Path, size: int) -> float:
    """What writing and reading so many bytes costs."""
    path, block = folder / "floor", bytes(1 << 20)
    began = time.perf_counter()
    with path.open("wb") as out:
        for _ in range(size >> 20):
            out.write(block)
    with path.open("rb") as opened:
        while opened.read(1 << 20):
            pass
    path.unlink()
    return time.perf_counter() - began


def _spent(pid: int) -> tuple[float, int]:
    """The CPU seconds of a process and the most memory that it had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return cpu_s, next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


# Lists


def lists(count: int) -> None:
    """How long a page takes in a world of so many batches, the floor being a page that asks the world nothing."""
    with (
        tempfile.TemporaryDirectory(prefix="batchmark-bench-") as name,
        emulator(Path(name) / "home", "--profile", "real") as (client, _),
    ):
        line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
        input_file = {"file": ("a.jsonl", json.dumps({**line, "body": body}))}
        file = client.post("/openai/v1/files", files=input_file, data={"purpose": "batch"}).json()
        params = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": body["messages"]}
        inline = {"requests": {"requests": [{"request": {"contents": [{"parts": [{"text": "hi"}]}]}}]}}
        creates: list[tuple[str, Any]] = [
            (
                "/openai/v1/batches",
                {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"},
            ),
            ("/anthropic/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]}),
            ("/gemini/v1/models/gemini-2.5-flash:batchGenerateContent", {"batch": {"inputConfig": inline}}),
        ]
        began = time.perf_counter()
        for number in range(count):
            path, create = creates[number % 3]
            answer = client.post(path, json=create)
            assert answer.status_code == 200, answer.text
        each_ms = 1000 * (time.perf_counter() - began) / count
        print(f"  {count:,} batches, {each_ms:.1f} ms for each create; a page takes, in ms")
        for path in (
            "/_emulator/clock",
            "/openai/v1/batches",
            "/openai/v1/batches?limit=100",
            "/anthropic/v1/messages/batches",
            "/anthropic/v1/messages/batches?limit=1000",
            "/gemini/v1/batches",
            "/gemini/v1/batches?pageSize=1000",
        ):
            times = []
            for _ in range(50):
                began = time.perf_counter()
                assert client.get(path).status_code == 200
                times.append(1000 * (time.perf_counter() - began))
            times.sort()
            print(
                f"    {path:<45} median {statistics.median(times):>5.1f}   19 of 20 within {times[47]:>5.1f}",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
