"""The emulator as an ASGI application: finds the dialect and the operation, takes in the body, answers, keeps the journal."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from batchmark.emulator.access import TURNED_AWAY, admitted, shows_key
from batchmark.emulator.clock import date_header
from batchmark.emulator.control import CONTROL_LIMIT, Control
from batchmark.emulator.dialects.failures import call_failure
from batchmark.emulator.fault_desk import Deeds
from batchmark.emulator.http import Answer, Body, Call, Dialect, Refused, Route, discard, json_answer
from batchmark.emulator.intake import open_intake
from batchmark.emulator.live import Live
from batchmark.emulator.sending import Message, Receive, Send, hang_up, send_answer
from batchmark.emulator.service import Service

__all__ = ["App"]

log = logging.getLogger(__name__)

_NO_KEY = "\x00"  # equal to no key that a header can hold

# A proxy that stands in for the services passes on their names: what they have at the root lies under a prefix here.
_HOSTS = {
    "api.openai.com": "/openai",
    "api.anthropic.com": "/anthropic",
    "generativelanguage.googleapis.com": "/gemini",
}


class _Gone(Exception):
    """The client went away in the middle of its request."""


class App:
    """Answers every HTTP request, with whatever faults are in force."""

    def __init__(
        self,
        service: Service,
        dialects: list[Dialect],
        *,
        executor: Executor,
        key: str | None,
        control: Control,
        guarded: bool = False,
    ) -> None:
        """`guarded`: even its own pages want the key."""
        self._service = service
        self._world = service.world
        self._dialects = dialects
        self._executor = executor
        self._key = key
        self._faults = service.faults
        self._control = control
        self._guarded = guarded
        self._live = Live(service, about=control.about, run=self._run)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        call = _call(scope)
        dialect = next((one for one in self._dialects if f"{call.path}/".startswith(one.prefix + "/")), None)
        if dialect is None:
            await self._answer_own(call, scope, receive, send)
            return
        route, others = _route(dialect, call)
        folder: Path | None = None
        deeds: Deeds | None = None
        try:
            if route is not None and route.body is not Body.MEMORY:
                folder = await self._run(self._world.scratch)
            await self._take_in(call, route, folder, receive)
            if route is not None and self._faults.may_strike(dialect.name, route.operation):
                operation = route.operation
                deeds = await self._run(lambda: self._struck(dialect, operation, call))
            if deeds is not None and deeds.delay_s:
                await asyncio.sleep(deeds.delay_s)
            answer = await self._run(lambda: self._handle(dialect, route, call, others, started, deeds))
        except _Gone:
            return
        except Exception:  # a call that cannot even be taken in is answered all the same
            log.exception("the emulator failed on a request", extra={"method": call.method, "path": call.path})
            answer, deeds = dialect.failure(call), None
        finally:
            if folder is not None:
                await self._run(lambda: discard(folder))
        if deeds is not None and (deeds.drop_before or deeds.drop_after):
            if answer.opened is not None:
                answer.opened.close()
            await hang_up(receive, send)
            return
        if deeds is not None and deeds.late_s:
            await asyncio.sleep(deeds.late_s)
        await send_answer(answer, receive, send, deeds)

    async def _answer_own(self, call: Call, scope: Message, receive: Receive, send: Send) -> None:
        try:
            await self._take_in(call, None, None, receive, limit=CONTROL_LIMIT)
        except _Gone:
            return
        client = (scope.get("client") or (None,))[0]
        if not admitted(client, call.headers):
            answer = json_answer({"error": TURNED_AWAY}, status=403)
        elif self._guarded and self._key is not None and not shows_key(call.headers, self._key):
            wanted = {"www-authenticate": 'Basic realm="batchmark emulator: any name, and the key as password"'}
            answer = json_answer({"error": "send the key that this emulator admits"}, status=401, headers=wanted)
        elif call.path == "/_emulator/events" and call.method == "GET":
            await self._live.stream(call, receive, send)
            return
        elif call.path == "/" and call.method in ("GET", "HEAD"):
            answer = self._live.page()
        else:
            answer = await self._run(lambda: self._control.answer(call))
        answer.headers["date"] = date_header(await self._run(self._world.now))
        await send_answer(answer, receive, send)

    def _struck(self, dialect: Dialect, operation: str, call: Call) -> Deeds | None:
        try:
            dialect.admit(call, self._key)
        except Refused:
            return None  # it comes to nothing anyway, and counts for no rule
        deeds = self._faults.on_call(dialect, operation, call)
        return deeds if deeds.texts or deeds.revoked else None

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _take_in(
        self, call: Call, route: Route | None, folder: Path | None, receive: Receive, limit: int = 0
    ) -> None:
        intake = open_intake(
            Body.MEMORY if route is None else route.body,
            limit=limit if route is None else route.limit,
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

    def _answer(self, dialect: Dialect, route: Route | None, call: Call, others: bool) -> Answer:
        """The dialect's answer. Where a file was deleted between the look for it and its opening, look once more."""
        for again in (True, False):
            try:
                answer = dialect.unknown(call, other_methods=others) if route is None else route.handler(call)
                if answer.file is not None:
                    answer.opened = answer.file.open("rb")
                return answer
            except FileNotFoundError:
                if not again:
                    raise
        raise AssertionError("unreachable")

    def _handle(
        self, dialect: Dialect, route: Route | None, call: Call, others: bool, started: float, deeds: Deeds | None
    ) -> Answer:
        """Everything that may block, in a thread: the key, the handler, the journal."""
        try:
            dialect.admit(call, _NO_KEY if deeds is not None and deeds.revoked else self._key)
            self._service.admit_call(dialect.name)
            if deeds is not None and deeds.drop_before:
                answer = Answer(status=0)
            elif deeds is not None and deeds.status is not None:
                answer = call_failure(
                    dialect.name,
                    deeds.status,
                    code=deeds.code,
                    message=deeds.message,
                    body=deeds.body,
                    retry_after=deeds.retry_after,
                    now_ns=self._world.now(),
                )
                answer.headers |= deeds.headers
            else:
                answer = self._answer(dialect, route, call, others)
        except Refused as refused:
            answer = refused.answer
        except Exception:
            log.exception("the emulator failed on a request", extra={"method": call.method, "path": call.path})
            answer = dialect.failure(call)
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
            batch_seq=call.stored,
            file_name=call.file_name,
            faults=() if deeds is None else deeds.texts,
        )
        return answer


def _call(scope: Message) -> Call:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    server = scope.get("server") or ("127.0.0.1", 80)
    # A proxy that ends TLS says how it was called: what we give out must lead back through it.
    host = headers.get("x-forwarded-host") or headers.get("host") or f"{server[0]}:{server[1]}"
    scheme = headers.get("x-forwarded-proto") or scope.get("scheme", "http")
    before = headers.get("x-forwarded-prefix", "").rstrip("/")
    path = scope["path"]
    if "://" in path[:10]:  # as clients write it that take us for a proxy
        target = urlsplit(path)
        host, path = target.netloc or host, target.path or "/"
    mounted = _HOSTS.get(host.partition(":")[0].lower(), "")
    if mounted and not path.startswith(f"{mounted}/"):
        path = mounted + path
    else:
        mounted = ""
    return Call(
        method=scope["method"],
        path=path,
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        mounted=mounted,
        base_url=f"{scheme.partition(',')[0].strip()}://{host.partition(',')[0].strip()}{before}",
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
