"""What sources have in common whose answers cost nothing, and how they count tokens: about four characters each."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from batchmark.emulator.answers import AnswersClosed

__all__ = ["CHARACTERS", "PIXEL", "FreeSource", "count_beside", "count_prompt", "count_tokens"]

CHARACTERS = 4  # of a token
# A transparent one, as PNG in base64.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
_FRAME, _MESSAGE = 3, 4  # tokens around a conversation and around each of its messages


def count_tokens(text: str) -> int:
    """A rough token count."""
    return (len(text) + CHARACTERS - 1) // CHARACTERS


def count_prompt(messages: Iterable[tuple[str, str]]) -> int:
    """The tokens of a conversation of (role, text)."""
    return _FRAME + sum(_MESSAGE + count_tokens(text) for _, text in messages)


def count_beside(*values: object) -> int:
    """The tokens of tools and schemas, as JSON; what is empty costs nothing."""
    return sum(count_tokens(msgspec.json.encode(value).decode()) for value in values if value)


class FreeSource:
    """The part of an answer source that has nothing to wait for and nothing to give back."""

    name: str
    slots = 1
    free = True
    verbatim = False

    def __init__(self) -> None:
        self._closed = False

    def check_open(self) -> None:
        """Raise AnswersClosed once closed."""
        if self._closed:
            raise AnswersClosed(f"the source of answers {self.name} is closed")

    def tokens_per_s(self) -> float | None:
        return None

    def close(self) -> None:
        self._closed = True
