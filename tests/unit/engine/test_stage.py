"""Rows become shard files: every row in exactly one shard, in order, within the limits."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchmark.domain.ids import make_label, wire_id
from batchmark.domain.limits import Limits
from batchmark.domain.request import Row, Settings
from batchmark.engine.estimate import Estimate, estimate, total
from batchmark.engine.stage import carried_path, encoded_rows, shard_path, stage
from batchmark.errors import LocalTrouble, RowError
from batchmark.ledger.records import ShardRecord
from batchmark.prices.book import PriceBook
from batchmark.providers import registry
from batchmark.workload.answers import decode_carried
from tests.support import chat, row, rows_of, vector, wire

PROVIDERS = list(registry.BUILT_IN)


def limits(provider: str, **changes: Any) -> Limits:
    return replace(registry.find(provider).limits, **{"vary_rows": False, **changes})


def put(rows: list[Row], provider: str, folder: Path, *, job: str = "job1", **most: Any) -> list[ShardRecord]:
    return stage(
        rows,
        wire(provider),
        limits(provider, **most),
        source="in.jsonl",
        model="m",
        job_id=job,
        folder=folder,
    )


def requests_in(provider: str, path: Path) -> list[dict[str, Any]]:
    """The requests as the provider would read them from the file."""
    content = path.read_bytes()
    if provider == "anthropic":
        found: list[dict[str, Any]] = json.loads(content)["requests"]
        return found
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def id_of(provider: str, request: dict[str, Any]) -> str:
    return str(request["key" if provider == "google" else "custom_id"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    most_rows=st.integers(1, 20),
    most_bytes=st.integers(700, 4000),
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_row_is_in_exactly_one_shard_in_order_and_within_the_limits(
    provider: str, home: Path, sizes: list[int], most_rows: int, most_bytes: int
) -> None:
    folder = home / "job"
    shutil.rmtree(folder, ignore_errors=True)
    rows = [row(number, chat("é" * (size // 2) + "x"), custom_id=number) for number, size in enumerate(sizes)]
    shards = put(rows, provider, folder, max_rows=most_rows, max_bytes=most_bytes)
    assert [shard.number for shard in shards] == list(range(len(shards)))
    carried = []
    for shard in shards:
        path = shard_path(folder, shard.label)
        assert shard.label == make_label("job1", shard.number, 1)
        assert 1 <= shard.rows <= most_rows
        assert path.stat().st_size == shard.bytes <= most_bytes
        assert shard.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        requests = requests_in(provider, path)
        assert [id_of(provider, each) for each in requests] == [wire_id(shard.label, at) for at in range(shard.rows)]
        mine = [decode_carried(line) for line in carried_path(folder, shard.label).read_bytes().splitlines()]
        assert len(mine) == shard.rows
        for request, entry in zip(requests, mine, strict=True):
            content = rows[entry.row].request.messages[0].content  # type: ignore[union-attr]  # all are conversations
            assert str(content) in json.dumps(request, ensure_ascii=False)
        carried.extend(mine)
    assert [entry.row for entry in carried] == list(range(len(rows)))
    assert [entry.custom_id for entry in carried] == list(range(len(rows)))
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{shard.label}.{kind}" for shard in shards for kind in ("requests", "rows")
    )
    # no shard ends before it must: the next row would not have fitted
    for shard, after in pairwise(shards):
        size = len(
            wire(provider).encode(
                rows[sum(s.rows for s in shards[: after.number])].request, wire_id(shard.label, shard.rows), "m"
            )
        )
        frame = wire(provider).FRAME
        assert shard.rows == most_rows or shard.bytes + len(frame.separator) + size > most_bytes


@pytest.mark.parametrize("provider", ["openai", "google"])
def test_texts_to_embed_are_counted_where_the_provider_counts_them(provider: str, home: Path) -> None:
    rows = [row(number, vector("a") if provider == "google" else vector("a", "b")) for number in range(5)]
    shards = put(rows, provider, home / "job", max_embedding_texts=4 if provider == "openai" else None)
    assert [shard.rows for shard in shards] == ([2, 2, 1] if provider == "openai" else [5])
    assert {shard.endpoint for shard in shards} == {wire(provider).endpoint(vector())}


def test_a_shard_stays_within_its_bytes_when_its_number_gets_longer(home: Path) -> None:
    """The eleventh shard's wire ids are one character longer than those of the tenth."""
    widest = len(wire("openai").encode(chat("x" * 50), wire_id(make_label("job1", 9, 1), 0), "m"))
    rows = [row(number, chat("x" * 50)) for number in range(12)]
    with pytest.raises(RowError, match="bytes on the wire"):
        put(rows, "openai", home / "job", max_bytes=widest + 1)
    assert len(put(rows, "openai", home / "job", max_bytes=widest + 2)) == 12


BAD: dict[str, tuple[Row, dict[str, Any], str]] = {
    "unsupported": (row(7, chat(settings=Settings(top_k=1, seed=1))), {}, "top_k|seed"),
    "too big": (row(7, chat("x" * 2000)), {"max_row_bytes": 1500}, "bytes on the wire; at most"),
    "too big for a shard": (row(7, chat("x" * 2000)), {"max_bytes": 1500}, "bytes on the wire; at most"),
    "another endpoint": (row(7, vector()), {}, "no embeddings|put them in files of their own"),
}


