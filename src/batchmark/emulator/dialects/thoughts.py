"""Made-up reasoning: how much of it a model spends before an answer, and what it reads like.

Recorded (2026-08): gpt-5-nano spent 64 and 128 tokens on a line of arithmetic, gemini-2.5-flash 43 and 53; OpenAI counts in
steps of 64. What a model is allowed to write in all is kept, as at the services; that a limit can leave nothing for the
answer is not repeated.
"""

from __future__ import annotations

from zlib import crc32

from batchmark.emulator.answers import Reply
from batchmark.emulator.answers.free import CHARACTERS

__all__ = ["spent", "text_of_thoughts"]

_LEAST, _MOST = 20, 80


def spent(reply: Reply, limit: int | None, *, step: int = 1) -> int:
    """The tokens of reasoning before an answer, which together with it stay below `limit`."""
    wanted = _LEAST + crc32(reply.text.encode("utf-8", "surrogatepass")) % (_MOST - _LEAST)
    wanted = -(-wanted // step) * step
    if limit is None:
        return wanted
    return min(wanted, max(0, limit - reply.output_tokens) // step * step)


def text_of_thoughts(tokens: int) -> str:
    """So many tokens of reasoning."""
    said = "Made-up reasoning: what is asked, what is known, and what follows from it. "
    size = tokens * CHARACTERS
    return (said * (size // len(said) + 1))[:size].rstrip() if tokens else ""
