"""What the three clients share below their SDKs: one HTTP client with guards, streaming to disk, and what an error status means."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2

from batchmark.errors import (
    Ambiguous,
    BadCredentials,
    BatchmarkError,
    NotFound,
    RateLimited,
    Refused,
    Retryable,
    redact,
)
from batchmark.providers.download import Downloads

__all__ = [
    "Link",
    "from_nonsense",
    "from_reply",
    "from_transport",
    "parse_retry_after",
    "plain_name",
]

_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class Link:
    """The HTTP client that an SDK is given.

    It remembers the provider's clock from the last answer, and sends the key to no other origin than the configured one, whatever a
    redirect or a URL inside an answer says.
    """

    def __init__(self, provider: str, base_url: str, *, read_timeout_s: float = 120.0) -> None:
        self.provider = provider
        self.base_url = httpx2.URL(base_url)
        self.server_time: datetime | None = None
        timeout = httpx2.Timeout(read_timeout_s, connect=10.0)
        self.http = httpx2.AsyncClient(
            timeout=timeout,
            follow_redirects=True,
            event_hooks={"request": [self._guard], "response": [self._note_time]},
        )
        self._downloads = Downloads(timeout=timeout, guard=self._keep_key, note=self._note)

    def same_origin(self, url: httpx2.URL) -> bool:
        ours = self.base_url
        return (url.scheme, url.host, url.port) == (ours.scheme, ours.host, ours.port)

    def _keep_key(self, request: httpx2.Request) -> None:
        if not self.same_origin(request.url):
            for name in _KEY_HEADERS:
                request.headers.pop(name, None)

    def _note(self, response: httpx2.Response) -> None:
        try:
            self.server_time = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError):
            return

    async def _guard(self, request: httpx2.Request) -> None:
        self._keep_key(request)

    async def _note_time(self, response: httpx2.Response) -> None:
        self._note(response)

    async def save(self, url: str, headers: Mapping[str, str], path: Path) -> str:
        """Stream an answer to `path`, whole or not at all, and return its SHA-256. See `Downloads.save`."""
        return await self._downloads.save(url, headers, path)

    async def close(self) -> None:
        self._downloads.close()
        await self.http.aclose()


def plain_name(id_: str) -> str:
    """An id out of an answer as part of a file name of ours: it leads out of no folder."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", id_)[:128]


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (seconds or an HTTP date); None where there is none to read."""
    try:
        if "retry-after-ms" in headers:
            wait = float(headers["retry-after-ms"]) / 1000
        elif (text := headers.get("retry-after")) is None:
            return None
        else:
            try:
                wait = float(text)
            except ValueError:
                wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(0.0, wait) if math.isfinite(wait) else None


def from_reply(
    provider: str,
    action: str,
    *,
    status: int,
    code: str | None,
    message: str,
    retry_after_s: float | None = None,
    creating: bool = False,
    bad_key: bool = False,
    secret: str | None = None,
) -> BatchmarkError:
    """What an error answer means for us. `creating`: a 5xx, 408 or 409 leaves open whether the batch was stored."""
    said = redact(message, secret).strip().rstrip(".").replace("\n", " ")[:500]
    where = f"{provider} ({status}{', ' + code if code else ''})"
    if bad_key or status == 401:
        return BadCredentials(
            f"{provider} does not accept the API key: {said} ({status})",
            hint=f"check the key for {provider}, or add --emulate to work offline",
        )
    if status == 403 and not creating:
        return BadCredentials(
            f"{provider} does not allow this key to {action}: {said} ({status})",
            hint="check the key's project and permissions, and the id",
        )
    if creating and (not 400 <= status < 500 or status in (408, 409)):
        return Ambiguous(f"{where} gave no clear answer to {action}: {said}; the batch may exist")
    if status == 429:
        if code and ("insufficient_quota" in code or "billing" in code):
            return Refused(
                f"{where} refused to {action}: {said}",
                hint="check the account's billing",
                status=status,
                code=code,
            )
        return RateLimited(f"{where} asks to wait before it will {action}: {said}", retry_after_s=retry_after_s)
    if status == 404:
        return NotFound(
            f"{provider} cannot {action}: {said} (404)",
            hint=f"see the ids with: batchmark {provider} list",
            status=status,
            code=code,
        )
    if status >= 500 or status == 408:
        return Retryable(f"{where} could not {action}: {said}", retry_after_s=retry_after_s)
    return Refused(f"{where} refused to {action}: {said}", status=status, code=code)


def from_transport(
    provider: str, action: str, error: BaseException, base_url: str, *, creating: bool = False
) -> BatchmarkError:
    """What a broken connection means for us. Where no connection was made at all, nothing was sent, so nothing can exist."""
    reason = str(error) or type(error).__name__
    cause = error.__cause__
    while cause is not None and not str(error).strip().rstrip("."):
        reason, cause = str(cause) or type(cause).__name__, cause.__cause__
    inner = error if isinstance(error, httpx2.HTTPError) else error.__cause__
    if isinstance(inner, httpx2.HTTPError) and str(inner):
        reason = str(inner)
    never_sent = isinstance(
        inner, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.UnsupportedProtocol
    )
    if creating and not never_sent:
        return Ambiguous(f"no answer from {provider} to {action} ({reason}); the batch may exist")
    return Retryable(
        f"cannot reach {provider} at {redact(base_url)} to {action}: {reason}",
        hint="check the network and the base URL; nothing is lost, try again later",
    )


def from_nonsense(provider: str, action: str, error: ValueError, *, creating: bool = False) -> BatchmarkError:
    """What an answer of success means for us that is not the JSON it should be: a proxy's page, a cut body, a change of the API."""
    reason = redact(str(error)).strip().rstrip(".").replace("\n", " ")[:200]
    if creating:
        return Ambiguous(
            f"{provider} answered {action} with something else than a batch ({reason}); the batch may exist"
        )
    return Retryable(
        f"{provider} answered {action} with something that is not understood: {reason}",
        hint="check the base URL and any proxy in between",
    )
