"""Answers that say the question again: the last message, word for word. For tests that must know every answer beforehand."""

from __future__ import annotations

from collections.abc import Callable

from batchmark.emulator.answers import Ask, Reply, never
from batchmark.emulator.answers.free import CHARACTERS, FreeSource, count_prompt, count_tokens

__all__ = ["Echo"]


class Echo(FreeSource):
    """The source that repeats what it was asked last, cut where the limit of tokens falls."""

    name = "echo"

    def answer(self, ask: Ask, dropped: Callable[[], bool] = never) -> Reply:
        self.check_open()
        text = ask.messages[-1][1] if ask.messages else ""
        asked = count_prompt(ask.messages)
        tokens = count_tokens(text)
        if ask.max_tokens is not None and tokens > ask.max_tokens:
            kept = max(ask.max_tokens, 0)
            return Reply(text=text[: kept * CHARACTERS], finish="length", input_tokens=asked, output_tokens=kept)
        return Reply(text=text, finish="stop", input_tokens=asked, output_tokens=tokens)