@pytest.mark.parametrize("what", list(BAD))
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_row_that_cannot_be_used_is_named_and_leaves_no_file_behind(provider: str, what: str, home: Path) -> None:
    bad, most, said = BAD[what]
    if provider == "google" and what == "unsupported":
        bad = row(7, chat(settings=Settings(reasoning_effort="low")))
        said = "reasoning_effort"
    folder = home / "runs" / "job"
    with pytest.raises(RowError, match=said) as caught:
        put([*rows_of(7), bad, *rows_of(2)], provider, folder, **{"max_rows": 2, **most})
    assert (caught.value.line, caught.value.row, caught.value.path) == (8, 7, "in.jsonl")
    assert not folder.exists()


def test_an_interrupt_leaves_no_file_behind_either(home: Path) -> None:
    def rows() -> Any:
        yield from rows_of(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(
            rows(),
            wire("openai"),
            limits("openai", max_rows=2),
            source="x",
            model="m",
            job_id="job1",
            folder=home / "job",
        )
    assert not (home / "job").exists()


def test_what_is_kept_beside_a_shard_says_which_rows_want_json(home: Path) -> None:
    rows = [row(0, chat(), columns=b'{"a":1}'), row(1, chat(json_only=True)), row(2, chat(schema={"type": "object"}))]
    (shard,) = put(rows, "openai", home / "job")
    kept = [decode_carried(line) for line in carried_path(home / "job", shard.label).read_bytes().splitlines()]
    assert [each.wants_json for each in kept] == [False, True, True]
    assert [bytes(each.columns) for each in kept] == [b'{"a":1}', b"null", b"null"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_rows_of_a_shard_file_can_be_taken_out_again_one_by_one(provider: str, home: Path) -> None:
    shards = put(rows_of(25), provider, home / "job", max_rows=10, vary_rows=False)
    for shard in shards:
        path = shard_path(home / "job", shard.label)
        with path.open("rb") as file:
            encoded = list(encoded_rows(file, wire(provider).FRAME, shard.rows))
        assert len(encoded) == shard.rows
        assert [json.loads(each) for each in encoded] == requests_in(provider, path)
        frame = wire(provider).FRAME
        assert frame.prefix + frame.separator.join(encoded) + frame.suffix == path.read_bytes()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_shards_may_take_adds_up_to_the_estimate_of_the_whole(provider: str, home: Path) -> None:
    rows = [row(number, chat("x" * number, settings=Settings(max_tokens=50))) for number in range(1, 26)]
    model = registry.find(provider).default_model
    price = PriceBook().price(provider, model)
    most = limits(provider, max_rows=10, vary_rows=False)
    shards = stage(
        rows, wire(provider), most, source="x", model=model, job_id="00000000", folder=home / "job", price=price
    )
    parts = total(Estimate(**shard.estimate or {}) for shard in shards)
    whole = estimate(rows, wire(provider), most, source="x", model=model, price=price)
    assert (whole.rows, whole.shards, whole.max_output_tokens) == (25, 3, 25 * 50)
    rounded: dict[str, Any] = {"input_cost_usd": None, "most_cost_usd": None, "least_cost_usd": None}
    assert replace(parts, **rounded) == replace(whole, **rounded)
    assert parts.least_cost_usd == pytest.approx(whole.least_cost_usd)
    assert parts.most_cost_usd == pytest.approx(whole.most_cost_usd)
    assert parts.input_cost_usd == pytest.approx(whole.input_cost_usd)
    assert whole.most_cost_usd is not None and whole.input_cost_usd is not None
    assert 0 < whole.input_cost_usd < whole.most_cost_usd


def test_the_digest_of_what_is_kept_beside_a_shard_is_recorded(home: Path) -> None:
    for shard in put(rows_of(5), "openai", home / "job", max_rows=2):
        content = carried_path(home / "job", shard.label).read_bytes()
        assert shard.carried_digest == hashlib.sha256(content).hexdigest()


def test_staging_says_now_and_then_how_far_it_is(home: Path) -> None:
    told: list[int] = []
    stage(
        rows_of(20_001), wire("openai"), limits("openai"),
        source="x", model="m", job_id="job1", folder=home / "job", tell=told.append,
    )  # fmt: skip
    assert told == [10_000, 20_000]


def test_a_full_disk_leaves_no_file_behind(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHMARK_DISK_FULL_AT", "bm-job1-1-1.*")
    with pytest.raises(LocalTrouble, match="disk is full"):
        put(rows_of(5), "openai", home / "job", max_rows=2)
    assert not (home / "job").exists()


def test_a_folder_that_cannot_be_made_is_this_machines_trouble(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(LocalTrouble):
        put(rows_of(1), "openai", home / "file" / "job")


def test_no_rows_make_no_shards(home: Path) -> None:
    assert put([], "openai", home / "job") == []
