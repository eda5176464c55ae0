"""Where the emulator's answers come from: one question in, one reply out, whatever stands behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import msgspec

__all__ = ["AnswerSource", "AnswersClosed", "Ask", "Reply", "open_answers"]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One question in the common shape, made by a dialect from a row's body."""

    model: str  # seeds the sampling, so that targets differ
    messages: tuple[tuple[str, str], ...]  # (role, text), roles system|user|assistant
    max_tokens: int | None
    json_schema: str | None = None  # raw JSON schema when the row asks for structured output


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came back for an ask, with the token counts that the dialect reports as usage."""

    text: str
    finish: Literal["stop", "length"]
    input_tokens: int
    output_tokens: int


class AnswersClosed(Exception):
    """The source was closed: the ask was not answered and may be asked again of another source."""


class AnswerSource(Protocol):
    """Something that answers asks; the emulator keeps all of its slots busy."""

    @property
    def name(self) -> str: ...

    @property
    def slots(self) -> int:
        """How many asks it works on at once (1 where answering costs nothing)."""
        ...

    def answer(self, ask: Ask) -> Reply:
        """Thread-safe and blocking; raises AnswersClosed once closed."""
        ...

    def tokens_per_s(self) -> float | None:
        """Measured generation speed, None where speed is no matter."""
        ...

    def close(self) -> None:
        """Stops quickly; calls that wait in `answer` raise AnswersClosed."""
        ...


def open_answers(name: str, *, home: Path) -> AnswerSource:
    """Open the source called `auto`, `smollm2` or `synthetic`; `auto` takes the real model where installed.

    Raises ValueError for another name and for `smollm2` where the model is not installed.
    """
    if name not in ("auto", "smollm2", "synthetic"):
        raise ValueError(f"no answer source is called {name!r}: choose auto, smollm2 or synthetic")
    if name != "synthetic":
        from batchmark.emulator.answers import smollm2

        if smollm2.is_installed(home):
            return smollm2.Smollm2(home)
        if name == "smollm2":
            raise ValueError(f"the model smollm2 is not installed under {home}: run `batchmark emulator install-model`")
    from batchmark.emulator.answers.synthetic import Synthetic

    return Synthetic()
