"""What the encoders share: what stands around a request's messages is made once for rows that differ in nothing else, and an encoded
request can get another wire id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from batchmark.domain.request import ChatRequest

__all__ = ["Surroundings", "with_id"]

_T = TypeVar("_T")

_to_json = msgspec.json.Encoder().encode


class Surroundings(Generic[_T]):
    """`make(request, model)`, remembered for the last request: rows of a file mostly share all but their messages.

    What is shared is told by identity, which is quick and never takes 1 for true in somebody's schema.
    """

    __slots__ = ("_last", "_make")

    def __init__(self, make: Callable[[ChatRequest, str], _T]) -> None:
        self._make = make
        # replaced whole, so threads may share it
        self._last: tuple[ChatRequest, str, _T] | None = None

    def __call__(self, request: ChatRequest, model: str) -> _T:
        last = self._last
        if last is not None and last[1] == model:
            other = last[0]
            if (
                request.settings is other.settings
                and request.tools is other.tools
                and request.schema is other.schema
                and request.tool_choice is other.tool_choice
                and request.schema_name is other.schema_name
                and request.schema_strict is other.schema_strict
                and request.json_only is other.json_only
                and request.unknown is other.unknown
            ):
                return last[2]
        made = self._make(request, model)
        # the messages are not kept alive
        self._last = (msgspec.structs.replace(request, messages=(), verbatim=None), model, made)
        return made


def with_id(line: bytes, before: bytes, after: bytes, wire_id: str) -> bytes:
    """An encoded request with another wire id, where it stands between `before` at the line's start and `after`.

    Raises ValueError where the line does not begin so.
    """
    # inside a JSON string every quote has a backslash before it, so `after`, which begins with a quote and a comma, ends the id
    end = line.find(after, len(before)) if line.startswith(before) else -1
    if end < 0:
        raise ValueError("the line is no request of ours: it does not begin with its id")
    return b"".join((before[:-1], _to_json(wire_id), line[end + 1 :]))
