"""Google's Python SDK through everything that its users do with batches and files. For versions 1.40 to 3."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import time
import warnings
from pathlib import Path
from typing import Any

from google import genai
from google.genai import errors, types

MODEL = "gemini-2.5-flash"
client = genai.Client()

# The SDK calls these two experimental, and warns of them at each call.
warnings.filterwarnings("error")
warnings.filterwarnings("ignore", category=genai._common.ExperimentalWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)


def request(number: int, **changes: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": f"say {number}"}]}], **changes}


def upload(rows: list[dict[str, Any]], name: str = "rows.jsonl") -> types.File:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return client.files.upload(file=name, config={"mime_type": "application/jsonl", "display_name": name})


def ended(job: types.BatchJob) -> types.BatchJob:
    until = time.monotonic() + 20
    while not job.done and time.monotonic() < until:
        time.sleep(0.02)
        job = client.batches.get(name=job.name or "")
    assert job.done, job
    return job


def state(job: types.BatchJob) -> str:
    return "" if job.state is None else job.state.name


def from_file() -> None:
    """upload, create, poll, download, results on their keys"""
    stored = upload([{"key": f"row {number}", "request": request(number)} for number in range(20)])
    made = client.batches.create(model=MODEL, src=stored.name or "", config={"display_name": "quick"})
    assert made.name and made.name.startswith("batches/") and made.display_name == "quick", made
    assert state(made) in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"), made
    done = ended(made)
    assert state(done) == "JOB_STATE_SUCCEEDED" and done.dest is not None and done.dest.file_name, done
    assert done.create_time and done.end_time and done.end_time >= done.create_time and done.model == f"models/{MODEL}"
    lines = [json.loads(line) for line in client.files.download(file=done.dest.file_name).decode().splitlines()]
    assert {line["key"] for line in lines} == {f"row {number}" for number in range(20)}
    for line in lines:
        answer = line["response"]
        assert answer["candidates"][0]["content"]["parts"][0]["text"] and answer["usageMetadata"]["totalTokenCount"]


def inline() -> None:
    """inline requests, with settings, answers in their order"""
    requests = [
        types.InlinedRequest(
            contents=[types.Content(role="user", parts=[types.Part(text=f"say {number}")])],
            config=types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=20, temperature=0.3),
        )
        for number in range(6)
    ]
    done = ended(client.batches.create(model=f"models/{MODEL}", src=requests, config={"display_name": "inline"}))
    assert done.dest is not None and done.dest.inlined_responses is not None, done
    found = done.dest.inlined_responses
    assert len(found) == 6
    assert all(one.response is not None and one.response.text and one.error is None for one in found)


def inline_metadata() -> bool:
    """the metadata of inline requests comes back"""
    if "metadata" not in types.InlinedResponse.model_fields:
        return False  # older than that field
    requests = [types.InlinedRequest(contents="hello", metadata={"key": str(number)}) for number in range(3)]
    done = ended(client.batches.create(model=MODEL, src=requests))
    assert done.dest is not None and done.dest.inlined_responses is not None, done
    assert [one.metadata for one in done.dest.inlined_responses] == [{"key": str(number)} for number in range(3)]
    return True


def rows_that_fail() -> None:
    """rows that fail, with their keys and reasons"""
    bad = {"key": "bad", "request": {"contents": []}}
    stored = upload([{"key": "good", "request": request(1)}, bad])
    done = ended(client.batches.create(model=MODEL, src=types.BatchJobSource(file_name=stored.name)))
    assert done.dest is not None and done.dest.file_name
    lines = [json.loads(line) for line in client.files.download(file=done.dest.file_name).decode().splitlines()]
    found = {line["key"]: line for line in lines}
    assert "response" in found["good"] and found["bad"]["error"]["code"] == 3, found


def embeddings() -> bool:
    """embeddings, inline and from a file"""
    if not hasattr(client.batches, "create_embeddings"):
        return False  # older than that call
    contents = types.Content(parts=[types.Part(text="one")])
    source = types.EmbeddingsBatchJobSource(
        inlined_requests=types.EmbedContentBatch(
            contents=[contents, contents], config=types.EmbedContentConfig(output_dimensionality=8)
        )
    )
    done = ended(client.batches.create_embeddings(model="gemini-embedding-001", src=source))
    assert done.dest is not None and done.dest.inlined_embed_content_responses is not None, done
    vectors = [one.response.embedding.values for one in done.dest.inlined_embed_content_responses]  # type: ignore[union-attr]
    assert [len(one or []) for one in vectors] == [8, 8], vectors
    stored = upload([{"key": "e", "request": {"content": {"parts": [{"text": "one"}]}}}], "vectors.jsonl")
    source = types.EmbeddingsBatchJobSource(file_name=stored.name)
    done = ended(client.batches.create_embeddings(model="gemini-embedding-001", src=source))
    assert done.dest is not None and done.dest.file_name, done
    (line,) = client.files.download(file=done.dest.file_name).splitlines()
    assert len(json.loads(line)["response"]["embedding"]["values"]) == 3072, line
    return True


def paging() -> None:
    """lists of batches and files, over several pages, newest first"""
    newest = [client.batches.create(model=MODEL, src=[request(1)]).name for _ in range(5)][::-1]
    pager = client.batches.list(config={"page_size": 2})
    assert pager.page_size == 2 and len(pager.page) == 2
    listed = [job.name for job in pager]
    assert listed[:5] == newest and len(set(listed)) == len(listed) > 5, listed
    for number in range(3):
        upload([], f"empty-{number}.jsonl")
    files = [file.name for file in client.files.list(config={"page_size": 2})]
    assert len(set(files)) == len(files) > 4, files


def cancel() -> None:
    """cancel"""
    slow = client.batches.create(model=MODEL, src=[request(1)], config={"display_name": "slow"})
    client.batches.cancel(name=slow.name or "")
    done = ended(slow)
    assert state(done) == "JOB_STATE_CANCELLED", done


def delete() -> None:
    """delete a batch, also before its end"""
    slow = client.batches.create(model=MODEL, src=[request(1)], config={"display_name": "slow"})
    client.batches.delete(name=slow.name or "")
    refused(404, "NOT_FOUND", lambda: client.batches.get(name=slow.name or ""))


def files() -> None:
    """file upload by path, by handle and with a name of one's own, in more than one chunk; get, delete"""
    big = [{"key": str(number), "request": request(number, labels={"filler": "x" * 60_000})} for number in range(150)]
    stored = upload(big, "big.jsonl")
    size = Path("big.jsonl").stat().st_size
    assert size > 8 * 1024 * 1024 and stored.size_bytes == size and stored.mime_type == "application/jsonl", stored
    assert stored.state is not None and stored.state.name == "ACTIVE" and stored.expiration_time is not None
    config = types.UploadFileConfig(name="my-rows", mime_type="application/jsonl")
    named = client.files.upload(file=io.BytesIO(b"{}\n"), config=config)
    assert named.name == "files/my-rows" and client.files.get(name="my-rows").size_bytes == 3, named
    client.files.delete(name="files/my-rows")
    refused(403, "PERMISSION_DENIED", lambda: client.files.get(name="files/my-rows"))


