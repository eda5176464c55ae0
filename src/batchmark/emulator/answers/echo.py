"""Answers that say the question again: the last message, word for word. For tests that must know every answer beforehand."""

from __future__ import annotations

from collections.abc import Callable

from batchmark.emulator.answers import AnswersClosed, Ask, Reply, never
from batchmark.emulator.answers.synthetic import count_tokens

__all__ = ["Echo"]

_CHARACTERS = 4  # of a token


class Echo:
    """The source that repeats what it was asked last, cut where the limit of tokens falls."""

    name = "echo"
    slots = 1
    free = True
    verbatim = False

    def __init__(self) -> None:
        self._closed = False

    def answer(self, ask: Ask, dropped: Callable[[], bool] = never) -> Reply:
        if self._closed:
            raise AnswersClosed("the echo is closed")
        text = ask.messages[-1][1] if ask.messages else ""
        asked = 3 + sum(4 + count_tokens(one) for _, one in ask.messages)
        tokens = count_tokens(text)
        if ask.max_tokens is not None and tokens > ask.max_tokens:
            kept = max(ask.max_tokens, 0)
            return Reply(text=text[: kept * _CHARACTERS], finish="length", input_tokens=asked, output_tokens=kept)
        return Reply(text=text, finish="stop", input_tokens=asked, output_tokens=tokens)

    def tokens_per_s(self) -> float | None:
        return None

    def close(self) -> None:
        self._closed = True
