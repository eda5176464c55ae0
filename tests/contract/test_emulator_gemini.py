"""Google's SDK, unmodified, against the emulator."""

from __future__ import annotations

import asyncio
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from batchmark.emulator import Emulator, EmulatorOptions

MODEL = "gemini-2.5-flash"
ROW: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
INLINE: list[Any] = [ROW]


def connect(cloud: Emulator, *, version: str = "v1", key: str = "any") -> genai.Client:
    options = types.HttpOptions(base_url=cloud.environment()["GOOGLE_GEMINI_BASE_URL"], api_version=version)
    return genai.Client(api_key=key, http_options=options)


@pytest.fixture(params=["v1", "v1beta"])
def client(cloud: Emulator, request: pytest.FixtureRequest) -> Iterator[genai.Client]:
    with connect(cloud, version=request.param) as made:
        yield made


@pytest.fixture
def raw(cloud: Emulator) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{cloud.base_url}/gemini", headers={"x-goog-api-key": "any"}) as made:
        yield made


def upload(client: genai.Client, folder: Path, lines: list[Any]) -> str:
    path = folder / "in.jsonl"
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines))
    stored = client.files.upload(file=str(path), config={"mime_type": "application/jsonl", "display_name": "input"})
    assert stored.name is not None
    return stored.name


def finished(client: genai.Client, job: types.BatchJob) -> types.BatchJob:
    for _ in range(1000):
        if job.done:
            return job
        assert job.name is not None
        job = client.batches.get(name=job.name)
    raise AssertionError(f"still {job.state}")


