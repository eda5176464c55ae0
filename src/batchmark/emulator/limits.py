"""The services' limits, as data with source and date, and how a user sets others.

`None` is no limit: what depends on an account and is published nowhere is not made up. An option is
`DIALECT.NAME=NUMBER`, such as `openai.max_rows=100` or `*.max_batches_in_flight=8`; `none` lifts a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

__all__ = ["LIMITS", "Limit", "LimitError", "Limits", "parse_limits"]

Limits = Mapping[str, int | None]
_READ = date(2026, 11, 22)


class LimitError(ValueError):
    """A limit that cannot be read; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of one service."""

    value: int | None
    about: str
    source: str
    as_of: date = _READ


_OWN = "depends on the account"
_TOKENS = "tokens of a model's unfinished batches, counted as a quarter of their bytes"
_LATER = "one more is created and then fails with token_limit_exceeded"
_AT_ONCE = "one more create is answered with 429"

LIMITS: dict[str, dict[str, Limit]] = {
    "openai": {
        "max_rows": Limit(
            value=50_000,
            about="requests of a batch; one with more is created and then fails with too_many_tasks",
            source="openai-openapi 2.3.0, POST /batches",
        ),
        "max_bytes": Limit(
            value=200 * 1024**2,
            about="bytes of an input file; the upload of a larger one is answered with 413",
            source="openai-openapi 2.3.0",
        ),
        "batches_per_hour": Limit(
            value=2_000, about=f"creations within an hour; {_AT_ONCE} rate_limit_exceeded", source="Batch guide"
        ),
        "max_batches_in_flight": Limit(
            value=None, about=f"batches not ended yet; {_LATER}", source="none published; " + _OWN
        ),
        "queued_tokens": Limit(
            value=None,
            about=f"{_TOKENS}; {_LATER}",
            source="openai/openai-python#2084 met 2,000,000; " + _OWN,
        ),
    },
    "anthropic": {
        "max_rows": Limit(
            value=100_000,
            about="requests of a batch; a create with more is answered with 400",
            source="Message Batches guide",
        ),
        "max_bytes": Limit(
            value=256 * 1024**2,
            about="bytes of a create; a larger one is answered with 413",
            source="Message Batches guide",
        ),
        "queued_requests": Limit(
            value=500_000,
            about=f"requests not processed yet; {_AT_ONCE} rate_limit_error",
            source="Rate limits page, the highest published tier",
        ),
        "max_batches_in_flight": Limit(
            value=None, about=f"batches not ended yet; {_AT_ONCE} rate_limit_error", source="none published; " + _OWN
        ),
    },
    "gemini": {
        "max_rows": Limit(
            value=None,
            about="requests of a batch; an inline create with more is answered with 400",
            source="no documented cap",
        ),
        "max_bytes": Limit(
            value=2 * 1024**3,
            about="bytes of a file; an upload declared larger is answered with 400, one that becomes larger with 413",
            source="Rate limits page",
        ),
        "max_inline_bytes": Limit(
            value=20 * 1024**2, about="bytes of a create; a larger one is answered with 400", source="Batch guide"
        ),
        "max_batches_in_flight": Limit(
            value=100, about=f"batches not ended yet; {_AT_ONCE} RESOURCE_EXHAUSTED", source="Rate limits page"
        ),
        "queued_tokens": Limit(
            value=None,
            about=f"{_TOKENS}; {_AT_ONCE} RESOURCE_EXHAUSTED",
            source="3 M to 1 G by model and tier, Rate limits page; " + _OWN,
        ),
    },
}
_OTHER_NAMES = {"concurrent_batches": "max_batches_in_flight"}


def parse_limits(texts: Iterable[str]) -> dict[str, dict[str, int | None]]:
    """The limits of each dialect: the real ones, changed as asked. Raises LimitError."""
    limits = {name: {key: limit.value for key, limit in table.items()} for name, table in LIMITS.items()}
    for text in texts:
        where, sign, value = text.strip().partition("=")
        dialect, dot, name = where.strip().partition(".")
        dialect = "gemini" if dialect == "google" else dialect
        name = _OTHER_NAMES.get(name, name)
        value = value.strip()
        if not sign or not dot or (dialect != "*" and dialect not in limits):
            raise LimitError(f"limit {text!r} cannot be read: write DIALECT.NAME=NUMBER, such as openai.max_rows=100")
        tables = [limits[one] for one in (limits if dialect == "*" else (dialect,)) if name in limits[one]]
        if not tables:
            known = sorted({key for one in (limits if dialect == "*" else (dialect,)) for key in limits[one]})
            raise LimitError(f"limit {text!r} names {name!r}, which is none: choose {', '.join(known)}")
        number: int | None = None
        if value != "none":
            if not (value.isascii() and value.isdigit() and len(value) < 16):
                raise LimitError(f"limit {text!r} needs a whole number or none")
            number = int(value)
        for table in tables:
            table[name] = number
    return limits
