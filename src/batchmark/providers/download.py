"""Streaming results to disk, in a thread: it takes half of the processor time that an event loop does, and leaves the loop free."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2

from batchmark.errors import LocalTrouble

__all__ = ["Downloads"]


class Downloads:
    """Downloads from one provider. `guard` sees every request before it leaves, redirects included, and `note` every answer."""

    def __init__(
        self,
        *,
        timeout: httpx2.Timeout,
        guard: Callable[[httpx2.Request], None],
        note: Callable[[httpx2.Response], None],
    ) -> None:
        self._timeout = timeout
        self._hooks: dict[str, list[Callable[..., Any]]] = {"request": [guard], "response": [note]}
        self._client: httpx2.Client | None = None

    async def save(self, url: str, headers: Mapping[str, str], path: Path) -> str:
        """Stream an answer to `path`: to a `.part` first, synced, then renamed, so that a file under its name is complete. Returns its
        SHA-256.

        Raises httpx2 errors where the stream breaks or its length is not the one announced, LocalTrouble where the disk refuses.
        """
        given_up = threading.Event()
        if self._client is None:
            self._client = httpx2.Client(timeout=self._timeout, follow_redirects=True, event_hooks=self._hooks)
        try:
            return await asyncio.to_thread(_save, self._client, url, dict(headers), path, given_up)
        except asyncio.CancelledError:
            # the thread cannot be stopped, but what it waits for can
            given_up.set()
            self.close()
            raise

    def close(self) -> None:
        """Break off what is under way."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _save(client: httpx2.Client, url: str, headers: dict[str, str], path: Path, given_up: threading.Event) -> str:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code != 200:
                response.read()
                raise httpx2.HTTPStatusError(str(response.status_code), request=response.request, response=response)
            sha = hashlib.sha256()
            # chunks as they come: to have them in a size of our own would cost two more copies of every byte
            with part.open("wb", buffering=1 << 20) as file:
                for chunk in response.iter_bytes():
                    if given_up.is_set():
                        raise httpx2.ReadError("given up", request=response.request)
                    file.write(chunk)
                    sha.update(chunk)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            return sha.hexdigest()
    except OSError as error:
        raise LocalTrouble(
            f"{path} cannot be written: {error.strerror or error}; what was saved before is safe",
            hint="check the disk, then try again",
        ) from None
    finally:
        if part.parent.is_dir():
            part.unlink(missing_ok=True)
