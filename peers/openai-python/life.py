"""OpenAI's Python SDK through everything that its users do with batches and files. For versions 1 to 3."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import openai
from openai.types import Batch, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")
client = openai.OpenAI(max_retries=0)


def chat(number: int, **changes: Any) -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"say {number}"}], "max_tokens": 9}
    return json.dumps({"custom_id": f"row {number}", "method": "POST", "url": CHAT, "body": body | changes})


def upload(lines: list[str], name: str = "in.jsonl") -> str:
    return client.files.create(file=(name, io.BytesIO("\n".join(lines).encode())), purpose="batch").id


def create(lines: list[str], *, endpoint: Any = CHAT, label: str = "quick") -> Batch:
    return client.batches.create(
        input_file_id=upload(lines), endpoint=endpoint, completion_window="24h", metadata={"label": label}
    )


def ended(batch: Batch) -> Batch:
    until = time.monotonic() + 20
    while batch.status not in ENDED and time.monotonic() < until:
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
    assert batch.status in ENDED, batch
    return batch


def lines_of(file_id: str | None) -> list[dict[str, Any]]:
    assert file_id, "no file"
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def life() -> None:
    """upload, create, poll, results on their ids, counts, usage, metadata"""
    made = create([chat(number) for number in range(20)])
    assert made.object == "batch" and made.status == "validating", made
    done = ended(made)
    assert done.status == "completed" and done.metadata == {"label": "quick"} and done.error_file_id is None, done
    assert done.request_counts is not None
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (20, 20, 0)
    answers = {line["custom_id"]: line for line in lines_of(done.output_file_id)}
    assert answers.keys() == {f"row {number}" for number in range(20)}
    for line in answers.values():
        assert line["error"] is None and line["response"]["status_code"] == 200
        parsed = ChatCompletion.model_validate(line["response"]["body"])
        assert parsed.choices[0].message.content and parsed.usage is not None
        assert parsed.usage.total_tokens == parsed.usage.prompt_tokens + parsed.usage.completion_tokens


def rows_that_fail() -> None:
    """rows that fail are in the error file, with their ids"""
    done = ended(create([chat(1), chat(2, temperature=9), chat(3, messages=[])]))
    assert done.status == "completed" and done.request_counts is not None and done.request_counts.failed == 2, done
    assert [line["custom_id"] for line in lines_of(done.output_file_id)] == ["row 1"]
    refused = {line["custom_id"]: line["response"] for line in lines_of(done.error_file_id)}
    assert refused.keys() == {"row 2", "row 3"}
    assert all(one["status_code"] == 400 and one["body"]["error"]["message"] for one in refused.values())


def bad_input() -> None:
    """a bad input file fails the batch and names the line"""
    done = ended(create([chat(1), chat(1), "{"]))
    assert done.status == "failed" and done.errors is not None and done.errors.data is not None, done
    found = [(one.code, one.line) for one in done.errors.data]
    assert found == [("duplicate_custom_id", 2), ("invalid_json_line", 3)], found


def embeddings() -> None:
    """embeddings"""
    body = {"model": "text-embedding-3-small", "input": ["one", "two"], "dimensions": 16}
    line = json.dumps({"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": body})
    done = ended(create([line], endpoint="/v1/embeddings"))
    (answer,) = lines_of(done.output_file_id)
    parsed = CreateEmbeddingResponse.model_validate(answer["response"]["body"])
    assert [(one.index, len(one.embedding)) for one in parsed.data] == [(0, 16), (1, 16)]


def responses() -> bool:
    """the Responses API"""
    if not hasattr(client, "responses"):
        return False  # older than that API
    from openai.types.responses import Response

    body = {"model": "gpt-5-nano", "input": "hello"}
    line = json.dumps({"custom_id": "r", "method": "POST", "url": "/v1/responses", "body": body})
    done = ended(create([line], endpoint="/v1/responses"))
    (answer,) = lines_of(done.output_file_id)
    parsed = Response.model_validate(answer["response"]["body"])
    assert parsed.output_text and parsed.status == "completed"
    return True


def paging() -> None:
    """lists of batches and files, over several pages, newest first"""
    newest = [create([chat(number)]).id for number in range(5)][::-1]
    first = client.batches.list(limit=2)
    assert len(first.data) == 2 and first.has_next_page()
    listed = [batch.id for batch in client.batches.list(limit=2)]
    assert listed[:5] == newest and len(set(listed)) == len(listed) > 5, listed
    files = [file.id for file in client.files.list(limit=3)]
    assert len(set(files)) == len(files) > 10
    assert [file.id for file in client.files.list(limit=3, order="asc")] == files[::-1]
    kinds = {file.purpose for file in client.files.list(purpose="batch_output")}
    assert kinds == {"batch_output"}, kinds


def cancel() -> None:
    """cancel"""
    slow = create([chat(1)], label="slow")
    cancelled = client.batches.cancel(slow.id)
    assert cancelled.status in ("cancelling", "cancelled") and cancelled.cancelling_at, cancelled
    done = ended(cancelled)
    assert done.status == "cancelled" and done.cancelled_at and not done.output_file_id, done
    try:
        client.batches.cancel(done.id)
    except openai.ConflictError:
        return
    raise AssertionError("an ended batch was cancelled")


def files() -> None:
    """file upload by path and by handle, retrieve, download, delete; upload in parts"""
    path = Path("rows.jsonl")
    path.write_text(chat(1) + "\n")
    by_path = client.files.create(file=path, purpose="batch")
    with path.open("rb") as handle:
        by_handle = client.files.create(file=handle, purpose="batch")
    assert by_path.filename == by_handle.filename == "rows.jsonl" and by_path.bytes == path.stat().st_size
    assert client.files.wait_for_processing(by_path.id).status == "processed"
    assert client.files.retrieve(by_path.id).purpose == "batch"
    assert client.files.content(by_path.id).read() == path.read_bytes()
    in_parts = client.uploads.upload_file_chunked(
        file=path, mime_type="application/jsonl", purpose="batch", part_size=50
    )
    assert in_parts.status == "completed" and in_parts.file is not None
    client.files.content(in_parts.file.id).write_to_file("copy.jsonl")
    assert Path("copy.jsonl").read_bytes() == path.read_bytes()
    deleted = client.files.delete(by_path.id)
    assert deleted.deleted and deleted.id == by_path.id
    try:
        client.files.retrieve(by_path.id)
    except openai.NotFoundError:
        return
    raise AssertionError("a deleted file was found")


def streaming() -> None:
    """streaming download"""
    done = ended(create([chat(number) for number in range(300)]))
    assert done.output_file_id is not None
    with client.files.with_streaming_response.content(done.output_file_id) as answer:
        found = [json.loads(line)["custom_id"] for line in answer.iter_lines() if line]
    assert sorted(found) == sorted(f"row {number}" for number in range(300))
    raw = client.files.with_raw_response.retrieve(done.output_file_id)
    assert raw.headers["x-request-id"] and raw.parse().filename.endswith("_output.jsonl")


def errors() -> None:
    """errors in the SDK's own classes"""
    cases: list[tuple[type[openai.APIStatusError], int, Any]] = [
        (openai.AuthenticationError, 401, lambda: openai.OpenAI(api_key="bad-key").batches.list()),
        (openai.NotFoundError, 404, lambda: client.batches.retrieve("batch_unknown")),
        (openai.NotFoundError, 404, lambda: client.batches.cancel("batch_unknown")),
        (openai.NotFoundError, 404, lambda: client.files.content("file-unknown")),
        (openai.NotFoundError, 404, lambda: client.files.delete("file-unknown")),
        (openai.NotFoundError, 404, lambda: client.models.retrieve("gpt-unknown")),
        (openai.BadRequestError, 400, lambda: create([chat(1)], endpoint="/v1/nonsense")),
        (openai.BadRequestError, 400, lambda: client.files.create(file=b"x", purpose="nonsense")),  # type: ignore[arg-type]
        (
            openai.BadRequestError,
            400,
            lambda: client.batches.create(input_file_id="file-unknown", endpoint=CHAT, completion_window="24h"),  # type: ignore[arg-type]
        ),
    ]
    for kind, status, call in cases:
        try:
            call()
        except kind as error:
            assert error.status_code == status and error.request_id and isinstance(error.body, dict), error
            assert error.body["message"] and error.body["type"], error.body
        else:
            raise AssertionError(f"no {kind.__name__}")


