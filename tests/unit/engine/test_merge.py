"""Attempts are joined: every row once, in order, with the answer of the last attempt that asked it, and sums that add up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchmark.domain.ids import parse_wire_id, wire_id
from batchmark.domain.result import Outcome
from batchmark.domain.totals import ErrorGroup, Totals
from batchmark.domain.usage import Usage
from batchmark.engine.merge import final_lines, merge, sum_up
from batchmark.engine.stage import answers_part, carried_path, shard_path
from batchmark.errors import LocalTrouble
from batchmark.ledger.artifacts import compress
from batchmark.ledger.records import BatchRecord, ShardRecord
from batchmark.workload.answers import decode_carried
from tests.support import answers_in, chat, row, rows_of
from tests.unit.engine.fakes import bad, good
from tests.unit.engine.test_settle import failed_line
from tests.unit.engine.workbench import PROVIDERS, Job


@pytest.fixture(params=PROVIDERS)
def job_of(request: pytest.FixtureRequest, home: Path) -> Callable[..., Job]:
    return lambda rows, **more: Job(request.param, home, rows, **more)


def line_for(job: Job, attempt: ShardRecord, at: int, kind: str) -> bytes:
    id_ = wire_id(attempt.label, at)
    if kind == "good":
        return json.dumps(good(job.provider, id_, f"answer of attempt {attempt.attempt}")).encode()
    if kind == "bad":
        return json.dumps(bad(job.provider, id_)).encode()
    return json.dumps(failed_line(job.provider, id_, "bad request")).encode()


def rows_asked(job: Job, attempt: ShardRecord) -> list[int]:
    """The user's rows of an attempt, as kept beside its requests."""
    with carried_path(job.folder, attempt.label).open("rb") as file:
        return [decode_carried(line).row for line in file]


def requests_asked(job: Job, attempt: ShardRecord) -> list[dict[str, Any]]:
    content = shard_path(job.folder, attempt.label).read_bytes()
    if job.provider == "anthropic":
        found: list[dict[str, Any]] = json.loads(content)["requests"]
        return found
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


