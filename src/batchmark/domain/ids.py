"""Our ids: for runs and jobs, the labels that mark a batch as ours, and the wire ids that lead an answer to its row.

A label is `bm-<job>-<shard>-<attempt>` and a wire id `<label>-<row in shard>`: at most 48 characters of `[a-z0-9-]`, which every
provider's rule for ids allows (Anthropic's is the strictest: 1 to 64 of `[a-zA-Z0-9_-]`). The row number stands in the id, so
finding the row of an answer is arithmetic and needs no table.
"""

from __future__ import annotations

import re

__all__ = ["batch_label", "is_ours", "job_of_label", "make_label", "parse_wire_id", "row_of", "wire_id"]

_WIRE_ID = re.compile(r"(bm-[0-9a-z]{4,16}-\d{1,6}-\d{1,3})-(\d{1,9})", re.ASCII)
_LABEL = re.compile(r"bm-([0-9a-z]{4,16})-\d{1,6}-\d{1,3}(?:-q\d{1,4})?", re.ASCII)


def make_label(job_id: str, shard: int, attempt: int) -> str:
    """The mark of one shard attempt on its batch: shards count from 0, attempts from 1."""
    return f"bm-{job_id}-{shard}-{attempt}"


def wire_id(label: str, row_in_shard: int) -> str:
    """The id that the provider sees for one request; rows in a shard count from 0."""
    return f"{label}-{row_in_shard}"


def parse_wire_id(text: str) -> tuple[str, int] | None:
    """Split a wire id into its label and row in shard, or None where it is not one of ours."""
    match = _WIRE_ID.fullmatch(text)
    return (match[1], int(match[2])) if match else None


def row_of(text: str, label: str) -> int | None:
    """The row in the shard of this label that a wire id leads to, or None where it is of another shard or not ours: the quick way to
    read the ids of one batch."""
    digits = text[len(label) + 1 :]
    if text.startswith(label) and text[len(label) : len(label) + 1] == "-" and digits.isdecimal() and digits.isascii():
        return int(digits) if len(digits) <= 9 else None
    return None


def batch_label(label: str, sends: int) -> str:
    """The mark of the batch itself. A provider's full queue may turn away a batch that it had made (OpenAI does); the next one of the
    same file is marked apart from it, so that it is never mistaken for the one that failed."""
    return label if sends == 0 else f"{label}-q{sends}"


def job_of_label(label: str | None) -> str | None:
    """The job that a batch or file with this mark was made for; None where the mark is not ours."""
    match = _LABEL.fullmatch(label) if label is not None else None
    return match[1] if match else None


def is_ours(label: str | None) -> bool:
    """Whether a batch's name or metadata carries one of our labels."""
    return label is not None and _LABEL.fullmatch(label) is not None
