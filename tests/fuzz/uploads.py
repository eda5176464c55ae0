"""Uploads in several steps, their steps in any order, beside a model of what should come of them."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field

from tests.fuzz.target import KEYS, Target, form
from tests.fuzz.wire import Answer, Request, multipart

__all__ = ["gemini_session", "named_file", "openai_session"]

_GRAIN = 1 << 18
_COMMANDS = (
    "upload",
    "upload, finalize",
    "finalize",
    "query",
    "cancel",
    "start",
    "finalize, upload",
    "upload, cancel",
    "nonsense",
    "",
)


@dataclass(slots=True)
class _Resumable:
    """What a resumable upload should be."""

    received: int = 0
    status: str = "active"
    sent: bytes = b""


def gemini_session(target: Target, luck: random.Random, *, steps: int = 12) -> None:
    """One resumable upload and so many commands, half of them wrong. Raises Finding."""
    headers = (("x-goog-upload-protocol", "resumable"), ("x-goog-upload-command", "start"))
    started = target.ask(Request(method="POST", target="/gemini/upload/v1/files", headers=(*KEYS["gemini"], *headers)))
    address = "/" + started.headers["x-goog-upload-url"].split("/", 3)[3]
    model = _Resumable()
    for _ in range(steps):
        command = luck.choice(_COMMANDS)
        size = luck.choice((0, 1, 5, _GRAIN, _GRAIN - 1))
        offset = luck.choice((model.received, model.received, model.received, 0, 1, 1 << 50))
        body = bytes([luck.randrange(256)]) * size
        lines = [("x-goog-upload-offset", str(offset))] * (luck.random() < 0.95)
        request = Request(
            method=luck.choice(("POST", "PUT")),
            target=address,
            headers=(("x-goog-upload-command", command), *lines),
            body=body,
        )
        answer = target.ask(request)
        expected = _after(model, command, offset if lines else None, body)
        status = answer.headers.get("x-goog-upload-status")
        if (answer.status == 200) != expected or (expected and status != model.status):
            raise target.finding(f"the upload should be {model}", asked=request, answer=answer)
        if status is None:
            raise target.finding("an answer to a chunk without x-goog-upload-status", asked=request, answer=answer)
        if model.status == "final" and answer.status == 200 and answer.body:
            _same_file(target, json.loads(answer.body)["file"], model.sent)


def _after(model: _Resumable, command: str, offset: int | None, body: bytes) -> bool:
    """Bring the model forward; whether the command is to be taken."""
    parts = {part.strip() for part in command.split(",") if part.strip()}
    if parts == {"query"}:
        return True
    if model.status != "active" or not parts:
        return False
    if parts == {"cancel"}:
        model.status = "cancelled"
        return True
    if not parts <= {"upload", "finalize"}:
        return False
    if "upload" in parts:
        if offset != model.received or ("finalize" not in parts and len(body) % _GRAIN):
            return False
        model.received += len(body)
        model.sent += body
    if "finalize" in parts:
        model.status = "final"
    return True


def _same_file(target: Target, shown: dict[str, str], sent: bytes) -> None:
    path = target.cloud.options.home / "files" / f"gemini-{shown['name'].removeprefix('files/')}"
    if int(shown["sizeBytes"]) != len(sent) or path.read_bytes() != sent:
        raise target.finding(f"{shown['name']} is not what was sent")


@dataclass(slots=True)
class _Parts:
    """What an upload in parts should be."""

    size: int
    status: str = "pending"
    parts: dict[str, bytes] = field(default_factory=dict)


def openai_session(target: Target, luck: random.Random, *, steps: int = 12) -> None:
    """One upload in parts and so many calls in any order. Raises Finding."""
    model = _Parts(size=luck.choice((3, 6, 9, 1000)))
    asked = {"filename": "a", "purpose": "batch", "bytes": model.size, "mime_type": "a/b"}
    upload = target.call("openai", "POST", "/openai/v1/uploads", json.dumps(asked).encode())["id"]
    for _ in range(steps):
        base = f"/openai/v1/uploads/{upload}"
        step = luck.choice(("part", "part", "complete", "complete", "cancel"))
        if step == "part":
            content = luck.randbytes(3)
            body = multipart([('content-disposition: form-data; name="data"; filename="upload"', content)])
            answer = _send(target, f"{base}/parts", body, "multipart/form-data; boundary=fuzz")
            right = model.status == "pending"
            if answer.status == 200:
                model.parts[json.loads(answer.body)["id"]] = content
        elif step == "complete":
            known = list(model.parts)
            named = luck.sample(known, min(len(known), luck.choice((1, 2, 3)))) + luck.choice(
                ([], [], ["part_none"], known[:1])
            )
            whole = b"".join(model.parts.get(each, b"") for each in named)
            digest = luck.choice((None, hashlib.md5(whole).hexdigest(), "0" * 32))
            wanted = {"part_ids": named, **({} if digest is None else {"md5": digest})}
            answer = _send(target, f"{base}/complete", json.dumps(wanted).encode(), "application/json")
            right = (
                model.status == "pending"
                and bool(named)
                and len(set(named)) == len(named)
                and "part_none" not in named
                and len(whole) == model.size
                and digest != "0" * 32
            )
            if answer.status == 200:
                model.status = "completed"
                file = json.loads(answer.body)["file"]["id"]
                got = target.ask(
                    Request(method="GET", target=f"/openai/v1/files/{file}/content", headers=KEYS["openai"])
                )
                if got.body != whole:
                    raise target.finding(f"{file} is not what was sent", answer=got)
        else:
            answer = _send(target, f"{base}/cancel", b"", "application/json")
            right = model.status == "pending"
            if right:
                model.status = "cancelled"
        if (answer.status == 200) != right:
            raise target.finding(f"{step}: the upload should be {model}", answer=answer)


def _send(target: Target, path: str, body: bytes, kind: str) -> Answer:
    headers = (*KEYS["openai"], ("content-type", kind))
    return target.ask(Request(method="POST", target=path, headers=headers, body=body))


def named_file(target: Target, name: str) -> None:
    """A file of an odd name, from its upload to its end. Raises Finding."""
    clean = name[:3000].replace("\r\n", " ").replace('"', "'")  # longer headers are refused
    kind, body = form(b"x", name=clean, purpose=b"user_data")
    made = target.call("openai", "POST", "/openai/v1/files", body, kind)
    path = f"/openai/v1/files/{made['id']}"
    assert target.call("openai", "GET", path)["filename"] == made["filename"]
    got = target.ask(Request(method="GET", target=f"{path}/content", headers=KEYS["openai"]))
    if got.body != b"x":
        raise target.finding(f"a file called {name!r} is not what was sent", answer=got)
    target.call("openai", "DELETE", path)
