"""Bodies of hundreds of megabytes, connections that break off, and many callers at once."""

from __future__ import annotations

import json
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fuzz.cases import Seeds
from tests.fuzz.target import JSON, KEYS, Finding, Target, form
from tests.fuzz.values import SAMPLES
from tests.fuzz.wire import Request

__all__ = ["FLOODS", "break_off", "flood", "throng"]

_PIECE = 1 << 20


def _piece(pattern: bytes) -> bytes:
    return pattern * (_PIECE // len(pattern))


def _head(dialect: str, target: str, *headers: tuple[str, str]) -> bytes:
    return Request(method="POST", target=target, headers=(*KEYS[dialect], *headers), framed=True).head()


_FORM = ("content-type", "multipart/form-data; boundary=fuzz")
_PART = b'--fuzz\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
_RESUMABLE = (("x-goog-upload-protocol", "resumable"), ("x-goog-upload-command", "start"))
# Of each: the head, what comes first, and what comes then for as long as wanted.
FLOODS: dict[str, tuple[bytes, bytes, bytes]] = {
    "a file": (_head("openai", "/openai/v1/files", _FORM), _PART, _piece(b"x")),
    "a header of a part": (_head("openai", "/openai/v1/files", _FORM), b"--fuzz\r\nx: ", _piece(b"x")),
    "headers of a part": (_head("openai", "/openai/v1/files", _FORM), b"--fuzz\r\n", _piece(b"x-a: b\r\n")),
    "parts": (
        _head("openai", "/openai/v1/files", _FORM),
        b"",
        _piece(b'--fuzz\r\ncontent-disposition: form-data; name="a"\r\n\r\n\r\n'),
    ),
    "a create at OpenAI": (_head("openai", "/openai/v1/batches", JSON), b'{"a": "', _piece(b"x")),
    "requests at Anthropic": (
        _head("anthropic", "/anthropic/v1/messages/batches", JSON),
        b'{"requests": [',
        _piece(b'{"custom_id": "a", "params": {}},'),
    ),
    "a string at Anthropic": (
        _head("anthropic", "/anthropic/v1/messages/batches", JSON),
        b'{"requests": "',
        _piece(b"x"),
    ),
    "a create at Gemini": (
        _head("gemini", "/gemini/v1/models/gemini-2.5-flash:batchGenerateContent", JSON),
        b'{"batch": "',
        _piece(b"x"),
    ),
    "a raw upload": (_head("gemini", "/gemini/upload/v1/files", ("x-goog-upload-protocol", "raw")), b"", _piece(b"x")),
    "the start of an upload": (
        _head("gemini", "/gemini/upload/v1/files", *_RESUMABLE),
        b'{"file": {"displayName": "',
        _piece(b"x"),
    ),
    "no operation": (_head("openai", "/openai/v1/nothing"), b"", _piece(b"x")),
}


def flood(target: Target, name: str, *, megabytes: int, growth_mb: int = 100) -> int:
    """Send so much of one thing; the megabytes that the process has grown by meanwhile. Raises Finding beyond `growth_mb`."""
    head, first, piece = FLOODS[name]
    length = len(first) + megabytes * len(piece)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew

    def pieces() -> Iterator[bytes]:
        yield head[:-2] + f"content-length: {length}\r\n\r\n".encode()
        yield first
        for _ in range(megabytes):
            yield piece

    target.raw(pieces(), deadline_s=60)
    grown = (_memory("VmHWM") - before) // 1024
    if grown > growth_mb:
        raise target.finding(f"{name}: {megabytes} MB of it make the process grow by {grown} MB")
    return grown


def _memory(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def break_off(target: Target, luck: random.Random, *, times: int) -> None:
    """Requests that end in their middle, in an orderly way or not: no answer is due, but the emulator goes on."""
    kind, body = form(b"{}\n" * 100)
    whole = [
        Request(method="POST", target="/openai/v1/files", headers=(*KEYS["openai"], kind), body=body),
        Request(
            method="POST",
            target="/anthropic/v1/messages/batches",
            headers=(*KEYS["anthropic"], JSON),
            body=b'{"requests":[' + b" " * 5000,
        ),
        Request(
            method="POST",
            target="/gemini/upload/v1/files",
            headers=(*KEYS["gemini"], ("x-goog-upload-protocol", "raw")),
            body=b"x" * 5000,
        ),
        Request(
            method="POST",
            target="/openai/v1/batches",
            headers=(*KEYS["openai"], ("transfer-encoding", "chunked")),
            body=b"5\r\n{}",
            framed=True,
        ),
        Request(method="GET", target="/openai/v1/models", headers=KEYS["openai"]),
    ]
    for _ in range(times):
        request = luck.choice(whole)
        raw = request.head() + request.body
        with socket.create_connection(("127.0.0.1", target.port), timeout=5) as sock:
            sock.sendall(raw[: luck.randrange(len(raw))])
            if luck.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left = [path for path in (target.cloud.options.home / "incoming").iterdir() if path.is_dir()]
    deadline = threading.Event()
    for _ in range(200):  # folders of requests that were broken off go as soon as the emulator has noticed
        left = [path for path in left if path.exists()]
        if not left:
            return
        deadline.wait(0.05)
    raise target.finding(f"folders of requests that were broken off stay: {left}")


def throng(target: Target, known: Seeds, luck: random.Random, *, calls: int, callers: int = 6) -> None:
    """Many callers make, read and delete the same things at once. Raises the first Finding."""
    row = json.dumps(
        {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": SAMPLES["/v1/responses"]}
    ).encode()
    item = json.dumps({"custom_id": "a", "params": SAMPLES["anthropic"]}).encode()
    shared: dict[str, list[str]] = {
        "file": [known.file],
        "msgbatch": [known.msgbatch],
        "gemini": [known.gemini_batch],
        "gemini_file": [known.gemini_file],
    }
    found: list[Finding] = []

    def any_of(name: str, own: random.Random) -> str:
        return own.choice(shared[name][-6:])

    def ask(dialect: str, method: str, path: str, body: bytes = b"", *more: tuple[str, str]) -> dict[str, str] | None:
        request = Request(method=method, target=path, headers=(*KEYS[dialect], *(more or (JSON,))), body=body)
        answer = target.ask(request)
        return (
            json.loads(answer.body)
            if answer.status == 200 and answer.headers["content-type"].startswith("application/json")
            else None
        )

    def openai_file(own: random.Random) -> None:
        kind, body = form(row)
        made = ask("openai", "POST", "/openai/v1/files", body, kind)
        shared["file"].append(made["id"] if made else known.file)

    def anthropic_batch(own: random.Random) -> None:
        made = ask("anthropic", "POST", "/anthropic/v1/messages/batches", b'{"requests":[' + item + b"]}")
        shared["msgbatch"].append(made["id"] if made else known.msgbatch)

    def gemini_batch(own: random.Random) -> None:
        inline = {"requests": {"requests": [{"request": SAMPLES["gemini"]}]}}
        source = inline if own.random() < 0.5 else {"fileName": any_of("gemini_file", own)}
        body = json.dumps({"batch": {"inputConfig": source}}).encode()
        made = ask("gemini", "POST", "/gemini/v1/models/gemini-2.5-flash:batchGenerateContent", body)
        shared["gemini"].append(made["name"].removeprefix("batches/") if made else known.gemini_batch)

    def gemini_file(own: random.Random) -> None:
        name = f"files/fuzz-{own.randrange(20)}"  # a name that several callers want
        started = target.ask(
            Request(
                method="POST",
                target="/gemini/upload/v1/files",
                headers=(*KEYS["gemini"], *_RESUMABLE),
                body=json.dumps({"file": {"name": name}}).encode(),
            )
        )
        if started.status == 200:
            address = "/" + started.headers["x-goog-upload-url"].split("/", 3)[3]
            last = (("x-goog-upload-command", "upload, finalize"), ("x-goog-upload-offset", "0"))
            target.ask(Request(method="POST", target=address, headers=last, body=b'{"key": "a", "request": {}}'))
        shared["gemini_file"].append(name)

    steps: list[Callable[[random.Random], object]] = [
        openai_file,
        anthropic_batch,
        gemini_batch,
        gemini_file,
        lambda own: ask("openai", "GET", f"/openai/v1/files/{any_of('file', own)}/content"),
        lambda own: ask("openai", "DELETE", f"/openai/v1/files/{any_of('file', own)}"),
        lambda own: ask(
            "openai",
            "POST",
            "/openai/v1/batches",
            json.dumps(
                {"input_file_id": any_of("file", own), "endpoint": "/v1/responses", "completion_window": "24h"}
            ).encode(),
        ),
        lambda own: ask("openai", "GET", "/openai/v1/batches"),
        lambda own: ask("anthropic", "GET", f"/anthropic/v1/messages/batches/{any_of('msgbatch', own)}"),
        lambda own: ask("anthropic", "GET", f"/anthropic/v1/messages/batches/{any_of('msgbatch', own)}/results"),
        lambda own: ask("anthropic", "POST", f"/anthropic/v1/messages/batches/{any_of('msgbatch', own)}/cancel"),
        lambda own: ask("anthropic", "DELETE", f"/anthropic/v1/messages/batches/{any_of('msgbatch', own)}"),
        lambda own: ask("gemini", "GET", f"/gemini/v1/batches/{any_of('gemini', own)}"),
        lambda own: ask("gemini", "POST", f"/gemini/v1/batches/{any_of('gemini', own)}:cancel"),
        lambda own: ask("gemini", "DELETE", f"/gemini/v1/batches/{any_of('gemini', own)}"),
        lambda own: ask("gemini", "DELETE", f"/gemini/v1/{any_of('gemini_file', own)}"),
        lambda own: ask("gemini", "GET", f"/gemini/v1/files/batch-{any_of('gemini', own)}:download"),
    ]

    def caller(own: random.Random) -> None:
        for _ in range(calls // callers):
            if found:
                return
            try:
                own.choice(steps)(own)
            except Finding as finding:
                found.append(finding)

    threads = [threading.Thread(target=caller, args=(random.Random(luck.random()),)) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if found:
        raise found[0]
