"""How many tokens a request has, roughly and without a network.

Four characters of Latin text, or four bytes of other scripts, are about one token, with four more for each message and each request.
Against real tokenizers that is right within about 30 % for prose and worse for code, so an estimate is a range and says how it was made.
"""

from __future__ import annotations

from batchmark.domain.request import ChatRequest, EmbeddingRequest, Request, Text, ToolCall, ToolResult

__all__ = ["SPREAD", "UncountedPart", "input_tokens"]

# How far the true count may lie from the estimate, either way.
SPREAD = 0.3
_PER_MESSAGE = 4
_PER_REQUEST = 4


class UncountedPart(Exception):
    """The request holds an image, a file, or a body without a common shape, whose tokens cannot be told from here."""


def input_tokens(request: Request) -> int:
    """Tokens that the provider will read. Raises UncountedPart."""
    if isinstance(request, EmbeddingRequest):
        if not request.texts:
            raise UncountedPart
        return sum(_of_text(text) for text in request.texts)
    if not isinstance(request, ChatRequest) or "input" in request.unknown:
        raise UncountedPart
    tokens = _PER_REQUEST + _PER_MESSAGE * len(request.messages)
    for message in request.messages:
        if isinstance(message.content, str):
            tokens += _of_text(message.content)
            continue
        for part in message.content:
            match part:
                case Text():
                    tokens += _of_text(part.text)
                case ToolCall():
                    tokens += _of_text(part.arguments)
                case ToolResult():
                    tokens += _of_text(part.content)
                case _:
                    raise UncountedPart
    for tool in request.tools:
        tokens += _of_text(f"{tool.name} {tool.description or ''} {tool.parameters or ''}")
    if request.schema is not None:
        tokens += _of_text(str(request.schema))
    return tokens


def _of_text(text: str) -> int:
    size = len(text) if text.isascii() else len(text.encode())
    return (size + 3) // 4
