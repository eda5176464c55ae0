"""Names for the emulator's objects, in each provider's style."""

from __future__ import annotations

import os
import random
import string

__all__ = ["base58", "base62", "hex32", "lower36", "request_uuid", "stamped_hex"]

# Names must be unlike, not secret: no call of the system for each, of which every line of results needs several.
_random = random.Random(os.urandom(32))
_BASE62 = string.ascii_letters + string.digits
_BASE58 = "".join(sorted(set(_BASE62) - set("0OIl")))
_LOWER36 = string.ascii_lowercase + string.digits


def _table(letters: str) -> bytes:
    """Every byte to a letter: the slight bias is no matter for a name, and one call makes the whole name."""
    return bytes(ord(letters[byte % len(letters)]) for byte in range(256))


_TO_BASE62, _TO_BASE58, _TO_LOWER36 = _table(_BASE62), _table(_BASE58), _table(_LOWER36)


def base62(length: int) -> str:
    return _random.randbytes(length).translate(_TO_BASE62).decode()


def base58(length: int) -> str:
    return _random.randbytes(length).translate(_TO_BASE58).decode()


def lower36(length: int) -> str:
    return _random.randbytes(length).translate(_TO_LOWER36).decode()


def hex32() -> str:
    return _random.randbytes(16).hex()


def stamped_hex(at_s: int) -> str:
    """32 hex digits, the first 8 being the time: OpenAI's batches and batch requests are named so.

    In all recorded ones the digits after the twelfth are 8190.
    """
    made = _random.randbytes(10).hex()
    return f"{at_s & 0xFFFFFFFF:08x}{made[:4]}8190{made[4:]}"


def request_uuid() -> str:
    """A random UUID, at half the price of the standard library's: one is made for every result line."""
    raw = _random.randbytes(16).hex()
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"
