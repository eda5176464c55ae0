"""Where shards end: every row in exactly one, in order, within every limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import groupby, pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchmark.domain.ids import make_label, wire_id
from batchmark.domain.limits import Frame, Limits
from batchmark.domain.request import ChatRequest, EmbeddingRequest, Message, Request, Row
from batchmark.engine.plan import most_rows, pack, too_big
from batchmark.errors import RowError
from batchmark.providers import registry
from batchmark.providers.seam import Wire
from tests.support import chat, row, rows_of, vector, wire

PROVIDERS = list(registry.BUILT_IN)
FRAME = Frame(prefix=b"[", separator=b",", suffix=b"]")
LIMITS = Limits(
    max_rows=3,
    max_bytes=20,
    max_row_bytes=15,
    window_s=1,
    expires_s=1,
    one_model_per_batch=True,
    source="",
    as_of=date(2026, 1, 1),
    max_embedding_texts=4,
)


def plain_wire() -> Wire:
    """A wire on which a conversation is its text and texts to embed are theirs, so that a test can choose sizes."""

    def encode(request: Request, id_: str, model: str) -> bytes:
        if isinstance(request, EmbeddingRequest):
            return "".join(request.texts).encode()
        assert isinstance(request, ChatRequest)
        return str(request.messages[0].content).encode()

    def relabel(line: bytes, id_: str) -> bytes:
        return line

    return cast(Wire, SimpleNamespace(FRAME=FRAME, encode=encode, relabel=relabel, endpoint=lambda request: "/x"))


def sizes_of_shards(rows: list[Row], rules: Wire, limits: Limits, **more: Any) -> list[int]:
    packed = pack(rows, rules, limits, source="x", model="m", job_id="job1", **more)
    return [len(list(group)) for _, group in groupby(packed, key=lambda each: each[0])]


@pytest.mark.parametrize(
    ("before", "next_one", "fit"),
    [
        ([], vector("x" * 15), True),
        ([vector("x"), vector("x")], chat("x"), True),
        ([chat("x")] * 3, chat("x"), False),  # rows
        ([chat("x" * 10)], chat("x" * 7), True),  # [ + 10 + , + 7 + ] = 20
        ([chat("x" * 10)], chat("x" * 8), False),  # bytes
        ([chat("x" * 10)], chat("é" * 3 + "x"), True),  # bytes, not characters
        ([chat("x" * 10)], chat("é" * 4), False),
        ([vector(*"xxx")], vector("x"), True),
        ([vector(*"xxx")], vector(*"xx"), False),  # texts
    ],
)
def test_a_row_fits_up_to_each_limit_and_not_beyond(before: list[Request], next_one: Request, fit: bool) -> None:
    rows = [row(number, request) for number, request in enumerate([*before, next_one])]
    expected = [len(rows)] if fit else [len(before), 1]
    assert sizes_of_shards(rows, plain_wire(), LIMITS) == expected


def test_without_a_limit_of_texts_there_is_none() -> None:
    limits = replace(LIMITS, max_embedding_texts=None, max_bytes=10**9, max_row_bytes=10**9)
    assert sizes_of_shards([row(0, vector(*"x" * 10_000)), row(1, vector("x"))], plain_wire(), limits) == [2]


def test_a_row_that_fits_no_shard_is_said_with_both_figures() -> None:
    assert too_big(LIMITS, FRAME, 15) is None
    assert too_big(LIMITS, FRAME, 16) == "the request is 16 bytes on the wire; at most 15 fit"
    assert too_big(replace(LIMITS, max_row_bytes=1000), FRAME, 18) is None
    assert too_big(replace(LIMITS, max_row_bytes=1000), FRAME, 19) is not None
    assert too_big(LIMITS, FRAME, 1, texts=4) is None
    assert too_big(LIMITS, FRAME, 1, texts=5) == "the row has 5 texts to embed; at most 4 fit a batch"


@pytest.mark.parametrize(
    ("bad", "said"),
    [(chat("x" * 16), "16 bytes on the wire; at most 15"), (vector(*"xxxxx"), "5 texts to embed; at most 4")],
)
@pytest.mark.parametrize("at", [0, 1, 3, 7])
def test_a_row_that_fits_no_shard_is_named_wherever_it_stands(bad: Request, said: str, at: int) -> None:
    rows = [row(number, bad if number == at else chat("x")) for number in range(9)]
    with pytest.raises(RowError, match=said) as caught:
        sizes_of_shards(rows, plain_wire(), LIMITS)
    assert (caught.value.row, caught.value.line) == (at, at + 1)


def test_rows_are_read_one_at_a_time() -> None:
    read: list[int] = []

    def rows() -> Iterator[Row]:
        for each in rows_of(10):
            read.append(each.number)
            yield each

    packed = pack(rows(), wire("openai"), registry.find("openai").limits, source="x", model="m", job_id="job1")
    for number in range(10):
        next(packed)
        assert read == list(range(number + 1))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_with_one_model_a_row_that_names_another_is_named(provider: str) -> None:
    rows = [row(0, model="m"), row(1), row(2, model="other")]
    limits = registry.find(provider).limits
    with pytest.raises(RowError, match="names the model other, but the batch is for m") as caught:
        sizes_of_shards(rows, wire(provider), limits, one_model=True)
    assert caught.value.row == 2
    assert sizes_of_shards(rows, wire(provider), limits) == [3]


@pytest.mark.parametrize("most", [1, 2, 19, 20, 21, 100, 1_000, 100_000])
def test_neighbouring_shards_differ_in_their_rows_where_only_the_count_tells_them_apart(most: int) -> None:
    limits = replace(LIMITS, max_rows=most, vary_rows=True)
    numbers = [most_rows(limits, shard) for shard in range(1_000)]
    assert all(0.95 * most - 1 <= each <= most and each >= 1 for each in numbers)
    if most >= 20:
        assert all(one != other for one, other in pairwise(numbers))
        # as many in flight as there are different numbers
        distinct = min(most // 20 + 1, len(numbers))
        assert len(set(numbers[:distinct])) == distinct
    assert {most_rows(replace(limits, vary_rows=False), shard) for shard in range(100)} == {most}


@st.composite
def workloads(draw: st.DrawFn, provider: str) -> list[Row]:
    """Rows of one kind with texts of one byte a character, and of up to four."""
    embeds = provider != "anthropic" and draw(st.booleans())
    letters = st.sampled_from(["x", "é", "漢", "🔑", '"', "\\", "\n"])
    texts = st.builds(lambda letter, size: letter * size, letters, st.integers(1, 120))
    requests: st.SearchStrategy[Request]
    if embeds:
        most = 1 if provider == "google" else 3
        requests = st.lists(texts, min_size=1, max_size=most).map(lambda each: vector(*each))
    else:
        requests = texts.map(lambda each: ChatRequest((Message("user", each),)))
    found = draw(st.lists(requests, min_size=1, max_size=50))
    return [row(number, each, custom_id=number) for number, each in enumerate(found)]


def in_shard(provider: str, content: bytes) -> list[dict[str, Any]]:
    """The requests as the provider would read them."""
    if provider == "anthropic":
        found: list[dict[str, Any]] = json.loads(content)["requests"]
        return found
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_row_is_in_exactly_one_shard_in_order_and_within_every_limit(
    provider: str, vary: bool, data: st.DataObject
) -> None:
    rules = wire(provider)
    rows = data.draw(workloads(provider))
    limits = replace(
        registry.find(provider).limits,
        max_rows=data.draw(st.integers(1, 45)),
        max_bytes=data.draw(st.integers(1_500, 6_000)),
        max_embedding_texts=data.draw(st.one_of(st.none(), st.integers(3, 9))),
        vary_rows=vary,
    )
    packed = list(pack(rows, rules, limits, source="x", model="m", job_id="job1"))
    assert [each.number for _, each, _ in packed] == list(range(len(rows)))
    shards = [(number, list(group)) for number, group in groupby(packed, key=lambda each: each[0])]
    assert [number for number, _ in shards] == list(range(len(shards)))
    for number, group in shards:
        label = make_label("job1", number, 1)
        encoded = [each for _, _, each in group]
        content = rules.FRAME.prefix + rules.FRAME.separator.join(encoded) + rules.FRAME.suffix
        assert len(content) == rules.FRAME.size(len(group), sum(map(len, encoded))) <= limits.max_bytes
        assert len(group) <= most_rows(limits, number) <= limits.max_rows
        assert texts_in(group) <= (limits.max_embedding_texts or 10**9)
        found = in_shard(provider, content)
        ids = [each["key" if provider == "google" else "custom_id"] for each in found]
        assert ids == [wire_id(label, at) for at in range(len(group))]
    # no shard ends before it must: the first row of the next would not have fitted
    for (number, group), (_, after) in pairwise(shards):
        label = make_label("job1", number, 1)
        following = after[0][1]
        size = len(rules.encode(following.request, wire_id(label, len(group)), "m"))
        whole = rules.FRAME.size(len(group) + 1, sum(len(each) for _, _, each in group) + size)
        assert (
            len(group) == most_rows(limits, number)
            or whole > limits.max_bytes
            or texts_in([*group, after[0]]) > (limits.max_embedding_texts or 10**9)
        )


def texts_in(group: list[tuple[int, Row, bytes]]) -> int:
    return sum(len(each.request.texts) for _, each, _ in group if isinstance(each.request, EmbeddingRequest))
