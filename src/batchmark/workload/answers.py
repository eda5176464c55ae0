"""Writing answers: one JSON object per row of the user's file, in its order, with the user's own columns beside ours."""

from __future__ import annotations

from typing import Any

import msgspec

from batchmark.domain.result import Failure, Outcome
from batchmark.domain.usage import Usage

__all__ = ["Answer", "Carried", "decode_carried", "encode_answer", "encode_carried"]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One line of `answers.jsonl`. Where the outcome is succeeded, it holds text (with `parsed` where JSON was asked for), tool_calls,
    `embedding` for a row of one text, or `embeddings` for a row of several.

    `row` counts from 0 in the user's file; `cost_usd` is None where no price is known; `attempt` counts from 1.
    """

    custom_id: str | int | None
    row: int
    outcome: Outcome
    text: str | None
    finish_reason: str | None
    usage: Usage | None
    cost_usd: float | None
    provider: str
    model: str
    batch_id: str
    attempt: int
    error: Failure | None
    embedding: list[float] | msgspec.UnsetType = msgspec.UNSET
    parsed: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    embeddings: list[list[float]] | msgspec.UnsetType = msgspec.UNSET


class Carried(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What is kept beside a shard for each of its rows, so that answers need the user's file no more.

    `columns` is raw JSON of an object or null; `wants_json` is set where the request asked for JSON.
    """

    row: int
    custom_id: str | int | None
    columns: msgspec.Raw
    wants_json: bool


_encode = msgspec.json.Encoder().encode
decode_carried = msgspec.json.Decoder(Carried).decode
_NULL = msgspec.Raw(b"null")


def encode_carried(row: int, custom_id: str | int | None, columns: bytes | None, wants_json: bool) -> bytes:
    """One line of a shard's side file."""
    return _encode(Carried(row, custom_id, msgspec.Raw(columns) if columns else _NULL, wants_json)) + b"\n"


def encode_answer(answer: Answer, columns: msgspec.Raw) -> bytes:
    """One line of the answers file: ours first, then the user's columns."""
    line = _encode(answer)
    tail = bytes(columns)
    # neither null nor {}
    if tail[:1] == b"{" and len(tail) > 2:
        return b"".join((line[:-1], b",", tail[1:], b"\n"))
    return line + b"\n"
