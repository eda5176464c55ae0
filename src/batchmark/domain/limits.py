"""A provider's limits as dated data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

__all__ = ["Frame", "Limits", "Usual"]


@dataclass(frozen=True, slots=True)
class Frame:
    """How rows stand in a shard file, so that the bytes on disk are the bytes on the wire: prefix, rows joined, suffix."""

    prefix: bytes = b""
    separator: bytes = b"\n"
    suffix: bytes = b"\n"

    def size(self, rows: int, row_bytes: int) -> int:
        """Bytes of a shard file with so many rows whose encoded lengths sum to `row_bytes`."""
        return len(self.prefix) + row_bytes + len(self.separator) * max(rows - 1, 0) + len(self.suffix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one batch of a provider may hold, and how long it may take.

    `window_s` is the completion window; `expires_s` when the provider gives up. `inline_max_bytes`: shards up to this size go inside the
    create call instead of a file (0: never). `max_batches_in_flight` and `creates_per_hour` are the account's, where they are published;
    `file_life_s` is how long an uploaded input is kept. `default_max_tokens` is asked for where a row sets no limit to its answer.
    `vary_rows`: shards differ a little in their number of rows, so that batches without a label can be told apart by it. `source` and
    `as_of` say where and when these figures were read.
    """

    max_rows: int
    max_bytes: int
    max_row_bytes: int
    window_s: int
    expires_s: int
    one_model_per_batch: bool
    source: str
    as_of: date
    inline_max_bytes: int = 0
    max_embedding_texts: int | None = None
    max_batches_in_flight: int | None = None
    creates_per_hour: int | None = None
    file_life_s: int | None = None
    default_max_tokens: int | None = None
    vary_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """How long batches usually take: 95 % of `n` earlier ones had ended `p95_s` after their creation."""

    p95_s: float
    n: int
    source: str
