"""HTTP/1.1 by hand: what a well-behaved client library would never send."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["DEADLINE_S", "Answer", "NoAnswer", "Request", "chunked", "exchange", "multipart"]

DEADLINE_S = 15.0


class NoAnswer(Exception):
    """The connection ended, or the deadline passed, without a whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `target` goes out as it stands; a `content-length` is added unless `framed` says that one is there."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    framed: bool = False

    def head(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", "host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if not self.framed and (self.body or self.method in ("POST", "PUT", "PATCH")):
            lines.append(f"content-length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def __str__(self) -> str:
        head = [f"{self.method} {self.target[:200]}"]
        head += [f"{name}: {value[:80]}" for name, value in self.headers]
        return " | ".join(head) + f" | {len(self.body)} bytes: {self.body[:300]!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, whole; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.status} {self.headers.get('content-type')} {self.body[:300]!r}"


def exchange(
    port: int, pieces: Iterable[bytes], *, method: str, half_close: bool = False, deadline_s: float = DEADLINE_S
) -> Answer:
    """Send the pieces, read one answer. A server that answers before it has read all is heard out too."""
    ends = time.monotonic() + deadline_s
    with socket.create_connection(("127.0.0.1", port), timeout=deadline_s) as sock:
        with suppress(ConnectionError):  # it may have answered and gone
            for piece in pieces:
                sock.sendall(piece)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        sock.settimeout(max(0.1, ends - time.monotonic()))
        answer = http.client.HTTPResponse(sock, method=method)
        try:
            answer.begin()
            body = answer.read()
        except TimeoutError as error:
            raise NoAnswer(f"no whole answer within {deadline_s} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"the connection ended without a whole answer: {error!r}") from error
        finally:
            answer.close()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(status=answer.status, headers=headers, body=body)


def multipart(parts: Iterable[tuple[str, bytes]], *, boundary: str = "fuzz") -> bytes:
    """A form of parts, each with its header lines (CRLF between them) and its content."""
    pieces = [f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def chunked(pieces: Iterable[bytes], *, end: bool = True) -> bytes:
    """A body in chunks, with or without its end."""
    whole = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return whole + b"0\r\n\r\n" if end else whole
