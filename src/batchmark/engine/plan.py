"""Rows -> encoded rows, each with the shard it belongs to. Pure: no clock, no disk; sizes in, decisions out.

A retry needs no plan of its own: it holds some of the rows of a shard that fitted, with wire ids that are no longer, so it fits too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchmark.domain.ids import make_label
from batchmark.domain.limits import Frame, Limits
from batchmark.domain.request import EmbeddingRequest, Row, Unsupported
from batchmark.errors import RowError
from batchmark.providers.seam import Wire

__all__ = ["MAX_ATTEMPTS", "most_rows", "pack", "too_big"]

# The attempt's number stands in every wire id: with one digit a retry is never longer on the wire than the attempt before.
MAX_ATTEMPTS = 9
# Where batches carry no label, the numbers of rows of neighbouring shards differ by up to this part.
_VARIATION = 20


def pack(
    rows: Iterable[Row],
    wire: Wire,
    limits: Limits,
    *,
    source: str,
    model: str,
    job_id: str,
    one_model: bool = False,
) -> Iterator[tuple[int, Row, bytes]]:
    """Every row, in order, as the wire will carry it, in exactly one shard that is within the limits: (shard, row, encoded).

    Raises RowError where a row cannot be honoured by the provider, fits no shard, needs another endpoint than the rows before it, or,
    with `one_model`, names another model than the one that is asked.
    """
    frame, encode, endpoint_of = wire.FRAME, wire.encode, wire.endpoint
    fixed = frame.size(0, 0)
    between = len(frame.separator)
    most_bytes, most_texts = limits.max_bytes, limits.max_embedding_texts
    largest = min(limits.max_row_bytes, limits.max_bytes - frame.size(1, 0))
    shard = count = size = texts_so_far = 0
    cap = most_rows(limits, 0)
    prefix = make_label(job_id, 0, 1) + "-"
    first_endpoint: str | None = None
    for row in rows:
        request = row.request
        try:
            if one_model and row.model is not None and row.model != model:
                raise Unsupported(
                    f"the row names the model {row.model}, but the batch is for {model}; name one with --model, or part the file"
                )
            endpoint = endpoint_of(request)
            if endpoint != first_endpoint:
                if first_endpoint is not None:
                    raise Unsupported(
                        f"the row needs {endpoint}, but the rows before it {first_endpoint}; put them in files of their own"
                    )
                first_endpoint = endpoint
            encoded = encode(request, f"{prefix}{count}", model)
            texts = len(request.texts) if type(request) is EmbeddingRequest else 0
            if count and (
                count >= cap
                or fixed + size + between + len(encoded) > most_bytes
                or (most_texts is not None and texts_so_far + texts > most_texts)
            ):
                shard, count, size, texts_so_far = shard + 1, 0, 0, 0
                cap = most_rows(limits, shard)
                prefix = make_label(job_id, shard, 1) + "-"
                encoded = wire.relabel(encoded, f"{prefix}0")
            if len(encoded) > largest or (most_texts is not None and texts > most_texts):
                raise Unsupported(too_big(limits, frame, len(encoded), texts) or "the row fits no shard")
        except Unsupported as error:
            raise RowError(str(error), path=source, line=row.line, row=row.number) from None
        yield shard, row, encoded
        size += len(encoded) + (between if count else 0)
        count, texts_so_far = count + 1, texts_so_far + texts


def most_rows(limits: Limits, shard: int) -> int:
    """How many rows the shard of this number may hold; with `vary_rows` neighbours differ, so that their counts tell them apart."""
    if not limits.vary_rows:
        return limits.max_rows
    return limits.max_rows - shard % (limits.max_rows // _VARIATION + 1)


def too_big(limits: Limits, frame: Frame, row_bytes: int, texts: int = 0) -> str | None:
    """Why a row fits no shard at all, or None where it does."""
    most = min(limits.max_row_bytes, limits.max_bytes - frame.size(1, 0))
    if row_bytes > most:
        return f"the request is {row_bytes:,} bytes on the wire; at most {most:,} fit"
    if limits.max_embedding_texts is not None and texts > limits.max_embedding_texts:
        return f"the row has {texts:,} texts to embed; at most {limits.max_embedding_texts:,} fit a batch"
    return None
