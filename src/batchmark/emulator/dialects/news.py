"""What each service tells webhooks of a batch that has ended. Anthropic has none for batches."""

from __future__ import annotations

from typing import Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.clock import nanoseconds, seconds
from batchmark.emulator.hooks import Event
from batchmark.emulator.life import Phase
from batchmark.emulator.stored import Batch

__all__ = ["gemini_ping", "news", "openai_event"]

_OPENAI = {
    Phase.SUCCEEDED: "batch.completed",
    Phase.FAILED: "batch.failed",
    Phase.EXPIRED: "batch.expired",
    Phase.CANCELLED: "batch.cancelled",
}


def news(batch: Batch, end: Phase, at_ns: int) -> Event | None:
    """What is told of a batch that ended so at `at_ns`, in emulated nanoseconds."""
    if batch.dialect == "openai":
        return openai_event(_OPENAI[end], batch.id, at_ns)
    return _gemini(batch, end, at_ns) if batch.dialect == "gemini" else None


def openai_event(kind: str, about: str, at_ns: int) -> Event:
    """An event about the object with this id: no more than that it happened."""
    at_s = seconds(at_ns)
    body = {
        "id": f"evt_{ids.stamped_hex(at_s)}",
        "object": "event",
        "created_at": at_s,
        "type": kind,
        "data": {"id": about},
    }
    return Event(id=f"wh_{ids.stamped_hex(at_s)}", type=kind, body=msgspec.json.encode(body), subject=about)


def gemini_ping(about: str, at_ns: int) -> Event:
    """What a webhook is sent on request, to see whether it answers. Its shape is a guess: nobody describes it."""
    return _gemini_event("ping", {}, {}, about, at_ns)


def _gemini(batch: Batch, end: Phase, at_ns: int) -> Event:
    """Envelope and members of `data` as https://ai.google.dev/gemini-api/docs/webhooks has them; where it puts the metadata
    of a job it does not say."""
    name = f"batches/{batch.id}"
    data: dict[str, Any] = {"id": name}
    if end is Phase.SUCCEEDED and batch.outcome is not None and batch.outcome.output_file is not None:
        data["output_file_uri"] = f"files/{batch.outcome.output_file}"
    if end is Phase.FAILED and batch.problems:
        data |= {"error_code": batch.problems[0].get("code"), "error_message": batch.problems[0].get("message")}
    own = batch.spec.get("webhooks") or {}
    marks = own.get("user_metadata")
    more = {} if marks is None else {"user_metadata": marks}
    return _gemini_event(f"batch.{end.value}", data, more, name, at_ns, urls=tuple(own.get("uris") or ()) or None)


def _gemini_event(
    kind: str,
    data: dict[str, Any],
    more: dict[str, Any],
    about: str,
    at_ns: int,
    urls: tuple[str, ...] | None = None,
) -> Event:
    body = {"type": kind, "version": "v1", "timestamp": nanoseconds(at_ns), "data": data, **more}
    return Event(id=f"msg_{ids.base62(27)}", type=kind, body=msgspec.json.encode(body), subject=about, urls=urls)
