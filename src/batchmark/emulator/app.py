"""The emulator as an ASGI application: finds the dialect and the operation, takes in the body, answers, keeps the journal."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from batchmark.emulator.clock import date_header, nanoseconds
from batchmark.emulator.http import Answer, Body, Call, Dialect, Refused, Route, discard, json_answer
from batchmark.emulator.intake import open_intake
from batchmark.emulator.world import World

__all__ = ["App"]

log = logging.getLogger(__name__)

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_PIECE = 1 << 18


class _Gone(Exception):
    """The client went away in the middle of its request."""


class App:
    """Answers every HTTP request; `status` is what `GET /_emulator/status` shows besides the time."""

    def __init__(
        self, world: World, dialects: list[Dialect], *, executor: Executor, key: str | None, status: dict[str, Any]
    ) -> None:
        self._world = world
        self._dialects = dialects
        self._executor = executor
        self._key = key
        self._status = status

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        call = _call(scope)
        dialect = next((one for one in self._dialects if call.path.startswith(one.prefix + "/")), None)
        if dialect is None:
            answer = await self._run(lambda: self._own(call))
            await self._send(answer, send)
            return
        route, others = _route(dialect, call)
        folder: Path | None = None
        try:
            if route is not None and route.body is not Body.MEMORY:
                folder = await self._run(self._world.scratch)
            await self._take_in(call, route, folder, receive)
            # Fault rules belong here: one may answer, delay or drop before the call is handled, or after.
            answer = await self._run(lambda: self._handle(dialect, route, call, others, started))
        except _Gone:
            return
        finally:
            if folder is not None:
                await self._run(lambda: discard(folder))
        await self._send(answer, send)

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _take_in(self, call: Call, route: Route | None, folder: Path | None, receive: _Receive) -> None:
        intake = open_intake(
            Body.MEMORY if route is None else route.body,
            limit=0 if route is None else route.limit,
            folder=folder,
            content_type=call.headers.get("content-type", ""),
        )
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                chunk = message.get("body", b"")
                if chunk:
                    intake.write(chunk)
                if not message.get("more_body", False):
                    break
            intake.finish(call)
        finally:
            intake.close()

    def _handle(self, dialect: Dialect, route: Route | None, call: Call, others: bool, started: float) -> Answer:
        """Everything that may block, in a thread: the key, the handler, the journal."""
        try:
            dialect.admit(call, self._key)
            answer = dialect.unknown(call, other_methods=others) if route is None else route.handler(call)
        except Refused as refused:
            answer = refused.answer
        except Exception:
            log.exception("the emulator failed on a request", extra={"method": call.method, "path": call.path})
            answer = dialect.failure(call)
        if answer.file is not None:
            answer.opened = answer.file.open("rb")
        now = self._world.now()
        answer.headers = {
            "date": date_header(now),
            **dialect.headers(call, round((time.perf_counter() - started) * 1000)),
            **answer.headers,
        }
        self._world.note(
            at_ns=now,
            dialect=dialect.name,
            operation="unknown" if route is None else route.operation,
            method=call.method,
            path=call.path,
            status=answer.status,
            subject=call.subject,
            request_bytes=call.size,
        )
        return answer

    def _own(self, call: Call) -> Answer:
        """The emulator's own pages: what it is, and what it was asked."""
        now = self._world.now()
        if call.method == "GET" and call.path == "/_emulator/journal":
            entries = self._world.journal(
                after=_whole(call.query.get("after"), 0), limit=_whole(call.query.get("limit"), 10_000)
            )
            answer = json_answer({"entries": entries})
        elif call.method == "GET" and call.path == "/_emulator/status":
            scale = self._world.clock().scale
            answer = json_answer({**self._status, "time_scale": scale, "now": nanoseconds(now)})
        else:
            prefixes = [dialect.prefix for dialect in self._dialects]
            answer = json_answer(
                {"error": f"nothing is served at {call.path}", "prefixes": prefixes, "status": "/_emulator/status"},
                status=404,
            )
        answer.headers["date"] = date_header(now)
        return answer

    async def _send(self, answer: Answer, send: _Send) -> None:
        headers = [(b"content-type", answer.content_type.encode())]
        headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        if answer.opened is None:
            headers.append((b"content-length", str(len(answer.body)).encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
            return
        with answer.opened as opened:
            if not answer.chunked:
                size = opened.seek(0, 2)
                opened.seek(0)
                headers.append((b"content-length", str(size).encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            while piece := opened.read(_PIECE):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _call(scope: MutableMapping[str, Any]) -> Call:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    server = scope.get("server") or ("127.0.0.1", 80)
    host = headers.get("host") or f"{server[0]}:{server[1]}"
    return Call(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        base_url=f"{scope.get('scheme', 'http')}://{host}",
        args={},
    )


def _route(dialect: Dialect, call: Call) -> tuple[Route | None, bool]:
    """The operation asked for, and whether another method would have found one at this path."""
    path = call.path[len(dialect.prefix) :]
    others = False
    for route in dialect.routes:
        found = route.pattern.fullmatch(path)
        if found is not None:
            if route.method == call.method:
                call.args = found.groupdict()
                return route, False
            others = True
    return None, others


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else default
