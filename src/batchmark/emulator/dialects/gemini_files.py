"""Gemini's files: the resumable upload to the letter, simpler uploads, and downloads of what batches wrote."""

from __future__ import annotations

import base64
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.clock import SECOND, nanoseconds
from batchmark.emulator.dialects.gemini_requests import field
from batchmark.emulator.dialects.gemini_wire import (
    NAME,
    answer,
    page_size,
    page_start,
    page_token,
    read_object,
    refused,
)
from batchmark.emulator.http import Answer, Call, Refused
from batchmark.emulator.service import Service
from batchmark.emulator.world import StoredFile

__all__ = ["GeminiFiles"]

_MOST_DESCRIBED = 1_000_000
_GRANULARITY = 1 << 18  # the length of every chunk but the last is a multiple of this


class GeminiFiles:
    """The handlers of `/upload/V/files`, `/V/files…` and `/download/…`."""

    def __init__(self, service: Service) -> None:
        self._world = service.world
        self._most = service.most("gemini", "max_bytes")
        self._room = service.limits["gemini"]["storage_bytes"]
        self._kept_s = service.limits["gemini"]["file_kept_s"]
        self._store = service.world.store

    def upload(self, call: Call) -> Answer:
        if "upload_id" in call.query:
            try:
                return self._chunk(call)
            except Refused as refusal:  # without the header a client would send the same chunk again
                refusal.answer.headers.setdefault("x-goog-upload-status", "final")
                raise
        protocol = call.headers.get("x-goog-upload-protocol", "").lower()
        if protocol == "resumable":
            return self._start(call)
        if call.too_large:
            raise refused(413, "INVALID_ARGUMENT", f"A file may have {self._most} bytes.")
        if protocol == "multipart" or call.headers.get("content-type", "").startswith("multipart/"):
            return self._multipart(call)
        if protocol == "raw" or call.query.get("uploadType") == "media":
            assert call.body_path is not None
            spec = {"mime_type": call.headers.get("content-type", "application/octet-stream")}
            return self._finished(call, call.body_path, spec)
        raise refused(400, "INVALID_ARGUMENT", "The upload protocol is missing: resumable, multipart or raw.")

    # The resumable protocol

    def _start(self, call: Call) -> Answer:
        commands = _commands(call)
        if commands != {"start"}:
            raise refused(400, "INVALID_ARGUMENT", "A resumable upload begins with the command start.")
        if call.size > _MOST_DESCRIBED:  # before it is read into memory
            raise refused(400, "INVALID_ARGUMENT", f"The description of a file may have {_MOST_DESCRIBED} bytes.")
        raw = call.raw_body()
        body = read_object(raw) if raw.strip() else {}
        file = {} if body is None else body.get("file", {})
        if body is None or not isinstance(file, dict):
            raise refused(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        name = self._wanted_name(file)
        declared = call.headers.get("x-goog-upload-header-content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > self._most:
            raise refused(400, "INVALID_ARGUMENT", f"A file may have {self._most} bytes.")
        spec = {
            "name": name,
            "display_name": field(file, "displayName"),
            "mime_type": field(file, "mimeType") or call.headers.get("x-goog-upload-header-content-type"),
            "size": int(declared[:20]) if declared.isascii() and declared.isdigit() else None,
        }
        upload_id = secrets.token_urlsafe(48)
        path = self._world.incoming / f"upload-{secrets.token_hex(12)}"
        path.touch()
        self._store.run(
            "INSERT INTO uploads VALUES (?, 'gemini', ?, ?, 0, 'active', ?)",
            (upload_id, msgspec.json.encode(spec).decode(), path.name, self._world.now()),
        )
        url = f"{call.url(call.path)}?upload_id={upload_id}&upload_protocol=resumable"
        return answer(
            {},
            headers={
                "x-goog-upload-url": url,
                "x-goog-upload-control-url": url,
                "x-goog-upload-status": "active",
                "x-goog-upload-chunk-granularity": str(_GRANULARITY),
            },
        )

    def _chunk(self, call: Call) -> Answer:
        row = self._store.one("SELECT * FROM uploads WHERE id = ? AND dialect = 'gemini'", (call.query["upload_id"],))
        if row is None:
            raise refused(404, "NOT_FOUND", "No such upload.")
        commands = _commands(call)
        received, path = int(row["received"]), self._world.incoming / row["path"]
        if commands == {"query"}:
            return self._progress(row["status"], received)
        if row["status"] != "active":
            raise refused(400, "FAILED_PRECONDITION", "The upload has been finalized already.")
        if commands == {"cancel"}:
            self._end_upload(row["id"], "cancelled")
            path.unlink(missing_ok=True)
            return self._progress("cancelled", received)
        if not commands or not commands <= {"upload", "finalize"}:
            raise refused(400, "INVALID_ARGUMENT", "Unknown upload command.")
        if "upload" in commands:
            offset = call.headers.get("x-goog-upload-offset", "")
            if not (offset.isascii() and offset.isdigit() and len(offset) < 16 and int(offset) == received):
                refusal = refused(400, "INVALID_ARGUMENT", f"The upload stands at offset {received}.")
                refusal.answer.headers["x-goog-upload-status"] = "active"
                refusal.answer.headers["x-goog-upload-size-received"] = str(received)
                raise refusal
            if call.too_large or received + call.size > self._most:
                raise refused(413, "INVALID_ARGUMENT", f"A file may have {self._most} bytes.")
            if "finalize" not in commands and call.size % _GRANULARITY:
                raise refused(400, "INVALID_ARGUMENT", f"A chunk must be a multiple of {_GRANULARITY} bytes.")
            received = self._append(row["id"], path, received, call)
        if "finalize" not in commands:
            return self._progress("active", received)
        spec = msgspec.json.decode(row["spec"])
        if spec.get("size") not in (None, received):
            self._end_upload(row["id"], "cancelled")
            path.unlink(missing_ok=True)
            message = f"The upload has {received} bytes and was said to have {spec['size']}."
            raise refused(400, "INVALID_ARGUMENT", message)
        self._end_upload(row["id"], "final")
        made = self._finished(call, path, spec)
        made.headers["x-goog-upload-status"] = "final"
        return made

    def _append(self, upload_id: str, path: Path, received: int, call: Call) -> int:
        assert call.body_path is not None
        with call.body_path.open("rb") as source, path.open("rb+") as out:
            out.seek(received)  # a chunk that was cut short earlier is overwritten
            shutil.copyfileobj(source, out, 1 << 20)
            out.truncate()
        received += call.size
        self._store.run("UPDATE uploads SET received = ? WHERE id = ?", (received, upload_id))
        return received

    def _end_upload(self, upload_id: str, status: str) -> None:
        self._store.run("UPDATE uploads SET status = ? WHERE id = ?", (status, upload_id))

    def _progress(self, status: str, received: int) -> Answer:
        headers = {"x-goog-upload-status": status, "x-goog-upload-size-received": str(received)}
        return Answer(headers=headers, content_type="text/plain; charset=utf-8")

    # Other uploads

    def _multipart(self, call: Call) -> Answer:
        if call.malformed is not None or len(call.parts) != 2:
            raise refused(400, "INVALID_ARGUMENT", "Expected a part with the metadata and one with the content.")
        described, content = call.parts
        body = read_object(described.path.read_bytes() if described.size < 1 << 20 else b"")
        file = None if body is None else body.get("file", {})
        if not isinstance(file, dict):
            raise refused(400, "INVALID_ARGUMENT", "The metadata part is no JSON object with a file.")
        spec = {
            "name": self._wanted_name(file),
            "display_name": field(file, "displayName"),
            "mime_type": field(file, "mimeType") or content.mime,
        }
        return self._finished(call, content.path, spec)

    def _wanted_name(self, file: dict[str, Any]) -> str | None:
        name = file.get("name")
        if name is None:
            return None
        short = name.removeprefix("files/") if isinstance(name, str) else ""
        if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", short) is None:
            message = "* CreateFileRequest.file.name: a name has 1 to 40 lower-case letters, digits and dashes."
            raise refused(400, "INVALID_ARGUMENT", message)
        if self._world.file("gemini", short) is not None:
            raise refused(409, "ALREADY_EXISTS", f"The file {short} already exists.")
        return short

    def _finished(self, call: Call, path: Path, spec: dict[str, Any]) -> Answer:
        now = self._world.now()
        title, mime = spec.get("display_name"), spec.get("mime_type")
        name = spec.get("name") or ids.lower36(12)
        if self._room is not None and self._world.stored_bytes("gemini") + path.stat().st_size > self._room:
            message = f"The files of this project may have {self._room} bytes together: delete some first."
            raise refused(429, "RESOURCE_EXHAUSTED", message)
        if self._world.has_file_id("gemini", name):
            raise refused(409, "ALREADY_EXISTS", f"The file {name} already exists.")
        stored = self._world.add_file(
            id=name,
            dialect="gemini",
            name=title if isinstance(title, str) else "",
            purpose="uploaded",
            mime=mime if isinstance(mime, str) else "application/octet-stream",
            source=path,
            created_at=now,
            expires_at=None if self._kept_s is None else now + self._kept_s * SECOND,
        )
        call.subject, call.file_name = f"files/{stored.id}", stored.name
        return answer({"file": view(call, stored)})

    # Reading

    def _file(self, call: Call) -> StoredFile:
        name = call.args["id"]
        call.subject = f"files/{name}"
        stored = self._world.file("gemini", name) if re.fullmatch(NAME, name) else None
        if stored is None:
            message = f"You do not have permission to access the File {name[:100]} or it may not exist."
            raise refused(403, "PERMISSION_DENIED", message)
        return stored

    def get(self, call: Call) -> Answer:
        return answer(view(call, self._file(call)))

    def list(self, call: Call) -> Answer:
        size = page_size(call, default=10, most=100)
        found = self._world.list_files("gemini", limit=size + 1, after=page_start(call))
        body: dict[str, Any] = {}
        if found:
            body["files"] = [view(call, stored) for stored in found[:size]]
        if len(found) > size:
            body["nextPageToken"] = page_token(found[size - 1].seq)
        return answer(body)

    def delete(self, call: Call) -> Answer:
        self._world.delete_file(self._file(call))
        return answer({})

    def download(self, call: Call) -> Answer:
        stored = self._file(call)
        if stored.purpose != "generated":
            message = "Only generated files can be downloaded."
            raise refused(400, "INVALID_ARGUMENT", message)
        return Answer(file=stored.path, content_type=stored.mime)


def view(call: Call, stored: StoredFile) -> dict[str, Any]:
    """A File resource; absent where there is nothing to say, as proto-JSON leaves it."""
    found = re.match(r"/gemini/(?:upload/|download/)?(v1beta|v1)/", call.path)
    version = "v1beta" if found is None else found.group(1)
    uri = call.url(f"/gemini/{version}/files/{stored.id}")
    shown: dict[str, Any] = {"name": f"files/{stored.id}"}
    if stored.name:
        shown["displayName"] = stored.name
    shown |= {
        "mimeType": stored.mime,
        "sizeBytes": str(stored.bytes),
        "createTime": nanoseconds(stored.created_at),
        "updateTime": nanoseconds(stored.created_at),
    }
    if stored.expires_at is not None:
        shown["expirationTime"] = nanoseconds(stored.expires_at)
    shown |= {
        "sha256Hash": base64.b64encode(stored.sha256.encode()).decode(),
        "uri": uri,
        "state": "ACTIVE",
        "source": stored.purpose.upper(),
    }
    if stored.purpose == "generated":
        shown["downloadUri"] = f"{uri}:download?alt=media"
    return shown


def _commands(call: Call) -> set[str]:
    listed = call.headers.get("x-goog-upload-command", "")
    return {part.strip().lower() for part in listed.split(",") if part.strip()}
