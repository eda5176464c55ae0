"""Who may see the emulator's own pages: programs and browsers on this machine, but no site that a browser has open.

A proxy on this machine stands for others, so what came through one is turned away, as far as it says so. Where the emulator
serves other machines its own pages want the key too, for not every proxy says so.

A site can have its visitor's browser call loopback. It is told by its name, which then stands in `Host` (a name made to
point here, as in DNS rebinding) or in `Origin`.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["TURNED_AWAY", "admitted", "is_loopback", "shows_key"]

TURNED_AWAY = "the emulator's own pages are only for this machine: ask for them under localhost or a loopback address"


_THROUGH_A_PROXY = frozenset({"forwarded", "x-real-ip", "via", "cf-connecting-ip", "true-client-ip"})


def admitted(client: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a call from the address `client` comes from this machine and no foreign site is behind it."""
    if client is None or not is_loopback(client) or not _names_loopback(headers.get("host", "")):
        return False
    if any(name in _THROUGH_A_PROXY or name.startswith("x-forwarded-") for name in headers):
        return False
    origin = headers.get("origin")
    return origin is None or _names_loopback(urlsplit(origin).netloc)


def shows_key(headers: Mapping[str, str], key: str) -> bool:
    """Whether a call brings the key: as programs do, or as the password that a browser asks for."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    found = headers.get("x-api-key") or given.strip()
    return hmac.compare_digest(found.encode(), key.encode())


def _names_loopback(authority: str) -> bool:
    """Whether `HOST` or `HOST:PORT` is a name or an address of loopback."""
    bracketed = authority.startswith("[")
    host, _, port = authority.removeprefix("[").partition("]" if bracketed else ":")
    port = port.removeprefix(":") if bracketed else port
    if port and not (port.isascii() and port.isdigit()):
        return False
    return is_loopback(host.lower())


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
