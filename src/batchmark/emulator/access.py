"""Who may see the emulator's own pages: programs and browsers on this machine, but no site that a browser has open.

A site can have its visitor's browser call loopback. It is told by its name, which then stands in `Host` (a name made to
point here, as in DNS rebinding) or in `Origin`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["TURNED_AWAY", "admitted"]

TURNED_AWAY = "the emulator's own pages are only for this machine: ask for them under localhost or a loopback address"


def admitted(client: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a call from the address `client` comes from this machine and no foreign site is behind it."""
    if client is None or not _is_loopback(client) or not _names_loopback(headers.get("host", "")):
        return False
    origin = headers.get("origin")
    return origin is None or _names_loopback(urlsplit(origin).netloc)


def _names_loopback(authority: str) -> bool:
    """Whether `HOST` or `HOST:PORT` is a name or an address of loopback."""
    bracketed = authority.startswith("[")
    host, _, port = authority.removeprefix("[").partition("]" if bracketed else ":")
    port = port.removeprefix(":") if bracketed else port
    if port and not (port.isascii() and port.isdigit()):
        return False
    return host.lower() == "localhost" or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
