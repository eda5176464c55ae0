"""How each dialect says that something failed: a whole call, one row, or the validation of a batch.

The words are those of the service where they are known, else as plain.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from batchmark.emulator.clock import SECOND, microseconds, ns
from batchmark.emulator.dialects.anthropic_wire import error as anthropic_error
from batchmark.emulator.dialects.gemini_wire import error as gemini_error
from batchmark.emulator.http import Answer, decode, pretty_answer

__all__ = ["call_failure", "rate_limited", "row_failure", "trouble"]

T = TypeVar("T")

_USUAL_RATE = 1_000  # calls a minute
_USUAL_TOKENS = 2_000_000  # a minute

_ANTHROPIC = {
    400: ("invalid_request_error", "The request is invalid"),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "The credit balance is too low"),
    403: ("permission_error", "The API key may not do this"),
    404: ("not_found_error", "Not found"),
    408: ("timeout_error", "The request timed out"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "The rate limit of this organization is exceeded"),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out"),
    529: ("overloaded_error", "Overloaded"),
}
_OPENAI = {
    400: ("invalid_request_error", None, "The request is invalid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", None, "The API key may not do this."),
    404: ("invalid_request_error", None, "There is no such object."),
    409: ("invalid_request_error", None, "The object is in another state."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The service is overloaded. Please try again later."),
}
_OPENAI_QUOTA = "You exceeded your current quota, please check your plan and billing details."
# HTTP status: the name of the google.rpc code, its number, a message
_GOOGLE = {
    400: ("INVALID_ARGUMENT", 3, "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", 16, "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", 7, "The caller does not have permission."),
    404: ("NOT_FOUND", 5, "Requested entity was not found."),
    409: ("ABORTED", 10, "The operation was aborted."),
    429: ("RESOURCE_EXHAUSTED", 8, "Resource has been exhausted (e.g. check quota)."),
    499: ("CANCELLED", 1, "The operation was cancelled."),
    500: ("INTERNAL", 13, "An internal error has occurred."),
    503: ("UNAVAILABLE", 14, "The service is currently unavailable."),
    504: ("DEADLINE_EXCEEDED", 4, "Deadline expired before operation could complete."),
}


def call_failure(
    dialect: str,
    status: int,
    *,
    code: str | None = None,
    message: str | None = None,
    body: str | None = None,
    retry_after: str | None = None,
    now_ns: int = 0,
    limit: int = _USUAL_RATE,
) -> Answer:
    """The answer of a dialect to a call that fails with this status, at the moment `now_ns`; `limit`: of calls a minute.

    With `body` it is that text, as of something that stands between the client and the service.
    """
    if dialect == "openai":
        made = pretty_answer({"error": _openai(status, code, message)}, status=status)
    elif dialect == "anthropic":
        inner = _anthropic(status, code, message)
        made = anthropic_error(inner["type"], inner["message"], status=status)
    else:
        word, _, text = _near(_GOOGLE, status)
        made = gemini_error(
            status, code or word, text if message is None else message, _google_details(status, retry_after)
        )
    if retry_after is not None and (dialect, status) != ("gemini", 429):  # Google says that in the body's details alone
        made.headers["retry-after"] = retry_after
    if body is not None:
        made.body = body.encode()
        made.content_type = "application/json" if _is_json(made.body) else "text/html"
    elif status == 429 and code != "insufficient_quota":
        made.headers |= _limits(dialect, limit, float(retry_after or 1), now_ns)
    return made


def _is_json(text: bytes) -> bool:
    try:
        decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _limits(dialect: str, requests: int, wait_s: float, now_ns: int) -> dict[str, str]:
    """What the headers of a refusal say of the limits: no request is left for so many seconds. Those of tokens are made up,
    and untouched."""
    if dialect == "openai":
        return {
            "x-ratelimit-limit-requests": str(requests),
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": f"{wait_s:g}s",
            "x-ratelimit-limit-tokens": str(_USUAL_TOKENS),
            "x-ratelimit-remaining-tokens": str(_USUAL_TOKENS),
            "x-ratelimit-reset-tokens": "0s",
        }
    if dialect != "anthropic":
        return {}
    made: dict[str, str] = {}
    full = microseconds(now_ns)[:19] + "Z"
    for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
        limit = requests if kind == "requests" else _USUAL_TOKENS
        made[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
        made[f"anthropic-ratelimit-{kind}-remaining"] = "0" if kind == "requests" else str(limit)
        made[f"anthropic-ratelimit-{kind}-reset"] = full
    made["anthropic-ratelimit-requests-reset"] = microseconds(now_ns + ns(wait_s))[:19] + "Z"
    return made


def rate_limited(dialect: str, *, limit: int, reset_ns: int, now_ns: int, message: str | None = None) -> Answer:
    """429 with what each service says of its limit in headers: nothing is left of it until `reset_ns`."""
    wait_s = max(1, -(-(reset_ns - now_ns) // SECOND))
    return call_failure(dialect, 429, message=message, retry_after=str(wait_s), now_ns=now_ns, limit=limit)


def row_failure(dialect: str, status: int, *, code: str | None = None, message: str | None = None) -> dict[str, Any]:
    """The refusal of one row in the shape that the dialect's own rows have."""
    if dialect == "openai":
        return {"status": status, "error": _openai(status, code, message)}
    if dialect == "anthropic":
        return _anthropic(status, code, message)
    found = next((one for one in _GOOGLE.values() if one[1] == status), None) or _near(_GOOGLE, status)
    return {"code": status if status <= 16 else found[1], "message": found[2] if message is None else message}


def trouble(dialect: str, code: str, model: str, tokens: int) -> dict[str, Any]:
    """What a batch that failed its validation says of the reason; `tokens`: the limit of a model's queue."""
    if dialect == "gemini":
        return {"code": 3, "message": f"The batch failed validation: {code}."}
    if code == "token_limit_exceeded":
        message = (
            f"Enqueued token limit reached for {model} in organization org-emulated. "
            f"Limit: {tokens:,} enqueued tokens. "
            "Please try again once some in_progress batches have been completed."
        )
        return {"code": code, "message": message, "param": None, "line": None}
    text = "This line is not parseable as valid JSON." if code == "invalid_json_line" else f"The file has a {code}."
    line = None if code in ("empty_file", "too_many_tasks") or code.endswith("_reached") else 1
    return {"code": code, "message": text, "param": None, "line": line}


def _openai(status: int, code: str | None, message: str | None) -> dict[str, Any]:
    kind, usual, text = _near(_OPENAI, status)
    if code == "insufficient_quota":
        kind, text = code, _OPENAI_QUOTA
    return {"message": text if message is None else message, "type": kind, "param": None, "code": code or usual}


def _anthropic(status: int, code: str | None, message: str | None) -> dict[str, Any]:
    kind, text = _near(_ANTHROPIC, status)
    return {"type": code or kind, "message": text if message is None else message}


def _google_details(status: int, retry_after: str | None) -> list[dict[str, Any]] | None:
    if status != 429:
        return None
    kind = "type.googleapis.com/google.rpc."
    link = {"description": "Learn more about quotas", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}
    details: list[dict[str, Any]] = [{"@type": f"{kind}Help", "links": [link]}]
    if retry_after is not None:
        details.append({"@type": f"{kind}RetryInfo", "retryDelay": f"{retry_after}s"})
    return details


def _near(table: dict[int, T], status: int) -> T:
    """The entry of a status, or of the plainest one of its class."""
    return table.get(status) or table[500 if status >= 500 else 400]
