"""Answers that say the question again: the last message, word for word. For tests that must know every answer beforehand."""

from __future__ import annotations

from collections.abc import Callable

from batchmark.emulator.answers import Ask, Reply, never
from batchmark.emulator.answers.free import CHARACTERS, FreeSource, count_prompt, count_tokens
from batchmark.emulator.answers.synthetic import Synthetic

__all__ = ["Echo"]


class Echo(FreeSource):
    """The source that repeats what it was asked last, cut where the limit of tokens falls; where JSON is asked for, it is made up."""

    name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self._structured = Synthetic()

    def answer(self, ask: Ask, dropped: Callable[[], bool] = never) -> Reply:
        self.check_open()
        if ask.json_schema is not None:  # a question said again would fit no schema, and no client could read it
            return self._structured.answer(ask, dropped)
        text = ask.messages[-1][1] if ask.messages else ""
        asked = count_prompt(ask.messages) + ask.beside
        tokens = count_tokens(text)
        if ask.max_tokens is not None and tokens > ask.max_tokens:
            kept = max(ask.max_tokens, 0)
            return Reply(text=text[: kept * CHARACTERS], finish="length", input_tokens=asked, output_tokens=kept)
        return Reply(text=text, finish="stop", input_tokens=asked, output_tokens=tokens)
