"""Raw results become answers: each on its own row, in the user's order, whatever the provider sent."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchmark.domain.ids import wire_id
from batchmark.domain.lifecycle import State
from batchmark.domain.result import Outcome
from batchmark.domain.usage import Usage
from batchmark.engine.settle import index, without_line
from batchmark.engine.stage import answers_part, carried_path, shard_path
from batchmark.errors import LocalTrouble
from batchmark.ledger.artifacts import compress, sha256_of
from batchmark.ledger.records import CANCELLED_UNSENT
from batchmark.workload.answers import decode_carried
from tests.support import chat, row, rows_of, vector
from tests.unit.engine.fakes import good
from tests.unit.engine.workbench import PROVIDERS, Job


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


def test_settling_again_gives_the_same_bytes(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(6))
    lines = [job.good(0, 3), job.bad(0, 1), job.good(0, 5), b"not json", job.bad(0, 4), job.good(0, 0)]
    shard, batch = job.give(0, lines[:2], lines[2:])
    first = job.settled(shard, batch, ask_again=True)
    before = {path.name: path.read_bytes() for path in job.folder.iterdir()}
    assert job.settled(shard, batch, ask_again=True) == first
    assert {path.name: path.read_bytes() for path in job.folder.iterdir()} == before
    path = answers_part(job.folder, shard.label)
    assert first.answers == {"path": path.name, "sha256": sha256_of(path), "bytes": path.stat().st_size}


def test_what_is_kept_compressed_is_settled_all_the_same(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(6))
    shard, batch = job.give(0, [job.good(0, 3), job.bad(0, 1)])
    first = job.settled(shard, batch, ask_again=True)
    for path in (shard_path(job.folder, shard.label), carried_path(job.folder, shard.label)):
        compress(path)
    assert job.settled(shard, batch, ask_again=True) == first


# what is asked again


def failed_line(provider: str, id_: str, kind: str) -> dict[str, Any]:
    """A line of a row without an answer."""
    if kind == "refused":
        line = good(provider, id_, "I cannot do that")
        if provider == "openai":
            line["response"]["body"]["choices"][0]["message"] = {"content": None, "refusal": "I cannot do that"}
        elif provider == "anthropic":
            line["result"]["message"]["stop_reason"] = "refusal"
        else:
            line["response"]["candidates"][0]["finishReason"] = "SAFETY"
        return line
    errors: dict[tuple[str, str], dict[str, Any]] = {
        ("openai", "lost"): {"response": {"status_code": 0, "body": None}, "error": None},
        ("openai", "rate limit"): {"response": {"status_code": 429, "body": {"error": {"message": "slow"}}}},
        ("openai", "quota"): {
            "response": {"status_code": 429, "body": {"error": {"message": "pay", "code": "insufficient_quota"}}}
        },
        ("openai", "bad request"): {"response": {"status_code": 400, "body": {"error": {"message": "no"}}}},
        ("openai", "expired"): {"response": None, "error": {"code": "batch_expired", "message": "too late"}},
        ("openai", "cancelled"): {"response": None, "error": {"code": "batch_cancelled", "message": "stopped"}},
        ("anthropic", "rate limit"): {
            "result": {"type": "errored", "error": {"error": {"type": "rate_limit_error", "message": "slow"}}}
        },
        ("anthropic", "bad request"): {
            "result": {"type": "errored", "error": {"error": {"type": "invalid_request_error", "message": "no"}}}
        },
        ("anthropic", "expired"): {"result": {"type": "expired"}},
        ("anthropic", "cancelled"): {"result": {"type": "canceled"}},
        ("google", "rate limit"): {"error": {"code": 8, "message": "slow", "status": "RESOURCE_EXHAUSTED"}},
        ("google", "bad request"): {"error": {"code": 3, "message": "no", "status": "INVALID_ARGUMENT"}},
    }
    return {"key" if provider == "google" else "custom_id": id_, **errors[provider, kind]}


KINDS = [
    *((provider, "refused", "errored", False) for provider in PROVIDERS),
    *((provider, "rate limit", "errored", True) for provider in PROVIDERS),
    *((provider, "bad request", "errored", False) for provider in PROVIDERS),
    ("openai", "lost", "errored", True),
    ("openai", "quota", "errored", False),
    ("openai", "expired", "expired", True),
    ("openai", "cancelled", "cancelled", False),
    ("anthropic", "expired", "expired", True),
    ("anthropic", "cancelled", "cancelled", False),
]


@pytest.mark.parametrize(("provider", "kind", "outcome", "again"), KINDS)
def test_only_what_may_pass_is_asked_again(home: Path, provider: str, kind: str, outcome: str, again: bool) -> None:
    job = Job(provider, home, rows_of(3))
    line = json.dumps(failed_line(provider, job.id(0, 1), kind)).encode()
    shard, batch = job.give(0, [job.good(0, 2), line, job.good(0, 0)])
    found = job.settled(shard, batch, ask_again=True)
    _, answers = job.merged()
    assert (answers[1]["outcome"], answers[1]["error"]["retryable"]) == (outcome, again)
    assert (found.following is not None) is again
    if found.following is not None:
        assert (found.following.rows, found.following.attempt, found.following.state) == (1, 2, "staged")
        assert found.handed_on is not None
        assert (found.handed_on.submitted, getattr(found.handed_on, outcome)) == (1, 1)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("stopped", [False, True])
def test_cancelled_rows_are_asked_again_only_where_we_stopped_the_batch(
    home: Path, provider: str, stopped: bool
) -> None:
    job = Job(provider, home, rows_of(3))
    line = json.dumps(failed_line(provider, job.id(0, 1), "cancelled")).encode()
    # one row says so itself, and of one nothing is said
    shard, batch = job.give(0, [job.good(0, 0), line], state=State.CANCELLED, stopped=stopped)
    found = job.settled(shard, batch, ask_again=True)
    _, answers = job.merged()
    assert [each["outcome"] for each in answers] == ["succeeded", "cancelled", "cancelled"]
    assert (found.following.rows if found.following else 0) == (2 if stopped else 0)


@pytest.mark.parametrize(
    ("state", "again"),
    [(State.SUCCEEDED, True), (State.EXPIRED, True), (State.FAILED, False), (State.CANCELLED, False)],
)
def test_a_batch_without_a_line_is_asked_again_whole_or_not_at_all(
    job_of: Callable[..., Job], state: State, again: bool
) -> None:
    job = job_of(rows_of(3))
    no_files: list[list[list[bytes]]] = [[], [[]]]
    for files in no_files:
        shard, batch = job.give(0, *files, state=state)
        found = job.settled(shard, batch, ask_again=True)
        assert (found.following.rows if found.following else 0) == (3 if again else 0)
    totals, answers = job.merged()
    assert (totals.succeeded, totals.cost_usd, len(answers)) == (0, 0.0, 3)


def test_nothing_is_asked_again_where_that_is_not_wanted(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(3))
    shard, batch = job.give(0, [job.bad(0, 1)])
    found = job.settled(shard, batch, ask_again=False)
    assert (found.following, found.handed_on) == (None, None)
    assert not shard_path(job.folder, "bm-job1-0-2").exists()


def test_a_row_that_was_answered_is_never_asked_again_though_a_failure_came_too(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(2))
    for order in ([job.bad(0, 0), job.good(0, 0)], [job.good(0, 0), job.bad(0, 0)]):
        shard, batch = job.give(0, [*order, job.good(0, 1)])
        found = job.settled(shard, batch, ask_again=True)
        assert (found.following, found.totals.succeeded, found.totals.duplicates) == (None, 2, 1)


@pytest.mark.parametrize("problem", ["openai refused it", CANCELLED_UNSENT])
def test_what_was_never_sent_is_not_asked_again(job_of: Callable[..., Job], problem: str) -> None:
    job = job_of(rows_of(3))
    found = job.settled(replace(job.shards[0], state="failed", problem=problem), None, ask_again=True)
    assert found.following is None
    _, answers = job.merged()
    outcome = "cancelled" if problem == CANCELLED_UNSENT else "errored"
    assert {each["outcome"] for each in answers} == {outcome}


def test_the_next_attempt_asks_the_same_of_the_provider_but_for_its_id(job_of: Callable[..., Job]) -> None:
    texts = ['tricky "custom_id":"bm-job1-0-1-0"', "ключ 🔑", "plain", "x" * 3000]
    rows = [row(number, chat(text), custom_id=f"user-{number}") for number, text in enumerate(texts)]
    job = job_of(rows)
    shard, batch = job.give(0, [job.bad(0, 0), job.good(0, 2), job.bad(0, 3)])
    following = job.settled(shard, batch, ask_again=True).following
    assert following is not None
    before = requests_in(job, shard.label)
    after = requests_in(job, following.label)
    key = "key" if job.provider == "google" else "custom_id"
    assert [each.pop(key) for each in after] == [f"bm-job1-0-2-{at}" for at in range(3)]
    for each in before:
        del each[key]
    assert after == [before[0], before[1], before[3]]
    assert following.bytes == shard_path(job.folder, following.label).stat().st_size
    assert following.digest == sha256_of(shard_path(job.folder, following.label))
    assert following.carried_digest == sha256_of(carried_path(job.folder, following.label))
    with carried_path(job.folder, following.label).open("rb") as carried:
        assert [decode_carried(line).row for line in carried] == [0, 1, 3]


def requests_in(job: Job, label: str) -> list[dict[str, Any]]:
    content = shard_path(job.folder, label).read_bytes()
    if job.provider == "anthropic":
        found: list[dict[str, Any]] = json.loads(content)["requests"]
        return found
    return [json.loads(line) for line in content.splitlines()]


def test_what_the_next_attempt_may_cost_is_its_part_of_the_shard(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(10))
    shard, batch = job.give(0, [job.good(0, at) for at in range(7)])
    following = job.settled(shard, batch, ask_again=True).following
    assert following is not None and following.estimate is not None and shard.estimate is not None
    assert following.estimate["rows"] == 3
    assert 0 < following.estimate["input_tokens"] < shard.estimate["input_tokens"]


@pytest.mark.parametrize("full", ["*.answers", "bm-job1-0-2.requests", "bm-job1-0-2.rows"])
def test_a_full_disk_leaves_no_half_of_anything_and_what_was_paid_for(
    job_of: Callable[..., Job], full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(rows_of(3))
    shard, batch = job.give(0, [job.good(0, 0)])
    before = {path.name: path.read_bytes() for path in job.folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setenv("BATCHMARK_DISK_FULL_AT", full)
        with pytest.raises(LocalTrouble, match="disk is full"):
            job.settled(shard, batch, ask_again=True)
    left = {path.name: path.read_bytes() for path in job.folder.iterdir()}
    assert before.items() <= left.items()
    assert not any(name.endswith(".part") for name in left)
    found = job.settled(shard, batch, ask_again=True)
    assert found.following is not None and found.following.rows == 2


def test_a_shard_file_that_was_cut_short_makes_no_shorter_attempt(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(4))
    shard, batch = job.give(0, [job.good(0, 0)])
    path = shard_path(job.folder, shard.label)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(job.id(0, 2).encode())])
    with pytest.raises((LocalTrouble, ValueError)):
        job.settled(shard, batch, ask_again=True)
    assert not shard_path(job.folder, "bm-job1-0-2").exists()
    assert not carried_path(job.folder, "bm-job1-0-2").exists()


def test_where_lines_lie_tells_whose_the_results_are(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(3), shard_rows=2)
    mine = json.dumps(good(job.provider, job.id(0, 0), "x")).encode()
    theirs = json.dumps(good(job.provider, "order-17", "x")).encode()
    other_shard = json.dumps(good(job.provider, job.id(1, 0), "x")).encode()
    for lines, ours, others in (
        ([], False, False),
        ([mine], True, False),
        ([theirs], False, True),
        ([theirs, mine], True, True),
        ([other_shard], False, True),
        ([b"not json"], False, False),
    ):
        shard, _ = job.give(0, lines)
        places = index([job.folder / entry["path"] for entry in shard.raw or ()], job.wire, shard)
        assert (places.ours, places.others) == (ours, others)
        assert places.lines == len(lines)


@pytest.mark.parametrize("tail", ["0x1", "-1", "+1", "١", "01", "1 ", "1.0", "999999999999", ""])
def test_an_id_that_only_looks_like_one_of_ours_leads_to_no_wrong_row(job_of: Callable[..., Job], tail: str) -> None:
    job = job_of(rows_of(3))
    strange = json.dumps(good(job.provider, f"{job.shards[0].label}-{tail}", "strange"), ensure_ascii=False).encode()
    job.give(0, [job.good(0, 0), job.good(0, 1), strange, job.good(0, 2)])
    _, answers = job.merged()
    assert [each["text"] for each in answers] == ["answer 0.0", "answer 0.1", "answer 0.2"]


def test_answers_that_lie_far_apart_are_found_in_whatever_order(job_of: Callable[..., Job]) -> None:
    job = job_of(rows_of(40))
    lines = []
    for at in range(40):
        text = f"answer {at} " + "é" * (60_000 if at % 7 == 0 else 10)
        lines.append(json.dumps(good(job.provider, job.id(0, at), text), ensure_ascii=False).encode())
    random.Random(7).shuffle(lines)
    job.give(0, lines[:11], lines[11:12], lines[12:])
    _, answers = job.merged()
    assert [each["text"].split()[1] for each in answers] == [str(at) for at in range(40)]


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
