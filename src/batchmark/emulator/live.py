"""The live page at `/` and the stream of events behind it: what happens in this emulator, as it happens.

All streams share one look at the world, a few times a second and only while somebody watches. A stream that waits holds no
thread. One that is slow to read is sent less often, and then all that has changed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from batchmark.emulator.http import Answer, Call, json_answer
from batchmark.emulator.live_document import document
from batchmark.emulator.live_picture import Looker, Picture, news
from batchmark.emulator.sending import Message, Receive, Send, send_answer
from batchmark.emulator.service import Service

__all__ = ["MOST_STREAMS", "Live"]

log = logging.getLogger(__name__)

MOST_STREAMS = 16
_PACE_S = 0.25  # between two looks
_REST = 5  # a look that takes long is followed by a rest of so many times its length
_BEAT_S = 15.0  # silence after which a comment is sent, so that nothing between takes the stream for dead
_AGAIN_MS = 1_000  # how long a page waits before it connects again


class Live:
    """Serves the page and its streams."""

    def __init__(
        self,
        service: Service,
        *,
        about: Mapping[str, Any],
        run: Callable[[Callable[[], Picture]], Awaitable[Picture]],
    ) -> None:
        """`about`: what this emulator is, as the status page says it; `run` does in a thread what may block."""
        self._looker = Looker(service, about)
        self._run = run
        self._picture: Picture | None = None
        self._turn: asyncio.Future[None] | None = None  # done with the next picture
        self._looking = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._streams = 0

    def page(self) -> Answer:
        text, policy = document()
        return Answer(
            body=text,
            content_type="text/html; charset=utf-8",
            headers={
                "content-security-policy": policy,
                "cache-control": "no-store",
                "cross-origin-resource-policy": "same-origin",
                "referrer-policy": "no-referrer",
                "x-content-type-options": "nosniff",
            },
        )

    async def stream(self, call: Call, receive: Receive, send: Send) -> None:
        """Send events until the client goes away; the call's body must have been read."""
        if self._streams >= MOST_STREAMS:
            message = f"{MOST_STREAMS} pages watch this emulator already, and it serves no more at a time"
            await send_answer(json_answer({"error": message}, status=503, headers={"retry-after": "5"}), receive, send)
            return
        self._streams += 1
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await self._feed(call, send, gone)
        except Exception:
            log.exception("a stream of the live page failed")
            raise
        finally:
            self._streams -= 1
            gone.cancel()

    async def _feed(self, call: Call, send: Send, gone: asyncio.Future[None]) -> None:
        picture = await self._look()
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch(), name="emulator-live")
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _write(send, f"retry: {_AGAIN_MS}\n\n".encode())
        seen_call = _last_seen(call, picture)
        before: Picture | None = None
        while not gone.done():
            turn, picture = self._next(), self._picture or picture
            if picture is not before:
                events, seen_call = news(before, picture, seen_call)
                before = picture
                await _write(send, events)
            elif self._watcher is None or self._watcher.done():
                break
            else:
                await _write(send, b": still here\n\n")
            if not turn.done():
                await asyncio.wait({gone, turn}, timeout=_BEAT_S, return_when=asyncio.FIRST_COMPLETED)
        await send({"type": "http.response.body", "body": b""})

    async def _watch(self) -> None:
        """Look again and again, as long as anybody is there to see it."""
        try:
            took_s = 0.0
            while self._streams:
                await asyncio.sleep(max(_PACE_S, _REST * took_s))
                started = time.perf_counter()
                await self._look()
                took_s = time.perf_counter() - started
        except Exception:
            log.exception("the live page can no longer be kept up to date; its streams end")
        finally:
            self._wake()

    async def _look(self) -> Picture:
        async with self._looking:
            before = self._picture
            picture = await self._run(lambda: self._looker.look(before))
            if picture is not before:
                self._picture = picture
                self._wake()
            return picture

    def _wake(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.set_result(None)

    def _next(self) -> asyncio.Future[None]:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
        return self._turn


def _last_seen(call: Call, picture: Picture) -> int | None:
    """The last entry of this world's journal that the page has, as it says when it connects again."""
    world, _, seq = (call.headers.get("last-event-id") or call.query.get("after", "")).rpartition(".")
    if world != picture.world or not (seq.isascii() and seq.isdigit() and len(seq) < 16):
        return None
    return int(seq) if int(seq) <= picture.last_call else None


async def _gone(receive: Receive) -> None:
    """Returns when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, data: bytes) -> None:
    message: Message = {"type": "http.response.body", "body": data, "more_body": True}
    await send(message)
