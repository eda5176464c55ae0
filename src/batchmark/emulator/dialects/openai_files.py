"""OpenAI's files: uploads whole or in parts, lists, and downloads."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.clock import SECOND, seconds
from batchmark.emulator.dialects.openai_wire import (
    body_of,
    lifetime,
    maybe,
    page,
    page_limit,
    refused,
    shown,
    text_of,
)
from batchmark.emulator.http import Answer, Call, Part, is_int
from batchmark.emulator.service import Service
from batchmark.emulator.stored import UPLOAD_LASTS_S, StoredFile

__all__ = ["OpenAIFiles"]

_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")


class OpenAIFiles:
    """The handlers of `/files…` and `/uploads…`."""

    name = "openai"

    def __init__(self, service: Service) -> None:
        self._service = service
        self._world = service.world
        self._store = service.world.store

    # Whole files

    def create(self, call: Call) -> Answer:
        form = _form(call)
        file, purpose = form.get("file"), form.get("purpose")
        if file is None:
            raise refused("'file' is a required property", param="file", code="missing_required_parameter")
        if purpose is None:
            raise refused("'purpose' is a required property", param="purpose", code="missing_required_parameter")
        use = purpose.text().strip()
        if use not in _PURPOSES:
            listed = ", ".join(f"'{name}'" for name in _PURPOSES)
            raise refused(f"'{use[:60]}' is not one of [{listed}] - 'purpose'", param="purpose", code="invalid_value")
        self._admit_size(file.size, use)
        anchor, lasts = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
        lasts_s: int | None = None
        if lasts is not None or anchor is not None:
            wanted = lasts.text().strip() if lasts is not None else ""
            number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 16 else None
            lasts_s = _lasting({"anchor": None if anchor is None else anchor.text().strip(), "seconds": number})
        stored = self._add(file.path, name=file.filename or "upload", use=use, mime=file.mime, lasts_s=lasts_s)
        call.subject, call.file_name = stored.id, stored.name
        return shown(file_view(stored))

    def _admit_size(self, size: int, use: str) -> None:
        """Raise Refused for a file that is too large, or has no room beside the others."""
        most = self._service.most(self.name, "max_bytes" if use == "batch" else "max_file_bytes")
        if size > most:
            what = "a batch input file" if use == "batch" else "a file"
            raise refused(f"File is too large: {what} may have {most} bytes, this one has {size}.", status=413)
        room = self._service.limits[self.name]["storage_bytes"]
        if room is not None and self._world.stored_bytes(self.name) + size > room:
            message = f"Your organization has reached its storage limit of {room} bytes: delete files first."
            raise refused(message, code="storage_limit_exceeded")

    def _add(self, source: Path, *, name: str, use: str, mime: str, lasts_s: int | None) -> StoredFile:
        now = self._world.now()
        if lasts_s is None and use == "batch":
            lasts_s = self._service.limits[self.name]["file_kept_s"]
        return self._world.add_file(
            id=f"file-{ids.base62(22)}",
            dialect=self.name,
            name=name,
            purpose=use,
            mime=mime,
            source=source,
            created_at=now,
            expires_at=None if lasts_s is None else now + lasts_s * SECOND,
            sha256="",
        )

    # Uploads in parts

    def start(self, call: Call) -> Answer:
        body = body_of(call)
        name, use, mime = text_of(body, "filename"), text_of(body, "purpose"), text_of(body, "mime_type")
        size = body.get("bytes")
        if use not in _PURPOSES:
            raise refused(f"Invalid value: '{use[:60]}'.", param="purpose", code="invalid_value")
        if not is_int(size) or size < 1:
            raise refused("Invalid 'bytes': expected a positive integer.", param="bytes", code="invalid_value")
        most = self._service.most(self.name, "max_upload_bytes")
        if size > most:
            message = f"Invalid 'bytes': an upload may have {most} bytes."
            raise refused(message, param="bytes", code="integer_above_max_value")
        after = body.get("expires_after")
        spec = {"filename": name, "purpose": use, "mime": mime, "bytes": size, "file": None}
        spec["lasts_s"] = None if after is None else _lasting(after)
        upload_id = f"upload_{ids.stamped_hex(seconds(self._world.now()))}"
        self._store.run(
            "INSERT INTO uploads VALUES (?, 'openai', ?, '', 0, 'pending', ?)",
            (upload_id, msgspec.json.encode(spec).decode(), self._world.now()),
        )
        call.subject = upload_id
        return shown(self._upload_view(*self._upload(call, upload_id)))

    def add_part(self, call: Call) -> Answer:
        row, _ = self._open_upload(call)
        form = _form(call)
        data = form.get("data")
        if data is None:
            raise refused("'data' is a required property", param="data", code="missing_required_parameter")
        most = self._service.most(self.name, "max_part_bytes")
        if data.size > most:
            raise refused(f"A part may have {most} bytes, this one has {data.size}.", status=413, param="data")
        part_id = f"part_{ids.stamped_hex(seconds(self._world.now()))}"
        path = self._world.incoming / f"openai-{part_id}"
        data.path.replace(path)
        created = self._world.now()
        self._store.run(
            "INSERT INTO upload_parts VALUES (?, ?, ?, ?, ?)", (part_id, row["id"], path.name, data.size, created)
        )
        return shown(
            {"id": part_id, "object": "upload.part", "created_at": seconds(created), "upload_id": row["id"]},
        )

    def complete(self, call: Call) -> Answer:
        row, spec = self._open_upload(call)
        body = body_of(call)
        wanted = body.get("part_ids")
        if not isinstance(wanted, list) or not wanted or not all(isinstance(one, str) for one in wanted):
            raise refused("Invalid type for 'part_ids': expected an array of strings.", param="part_ids")
        known = {
            part["id"]: part
            for part in self._store.all("SELECT id, path, bytes FROM upload_parts WHERE upload = ?", (row["id"],))
        }
        missing = next((one for one in wanted if one not in known), None)
        if missing is not None:
            raise refused(f"No such part of this upload: {missing[:100]}", param="part_ids")
        if len(set(wanted)) < len(wanted):
            raise refused("A part is named twice.", param="part_ids")
        size = sum(int(known[one]["bytes"]) for one in wanted)
        if size != spec["bytes"]:
            message = f"The parts have {size} bytes, but the upload was begun with {spec['bytes']}."
            raise refused(message, param="bytes")
        self._admit_size(size, spec["purpose"])
        folder = self._world.scratch()
        whole = folder / "whole"
        try:
            digest = hashlib.md5(usedforsecurity=False)
            with whole.open("wb") as out:
                for one in wanted:
                    with (self._world.incoming / known[one]["path"]).open("rb") as part:
                        while piece := part.read(1 << 20):
                            digest.update(piece)
                            out.write(piece)
            md5 = body.get("md5")
            if md5 is not None and md5 != digest.hexdigest():
                raise refused("The MD5 checksum does not match that of the parts.", param="md5")
            # Only one of two that end an upload at the same time may make its file.
            if not self._store.run(
                "UPDATE uploads SET status = 'completed' WHERE id = ? AND status = 'pending'", (row["id"],)
            ):
                raise self._over("completed")
            stored = self._add(
                whole, name=spec["filename"], use=spec["purpose"], mime=spec["mime"], lasts_s=spec["lasts_s"]
            )
            spec["file"] = stored.id
            self._store.run("UPDATE uploads SET spec = ? WHERE id = ?", (msgspec.json.encode(spec).decode(), row["id"]))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._drop_parts(row["id"])
        call.file_name = stored.name
        return shown(self._upload_view(*self._upload(call, row["id"])))

    def cancel(self, call: Call) -> Answer:
        row, _ = self._open_upload(call)
        self._store.run("UPDATE uploads SET status = 'cancelled' WHERE id = ? AND status = 'pending'", (row["id"],))
        self._drop_parts(row["id"])
        return shown(self._upload_view(*self._upload(call, row["id"])))

    def _drop_parts(self, upload_id: str) -> None:
        for part in self._store.all("SELECT path FROM upload_parts WHERE upload = ?", (upload_id,)):
            (self._world.incoming / part["path"]).unlink(missing_ok=True)
        self._store.run("DELETE FROM upload_parts WHERE upload = ?", (upload_id,))

    def _upload(self, call: Call, upload_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        call.subject = upload_id
        row = self._store.one("SELECT * FROM uploads WHERE id = ? AND dialect = 'openai'", (upload_id,))
        if row is None:
            raise refused(f"No such Upload object: {upload_id[:100]}", status=404, param="id")
        found = dict(row)
        if found["status"] == "pending" and self._world.now() >= found["created_at"] + UPLOAD_LASTS_S * SECOND:
            found["status"] = "expired"
        return found, msgspec.json.decode(found["spec"])

    def _open_upload(self, call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
        row, spec = self._upload(call, call.args["id"])
        if row["status"] != "pending":
            raise self._over(row["status"])
        return row, spec

    @staticmethod
    def _over(status: str) -> Exception:
        return refused(f"The upload is {status} already.", param="id")

    def _upload_view(self, row: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        stored = None if spec["file"] is None else self._world.file(self.name, spec["file"])
        return {
            "id": row["id"],
            "object": "upload",
            "bytes": spec["bytes"],
            "created_at": seconds(row["created_at"]),
            "filename": spec["filename"],
            "purpose": spec["purpose"],
            "status": row["status"],
            "expires_at": seconds(row["created_at"]) + UPLOAD_LASTS_S,
            "file": None if stored is None else file_view(stored),
        }

    # Reading

    def _file(self, call: Call) -> StoredFile:
        call.subject = call.args["id"]
        stored = self._world.file(self.name, call.args["id"])
        if stored is None:
            raise refused(f"No such File object: {call.args['id'][:100]}", status=404, param="id")
        return stored

    def retrieve(self, call: Call) -> Answer:
        return shown(file_view(self._file(call)))

    def list(self, call: Call) -> Answer:
        limit = page_limit(call, default=10_000, most=10_000)
        order = call.query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise refused("Invalid value for 'order': expected 'asc' or 'desc'.", param="order", code="invalid_value")
        after: int | None = None
        if call.query.get("after"):
            known = self._world.file(self.name, call.query["after"])
            if known is None:
                raise refused(f"No such File object: {call.query['after'][:100]}", param="after")
            after = known.seq
        found = self._world.list_files(
            self.name,
            limit=limit + 1,
            after=after,
            newest_first=order == "desc",
            purpose=call.query.get("purpose") or None,
        )
        return page([file_view(one) for one in found[:limit]], more=len(found) > limit)

    def delete(self, call: Call) -> Answer:
        stored = self._file(call)
        self._world.delete_file(stored)
        return shown({"object": "file", "deleted": True, "id": stored.id})

    def content(self, call: Call) -> Answer:
        stored = self._file(call)
        name = re.sub(r'[^\x20-\x7e]|["\\]', "_", stored.name)
        return Answer(
            file=stored.path,
            content_type="application/octet-stream",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )


def _form(call: Call) -> dict[str, Part]:
    if call.malformed is not None or call.body_path is not None:
        trouble = call.malformed or "the content type is not multipart/form-data"
        raise refused(f"Could not parse multipart form: {trouble}.")
    if call.too_large:
        raise refused("File is too large.", status=413)
    return {part.name: part for part in call.parts}


def _lasting(after: object) -> int:
    """The seconds of an `expires_after`. Raises Refused."""
    if not isinstance(after, dict) or after.get("anchor") != "created_at":
        raise refused("Invalid 'expires_after[anchor]': expected 'created_at'.", param="expires_after[anchor]")
    return lifetime(after.get("seconds"), "expires_after[seconds]")


def file_view(stored: StoredFile) -> dict[str, Any]:
    return {
        "object": "file",
        "id": stored.id,
        "purpose": stored.purpose,
        "filename": stored.name,
        "bytes": stored.bytes,
        "created_at": seconds(stored.created_at),
        "expires_at": maybe(stored.expires_at),
        "status": "processed",
        "status_details": None,
    }
