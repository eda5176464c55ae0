"""Delivers webhook events: signed as Standard Webhooks has it, at least once, in no particular order, and to this machine only.

Timestamps that receivers hold against their own clock are the machine's, for an emulated clock is anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchmark.emulator.access import is_loopback
from batchmark.emulator.hooks import Hook, Hooks, Notice
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
        self._client: httpx2.Client | None = None
        self._making = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._changed = threading.Condition()
        self._nudged = False
        self._in_flight = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="emulator-courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def nudge(self) -> None:
        """An event may be due now."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def stop(self) -> bool:
        """What is on its way stays in the world and goes out later; whether the thread has ended."""
        self._stopping = True
        self.nudge()
        if self._thread.ident is None:
            return True
        self._thread.join(1.0)
        for _ in range(
            2
        ):  # so that no delivery waits on for its receiver, and once more for one that was about to begin
            if self._client is not None:
                self._client.close()
            if self._pool is not None:
                self._pool.shutdown(wait=True)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            try:
                now_s = time.time()
                free = _AT_ONCE - self._in_flight
                for notice in self._hooks.due(self._world.now(), now_s, free):
                    if not self._stopping and self._hooks.take(notice, now_s + _LEASE_S):
                        with self._changed:
                            self._in_flight += 1
                        self._ready_pool().submit(self._deliver, notice)
                left = self._hooks.wait_s(time.time()) if self._in_flight < _AT_ONCE else None
            except (sqlite3.ProgrammingError, RuntimeError):  # the store was closed under us, or the pool: it is over
                return
            except Exception:
                log.exception("the emulator's courier failed; going on")
                left = None
            with self._changed:
                if not self._nudged and not self._stopping:
                    self._changed.wait(_TICK_S if left is None else min(max(left, 0.01), _TICK_S))
                self._nudged = False

    def _ready_pool(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="emulator-webhook")
        return self._pool

    def _ready_client(self) -> httpx2.Client:
        with self._making:  # one, whichever thread needs it first: a second would never be closed
            if self._client is None:
                import httpx2

                self._client = httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)
            return self._client

    def _deliver(self, notice: Notice) -> None:
        try:
            status = self._post(notice.dialect, notice.url, notice.event, notice.body, notice.hook)
            if self._stopping and status == 0:  # cut off by us, and no failure of the receiver's
                self._hooks.again(notice, 0)
                return
            self._note(notice, status)
            attempts = notice.attempts + 1
            if 200 <= status < 300 or status < 0 or attempts >= _ATTEMPTS:
                self._hooks.drop(notice)
            else:
                self._hooks.again(notice, time.time() + min(2.0 ** (attempts - 1), _LONGEST_PAUSE_S))
        except sqlite3.Error:
            if not self._stopping:
                log.exception("cannot record the delivery of an event", extra={"event": notice.event})
        except Exception:
            log.exception("an event cannot be delivered", extra={"event": notice.event})
        finally:
            with self._changed:
                self._in_flight -= 1
            self.nudge()

    def test(self, hook: Hook, event: str, body: bytes) -> int:
        """Send an event at once and only once: the status of the answer, 0 for none, -1 for a receiver that is not called."""
        return self._post(hook.dialect, hook.url, event, body, hook.seq)

    def _post(self, dialect: str, url: str, event: str, body: bytes, hook: int | None) -> int:
        import httpx2

        if not self._remote and not is_loopback(urlsplit(url).hostname or ""):
            log.warning("a webhook on another machine is not called: only with --allow-remote", extra={"event": event})
            return -1
        stamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": _AGENTS.get(dialect, "batchmark-emulator"),
            "webhook-id": event,
            "webhook-timestamp": str(stamp),
            "webhook-signature": self._for_job(url, event, stamp)
            if hook is None
            else self._signed(hook, event, stamp, body),
        }
        try:
            with self._ready_client().stream("POST", url, content=body, headers=headers) as answer:
                return answer.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL, RuntimeError):  # the last: the client was closed by `stop`
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
