"""Delivers webhook events: signed as Standard Webhooks has it, at least once, in no particular order, and to this machine only.

Timestamps that receivers hold against their own clock are the machine's, for an emulated clock is anywhere else.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchmark.emulator.access import is_loopback
from batchmark.emulator.hooks import Event, Hook, Hooks, Notice
from batchmark.emulator.world import World

if TYPE_CHECKING:
    import httpx2

__all__ = ["Courier"]

log = logging.getLogger(__name__)

_AT_ONCE = 4  # a receiver that hangs holds up no other
_TIMEOUT_S = 10.0
_LEASE_S = 3 * _TIMEOUT_S
_TICK_S = 1.0
_ATTEMPTS = 12  # with pauses of 1, 2, 4 … 60 seconds: some eight minutes, where OpenAI's go on for 72 hours
_LONGEST_PAUSE_S = 60.0
_JWT_LIFE_S = 600
_ISSUER = "https://generativelanguage.googleapis.com"
_AGENTS = {"openai": "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"}


class Courier:
    """A thread that looks for events whose time has come. `remote`: whether other machines may be called too."""

    def __init__(self, world: World, hooks: Hooks, *, remote: bool = False) -> None:
        self._world = world
        self._hooks = hooks
        self._remote = remote
        self._stopping = False
        self._loop = (
            asyncio.new_event_loop()
        )  # of its own, since whatever waits for a receiver must be broken off at any time
        self._wake = asyncio.Event()
        self._client: httpx2.AsyncClient | None = None
        self._thread = threading.Thread(target=self._run, name="emulator-courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def nudge(self) -> None:
        """An event may be due now."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing will go out any more
            self._loop.call_soon_threadsafe(self._wake.set)

    def stop(self) -> bool:
        """What is on its way stays in the world and goes out later; whether the thread has ended."""
        self._stopping = True
        if self._thread.ident is None:
            self._loop.close()
            return True
        self.nudge()
        self._thread.join(1.0)
        return not self._thread.is_alive()

    def test(self, hook: Hook, event: Event) -> int:
        """Send an event at once and only once: the status of the answer, 0 for none, -1 for a receiver that is not called."""
        sending = self._post(hook.dialect, hook.url, event.id, event.body, hook.seq)
        try:
            return asyncio.run_coroutine_threadsafe(sending, self._loop).result(2 * _TIMEOUT_S)
        except (RuntimeError, TimeoutError, concurrent.futures.CancelledError):
            sending.close()
            return 0

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())

    async def _serve(self) -> None:
        sending: set[asyncio.Task[None]] = set()
        while not self._stopping:
            self._wake.clear()
            try:
                now_s = time.time()
                for notice in self._hooks.due(self._world.now(), now_s, _AT_ONCE - len(sending)):
                    if self._hooks.take(notice, now_s + _LEASE_S):
                        task = asyncio.ensure_future(self._deliver(notice))
                        sending.add(task)
                        task.add_done_callback(sending.discard)
                left = self._hooks.wait_s(time.time()) if len(sending) < _AT_ONCE else None
            except sqlite3.ProgrammingError:  # the store was closed under us: it is over
                break
            except Exception:
                log.exception("the emulator's courier failed; going on")
                left = None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _TICK_S if left is None else min(max(left, 0.01), _TICK_S))
        others = asyncio.all_tasks() - {asyncio.current_task()}  # tests of endpoints too
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _deliver(self, notice: Notice) -> None:
        try:
            status = await self._post(notice.dialect, notice.url, notice.event, notice.body, notice.hook)
            self._note(notice, status)
            attempts = notice.attempts + 1
            if 200 <= status < 300 or status < 0 or attempts >= _ATTEMPTS:
                self._hooks.drop(notice)
            else:
                self._hooks.again(notice, time.time() + min(2.0 ** (attempts - 1), _LONGEST_PAUSE_S))
        except asyncio.CancelledError:  # cut off by us, and no failure of the receiver's
            with contextlib.suppress(sqlite3.Error):
                self._hooks.again(notice, 0)
            raise
        except Exception:
            log.exception("an event cannot be delivered", extra={"event": notice.event})
        finally:
            self._wake.set()

    async def _post(self, dialect: str, url: str, event: str, body: bytes, hook: int | None) -> int:
        if not self._remote and not is_loopback(urlsplit(url).hostname or ""):
            log.warning("a webhook on another machine is not called: only with --allow-remote", extra={"event": event})
            return -1
        import httpx2

        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)
        stamp = int(time.time())
        if hook is not None:
            signature = self._signed(hook, event, stamp, body)
        else:
            signature = await asyncio.to_thread(self._for_job, url, event, stamp)  # its key may have to be made first
        headers = {
            "content-type": "application/json",
            "user-agent": _AGENTS.get(dialect, "batchmark-emulator"),
            "webhook-id": event,
            "webhook-timestamp": str(stamp),
            "webhook-signature": signature,
        }
        try:
            async with self._client.stream("POST", url, content=body, headers=headers) as answer:
                return answer.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return 0

    def _signed(self, hook: int, event: str, stamp: int, body: bytes) -> str:
        """https://github.com/standard-webhooks/standard-webhooks: one signature for each secret that is good."""
        said = f"{event}.{stamp}.".encode() + body
        made = []
        for secret in self._hooks.secrets_of(hook):
            key = base64.b64decode(secret.removeprefix("whsec_"))
            made.append("v1," + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode())
        return " ".join(made)

    def _for_job(self, url: str, event: str, stamp: int) -> str:
        """Gemini signs for the endpoint of a single job with a token of its own, checked by the keys that it publishes."""
        import jwt

        name, pem = self._hooks.key()
        claims = {"iss": _ISSUER, "aud": url, "iat": stamp, "exp": stamp + _JWT_LIFE_S, "jti": event}
        return jwt.encode(claims, pem, algorithm="RS256", headers={"kid": name})

    def _note(self, notice: Notice, status: int) -> None:
        self._world.note(
            at_ns=self._world.now(),
            dialect=notice.dialect,
            operation="webhooks.deliver",
            method="POST",
            path=urlsplit(notice.url).path or "/",
            status=max(status, 0),
            subject=notice.subject,
            request_bytes=len(notice.body),
        )
