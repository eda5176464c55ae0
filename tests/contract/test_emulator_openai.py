"""OpenAI's SDK, unmodified, against the emulator."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai.types import Batch

from batchmark.emulator import Emulator, EmulatorOptions

CHAT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5},
    "/v1/responses": {"model": "gpt-5-nano", "input": "hello"},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": ["hello", "there"], "dimensions": 8},
    "/v1/completions": {"model": "gpt-3.5-turbo-instruct", "prompt": "hello"},
}


@pytest.fixture
def client(cloud: Emulator) -> Iterator[openai.OpenAI]:
    variables = cloud.environment()
    with openai.OpenAI(base_url=variables["OPENAI_BASE_URL"], api_key="any", max_retries=0) as made:
        yield made


def line(custom_id: str, *, url: str = CHAT, method: str = "POST", **changes: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": method, "url": url, "body": BODIES[url] | changes}


def upload(client: openai.OpenAI, lines: list[Any], *, name: str = "in.jsonl") -> str:
    data = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines)
    return client.files.create(file=(name, io.BytesIO(data.encode())), purpose="batch").id


def finished(client: openai.OpenAI, batch: Batch) -> Batch:
    for _ in range(1000):
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
        batch = client.batches.retrieve(batch.id)
    raise AssertionError(f"still {batch.status}")


def run(client: openai.OpenAI, lines: list[Any], *, url: str = CHAT) -> Batch:
    file_id = upload(client, lines)
    return finished(client, client.batches.create(input_file_id=file_id, endpoint=url, completion_window="24h"))  # type: ignore[arg-type]


def results(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id
    return [json.loads(each) for each in client.files.content(file_id).text.splitlines()]


@pytest.mark.parametrize("url", list(BODIES))
def test_a_batch_lives_from_upload_to_answers_on_every_endpoint(client: openai.OpenAI, url: str) -> None:
    file_id = upload(client, [line(f"row-{number}", url=url) for number in range(3)])
    made = client.batches.create(
        input_file_id=file_id,
        endpoint=url,  # type: ignore[arg-type]
        completion_window="24h",
        metadata={"label": "mine"},
    )
    assert (made.status, made.model, made.output_file_id) == ("validating", None, None)
    assert made.request_counts is not None and made.request_counts.total == 0
    assert made.id.startswith(f"batch_{made.created_at:08x}")
    done = finished(client, made)
    assert done.status == "completed"
    assert done.metadata == {"label": "mine"}
    assert done.expires_at == done.created_at + 86_400
    assert done.request_counts is not None and done.request_counts.completed == 3
    answers = results(client, done.output_file_id)
    assert [answer["custom_id"] for answer in answers] == ["row-0", "row-1", "row-2"]
    assert all(answer["response"]["status_code"] == 200 and answer["error"] is None for answer in answers)
    usage = [answer["response"]["body"]["usage"] for answer in answers]
    assert done.usage is not None and done.usage.total_tokens == sum(each["total_tokens"] for each in usage)
    assert done.error_file_id is None


def test_the_async_client_does_the_same(cloud: Emulator) -> None:
    async def life() -> str:
        url = cloud.environment()["OPENAI_BASE_URL"]
        async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client:
            data = io.BytesIO(json.dumps(line("a")).encode())
            stored = await client.files.create(file=("in.jsonl", data), purpose="batch")
            batch = await client.batches.create(input_file_id=stored.id, endpoint=CHAT, completion_window="24h")
            while batch.status != "completed":
                batch = await client.batches.retrieve(batch.id)
            assert [each.id async for each in client.batches.list(limit=1)] == [batch.id]
            assert batch.output_file_id is not None
            async with client.files.with_streaming_response.content(batch.output_file_id) as answer:
                return (await answer.read()).decode()

    assert json.loads(asyncio.run(life()))["custom_id"] == "a"


def test_embeddings_are_unit_vectors_of_the_size_asked_for(client: openai.OpenAI) -> None:
    done = run(client, [line("a", url="/v1/embeddings")], url="/v1/embeddings")
    data = results(client, done.output_file_id)[0]["response"]["body"]["data"]
    assert [item["index"] for item in data] == [0, 1]
    for item in data:
        assert len(item["embedding"]) == 8
        assert sum(value * value for value in item["embedding"]) == pytest.approx(1)


def test_refused_rows_go_to_the_error_file_with_their_status(client: openai.OpenAI) -> None:
    done = run(
        client, [line("good"), line("hot", temperature=9), line("empty", messages=[]), line("live", stream=True)]
    )
    assert done.status == "completed"
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 3)
    errors = results(client, done.error_file_id)
    assert [error["custom_id"] for error in errors] == ["hot", "empty", "live"]
    for error in errors:
        assert error["error"] is None
        assert error["response"]["status_code"] == 400
        assert error["response"]["body"]["error"]["type"] == "invalid_request_error"


def test_a_batch_with_no_success_completes_without_an_output_file(client: openai.OpenAI) -> None:
    done = run(client, [line("a", messages=[]), line("b", messages=[])])
    assert (done.status, done.output_file_id) == ("completed", None)
    assert len(results(client, done.error_file_id)) == 2


def test_reasoning_models_refuse_max_tokens_and_temperature_as_the_real_ones_do(client: openai.OpenAI) -> None:
    rows = [line("a", model="gpt-5-nano"), line("b", model="gpt-5-nano", max_tokens=None, temperature=0.5)]
    done = run(client, rows)
    codes = [each["response"]["body"]["error"]["code"] for each in results(client, done.error_file_id)]
    assert codes == ["unsupported_parameter", "unsupported_value"]


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        (["{nonsense"], "invalid_json_line", 1),
        ([line("a"), "[1]"], "invalid_json_line", 2),
        ([], "empty_file", None),
        ([line("a"), line("a")], "duplicate_custom_id", 2),
        ([line("a", url="/v1/responses")], "url_mismatch", 1),
        ([line("a"), line("b", model="gpt-4.1")], "model_mismatch", 2),
        ([line("a", model="gpt-unheard-of")], "model_not_found", 1),
        ([line("a", method="GET")], "invalid_method", 1),
        ([{"custom_id": "a", "method": "POST", "url": CHAT}], "missing_required_parameter", 1),
        ([line(f"row-{number}") for number in range(50_001)], "too_many_tasks", None),
    ],
)
def test_a_bad_input_file_fails_later_and_names_its_line(
    client: openai.OpenAI, lines: list[Any], code: str, number: int | None
) -> None:
    file_id = upload(client, lines)
    made = client.batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h")
    assert made.status == "validating"
    done = finished(client, made)
    assert done.status == "failed"
    assert done.failed_at is not None
    assert done.errors is not None and done.errors.data is not None
    assert (done.errors.data[0].code, done.errors.data[0].line) == (code, number)
    assert done.output_file_id is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input_file_id"),
        ({"input_file_id": "file-unknown", "endpoint": CHAT, "completion_window": "24h"}, "input_file_id"),
        ({"input_file_id": "FILE", "endpoint": "/v1/nothing", "completion_window": "24h"}, "endpoint"),
        ({"input_file_id": "FILE", "endpoint": CHAT, "completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "FILE", "endpoint": CHAT, "completion_window": "24h", "metadata": {"a": 1}}, "metadata.a"),
        (
            {
                "input_file_id": "FILE",
                "endpoint": CHAT,
                "completion_window": "24h",
                "metadata": {str(number): "x" for number in range(17)},
            },
            "metadata",
        ),
    ],
)
def test_a_bad_create_call_is_refused_at_once(client: openai.OpenAI, body: dict[str, Any], param: str) -> None:
    if body.get("input_file_id") == "FILE":
        body = body | {"input_file_id": upload(client, [line("a")])}
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/batches", body=body, cast_to=Batch)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


def test_batches_and_files_are_listed_in_pages_newest_first(client: openai.OpenAI) -> None:
    made = [run(client, [line("a")]).id for _ in range(5)]
    first = client.batches.list(limit=2)
    assert first.has_more
    assert [batch.id for batch in first.data] == made[:2:-1]
    assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]
    files = [file.id for file in client.files.list(purpose="batch", limit=2)]
    assert len(files) == 5
    assert [file.id for file in client.files.list(purpose="batch", limit=2, order="asc")] == files[::-1]


def test_files_keep_their_name_and_lifetime_and_can_be_deleted(client: openai.OpenAI) -> None:
    lifetime: Any = {"anchor": "created_at", "seconds": 3600}
    stored = client.files.create(file=("label.jsonl", b"{}\n"), purpose="batch", expires_after=lifetime)
    assert (stored.filename, stored.bytes, stored.status) == ("label.jsonl", 3, "processed")
    assert stored.expires_at == stored.created_at + 3600
    assert client.files.content(stored.id).read() == b"{}\n"
    assert client.files.delete(stored.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(stored.id)


def test_a_running_batch_can_be_cancelled_and_keeps_what_it_had(cloud: Emulator, tmp_path: Any) -> None:
    options = EmulatorOptions(home=tmp_path / "slow", profile="demo", answers="synthetic", time_scale=10)
    with Emulator(options) as slow:
        url = slow.environment()["OPENAI_BASE_URL"]
        with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
            file_id = upload(client, [line(f"row-{number}") for number in range(200)])
            batch = client.batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h")
            while batch.request_counts is None or batch.request_counts.completed == 0:
                assert batch.status in ("validating", "in_progress")
                batch = client.batches.retrieve(batch.id)
            asked = client.batches.cancel(batch.id)
            assert asked.status == "cancelling"
            assert asked.cancelling_at is not None
            done = finished(client, asked)
            assert done.status == "cancelled"
            answers = results(client, done.output_file_id)
            rest = results(client, done.error_file_id)
            assert len(answers) + len(rest) == 200
            assert 0 < len(answers) < 200
            assert {each["error"]["code"] for each in rest} == {"batch_cancelled"}
            assert done.request_counts is not None and done.request_counts.completed == len(answers)


def test_an_ended_batch_cannot_be_cancelled(client: openai.OpenAI) -> None:
    done = run(client, [line("a")])
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(done.id)


def test_unknown_things_and_wrong_keys_are_refused_in_openais_words(cloud: Emulator, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="No batch found with id 'batch_nope'"):
        client.batches.retrieve("batch_nope")
    with pytest.raises(openai.NotFoundError, match="No such File object: file-nope"):
        client.files.content("file-nope")
    bad = client.with_options(api_key="bad-secret-0123456789")
    with pytest.raises(openai.AuthenticationError) as refused:
        bad.batches.list()
    assert refused.value.code == "invalid_api_key"
    assert "bad-secret-0123456789" not in str(refused.value)


def test_models_are_listed_under_both_their_names(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-5-nano", "gpt-6-luna", "text-embedding-3-small"} <= names
