"""Puts an answer on the wire, whole or, where a fault asks for it, cut, slow or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from batchmark.emulator.fault_desk import Deeds
from batchmark.emulator.http import Answer

__all__ = ["Message", "Receive", "Send", "hang_up", "send_answer"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_PIECE = 1 << 18
_BEAT_S = 0.05  # how often a throttled answer sends something


async def send_answer(answer: Answer, receive: Receive, send: Send, deeds: Deeds | None = None) -> None:
    """Send it all, unless `deeds` has other plans."""
    headers = [(b"content-type", answer.content_type.encode())]
    headers += [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": headers}
    if answer.opened is None:
        headers.append((b"content-length", str(len(answer.body)).encode()))
        if deeds is None:
            await send(start)
            await send({"type": "http.response.body", "body": answer.body})
            return
        await _send_oddly(start, lambda at, size: answer.body[at : at + size], len(answer.body), receive, send, deeds)
        return
    with answer.opened as opened:
        size = opened.seek(0, 2)
        opened.seek(0)
        if not answer.chunked:
            headers.append((b"content-length", str(size).encode()))
        if deeds is not None:
            await _send_oddly(start, lambda at, length: opened.read(length), size, receive, send, deeds)
            return
        await send(start)
        while piece := opened.read(_PIECE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _send_oddly(
    start: Message, read: Callable[[int, int], bytes], size: int, receive: Receive, send: Send, deeds: Deeds
) -> None:
    end = size if deeds.truncate is None else int(size * deeds.truncate)
    piece_bytes = _PIECE if deeds.bytes_per_s is None else max(1, min(_PIECE, int(deeds.bytes_per_s * _BEAT_S)))
    pause_at = end // 2 if deeds.stall_s else None
    await send(start)
    at = 0
    while at < end:
        wanted = min(piece_bytes, end - at)
        if pause_at is not None and at < pause_at:
            wanted = min(wanted, pause_at - at)
        piece = read(at, wanted)
        if not piece:
            break
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        at += len(piece)
        if at == pause_at:
            await asyncio.sleep(deeds.stall_s)
        if deeds.bytes_per_s is not None:
            await asyncio.sleep(len(piece) / deeds.bytes_per_s)
    if deeds.truncate is not None:
        await hang_up(receive, send)
    else:
        await send({"type": "http.response.body", "body": b""})


async def hang_up(receive: Receive, send: Send) -> None:
    """Close the connection under the answer. ASGI has no word for it, so this asks the server's own transport."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("this server's connections cannot be closed from here")
    transport.close()  # what was sent before still arrives
    while (await receive())["type"] != "http.disconnect":
        pass