def streaming() -> bool:
    """streaming download"""
    stored = upload([{"key": str(number), "request": request(number)} for number in range(300)])
    done = ended(client.batches.create(model=MODEL, src=stored.name or ""))
    assert done.dest is not None and done.dest.file_name
    if "destination" not in inspect.signature(client.files.download).parameters:
        return False  # downloads into memory only
    client.files.download(file=done.dest.file_name, destination="answers.jsonl")
    whole = Path("answers.jsonl").read_bytes()
    assert {json.loads(line)["key"] for line in whole.splitlines()} == {str(number) for number in range(300)}
    return True


def refused(code: int, status: str, call: Any, kind: type[errors.APIError] = errors.ClientError) -> None:
    try:
        call()
    except kind as error:
        assert (error.code, error.status) == (code, status) and error.message, error
    else:
        raise AssertionError(f"no {kind.__name__} {code}")


def own_errors() -> None:
    """errors in the SDK's own classes"""
    stranger = genai.Client(api_key="bad-key")
    refused(400, "INVALID_ARGUMENT", lambda: stranger.batches.get(name="batches/unknown"))
    refused(404, "NOT_FOUND", lambda: client.batches.get(name="batches/unknown"))
    refused(404, "NOT_FOUND", lambda: client.batches.cancel(name="batches/unknown"))
    refused(404, "NOT_FOUND", lambda: client.batches.create(model="gemini-unknown", src=[request(1)]))
    refused(403, "PERMISSION_DENIED", lambda: client.batches.create(model=MODEL, src="files/unknown"))
    refused(403, "PERMISSION_DENIED", lambda: client.files.delete(name="files/unknown"))


def models() -> None:
    """models over several pages, token counts"""
    found = list(client.models.list(config={"page_size": 5}))
    assert len({model.name for model in found}) == len(found) > 5
    assert "batchGenerateContent" in (client.models.get(model=MODEL).supported_actions or [])
    assert client.models.count_tokens(model=MODEL, contents="hello").total_tokens


async def _async_life() -> None:
    other = client.aio
    Path("more.jsonl").write_text(json.dumps({"key": "a", "request": request(1)}) + "\n")
    stored = await other.files.upload(file="more.jsonl", config={"mime_type": "application/jsonl"})
    job = await other.batches.create(model=MODEL, src=stored.name or "")
    until = time.monotonic() + 20
    while not job.done and time.monotonic() < until:
        await asyncio.sleep(0.02)
        job = await other.batches.get(name=job.name or "")
    assert job.dest is not None and job.dest.file_name, job
    content = await other.files.download(file=job.dest.file_name)
    assert json.loads(content)["key"] == "a"
    pager = await other.batches.list(config={"page_size": 4})
    assert len([one.name async for one in pager]) > 8


def async_client() -> None:
    """the same with the async client"""
    asyncio.run(_async_life())


CHECKS = (
    from_file, inline, inline_metadata, rows_that_fail, embeddings, paging, cancel, delete, files, streaming, own_errors, models,
    async_client,
)  # fmt: skip

for check in CHECKS:
    if check() is not False:
        print("ok", check.__doc__, flush=True)
