"""Token counts as the provider reports them. `input_tokens` includes cached and cache-write tokens, on every provider."""

from __future__ import annotations

import msgspec

__all__ = ["NO_USAGE", "Usage"]


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer, or of many summed.

    `cached_tokens` and `cache_write_tokens` are part of `input_tokens`; `reasoning_tokens` is part of `output_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


NO_USAGE = Usage()
