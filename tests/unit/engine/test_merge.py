"""Raw results become answers: each on its own row, in the user's order, whatever the provider sent."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchmark.domain.ids import wire_id
from batchmark.domain.lifecycle import State
from batchmark.domain.request import Row
from batchmark.domain.result import Outcome
from batchmark.domain.totals import Totals
from batchmark.domain.usage import Usage
from batchmark.engine.merge import merge, without_line
from batchmark.engine.stage import stage
from batchmark.ledger.records import BatchRecord, JobRecord, ShardRecord
from batchmark.prices.lookup import Price, Rate
from batchmark.providers import registry
from tests.support import answers_in, chat, row, rows_of, vector, wire

PROVIDERS = list(registry.BUILT_IN)
PRICE = Price(provider="p", model="m", rates=(Rate(0, 0.25, 0.5, 0.125, 0.25),), assumed=False, source="a list")


def good(provider: str, id_: str, text: str) -> dict[str, Any]:
    """A line of an answer, with 3 tokens in and 2 out."""
    if provider == "openai":
        body: dict[str, Any] = {
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "model": "m-dated",
        }
        body["usage"] = {"prompt_tokens": 3, "completion_tokens": 2}
        return {"custom_id": id_, "response": {"status_code": 200, "body": body}, "error": None}
    if provider == "anthropic":
        message: dict[str, Any] = {
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "model": "m-dated",
        }
        message["usage"] = {"input_tokens": 3, "output_tokens": 2}
        return {"custom_id": id_, "result": {"type": "succeeded", "message": message}}
    response = {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
    return {
        "key": id_,
        "response": {
            **response,
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
            "modelVersion": "m-dated",
        },
    }


def bad(provider: str, id_: str) -> dict[str, Any]:
    """A line of a failure that may pass."""
    if provider == "openai":
        return {"custom_id": id_, "response": {"status_code": 500, "body": {"error": {"message": "boom"}}}}
    if provider == "anthropic":
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}
        return {"custom_id": id_, "result": {"type": "errored", "error": error}}
    return {"key": id_, "error": {"code": 13, "message": "boom"}}


class Job:
    """A staged job of a provider, to whose shards a test gives result lines."""

    def __init__(self, provider: str, home: Path, rows: list[Row], *, shard_rows: int = 100) -> None:
        self.provider, self.folder = provider, home / "job"
        self.record = JobRecord(
            id="job1",
            run_id="run1",
            provider=provider,
            model="m",
            round=1,
            rows=len(rows),
            folder="job",
            emulated=True,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        limits = replace(registry.find(provider).limits, max_rows=shard_rows)
        self.shards = stage(rows, wire(provider), limits, source="x", model="m", job_id="job1", folder=self.folder)
        self.parts: list[tuple[ShardRecord, BatchRecord | None]] = []

    def id(self, shard: int, at: int) -> str:
        return wire_id(self.shards[shard].label, at)

    def good(self, shard: int, at: int) -> bytes:
        return json.dumps(good(self.provider, self.id(shard, at), f"answer {shard}.{at}")).encode()

    def bad(self, shard: int, at: int) -> bytes:
        return json.dumps(bad(self.provider, self.id(shard, at))).encode()

    def give(
        self, shard: int, *files: list[bytes], state: State = State.SUCCEEDED, problems: tuple[str, ...] = ()
    ) -> None:
        raw = []
        for number, lines in enumerate(files):
            path = self.folder / f"raw-{shard}-{number}.jsonl"
            path.write_bytes(b"\n".join(lines) + (b"\n" if lines else b""))
            raw.append({"path": path.name, "kind": "lines"})
        batch = BatchRecord(
            provider=self.provider,
            id=f"batch_{shard}",
            emulated=True,
            shard_id=shard,
            state=state,
            raw_status="",
            problems=list(problems),
        )
        self.parts.append((replace(self.shards[shard], raw=raw), batch))

    def merged(self, price: Price | None = PRICE) -> tuple[Totals, list[dict[str, Any]]]:
        into = self.folder / "answers.jsonl"
        totals = merge(self.record, self.parts, wire(self.provider), price, folder=self.folder, into=into)
        answers = answers_in(into)
        assert [each["row"] for each in answers] == list(range(self.record.rows))
        assert totals.submitted == self.record.rows
        return totals, answers


@pytest.fixture(params=PROVIDERS)
def job_of(request: pytest.FixtureRequest, home: Path) -> Callable[..., Job]:
    return lambda rows, **more: Job(request.param, home, rows, **more)


def test_answers_come_in_the_order_of_the_rows_however_they_were_sent(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(25), shard_rows=10)
    for shard, size in enumerate((10, 10, 5)):
        lines = [job.good(shard, at) for at in range(size)]
        random.Random(shard).shuffle(lines)
        job.give(shard, lines[:4], lines[4:])
    totals, answers = job.merged()
    assert [each["text"] for each in answers] == [f"answer {row // 10}.{row % 10}" for row in range(25)]
    assert [each["custom_id"] for each in answers] == [f"user-{row}" for row in range(25)]
    assert [each["batch_id"] for each in answers] == [f"batch_{row // 10}" for row in range(25)]
    assert {(each["outcome"], each["provider"], each["model"], each["attempt"]) for each in answers} == {
        ("succeeded", job.provider, "m-dated", 1)
    }
    assert (totals.succeeded, totals.failed, totals.usage) == (25, 0, Usage(75, 50))
    assert totals.cost_usd == 25 * (3 * 0.25 + 2 * 0.5)
    assert {each["cost_usd"] for each in answers} == {1.75}


def test_duplicate_unknown_and_unreadable_lines_are_counted_and_change_no_answer(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(4), shard_rows=2)
    strange = [
        json.dumps(good(job.provider, "somebody-else", "theirs")).encode(),
        json.dumps(good(job.provider, job.id(1, 0), "of another shard")).encode(),
        json.dumps(good(job.provider, wire_id(job.shards[0].label, 2), "beyond the end")).encode(),
    ]
    deep = b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    broken = [b"not json", b"{}", b"[1]", b"\xff\xfe", job.good(0, 1)[:-30], deep]
    job.give(0, [job.good(0, 1), *strange, b"", job.good(0, 0), *broken], [job.bad(0, 0), job.good(0, 1)])
    job.give(1, [job.good(1, 0), job.good(1, 1)])
    totals, answers = job.merged()
    assert [each["text"] for each in answers] == ["answer 0.0", "answer 0.1", "answer 1.0", "answer 1.1"]
    assert (totals.duplicates, totals.unknown, totals.unreadable) == (2, 3, 6)
    assert totals.usage == Usage(12, 8)


@pytest.mark.parametrize(
    ("state", "outcome", "again"),
    [
        (State.SUCCEEDED, "missing", True),
        (State.FAILED, "errored", False),
        (State.EXPIRED, "expired", True),
        (State.CANCELLED, "cancelled", False),
    ],
)
def test_rows_without_a_line_end_as_their_batch_did_and_the_paid_answers_are_kept(
    job_of: Callable[..., Job], state: State, outcome: str, again: bool
) -> None:
    job = job_of(rows_of(3))
    job.give(0, [job.good(0, 1)], state=state, problems=("too many tokens",))
    totals, answers = job.merged()
    assert [each["outcome"] for each in answers] == [outcome, "succeeded", outcome]
    assert (answers[0]["text"], answers[0]["usage"], answers[0]["cost_usd"]) == (None, None, None)
    assert answers[0]["error"]["retryable"] is again
    if state is State.FAILED:
        assert answers[0]["error"]["message"] == "too many tokens"
    assert (totals.succeeded, getattr(totals, outcome), totals.cost_usd) == (1, 2, 1.75)


def test_a_cut_last_line_costs_only_its_own_row(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(3))
    job.give(0, [job.good(0, 0), job.good(0, 1), job.good(0, 2)[:-15]])
    totals, answers = job.merged()
    assert [each["outcome"] for each in answers] == ["succeeded", "succeeded", "missing"]
    assert totals.unreadable == 1


def test_a_shard_that_was_never_made_into_a_batch_has_its_reason_on_every_row(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(3), shard_rows=2)
    job.parts.append((replace(job.shards[0], state="failed", problem="openai refused it"), None))
    job.give(1, [job.good(1, 0)])
    totals, answers = job.merged()
    assert [each["outcome"] for each in answers] == ["errored", "errored", "succeeded"]
    assert answers[0]["error"] == {"code": "batch_failed", "message": "openai refused it", "retryable": False}
    assert answers[0]["batch_id"] == ""
    assert totals.errors["batch_failed"].count == 2


def test_failures_are_summed_up_by_code(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(3))
    job.give(0, [job.good(0, 0)], [job.bad(0, 1), job.bad(0, 2)])
    totals, answers = job.merged()
    (group,) = totals.errors.values()
    assert (group.count, group.message, group.retryable, totals.errored) == (2, "boom", True, 2)
    assert answers[1]["error"]["message"] == "boom"


def test_the_users_own_ids_and_columns_survive(job_of: Callable[..., Job]) -> None:
    ids: list[str | int | None] = ["same", "same", None, 17, "ключ 🔑", "x" * 1000, ""]
    columns = [b'{"lang":"de","n":12345678901234567890123}', None, b'{"a":{"b":[null]}}', None, None, None, b"{}"]
    rows = [row(number, custom_id=id_, columns=columns[number]) for number, id_ in enumerate(ids)]
    job = job_of(rows)
    job.give(0, [job.good(0, at) for at in reversed(range(len(rows)))])
    _, answers = job.merged()
    assert [each["custom_id"] for each in answers] == ids
    assert (answers[0]["lang"], answers[0]["n"], answers[2]["a"]) == ("de", 12345678901234567890123, {"b": [None]})


def test_an_unknown_price_is_no_cost_at_all(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(1))
    job.give(0, [job.good(0, 0)])
    totals, answers = job.merged(price=None)
    assert (totals.cost_usd, totals.price_note, answers[0]["cost_usd"]) == (None, None, None)
    assert totals.usage == Usage(3, 2)


def test_the_note_of_the_price_goes_with_the_sum(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(1))
    job.give(0, [job.good(0, 0)])
    assert job.merged()[0].price_note == "a list, batch price"


def test_json_that_was_asked_for_is_parsed_and_other_text_is_not(job_of: Callable[..., Job]) -> None:
    job = job_of([row(0, chat()), *(row(number, chat(schema={"type": "object"})) for number in (1, 2))])
    texts = ['{"a": 1}', '{"a": 1}', "Sure! {"]
    job.give(0, [json.dumps(good(job.provider, job.id(0, at), text)).encode() for at, text in enumerate(texts)])
    _, answers = job.merged()
    assert "parsed" not in answers[0]
    assert (answers[1]["parsed"], answers[1]["text"]) == ({"a": 1}, '{"a": 1}')
    assert (answers[2]["parsed"], answers[2]["text"]) == (None, "Sure! {")


def test_every_vector_of_a_row_comes_back(home: Path) -> None:
    job = Job("openai", home, [row(0, vector("a")), row(1, vector("a", "b"))])
    lines = []
    for at, vectors in enumerate(([[0.5]], [[0.25], [0.75]])):
        data = [{"embedding": each, "index": index} for index, each in enumerate(vectors)]
        body = {"data": data[::-1], "usage": {"prompt_tokens": 3}}
        lines.append(json.dumps({"custom_id": job.id(0, at), "response": {"status_code": 200, "body": body}}).encode())
    job.give(0, lines)
    _, answers = job.merged()
    assert (answers[0]["embedding"], answers[0].get("embeddings")) == ([0.5], None)
    assert (answers[1].get("embedding"), answers[1]["embeddings"]) == (None, [[0.25], [0.75]])


def test_merging_again_gives_the_same_bytes(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(5))
    job.give(0, [job.good(0, at) for at in range(5)])
    job.merged()
    before = (job.folder / "answers.jsonl").read_bytes()
    job.merged()
    assert (job.folder / "answers.jsonl").read_bytes() == before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_answer_is_ever_on_the_wrong_row(provider: str, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    job = Job(provider, tmp_path_factory.mktemp("merge"), rows_of(12), shard_rows=5)
    sent = set()
    for shard, size in enumerate((5, 5, 2)):
        places = data.draw(st.lists(st.integers(0, size - 1), max_size=8))
        sent |= {shard * 5 + at for at in places}
        noise = data.draw(
            st.lists(st.sampled_from([b"", b"{", b"  ", b"\x00", job.good((shard + 1) % 3, 0)]), max_size=3)
        )
        lines = data.draw(st.permutations([*(job.good(shard, at) for at in places), *noise]))
        cut = data.draw(st.integers(0, len(lines)))
        job.give(shard, lines[:cut], lines[cut:])
    totals, answers = job.merged()
    for number, answer in enumerate(answers):
        assert answer["custom_id"] == f"user-{number}"
        if number in sent:
            assert answer["text"] == f"answer {number // 5}.{number % 5}"
        else:
            assert answer["outcome"] == "missing"
    assert totals.succeeded == len(sent)


@pytest.mark.parametrize("state", list(State))
def test_every_end_of_a_batch_has_a_word_for_a_missing_line(state: State) -> None:
    outcome, failure = without_line(state, ["a", "b"])
    assert outcome is not Outcome.SUCCEEDED and failure.message
