"""How OpenAI says things: its errors, its pages, its times."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from batchmark.emulator.clock import seconds
from batchmark.emulator.http import Answer, Call, Refused, decode_object, is_int, pretty_answer

__all__ = ["body_of", "error", "lifetime", "maybe", "page", "page_limit", "refused", "shown", "text_of"]

_LEAST_S, _MOST_S = 3_600, 2_592_000


def shown(value: object) -> Answer:
    """An object, in the style of the service's answers about files."""
    return pretty_answer(value, end=b"\n")


def error(
    message: str,
    *,
    status: int = 400,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> Answer:
    inner = {"message": message, "type": kind, "param": param, "code": code}
    return pretty_answer({"error": inner}, status=status)


def refused(message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> Refused:
    return Refused(error(message, status=status, param=param, code=code))


def body_of(call: Call, known: Collection[str] | None = None) -> dict[str, Any]:
    """The JSON object that a call brings, with no members but those that are `known`. Raises Refused."""
    body = None if call.too_large else decode_object(call.body)
    if body is None:
        raise refused(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
        )
    for name in body:
        if known is not None and name not in known:
            raise refused(f"Unknown parameter: '{name[:60]}'.", param=name[:60], code="unknown_parameter")
    return body


def text_of(body: dict[str, Any], name: str) -> str:
    """A parameter that must be there and be a string. Raises Refused."""
    value = body.get(name)
    if value is None:
        raise refused(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if not isinstance(value, str):
        raise refused(f"Invalid type for '{name}': expected a string.", param=name, code="invalid_type")
    return value


def lifetime(value: object, name: str) -> int:
    """Seconds that a file may be asked to live. Raises Refused."""
    if not is_int(value) or not _LEAST_S <= value <= _MOST_S:
        message = f"Invalid '{name}': expected {_LEAST_S} to {_MOST_S} seconds."
        raise refused(message, param=name, code="invalid_value")
    return value


def page_limit(call: Call, *, default: int, most: int) -> int:
    text = call.query.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= most):
        raise refused(f"Invalid 'limit': expected 1 to {most}.", param="limit", code="invalid_value")
    return int(text)


def page(items: list[dict[str, Any]], *, more: bool) -> Answer:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return pretty_answer({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": more})


def maybe(at_ns: int | None) -> int | None:
    return None if at_ns is None else seconds(at_ns)