def models() -> None:
    """models"""
    names = [model.id for model in client.models.list()]
    assert "gpt-4o-mini" in names and client.models.retrieve("gpt-4o-mini").object == "model"


async def _async_life() -> None:
    async with openai.AsyncOpenAI() as other:
        rows = [chat(number) for number in range(5)]
        stored = await other.files.create(file=("in.jsonl", "\n".join(rows).encode()), purpose="batch")
        batch = await other.batches.create(input_file_id=stored.id, endpoint=CHAT, completion_window="24h")  # type: ignore[arg-type]
        until = time.monotonic() + 20
        while batch.status not in ENDED and time.monotonic() < until:
            await asyncio.sleep(0.02)
            batch = await other.batches.retrieve(batch.id)
        assert batch.status == "completed" and batch.output_file_id is not None
        content = await other.files.content(batch.output_file_id)
        assert {json.loads(line)["custom_id"] for line in content.text.splitlines()} == {f"row {n}" for n in range(5)}
        async with other.files.with_streaming_response.content(batch.output_file_id) as answer:
            assert len([line async for line in answer.iter_lines() if line]) == 5
        assert len([one.id async for one in other.batches.list(limit=4)]) > 8


def async_client() -> None:
    """the same with AsyncOpenAI"""
    asyncio.run(_async_life())


CHECKS = (
    life, rows_that_fail, bad_input, embeddings, responses, paging, cancel, files, streaming, errors, models, async_client
)  # fmt: skip

for check in CHECKS:
    if check() is not False:
        print("ok", check.__doc__, flush=True)
