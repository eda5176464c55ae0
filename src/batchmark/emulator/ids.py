"""Names for the emulator's objects, in each provider's style."""

from __future__ import annotations

import secrets
import string
import uuid

__all__ = ["base58", "base62", "lower36", "request_uuid", "stamped_hex"]

_BASE62 = string.ascii_letters + string.digits
_BASE58 = "".join(sorted(set(_BASE62) - set("0OIl")))
_LOWER36 = string.ascii_lowercase + string.digits


def _some(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


def base62(length: int) -> str:
    return _some(_BASE62, length)


def base58(length: int) -> str:
    return _some(_BASE58, length)


def lower36(length: int) -> str:
    return _some(_LOWER36, length)


def stamped_hex(at_s: int) -> str:
    """32 hex digits, the first 8 being the time: OpenAI's batches and batch requests are named so."""
    return f"{at_s & 0xFFFFFFFF:08x}{secrets.token_hex(12)}"


def request_uuid() -> str:
    return str(uuid.uuid4())