@settings(max_examples=50, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("provider", PROVIDERS)
def test_after_any_failures_the_next_attempt_holds_just_those_rows_and_the_whole_adds_up(
    provider: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    texts = data.draw(st.lists(st.sampled_from(["x", "é" * 40, '"custom_id":"a"', "🔑" * 20]), min_size=1, max_size=14))
    rows = [row(number, chat(f"{number} {text}"), custom_id=f"user-{number}") for number, text in enumerate(texts)]
    job = Job(provider, tmp_path_factory.mktemp("merge"), rows, shard_rows=5)
    most_attempts = data.draw(st.integers(1, 4))
    expected: dict[int, tuple[str, int]] = {}
    answered = 0
    for first in job.shards:
        attempt: ShardRecord | None = first
        asked = rows_asked(job, first)
        while attempt is not None:
            assert rows_asked(job, attempt) == asked
            requests = requests_asked(job, attempt)
            ids = [each["key" if provider == "google" else "custom_id"] for each in requests]
            assert ids == [wire_id(attempt.label, at) for at in range(len(asked))]
            assert all(parse_wire_id(each) == (attempt.label, at) for at, each in enumerate(ids))
            for number, request in zip(asked, requests, strict=True):
                content = rows[number].request.messages[0].content  # type: ignore[union-attr]
                assert json.dumps(content, ensure_ascii=False) in json.dumps(request, ensure_ascii=False)
            path = shard_path(job.folder, attempt.label)
            assert path.stat().st_size == attempt.bytes <= min(job.limits.max_bytes, first.bytes)
            assert attempt.rows == len(asked) <= job.limits.max_rows
            kinds = data.draw(
                st.lists(st.sampled_from(["good", "bad", "never", "absent"]), min_size=len(asked), max_size=len(asked))
            )
            lines = [line_for(job, attempt, at, kind) for at, kind in enumerate(kinds) if kind != "absent"]
            lines = data.draw(st.permutations(lines))
            cut = data.draw(st.integers(0, len(lines)))
            shard, batch = job.give(attempt, lines[:cut], lines[cut:])
            found = job.settled(shard, batch, ask_again=attempt.attempt < most_attempts)
            for number, kind in zip(asked, kinds, strict=True):
                expected[number] = (kind, attempt.attempt)
                answered += kind == "good"
            again = [number for number, kind in zip(asked, kinds, strict=True) if kind in ("bad", "absent")]
            following = found.following
            assert (following is not None) is (bool(again) and attempt.attempt < most_attempts)
            attempt, asked = following, again
    totals, answers = job.merged()
    outcomes = {"good": "succeeded", "bad": "errored", "never": "errored", "absent": "missing"}
    assert [each["custom_id"] for each in answers] == [f"user-{number}" for number in range(len(rows))]
    for number, answer in enumerate(answers):
        kind, last = expected[number]
        assert (answer["outcome"], answer["attempt"]) == (outcomes[kind], last)
        if kind == "good":
            assert answer["text"] == f"answer of attempt {last}"
    counted = Counter(each["outcome"] for each in answers)
    assert {name: getattr(totals, name) for name in map(str, Outcome)} == {
        name: counted.get(name, 0) for name in map(str, Outcome)
    }
    codes = Counter(each["error"]["code"] for each in answers if each["error"])
    assert {code: group.count for code, group in totals.errors.items()} == codes
    # every attempt's tokens and money, not only the last one's
    assert totals.usage == Usage(3 * answered, 2 * answered)
    assert totals.cost_usd == pytest.approx(1.75 * answered)


def test_what_failed_attempts_used_is_paid_and_counted(home: Path) -> None:
    job = Job("openai", home, rows_of(3))
    failed = json.dumps(
        {
            "custom_id": job.id(0, 1),
            "response": {
                "status_code": 500,
                "body": {"error": {"message": "boom"}, "usage": {"prompt_tokens": 10, "completion_tokens": 4}},
            },
        }
    ).encode()
    shard, batch = job.give(0, [job.good(0, 0), failed, job.good(0, 2)])
    following = job.settled(shard, batch, ask_again=True).following
    assert following is not None
    job.give(following, [line_for(job, following, 0, "good")])
    totals, answers = job.merged()
    assert (totals.submitted, totals.succeeded, totals.errors) == (3, 3, {})
    assert totals.usage == Usage(10 + 9, 4 + 6)
    assert totals.cost_usd == 3 * 1.75 + 10 * 0.25 + 4 * 0.5
    # the last attempt's answer carries its own cost: what was wasted stands in the totals alone
    assert [each["cost_usd"] for each in answers] == [1.75] * 3


def test_only_the_shards_that_were_asked_again_are_joined_line_by_line(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(9), shard_rows=3)
    for number in (0, 2):
        job.give(number, [job.good(number, at) for at in range(3)])
    shard, batch = job.give(1, [job.good(1, 0), job.good(1, 2)])
    following = job.settled(shard, batch, ask_again=True).following
    assert following is not None
    job.give(following, [line_for(job, following, 0, "good")])
    _, answers = job.merged()
    assert [each["attempt"] for each in answers] == [1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert [each["batch_id"] for each in answers] == ["batch_0"] * 3 + ["batch_1", "batch_1_2", "batch_1"] + [
        "batch_2"
    ] * 3


def test_a_later_attempt_that_was_never_sent_leaves_its_rows_the_answers_they_have(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(3))
    shard, batch = job.give(0, [job.good(0, 0), job.bad(0, 1), job.good(0, 2)])
    found = job.settled(shard, batch, ask_again=True)
    assert found.following is not None
    # cancelled before it was sent: it has no answers of its own
    job.done.append(replace(found.following, id=9, state="failed", problem="cancelled before it was sent"))
    totals, answers = job.merged()
    assert [each["outcome"] for each in answers] == ["succeeded", "errored", "succeeded"]
    assert (totals.submitted, totals.succeeded, totals.errored) == (3, 2, 1)


def test_answers_that_are_kept_compressed_are_merged_all_the_same(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(4), shard_rows=2)
    job.give(0, [job.good(0, 0), job.good(0, 1)])
    shard, batch = job.give(1, [job.good(1, 0)])
    following = job.settled(shard, batch, ask_again=True).following
    assert following is not None
    job.give(following, [line_for(job, following, 0, "good")])
    first = job.merged()
    content = (job.folder / "answers.jsonl").read_bytes()
    for each in job.done:
        compress(answers_part(job.folder, each.label))
        compress(carried_path(job.folder, each.label))
    assert job.merged() == first
    assert (job.folder / "answers.jsonl").read_bytes() == content


def test_a_full_disk_leaves_the_answers_that_were_there(job_of: Callable[..., Job], monkeypatch: Any) -> None:
    job = job_of(rows_of(2))
    job.give(0, [job.good(0, 0), job.good(0, 1)])
    job.merged()
    into = job.folder / "answers.jsonl"
    into.write_text("what was there")
    with monkeypatch.context() as patch:
        patch.setenv("BATCHMARK_DISK_FULL_AT", "answers.jsonl")
        with pytest.raises(LocalTrouble, match="disk is full"):
            merge(job.done, folder=job.folder, into=into)
    assert into.read_text() == "what was there"
    assert not list(job.folder.glob(".*.part"))


def test_answers_that_are_gone_are_this_machines_trouble_and_nothing_is_half_written(
    job_of: Callable[..., Job],
) -> None:
    job = job_of(rows_of(4), shard_rows=2)
    for number in (0, 1):
        job.give(number, [job.good(number, at) for at in range(2)])
    job.merged()
    (job.folder / "answers.jsonl").unlink()
    answers_part(job.folder, job.shards[1].label).unlink()
    with pytest.raises(LocalTrouble):
        merge(job.done, folder=job.folder, into=job.folder / "answers.jsonl")
    assert not (job.folder / "answers.jsonl").exists()


@pytest.mark.parametrize("damaged", [0, 1])
def test_answers_that_were_cut_short_are_noticed_and_not_merged_as_fewer(
    job_of: Callable[..., Job], damaged: int
) -> None:
    job = job_of(rows_of(6), shard_rows=3)
    job.give(0, [job.good(0, at) for at in range(3)])
    shard, batch = job.give(1, [job.good(1, 0), job.bad(1, 1), job.good(1, 2)])
    following = job.settled(shard, batch, ask_again=True).following
    assert following is not None
    job.give(following, [line_for(job, following, 0, "good")])
    job.merged()
    before = (job.folder / "answers.jsonl").read_bytes()
    path = answers_part(job.folder, job.shards[damaged].label)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    attempts = sorted(job.done, key=lambda each: (each.number, each.attempt))
    with pytest.raises(LocalTrouble, match="is not as it was written"):
        merge(attempts, folder=job.folder, into=job.folder / "answers.jsonl")
    assert (job.folder / "answers.jsonl").read_bytes() == before


def test_an_attempt_that_lost_lines_is_not_joined_to_the_wrong_rows(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(3))
    shard, batch = job.give(0, [job.good(0, 0), job.bad(0, 1), job.good(0, 2)])
    following = job.settled(shard, batch, ask_again=True).following
    assert following is not None
    job.give(following, [line_for(job, following, 0, "good")])
    job.merged()
    path = answers_part(job.folder, shard.label)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(LocalTrouble, match="is not as it was written"):
        list(final_lines(job.done, job.folder))


def shard(number: int, attempt: int, totals: Totals | None, handed_on: Totals | None = None) -> ShardRecord:
    return ShardRecord(
        id=0,
        job_id="job1",
        number=number,
        attempt=attempt,
        label="x",
        endpoint="/v1/x",
        rows=1,
        bytes=1,
        digest="",
        state="collected",
        answers=None if totals is None else {"path": "x"},
        totals=None if totals is None else msgspec.to_builtins(totals),
        handed_on=None if handed_on is None else msgspec.to_builtins(handed_on),
    )


def test_sums_of_what_is_collected_so_far_count_every_row_once() -> None:
    group = ErrorGroup(2, "boom", True)
    first = Totals(
        submitted=5,
        succeeded=3,
        errored=2,
        usage=Usage(10, 5),
        cost_usd=1.0,
        errors={"status_500": group},
        duplicates=1,
    )
    handed_on = Totals(submitted=2, errored=2, cost_usd=None, errors={"status_500": group})
    # the next attempt is still under way: its rows are not here yet, but their last word so far is
    assert sum_up([shard(0, 1, first, handed_on), shard(0, 2, None)]).submitted == 5
    second = Totals(submitted=2, succeeded=1, expired=1, usage=Usage(4, 2), cost_usd=0.5)
    whole = sum_up([shard(0, 1, first, handed_on), shard(0, 2, second)])
    assert (whole.submitted, whole.succeeded, whole.errored, whole.expired) == (5, 4, 0, 1)
    assert (whole.usage, whole.cost_usd, whole.errors, whole.duplicates) == (Usage(14, 7), 1.5, {}, 1)


def test_a_sum_with_an_unknown_cost_in_it_is_unknown() -> None:
    known, unknown = Totals(submitted=1, cost_usd=1.0), Totals(submitted=1, cost_usd=None)
    assert sum_up([shard(0, 1, known), shard(1, 1, unknown)]).cost_usd is None
    assert sum_up([shard(0, 1, unknown), shard(1, 1, known)]).cost_usd is None
    assert sum_up([]).cost_usd is None


def test_no_rows_merge_to_an_empty_file(home: Path) -> None:
    merge([], folder=home, into=home / "answers.jsonl")
    assert answers_in(home / "answers.jsonl") == []


def test_a_batch_and_its_attempt_stand_on_every_answer(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(1))
    shard_, batch = job.give(0, [job.bad(0, 0)])
    assert isinstance(batch, BatchRecord)
    following = job.settled(shard_, batch, ask_again=True).following
    assert following is not None
    job.give(following, [line_for(job, following, 0, "bad")])
    _, (answer,) = job.merged()
    assert (answer["batch_id"], answer["attempt"], answer["outcome"]) == ("batch_0_2", 2, "errored")
