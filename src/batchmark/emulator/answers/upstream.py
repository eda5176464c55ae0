"""Answers from any OpenAI-compatible server, such as vLLM or Ollama on the same desk: it gains a Batch API.

Rows of the OpenAI dialect are passed on as they are, to the endpoint that they name, and answered with what came back, word
for word. Rows of the other dialects become chat completions.

What passes by itself is waited for: a server that cannot be reached, is overloaded or still starting is asked again, for as
long as the batch lives. A row that the server fails on, or breaks off at, is asked again a few times, then it has failed.
Every refusal for want of room halves the number of requests at a time, and every answer lets it grow again.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec

from batchmark.emulator.answers import AnswersClosed, Ask, AskDropped, Reply, never

__all__ = ["Upstream"]

_log = logging.getLogger(__name__)

_FAILURES = 4  # answers of 500 and the like to one row, before it counts as failed
_BREAKS = 8  # broken connections likewise: more, because the row beside it may have brought the server down
_OVERLOADED = frozenset({429, 503, 529})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 15.0
_LONGEST_ASKED_S = 120.0  # of what a server asks to wait
_LOOK_S = 0.25  # how often whoever waits looks whether it still should
_ANSWER_S = 1_800.0  # a long answer of a slow model
_MOST_AT_ONCE = 512
_LARGEST = 64_000_000
_STOP_S = 0.5

# No request reached the server, so none can have broken it.
_NOT_REACHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
# Asking again would end in the same.
_HOPELESS = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.DecodingError, httpx2.InvalidURL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What came of one request."""

    kind: Literal["answered", "not reached", "broken off", "hopeless"]
    status: int = 502
    content: bytes = b""
    asked_s: float = 0.0


