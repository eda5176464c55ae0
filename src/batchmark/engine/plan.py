"""Where one shard ends and the next begins. Pure: sizes in, decisions out."""

from __future__ import annotations

from batchmark.domain.limits import Frame, Limits

__all__ = ["fits", "too_big"]


def fits(
    limits: Limits, frame: Frame, *, rows: int, row_bytes: int, texts: int, next_bytes: int, next_texts: int
) -> bool:
    """Whether one more row of `next_bytes` encoded bytes still fits a shard that holds `rows` rows.

    `row_bytes` sums the encoded rows so far; `texts` the texts to embed so far. Sizes are those on the wire: what stands in the shard
    file is what is sent.
    """
    if rows + 1 > limits.max_rows:
        return False
    if frame.size(rows + 1, row_bytes + next_bytes) > limits.max_bytes:
        return False
    return limits.max_embedding_texts is None or texts + next_texts <= limits.max_embedding_texts


def too_big(limits: Limits, frame: Frame, row_bytes: int) -> str | None:
    """Why a row fits no shard at all, or None where it does."""
    most = min(limits.max_row_bytes, limits.max_bytes - frame.size(1, 0))
    if row_bytes > most:
        return f"the request is {row_bytes:,} bytes on the wire; at most {most:,} fit"
    return None
