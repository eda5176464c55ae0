"""What every test may count on: no network but loopback, no real keys, and homes of its own."""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchmark.emulator import Emulator, EmulatorOptions

# What could lead a test to a real account or through a proxy of this machine.
_FOREIGN = ("_API_KEY", "_BASE_URL", "_AUTH_TOKEN", "_ORG_ID", "_PROJECT_ID", "_PROXY", "_proxy")


def _is_local(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """A test that reaches for the network fails where it does so."""
    connect, connect_ex, lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(address: Any) -> None:
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise RuntimeError(f"a test tried to reach {address[0]!r}: only loopback is allowed")

    def guarded(self: socket.socket, address: Any) -> None:
        check(address)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        check(address)
        return connect_ex(self, address)

    def guarded_lookup(host: Any, *args: Any, **more: Any) -> Any:
        check((host,))
        return lookup(host, *args, **more)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    patch.setattr(socket.socket, "connect_ex", guarded_ex)
    patch.setattr(socket, "getaddrinfo", guarded_lookup)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """Every SDK client reads all root certificates, 30 ms or more each time, and no test speaks TLS."""
    patch = pytest.MonkeyPatch()
    patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, base URL or proxy of this machine, and a BATCHMARK_HOME of the test's own."""
    for name in list(os.environ):
        if name.endswith(_FOREIGN) or (name.startswith("BATCHMARK_") and name != "BATCHMARK_RECORDINGS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BATCHMARK_HOME", str(tmp_path / "home"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder to keep things in."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator of its own for each test, where everything happens at once."""
    with Emulator(EmulatorOptions(home=tmp_path / "cloud", profile="instant", answers="synthetic")) as running:
        yield running
