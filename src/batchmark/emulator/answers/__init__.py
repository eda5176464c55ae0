"""Where the emulator's answers come from: one question in, one reply out, whatever stands behind it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

__all__ = [
    "SOURCES",
    "AnswerSource",
    "AnswersClosed",
    "Ask",
    "AskDropped",
    "Reply",
    "check_answers",
    "never",
    "open_answers",
]

SOURCES = ("auto", "smollm2", "synthetic", "echo", "upstream URL")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One question in the common shape, made by a dialect from a row's body."""

    model: str  # seeds the sampling, so that targets differ
    messages: tuple[tuple[str, str], ...]  # (role, text), roles system|user|assistant
    max_tokens: int | None
    json_schema: str | None = None  # raw JSON schema when the row asks for structured output
    beside: int = 0  # tokens of tools and schemas, which count as input
    tool: str | None = None  # the tool that must be called: the answer is then its arguments, by that schema
    options: tuple[tuple[str, Any], ...] = ()  # how to sample, in OpenAI's words: only for a source that is `verbatim`
    endpoint: str = ""  # where an OpenAI row would be sent, and
    body: bytes | None = None  # what it would send there: only for a source that is `verbatim`


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came back for an ask, with the token counts that the dialect reports as usage."""

    text: str
    finish: Literal["stop", "length"]
    input_tokens: int
    output_tokens: int
    status: int = 200  # another one: the row has failed
    body: str | None = None  # the answer's whole body as one line of JSON, where it is the answer to a `body`


class AnswersClosed(Exception):
    """The source was closed: the ask was not answered and may be asked again of another source."""


class AskDropped(Exception):
    """Nobody waits for this answer any more: its batch was cut off."""


def never() -> bool:
    """For an ask that will be waited for to the end."""
    return False


class AnswerSource(Protocol):
    """Something that answers asks; the emulator keeps all of its slots busy."""

    @property
    def name(self) -> str: ...

    @property
    def slots(self) -> int:
        """How many asks it works on at once (1 where answering costs nothing)."""
        ...

    @property
    def free(self) -> bool:
        """Whether answers cost so little that they are made while the results are written."""
        ...

    @property
    def verbatim(self) -> bool:
        """Whether it takes and gives OpenAI bodies as they are, of any model."""
        ...

    def answer(self, ask: Ask, dropped: Callable[[], bool] = never) -> Reply:
        """Thread-safe and blocking; raises AnswersClosed once closed, AskDropped where `dropped` says so in time."""
        ...

    def tokens_per_s(self) -> float | None:
        """Measured generation speed, None where speed is no matter."""
        ...

    def close(self) -> None:
        """Stops quickly; calls that wait in `answer` raise AnswersClosed."""
        ...


def check_answers(text: str) -> tuple[str, str]:
    """The name of a source and the address of a server, where it has one. Raises ValueError for what names no source."""
    name, _, address = text.strip().partition(" ")
    if name != "upstream" and name.startswith("upstream") and name[8] in ":=":
        name, address = name[:8], name[9:]
    address = address.strip()
    if name == "upstream":
        parts = urlsplit("" if any(letter.isspace() for letter in address) else address)
        try:
            good_port = parts.port != 0
        except ValueError:
            good_port = False
        if (
            not good_port
            or parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
        ):
            raise ValueError(
                f"upstream needs the base URL of a server, such as http://127.0.0.1:8000/v1, not {address!r}"
            )
        if parts.username or parts.password:
            raise ValueError("the address of an upstream may hold no password: put a key into BATCHMARK_UPSTREAM_KEY")
    elif address or name not in SOURCES:
        choice = f"{', '.join(SOURCES[:-1])} or {SOURCES[-1]}"
        raise ValueError(f"no answer source is called {text!r}: choose {choice}")
    return name, address


def open_answers(text: str, *, home: Path, concurrency: int = 8, model: str | None = None) -> AnswerSource:
    """Open the source that `text` names; `auto` takes the real model where installed.

    `upstream URL` is any OpenAI-compatible server: `concurrency` requests at a time, for `model` whatever a row asks for,
    with the key in BATCHMARK_UPSTREAM_KEY. Raises ValueError for what names no source, and for `smollm2` where the model is
    not installed.
    """
    name, address = check_answers(text)
    if name == "upstream":
        from batchmark.emulator.answers.upstream import Upstream

        key = os.environ.get("BATCHMARK_UPSTREAM_KEY", "").strip() or None
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ValueError(
                "BATCHMARK_UPSTREAM_KEY holds what cannot be in a key: a line end, or a letter beyond ASCII"
            )
        return Upstream(address, key=key, concurrency=concurrency, model=model)
    if name in ("auto", "smollm2"):
        from batchmark.emulator.answers import smollm2

        if smollm2.is_installed(home):
            return smollm2.Smollm2(home)
        if name == "smollm2":
            raise ValueError(f"the model smollm2 is not installed under {home}: run `batchmark emulator install-model`")
    if name == "echo":
        from batchmark.emulator.answers.echo import Echo

        return Echo()
    from batchmark.emulator.answers.synthetic import Synthetic

    return Synthetic()
