"""Rows -> encoded rows, each with the shard it belongs to. Pure: no clock, no disk; sizes in, decisions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from batchmark.domain.ids import make_label, wire_id
from batchmark.domain.limits import Frame, Limits
from batchmark.domain.request import EmbeddingRequest, Row, Unsupported
from batchmark.errors import RowError
from batchmark.providers.seam import Wire

__all__ = ["Packed", "fits", "pack", "too_big"]


class Packed(NamedTuple):
    """A row as the wire will carry it, and the number and label of its shard."""

    shard: int
    label: str
    endpoint: str
    row: Row
    encoded: bytes


def pack(
    rows: Iterable[Row],
    wire: Wire,
    limits: Limits,
    *,
    source: str,
    model: str,
    job_id: str,
    attempt: int = 1,
    one_model: bool = False,
) -> Iterator[Packed]:
    """Every row, in order, in exactly one shard that is within the limits.

    Raises RowError where a row cannot be honoured by the provider, fits no shard, needs another endpoint than the rows before it, or,
    with `one_model`, names another model than the one that is asked.
    """
    frame = wire.FRAME
    shard = count = row_bytes = texts_so_far = 0
    label = make_label(job_id, 0, attempt)
    first_endpoint: str | None = None
    for row in rows:
        try:
            if one_model and row.model is not None and row.model != model:
                raise Unsupported(
                    f"the row names the model {row.model}, but the batch is for {model}; name one with --model, or part the file"
                )
            endpoint = wire.endpoint(row.request)
            if first_endpoint is None:
                first_endpoint = endpoint
            elif endpoint != first_endpoint:
                raise Unsupported(
                    f"the row needs {endpoint}, but the rows before it {first_endpoint}; put them in files of their own"
                )
            encoded = wire.encode(row.request, wire_id(label, count), model)
            texts = len(row.request.texts) if isinstance(row.request, EmbeddingRequest) else 0
            _check_size(limits, frame, len(encoded), texts)
            if count and not fits(
                limits,
                frame,
                rows=count,
                row_bytes=row_bytes,
                texts=texts_so_far,
                next_bytes=len(encoded),
                next_texts=texts,
            ):
                shard, count, row_bytes, texts_so_far = shard + 1, 0, 0, 0
                label = make_label(job_id, shard, attempt)
                # with a longer shard number the row may be longer
                encoded = wire.encode(row.request, wire_id(label, 0), model)
                _check_size(limits, frame, len(encoded), texts)
        except Unsupported as error:
            raise RowError(str(error), path=source, line=row.line, row=row.number) from None
        yield Packed(shard, label, endpoint, row, encoded)
        count, row_bytes, texts_so_far = count + 1, row_bytes + len(encoded), texts_so_far + texts


def _check_size(limits: Limits, frame: Frame, row_bytes: int, texts: int) -> None:
    reason = too_big(limits, frame, row_bytes, texts)
    if reason is not None:
        raise Unsupported(reason)


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


def too_big(limits: Limits, frame: Frame, row_bytes: int, texts: int = 0) -> str | None:
    """Why a row fits no shard at all, or None where it does."""
    most = min(limits.max_row_bytes, limits.max_bytes - frame.size(1, 0))
    if row_bytes > most:
        return f"the request is {row_bytes:,} bytes on the wire; at most {most:,} fit"
    if limits.max_embedding_texts is not None and texts > limits.max_embedding_texts:
        return f"the row has {texts:,} texts to embed; at most {limits.max_embedding_texts:,} fit a batch"
    return None
