"""How Anthropic says things: its errors, its pages."""

from __future__ import annotations

from collections.abc import Sequence

from batchmark.emulator import ids
from batchmark.emulator.http import Answer, Call, Refused, json_answer

__all__ = ["error", "page", "paging", "refused", "request_id"]


def request_id() -> str:
    return f"req_011{ids.base58(21)}"


def error(kind: str, message: str, *, status: int) -> Answer:
    name = request_id()
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": name}
    return json_answer(body, status=status, headers={"request-id": name})


def refused(kind: str, message: str, *, status: int = 400) -> Refused:
    return Refused(error(kind, message, status=status))


def paging(call: Call) -> tuple[int, str | None, str | None]:
    """The size of the page that a call asks for, and the ids behind or before which it begins. Raises Refused."""
    text = call.query.get("limit", "20")
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= 1000):
        raise refused("invalid_request_error", "limit: Input should be between 1 and 1000")
    after, before = call.query.get("after_id") or None, call.query.get("before_id") or None
    if after is not None and before is not None:
        raise refused("invalid_request_error", "only one of after_id and before_id may be given")
    return int(text), after, before


def page(items: Sequence[object], names: Sequence[str], *, more: bool) -> Answer:
    """`names`: the ids of the items."""
    first, last = (names[0], names[-1]) if names else (None, None)
    return json_answer({"data": items, "has_more": more, "first_id": first, "last_id": last})