def operation(raw: httpx2.Client, name: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = raw.get(f"/v1/{name}").json()
    return answer


def test_a_batch_from_a_file_gives_a_file_in_the_same_order(
    client: genai.Client, raw: httpx2.Client, tmp_path: Path
) -> None:
    rows: list[Any] = [{"key": f"row-{number}", "request": ROW} for number in range(20)]
    name = upload(client, tmp_path, rows)
    job = finished(client, client.batches.create(model=MODEL, src=name, config={"display_name": "label"}))
    assert (job.state, job.display_name, job.model) == (types.JobState.JOB_STATE_SUCCEEDED, "label", f"models/{MODEL}")
    assert job.dest is not None and job.dest.file_name == f"files/batch-{str(job.name).removeprefix('batches/')}"
    answers = [json.loads(line) for line in client.files.download(file=job.dest.file_name).splitlines()]
    assert [answer["key"] for answer in answers] == [row["key"] for row in rows]
    assert all(answer["response"]["candidates"][0]["finishReason"] == "STOP" for answer in answers)
    wire = operation(raw, job.name)
    assert wire["metadata"]["batchStats"] == {"requestCount": "20", "successfulRequestCount": "20"}
    assert wire["metadata"]["output"]["responsesFile"] == wire["response"]["responsesFile"] == job.dest.file_name


def test_a_file_of_several_chunks_arrives_whole(client: genai.Client, raw: httpx2.Client, tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    path.write_bytes(b"x" * (8 * 1024 * 1024 * 2 + 5))
    stored = client.files.upload(file=str(path), config={"mime_type": "application/jsonl"})
    assert stored.size_bytes == path.stat().st_size
    assert stored.state == types.FileState.ACTIVE
    assert [file.name for file in client.files.list()] == [stored.name]
    assert stored.name is not None
    others = [client.files.upload(file=io.BytesIO(b"{}"), config={"mime_type": "application/jsonl"}) for _ in range(4)]
    listed = [file.name for file in client.files.list(config={"page_size": 2})]
    assert listed == [file.name for file in (*others[::-1], stored)]
    with pytest.raises(errors.ClientError, match="Only generated files"):
        client.files.download(file=stored.name)
    client.files.delete(name=stored.name)
    with pytest.raises(errors.ClientError) as gone:
        client.files.get(name=stored.name)
    assert gone.value.code == 403


def test_inline_requests_come_back_with_their_metadata(client: genai.Client, raw: httpx2.Client) -> None:
    source: list[Any] = [ROW | {"metadata": {"key": "a"}, "config": {"max_output_tokens": 4}}, ROW]
    job = finished(client, client.batches.create(model=MODEL, src=source))
    assert job.dest is not None and job.dest.inlined_responses is not None
    first, second = job.dest.inlined_responses
    assert first.metadata == {"key": "a"}
    assert first.response is not None and first.response.candidates is not None
    assert first.response.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert second.response is not None and second.response.text is not None
    wire = operation(raw, job.name)
    assert wire["response"]["inlinedResponses"] == wire["metadata"]["output"]["inlinedResponses"]
    assert "inputConfig" not in wire["metadata"]
    listed = raw.get("/v1beta/batches").json()["operations"][0]
    assert "inlinedResponses" not in json.dumps(listed), "lists leave inline answers out"


def test_snake_case_is_as_good_as_camel_case(raw: httpx2.Client) -> None:
    request = ROW | {"generation_config": {"max_output_tokens": 4}, "system_instruction": {"parts": [{"text": "x"}]}}
    body = {"batch": {"display_name": "d", "input_config": {"requests": {"requests": [{"request": request}]}}}}
    made = raw.post(f"/v1/models/{MODEL}:batchGenerateContent", json=body).json()
    assert made["metadata"]["displayName"] == "d"
    assert "done" not in made
    done = operation(raw, made["name"])
    response = done["response"]["inlinedResponses"]["inlinedResponses"][0]["response"]
    assert response["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_embeddings_can_be_batched(client: genai.Client) -> None:
    # what the SDK's types say of this depends on whether an imaging library is installed
    source: Any = {"inlined_requests": {"contents": ["hello", "there"], "config": {"output_dimensionality": 8}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = client.batches.create_embeddings(model="gemini-embedding-001", src=source)
    done = finished(client, job)
    assert done.dest is not None and done.dest.inlined_embed_content_responses is not None
    vectors = [
        each.response.embedding.values
        for each in done.dest.inlined_embed_content_responses
        if each.response is not None and each.response.embedding is not None
    ]
    assert [len(vector or []) for vector in vectors] == [8, 8]


def test_a_bad_line_errs_alone(client: genai.Client, raw: httpx2.Client, tmp_path: Path) -> None:
    rows = [
        {"key": "good", "request": ROW},
        "{nonsense",
        {"key": "empty", "request": {"contents": []}},
        {"key": "none"},
    ]
    job = finished(client, client.batches.create(model=MODEL, src=upload(client, tmp_path, rows)))
    assert job.state == types.JobState.JOB_STATE_SUCCEEDED
    assert job.dest is not None and job.dest.file_name is not None
    answers = [json.loads(line) for line in client.files.download(file=job.dest.file_name).splitlines()]
    assert [answer.get("key") for answer in answers] == ["good", None, "empty", "none"]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, 3, 3, 3]
    stats = operation(raw, job.name)["metadata"]["batchStats"]
    assert stats == {"requestCount": "4", "successfulRequestCount": "1", "failedRequestCount": "3"}


@pytest.mark.parametrize("lines", [[], ["nonsense", "more"]])
def test_a_file_without_requests_fails_with_the_operations_error(
    client: genai.Client, raw: httpx2.Client, tmp_path: Path, lines: list[Any]
) -> None:
    job = finished(client, client.batches.create(model=MODEL, src=upload(client, tmp_path, lines)))
    assert job.state == types.JobState.JOB_STATE_FAILED
    wire = operation(raw, job.name)
    assert wire["done"] is True
    assert wire["error"]["code"] == 3
    assert "response" not in wire


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "batch is required"),
        ({"batch": {}}, "exactly one"),
        ({"batch": {"inputConfig": {"requests": {"requests": []}}}}, "empty"),
        ({"batch": {"inputConfig": {"requests": {"requests": [3]}}}}, "Invalid value"),
        ({"batch": {"inputConfig": {"fileName": "files/x"}, "colour": "red"}}, "Unknown name"),
    ],
)
def test_a_bad_create_call_is_refused_at_once(raw: httpx2.Client, body: Any, word: str) -> None:
    refused = raw.post(f"/v1/models/{MODEL}:batchGenerateContent", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert word in refused.json()["error"]["message"]


def test_an_inline_body_over_20_megabytes_is_refused(raw: httpx2.Client) -> None:
    long = {"contents": [{"parts": [{"text": "x" * (21 * 1024 * 1024)}]}]}
    body = {"batch": {"inputConfig": {"requests": {"requests": [{"request": long}]}}}}
    refused = raw.post(f"/v1/models/{MODEL}:batchGenerateContent", json=body)
    assert refused.status_code == 400
    assert "exceeds the limit" in refused.json()["error"]["message"]


def test_unknown_things_are_refused_in_googles_words(client: genai.Client, tmp_path: Path) -> None:
    for call, code in (
        (lambda: client.batches.get(name="batches/nope"), 404),
        (lambda: client.batches.create(model="gemini-unheard-of", src="files/x"), 404),
        (lambda: client.batches.create(model="gemini-embedding-001", src="files/x"), 404),
        (lambda: client.batches.create(model=MODEL, src="files/nope"), 403),
        (lambda: client.files.get(name="files/nope"), 403),
    ):
        with pytest.raises(errors.ClientError) as refused:
            call()
        assert refused.value.code == code


def test_keys_are_checked(cloud: Emulator) -> None:
    with connect(cloud, key="bad-key") as client, pytest.raises(errors.ClientError) as refused:
        next(iter(client.batches.list()), None)
    assert refused.value.code == 400
    assert refused.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    with httpx2.Client() as plain:
        assert plain.get(f"{cloud.base_url}/gemini/v1/batches").status_code == 403
        assert plain.get(f"{cloud.base_url}/gemini/v1/batches?key=any").json() == {}


def test_jobs_are_listed_in_pages_and_can_be_deleted_at_any_time(client: genai.Client, raw: httpx2.Client) -> None:
    assert raw.get("/v1/batches").json() == {}
    names = [client.batches.create(model=MODEL, src=INLINE).name for _ in range(5)]
    assert [job.name for job in client.batches.list(config={"page_size": 2})] == names[::-1]
    client.batches.delete(name=str(names[0]))
    assert [job.name for job in client.batches.list()] == names[:0:-1]
    assert raw.get("/v1/batches?pageToken=nonsense").status_code == 400


def test_a_cancelled_job_is_cancelled_and_gives_nothing(cloud: Emulator, tmp_path: Path) -> None:
    options = EmulatorOptions(home=tmp_path / "slow", profile="demo", answers="synthetic", time_scale=10)
    with Emulator(options) as slow, connect(slow) as client:
        job = client.batches.create(model=MODEL, src=INLINE * 10)
        before, after = [job.state], []
        while before[-1] != types.JobState.JOB_STATE_RUNNING:
            before.append(client.batches.get(name=str(job.name)).state)
        assert before[0] == types.JobState.JOB_STATE_PENDING
        client.batches.cancel(name=str(job.name))
        while not job.done:
            job = client.batches.get(name=str(job.name))
            after.append(job.state)
        assert set(after[:-1]) == {types.JobState.JOB_STATE_RUNNING}
        assert job.state == types.JobState.JOB_STATE_CANCELLED
        assert job.dest is None
        with pytest.raises(errors.ClientError) as refused:
            client.batches.cancel(name=str(job.name))
        assert refused.value.status == "FAILED_PRECONDITION"


def test_only_some_models_take_batches(client: genai.Client) -> None:
    actions = {model.name: model.supported_actions or [] for model in client.models.list(config={"page_size": 5})}
    assert "batchGenerateContent" in actions["models/gemini-2.5-flash-lite"]
    assert "batchGenerateContent" not in actions["models/gemini-2.5-flash-preview-tts"]
    assert "asyncBatchEmbedContent" in actions["models/gemini-embedding-001"]
    counted = client.models.count_tokens(model=MODEL, contents="hello there")
    assert counted.total_tokens


def test_the_async_client_does_the_same(cloud: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"key": "a", "request": ROW}))

    async def life() -> bytes:
        url = cloud.environment()["GOOGLE_GEMINI_BASE_URL"]
        async with httpx2.AsyncClient() as transport:
            options = types.HttpOptions(base_url=url, httpx_async_client=transport)
            with genai.Client(api_key="any", http_options=options) as client:
                stored = await client.aio.files.upload(file=str(path), config={"mime_type": "application/jsonl"})
                job = await client.aio.batches.create(model=MODEL, src=str(stored.name))
                while not job.done:
                    job = await client.aio.batches.get(name=str(job.name))
                assert job.dest is not None and job.dest.file_name is not None
                return await client.aio.files.download(file=job.dest.file_name)

    assert json.loads(asyncio.run(life()))["key"] == "a"


