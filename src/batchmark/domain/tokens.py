"""How many tokens a request has, told without a network.

A `Counter` is one way to tell. The one that is always there goes by length: four characters of Latin text, or four bytes of other scripts,
are about one token, with four more for each message and each request. Against real tokenizers that is right within about 30 % for prose
and worse for code, so an estimate is a range and says how it was made. A tokenizer counts the same texts more closely, and a sample that
the provider counted scales either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

from batchmark.domain.request import ChatRequest, EmbeddingRequest, Request, Text, ToolCall, ToolResult

__all__ = [
    "BY_LENGTH",
    "FLOOR",
    "SPREAD",
    "Counter",
    "UncountedPart",
    "calibrated",
    "input_tokens",
    "percent",
    "tokenized",
]

# How far the true count may lie from one by length, either way.
SPREAD = 0.3
# No count from outside the provider is closer than this: what stands around the messages differs from model to model.
FLOOR = 0.02
_PER_MESSAGE = 4
_PER_REQUEST = 4


def percent(share: float, decimals: int = 0) -> str:
    """A spread as it is read."""
    return f"{share * 100:.{decimals}f} %"


class UncountedPart(Exception):
    """The request holds an image, a file, or a body without a common shape, whose tokens cannot be told from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """One way to count the tokens of a request.

    `count` raises UncountedPart. What it gives times `ratio` is the best figure; the truth is expected within `spread` of that, either
    way. `name` is short, `words` is what a reader is told. `sampled` is how many requests the provider counted for it.
    """

    name: str
    words: str
    count: Callable[[Request], int]
    spread: float
    ratio: float = 1.0
    sampled: int = 0


def _by_length(text: str) -> int:
    size = len(text) if text.isascii() else len(text.encode())
    return (size + 3) // 4


def input_tokens(request: Request, of_text: Callable[[str], int] = _by_length) -> int:
    """Tokens that the provider will read, where `of_text` tells those of a text. Raises UncountedPart."""
    if isinstance(request, EmbeddingRequest):
        if not request.texts:
            raise UncountedPart
        return sum(of_text(text) for text in request.texts)
    if not isinstance(request, ChatRequest) or "input" in request.unknown:
        raise UncountedPart
    tokens = _PER_REQUEST + _PER_MESSAGE * len(request.messages)
    for message in request.messages:
        if isinstance(message.content, str):
            tokens += of_text(message.content)
            continue
        for part in message.content:
            match part:
                case Text():
                    tokens += of_text(part.text)
                case ToolCall():
                    tokens += of_text(part.arguments)
                case ToolResult():
                    tokens += of_text(part.content)
                case _:
                    raise UncountedPart
    for tool in request.tools:
        tokens += of_text(f"{tool.name} {tool.description or ''} {tool.parameters or ''}")
    if request.schema is not None:
        tokens += of_text(str(request.schema))
    return tokens


BY_LENGTH = Counter(
    name="length",
    words=f"tokens by length of text, right within about {percent(SPREAD)}",
    count=input_tokens,
    spread=SPREAD,
)


def tokenized(name: str, words: str, of_text: Callable[[str], int], spread: float) -> Counter:
    """A counter that asks a tokenizer for the tokens of each text."""
    return Counter(name=name, words=words, count=lambda request: input_tokens(request, of_text), spread=spread)


def calibrated(counter: Counter, ours: Sequence[int], exact: Sequence[int], *, of_rows: int) -> Counter:
    """`counter` scaled by what the provider counted for the same requests, a random sample of `of_rows` rows.

    The ratio is that of the sums. Its spread is the 95 % interval of a ratio estimate by linearization (Cochran, Sampling Techniques, 3rd
    ed., section 6.4), with Student's t, the correction for a finite file, and never less than `FLOOR`; of fewer than two requests none can
    be told, so the counter's own stays. Raises ValueError where there is nothing to compare.
    """
    n, ours_sum, exact_sum = len(ours), sum(ours), sum(exact)
    if n != len(exact) or ours_sum <= 0 or exact_sum <= 0:
        raise ValueError("the sample holds no request whose tokens can be compared")
    ratio = exact_sum / ours_sum
    spread = counter.spread
    if n > 1:
        squares = sum((theirs - ratio * mine) ** 2 for mine, theirs in zip(ours, exact, strict=True))
        error = sqrt(squares / (n - 1) / n * max(0.0, 1 - n / max(of_rows, n))) * n / exact_sum
        spread = min(max(_t_95(n - 1) * error, FLOOR), 1.0)
    rows = "row" if n == 1 else "rows"
    words = (
        f"tokens by {counter.name} times {ratio:.3f}, as the provider counted {n:,} random {rows}, "
        f"right within {percent(spread, 1)}"
    )
    return replace(counter, words=words, ratio=ratio * counter.ratio, spread=spread, sampled=n)


# Student's t that leaves 2.5 % above it, where the expansion below is not close enough yet
_T_FEW = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


def _t_95(freedom: int) -> float:
    """Student's t for a 95 % interval: the expansion in 1/freedom around the normal distribution (Abramowitz and Stegun 26.7.5)."""
    if freedom in _T_FEW:
        return _T_FEW[freedom]
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