class Upstream:
    """The server as an answer source. `address`: its base URL, checked before, with or without the final `/v1`."""

    name = "upstream"
    free = False
    verbatim = True

    def __init__(self, address: str, *, key: str | None, concurrency: int, model: str | None) -> None:
        """The server itself may come later. Raises ValueError for too many requests at a time, or none."""
        if not 1 <= concurrency <= _MOST_AT_ONCE:
            raise ValueError(f"an upstream is asked 1 to {_MOST_AT_ONCE} things at a time, not {concurrency}")
        parts = urlsplit(address)
        path = parts.path.rstrip("/")
        self._base = urlunsplit((parts.scheme, parts.netloc, path.removesuffix("/v1"), "", ""))
        self._model = model
        self.slots = concurrency
        self._gate = _Gate(concurrency)
        self._closed = threading.Event()
        self._told: set[str] = set()
        self._client = httpx2.AsyncClient(
            headers={"accept-encoding": "identity", **({"authorization": f"Bearer {key}"} if key else {})},
            timeout=httpx2.Timeout(_ANSWER_S, connect=10.0),
            limits=httpx2.Limits(max_connections=concurrency + 2, max_keepalive_connections=concurrency + 2),
            follow_redirects=False,  # the key goes to this address and to no other
            trust_env=False,
        )
        # Requests live on a loop of their own, where one that nobody waits for can be given up at once.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="emulator-upstream", daemon=True)
        self._thread.start()

    def models(self) -> list[str]:
        """The names that the server lists; none where it cannot be asked now."""
        asked = asyncio.run_coroutine_threadsafe(self._client.get(f"{self._base}/v1/models", timeout=5.0), self._loop)
        try:
            found = msgspec.json.decode(asked.result(10).content)
            return [str(one["id"]) for one in found["data"] if isinstance(one.get("id"), str)]
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            TimeoutError,
            msgspec.DecodeError,
            KeyError,
            TypeError,
            AttributeError,
        ):
            asked.cancel()
            return []

    def answer(self, ask: Ask, dropped: Callable[[], bool] = never) -> Reply:
        path, body = self._request(ask)
        failures = breaks = waits = 0
        while True:
            self._gate.enter(lambda: self._closed.is_set() or dropped())
            try:
                self._check(dropped)
                got = self._send("POST", path, body, dropped)
            finally:
                self._gate.leave()
            if got.kind == "hopeless":
                return _reply(ask, got.status, got.content)
            if got.kind == "broken off":
                breaks += 1
            elif got.kind == "answered":
                if got.status < 500 and got.status not in (408, *_OVERLOADED):
                    self._gate.went_well()
                    return _reply(ask, got.status, got.content)
                if got.status in _OVERLOADED:
                    self._gate.too_much()
                elif got.status == 502:  # a proxy whose server broke off
                    breaks += 1
                else:
                    failures += 1
            if failures >= _FAILURES or breaks >= _BREAKS:
                return _reply(ask, got.status, got.content)
            waits += 1
            self._wait(max(got.asked_s, _backoff_s(waits)), dropped)
            # A server that is down for a while, behind a proxy or not, is no fault of the row.
            while (got.kind == "broken off" or got.status == 502) and not self._lives(dropped):
                waits += 1
                self._wait(_backoff_s(waits), dropped)

    def _lives(self, dropped: Callable[[], bool]) -> bool:
        """Whether the server answers anything but its own failure."""
        found = self._send("GET", "/v1/models", b"", dropped)
        return found.kind == "answered" and (found.status < 500 or found.status == 501)

    def tokens_per_s(self) -> float | None:
        return None

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        self._gate.wake()
        closing = asyncio.run_coroutine_threadsafe(self._shut(), self._loop)
        try:
            closing.result(_STOP_S)
        except (TimeoutError, concurrent.futures.CancelledError, httpx2.HTTPError, RuntimeError) as error:
            _log.info("the upstream's connections did not close in time: %s", type(error).__name__)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _shut(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()

    def _request(self, ask: Ask) -> tuple[str, bytes]:
        if ask.body is not None:
            body = ask.body
            if self._model is not None:
                body = msgspec.json.encode({**msgspec.json.decode(body), "model": self._model})
            return ask.endpoint, body
        chat: dict[str, Any] = {
            "model": self._model or ask.model,
            "messages": [{"role": role, "content": text} for role, text in ask.messages],
            **dict(ask.options),
        }
        if ask.max_tokens is not None:
            chat["max_tokens"] = ask.max_tokens
        if ask.json_schema is not None:
            schema = {"name": "answer", "schema": msgspec.Raw(ask.json_schema.encode())}
            chat["response_format"] = {"type": "json_schema", "json_schema": schema}
        return "/v1/chat/completions", msgspec.json.encode(chat)

    def _send(self, method: str, path: str, body: bytes, dropped: Callable[[], bool]) -> _Answer:
        """Ask once, and look up now and then: a request that nobody waits for any more is broken off."""
        try:
            asked = asyncio.run_coroutine_threadsafe(self._ask(method, path, body), self._loop)
        except RuntimeError as error:  # the loop was closed at this moment
            raise AnswersClosed("the upstream is closed") from error
        try:
            while True:
                try:
                    return asked.result(_LOOK_S)
                except TimeoutError:
                    if asked.done():
                        raise
                    self._check(dropped)
                except concurrent.futures.CancelledError as error:
                    raise AnswersClosed("the upstream is closed") from error
        finally:
            asked.cancel()

    async def _ask(self, method: str, path: str, body: bytes) -> _Answer:
        headers = {"content-type": "application/json"}
        try:
            async with self._client.stream(method, f"{self._base}{path}", content=body, headers=headers) as got:
                pieces, size = [], 0
                async for piece in got.aiter_bytes(1 << 16):
                    size += len(piece)
                    if size > _LARGEST:
                        return _Answer(kind="hopeless")
                    pieces.append(piece)
                asked_s = _asked_s(got.headers.get("retry-after"))
                return _Answer(kind="answered", status=got.status_code, content=b"".join(pieces), asked_s=asked_s)
        except _NOT_REACHED as error:
            self._tell(error)
            return _Answer(kind="not reached")
        except _HOPELESS as error:
            self._tell(error)
            return _Answer(kind="hopeless")
        except httpx2.HTTPError as error:
            self._tell(error)
            return _Answer(kind="broken off")

    def _tell(self, error: Exception) -> None:
        """Once for each kind of trouble: it may last for hours."""
        name = type(error).__name__
        if name not in self._told:
            self._told.add(name)
            _log.warning("the upstream server at %s gives no answer (%s); going on", self._base, name)

    def _check(self, dropped: Callable[[], bool]) -> None:
        if self._closed.is_set():
            raise AnswersClosed("the upstream is closed")
        if dropped():
            raise AskDropped

    def _wait(self, seconds: float, dropped: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._closed.wait(min(left, _LOOK_S))
            self._check(dropped)
        self._check(dropped)


class _Gate:
    """Lets so many requests through at a time as the server has shown to bear."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)
        self._inside = 0
        self._cut_at = -1e9
        self._room = threading.Condition()

    def enter(self, given_up: Callable[[], bool]) -> None:
        with self._room:
            while self._inside >= max(1, int(self._allowed)) and not given_up():
                self._room.wait(_LOOK_S)
            self._inside += 1

    def leave(self) -> None:
        with self._room:
            self._inside -= 1
            self._room.notify()

    def went_well(self) -> None:
        with self._room:
            self._allowed = min(self._most, self._allowed + 1 / max(1.0, self._allowed))

    def too_much(self) -> None:
        with self._room:
            now = time.monotonic()
            if now - self._cut_at > 1:  # the refusals of one moment are one piece of news
                self._cut_at = now
                self._allowed = max(1.0, self._allowed / 2)

    def wake(self) -> None:
        with self._room:
            self._room.notify_all()


def _backoff_s(waits: int) -> float:
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(waits - 1, 10)) * random.uniform(0.75, 1.0)


def _asked_s(text: str | None) -> float:
    """What a `retry-after` asks for, in seconds."""
    if text is None:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_ASKED_S) if seconds == seconds else 0.0


def _reply(ask: Ask, status: int, content: bytes) -> Reply:
    """What the server said, as a reply of the kind that was asked for."""
    body = _object(content)
    said = None if body is None else _said(body)
    understood = body is not None if ask.body is not None else said is not None
    if status < 400 and not (status < 300 and understood):
        status, body = 502, None
    if body is None:
        message = "The upstream server's answer is not what an OpenAI-compatible server answers."
        body = {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
        content = msgspec.json.encode(body)
    asked, made = _tokens(body)
    if status >= 400 or ask.body is not None:
        text = _trouble(body) if status >= 400 else ""
        whole = msgspec.json.format(content, indent=-1).decode()  # on one line, its numbers as they are written
        return Reply(text=text, finish="stop", input_tokens=asked, output_tokens=made, status=status, body=whole)
    assert said is not None
    return Reply(text=said[0], finish="length" if said[1] else "stop", input_tokens=asked, output_tokens=made)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(content) if len(content) <= _LARGEST else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _said(body: dict[str, Any]) -> tuple[str, bool] | None:
    """The text of a chat completion, and whether it was cut."""
    try:
        choice = body["choices"][0]
        text = choice["message"].get("content")
        return text if isinstance(text, str) else "", choice.get("finish_reason") == "length"
    except (KeyError, IndexError, TypeError, AttributeError):
        return None


def _trouble(body: dict[str, Any]) -> str:
    error = body.get("error", body)
    message = error.get("message") if isinstance(error, dict) else error
    return message[:500] if isinstance(message, str) else "the upstream server refused the request"


def _tokens(body: dict[str, Any]) -> tuple[int, int]:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return 0, 0
    found = [usage.get(name, usage.get(other)) for name, other in _USAGE]
    asked, made = (one if isinstance(one, int) and not isinstance(one, bool) and one >= 0 else 0 for one in found)
    return asked, made


_USAGE = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
