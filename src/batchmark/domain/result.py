"""What became of one request."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from batchmark.domain.usage import Usage

__all__ = ["Failure", "Outcome", "Result", "is_retryable"]


class Outcome(StrEnum):
    """The kind of ending. `missing`: the batch ended without a line for this request."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    MISSING = "missing"


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why a request has no usable answer, in the provider's words; `retryable` where asking again may help."""

    code: str
    message: str
    retryable: bool


class Result(msgspec.Struct, frozen=True, gc=False):
    """The answer to one request, or the lack of one, as decoded from one line of a raw result file.

    `wire_id` is ours as the provider gave it back. `refused` content is an errored outcome, not an empty answer. `embedding` is the
    vector of a request of one text, `embeddings` are those of a request of several, in the order of its texts.
    """

    wire_id: str
    outcome: Outcome
    text: str | None = None
    embedding: list[float] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    error: Failure | None = None
    model: str | None = None
    embeddings: list[list[float]] | None = None


def is_retryable(status: int | None, code: str) -> bool:
    """Whether a failed line is worth another attempt: rate limits, server errors and lost requests are, the row's own faults are not.

    OpenAI writes `status_code: 0` for requests that it lost; `insufficient_quota` and billing stops do not pass by waiting.
    """
    if "insufficient_quota" in code or "billing" in code:
        return False
    if status is not None:
        return status in (0, 408, 409, 425, 429) or status >= 500
    return any(
        word in code
        for word in (
            "rate_limit",
            "overloaded",
            "timeout",
            "api_error",
            "server_error",
            "expired",
            "unavailable",
        )
    )
