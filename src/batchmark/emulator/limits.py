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
_CALLS = "calls within a minute of the emulator's clock; one more is answered with 429 and rate-limit headers"
_WINDOW = "seconds from creation to the end of the completion window"
_DAY = 86_400


def _calls(source: str) -> Limit:
    return Limit(value=None, about=_CALLS, source=source)


LIMITS: dict[str, dict[str, Limit]] = {
    "openai": {
        "max_rows": Limit(
            value=50_000,
            about="requests of a batch; one with more is created and then fails with too_many_tasks",
            source="openai-openapi 2.3.0, POST /batches",
        ),
        "max_bytes": Limit(
            value=200 * 1024**2,
            about="bytes of a batch input file; the upload of a larger one is answered with 413",
            source="openai-openapi 2.3.0",
        ),
        "max_file_bytes": Limit(
            value=512 * 1024**2,
            about="bytes of a file of any purpose; a larger upload is answered with 413",
            source="openai-openapi 2.3.0, POST /files",
        ),
        "max_upload_bytes": Limit(
            value=8 * 1024**3,
            about="bytes of an upload in parts; one declared larger is answered with 400",
            source="openai-openapi 2.3.0, POST /uploads",
        ),
        "max_part_bytes": Limit(
            value=64 * 1024**2,
            about="bytes of one part of an upload; a larger one is answered with 413",
            source="openai-openapi 2.3.0, POST /uploads/{upload_id}/parts",
        ),
        "storage_bytes": Limit(
            value=None,
            about="bytes of all files together; an upload beyond them is answered with 400",
            source="none certain; " + _OWN,
        ),
        "models_per_file": Limit(
            value=1,
            about="models that the lines of a file may ask for; a file with more fails with model_mismatch",
            source="Batch guide: one model per file",
        ),
        "max_embedding_inputs": Limit(
            value=50_000,
            about="texts of a batch of embeddings; one with more is created and then fails with too_many_tasks",
            source="openai-openapi 2.3.0, POST /batches",
        ),
        "batches_per_hour": Limit(
            value=2_000, about=f"creations within an hour; {_AT_ONCE} rate_limit_exceeded", source="Batch guide"
        ),
        "calls_per_minute": _calls("none published for these endpoints; " + _OWN),
        "max_batches_in_flight": Limit(
            value=None, about=f"batches not ended yet; {_LATER}", source="none published; " + _OWN
        ),
        "queued_tokens": Limit(
            value=None,
            about=f"{_TOKENS}; {_LATER}",
            source="openai/openai-python#2084 met 2,000,000; " + _OWN,
        ),
        "window_s": Limit(value=_DAY, about=_WINDOW, source="every one of 2,355 recorded batches"),
        "file_kept_s": Limit(
            value=30 * _DAY,
            about="seconds until a batch input file is gone, unless its upload says expires_after",
            source="openai-openapi 2.3.0, POST /files; recordings of 2025-10 and later",
        ),
        "output_kept_s": Limit(
            value=None,
            about="seconds until a result file is gone, unless the batch says output_expires_after",
            source="not certain; recorded result files say no end",
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
        "max_id_chars": Limit(
            value=64,
            about="characters of a custom_id, of letters, digits, - and _; a create with another is answered with 400",
            source="Message Batches guide: ^[a-zA-Z0-9_-]{1,64}$",
        ),
        "queued_requests": Limit(
            value=500_000,
            about=f"requests not processed yet; {_AT_ONCE} rate_limit_error",
            source="Rate limits page, the highest published tier",
        ),
        "calls_per_minute": _calls("1,000 to 4,000 by tier, Rate limits page; " + _OWN),
        "max_batches_in_flight": Limit(
            value=None, about=f"batches not ended yet; {_AT_ONCE} rate_limit_error", source="none published; " + _OWN
        ),
        "window_s": Limit(value=_DAY, about=_WINDOW, source="Message Batches guide; every recorded batch"),
        "results_kept_s": Limit(
            value=29 * _DAY,
            about="seconds from creation until the results are gone; the batch then says archived_at",
            source="Message Batches guide",
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
        "storage_bytes": Limit(
            value=20 * 1024**3,
            about="bytes of all files together; an upload beyond them is answered with 429 RESOURCE_EXHAUSTED",
            source="Files guide",
        ),
        "max_batches_in_flight": Limit(
            value=100, about=f"batches not ended yet; {_AT_ONCE} RESOURCE_EXHAUSTED", source="Rate limits page"
        ),
        "queued_tokens": Limit(
            value=None,
            about=f"{_TOKENS}; {_AT_ONCE} RESOURCE_EXHAUSTED",
            source="3 M to 1 G by model and tier, Rate limits page; " + _OWN,
        ),
        "calls_per_minute": _calls("none published for these endpoints; " + _OWN),
        "window_s": Limit(
            value=2 * _DAY,
            about=_WINDOW + "; the target is a day",
            source="Batch guide: expires when pending or running for more than 48 hours",
        ),
        "file_kept_s": Limit(value=2 * _DAY, about="seconds until an uploaded file is gone", source="Files guide"),
        "output_kept_s": Limit(
            value=None, about="seconds until a file of results is gone", source="not documented for generated files"
        ),
    },
}
_AT_LEAST_ONE = ("models_per_file", "max_id_chars")
_LONGEST_S = 10 * 366 * _DAY
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
            if name in _AT_LEAST_ONE and number == 0:
                raise LimitError(f"limit {text!r} would admit nothing: it is at least 1")
            if name.endswith("_s") and number > _LONGEST_S:
                raise LimitError(f"limit {text!r} is more than ten years: write none for no limit")
        for table in tables:
            table[name] = number
    return limits
