"""How Gemini says things: its errors, its JSON style, its page tokens."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from batchmark.emulator.http import Answer, Call, Refused, decode_object, pretty_answer

__all__ = ["NAME", "answer", "error", "page_size", "page_start", "page_token", "read_object", "refused"]

NAME = r"[a-z0-9-]{1,60}"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"' + r"|'(?:[^'\\]|\\.)*+'", re.DOTALL)
_MARK = re.compile(r'\\.|"', re.DOTALL)
_MARKS = {"\\'": "'", '"': '\\"'}


def answer(value: object, *, headers: dict[str, str] | None = None) -> Answer:
    made = pretty_answer(value, end=b"\n", headers=headers)
    made.content_type = "application/json; charset=UTF-8"
    return made


def error(code: int, status: str, message: str, details: list[dict[str, Any]] | None = None) -> Answer:
    inner: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        inner["details"] = details
    made = answer({"error": inner})
    made.status = code
    return made


def refused(code: int, status: str, message: str, details: list[dict[str, Any]] | None = None) -> Refused:
    return Refused(error(code, status, message, details))


def read_object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, which may have its strings in single quotes: Google's own guides write it so for curl."""
    found = decode_object(raw)
    if found is None and b"'" in raw:
        try:
            found = decode_object(_STRING.sub(_in_double_quotes, raw.decode()).encode())
        except UnicodeDecodeError:
            return None
    return found


def _in_double_quotes(found: re.Match[str]) -> str:
    text = found.group()
    if text[0] == '"':
        return text
    inner = _MARK.sub(lambda mark: _MARKS.get(mark.group(), mark.group()), text[1:-1])
    return f'"{inner}"'


def page_size(call: Call, *, default: int, most: int) -> int:
    """Larger pages than allowed are cut, as the service does."""
    text = call.query.get("pageSize") or call.query.get("page_size") or "0"
    if not (text.isascii() and text.isdigit()):
        raise refused(400, "INVALID_ARGUMENT", f"Invalid value at 'page_size' (TYPE_INT32), \"{text[:40]}\"")
    return min(int(text[:9]) or default, most)


def page_token(position: int) -> str:
    return base64.urlsafe_b64encode(f"after {position}".encode()).decode().rstrip("=")


def page_start(call: Call) -> int | None:
    """The position that a page token names; None for the first page."""
    token = call.query.get("pageToken") or call.query.get("page_token")
    if not token:
        return None
    try:
        word, _, number = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().partition(" ")
        if word == "after" and number.isascii() and number.isdigit() and len(number) < 19:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise refused(400, "INVALID_ARGUMENT", "The page token is invalid.")