def test_a_wrong_chunk_is_answered_with_the_upload_status(raw: httpx2.Client) -> None:
    start = raw.post(
        "/upload/v1beta/files",
        headers={"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"},
        json={"file": {"display_name": "x"}},
    )
    url = start.headers["x-goog-upload-url"]
    assert start.headers["x-goog-upload-status"] == "active"
    with httpx2.Client() as keyless:
        wrong = {"x-goog-upload-command": "upload", "x-goog-upload-offset": "5"}
        refused = keyless.post(url, headers=wrong, content=b"abc")
        assert (refused.status_code, refused.headers["x-goog-upload-status"]) == (400, "active")
        last = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        done = keyless.post(url, headers=last, content=b"abc")
        assert (done.status_code, done.headers["x-goog-upload-status"]) == (200, "final")
        assert done.json()["file"]["sizeBytes"] == "3"
        again = keyless.post(url, headers=last, content=b"abc")
        assert (again.status_code, again.headers["x-goog-upload-status"]) == (400, "final")


def test_a_multipart_upload_is_taken_too(raw: httpx2.Client) -> None:
    body = (
        b'--x\r\ncontent-type: application/json\r\n\r\n{"file":{"displayName":"d"}}\r\n'
        b"--x\r\ncontent-type: application/jsonl\r\n\r\nabc\r\n--x--\r\n"
    )
    headers = {"x-goog-upload-protocol": "multipart", "content-type": "multipart/related; boundary=x"}
    file = raw.post("/upload/v1/files", headers=headers, content=body).json()["file"]
    assert (file["displayName"], file["sizeBytes"], file["mimeType"]) == ("d", "3", "application/jsonl")
