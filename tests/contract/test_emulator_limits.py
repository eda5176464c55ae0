"""The services' limits, each met with a small number in place of the real one."""

from __future__ import annotations

import io
import json
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors

from batchmark.emulator import BatchCloud

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
PARAMS: Any = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def line(number: int, body: dict[str, Any] = CHAT, url: str = "/v1/chat/completions") -> bytes:
    item = {"custom_id": f"r-{number}", "method": "POST", "url": url, "body": body}
    return json.dumps(item).encode() + b"\n"


def upload(client: openai.OpenAI, content: bytes, **more: Any) -> Any:
    return client.files.create(file=io.BytesIO(content), purpose="batch", **more)


def submit(client: openai.OpenAI, content: bytes, endpoint: Any = "/v1/chat/completions") -> Any:
    file = upload(client, content)
    made = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")
    return client.batches.retrieve(made.id)


def claude(name: str = "a") -> Any:
    return anthropic.Anthropic(max_retries=0).messages.batches.create(requests=[{"custom_id": name, "params": PARAMS}])


# OpenAI


@pytest.mark.batch_cloud(limits=["openai.storage_bytes=1000"])
def test_files_have_so_much_room_together_and_deleting_gives_it_back(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI(max_retries=0)
    first = upload(client, b"x" * 900)
    with pytest.raises(openai.BadRequestError, match="storage limit"):
        upload(client, b"x" * 200)
    client.files.delete(first.id)
    upload(client, b"x" * 200)


@pytest.mark.batch_cloud(limits=["openai.max_file_bytes=1000", "openai.max_bytes=500"])
def test_a_batch_file_may_be_smaller_than_others(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI(max_retries=0)
    client.files.create(file=io.BytesIO(b"x" * 900), purpose="user_data")
    for size, purpose in ((900, "batch"), (1100, "user_data")):
        with pytest.raises(openai.APIStatusError) as refused:
            client.files.create(file=io.BytesIO(b"x" * size), purpose=purpose)  # type: ignore[arg-type]
        assert refused.value.status_code == 413


def test_a_file_asks_for_one_model_only_unless_more_are_allowed(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    mixed = line(1) + line(2, {**CHAT, "model": "gpt-4o"})
    failed = submit(client, mixed)
    assert [problem.code for problem in failed.errors.data] == ["model_mismatch"]


@pytest.mark.batch_cloud(limits=["openai.models_per_file=2"])
def test_more_models_a_file_each_answer_under_their_own_name(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    done = submit(client, line(1) + line(2, {**CHAT, "model": "gpt-4o"}) + line(3))
    answers = [json.loads(one) for one in client.files.content(done.output_file_id).text.splitlines()]
    models = [answer["response"]["body"]["model"] for answer in answers]
    assert models == ["gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"]
    failed = submit(client, line(1) + line(2, {**CHAT, "model": "gpt-4o"}) + line(3, {**CHAT, "model": "gpt-4.1"}))
    assert [problem.code for problem in failed.errors.data] == ["model_mismatch"]


@pytest.mark.batch_cloud(limits=["openai.max_embedding_inputs=3"])
def test_texts_to_embed_are_counted_over_all_lines(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    body = {"model": "text-embedding-3-small", "input": ["a", "b"]}
    url = "/v1/embeddings"
    assert submit(client, line(1, body, url), url).status == "completed"
    failed = submit(client, line(1, body, url) + line(2, body, url), url)
    assert [problem.code for problem in failed.errors.data] == ["too_many_tasks"]


@pytest.mark.batch_cloud(limits=["openai.window_s=60"], profile="stuck")
def test_a_window_can_be_short(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    batch = submit(client, line(1))
    assert batch.expires_at - batch.created_at == 60
    batch_cloud.clock.advance(59)
    assert client.batches.retrieve(batch.id).status == "in_progress"
    batch_cloud.clock.advance(120)
    assert client.batches.retrieve(batch.id).status == "expired"


@pytest.mark.batch_cloud(limits=["openai.file_kept_s=100", "openai.output_kept_s=50"])
def test_files_are_gone_when_their_time_is_over(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    done = submit(client, line(1))
    kept = upload(client, line(1), expires_after={"anchor": "created_at", "seconds": 3600})
    assert client.files.retrieve(done.output_file_id).expires_at is not None
    batch_cloud.clock.advance(60)
    with pytest.raises(openai.NotFoundError):
        client.files.content(done.output_file_id)
    client.files.retrieve(done.input_file_id)
    batch_cloud.clock.advance(60)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(done.input_file_id)
    assert [file.id for file in client.files.list()] == [kept.id]


@pytest.mark.batch_cloud(limits=["openai.batches_per_hour=1"])
def test_creations_of_an_hour_are_counted_and_the_wait_is_told(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI(max_retries=0)
    submit(client, line(1))
    with pytest.raises(openai.RateLimitError) as refused:
        submit(client, line(1))
    headers = refused.value.response.headers
    assert headers["x-ratelimit-limit-requests"] == "1"
    assert 3500 < int(headers["retry-after"]) <= 3600
    batch_cloud.clock.advance(3600)
    submit(client, line(1))


@pytest.mark.batch_cloud(limits=["*.calls_per_minute=2"])
def test_calls_of_a_minute_are_counted_in_every_dialect(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI(max_retries=0)
    own = anthropic.Anthropic(max_retries=0)
    google = genai.Client()
    for _ in range(2):
        client.batches.list()
        own.messages.batches.list()
        list(google.batches.list())
    with pytest.raises(openai.RateLimitError) as first:
        client.batches.list()
    with pytest.raises(anthropic.RateLimitError) as second:
        own.messages.batches.list()
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        list(google.batches.list())
    assert first.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert second.value.response.headers["anthropic-ratelimit-requests-limit"] == "2"
    assert int(second.value.response.headers["retry-after"]) <= 60
    batch_cloud.clock.advance(60)
    own.messages.batches.list()


# An upload in parts


def test_a_file_can_be_uploaded_in_parts(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    content = b"".join(line(number) for number in range(100))
    whole = client.uploads.upload_file_chunked(
        file=content,
        filename="in.jsonl",
        bytes=len(content),
        mime_type="application/jsonl",
        purpose="batch",
        part_size=5_000,
    )
    assert whole.status == "completed"
    assert whole.file is not None
    assert (whole.file.filename, whole.file.bytes, whole.file.purpose) == ("in.jsonl", len(content), "batch")
    made = client.batches.create(input_file_id=whole.file.id, endpoint="/v1/chat/completions", completion_window="24h")
    counts = client.batches.retrieve(made.id).request_counts
    assert counts is not None and counts.completed == 100


def test_an_upload_that_does_not_add_up_is_refused(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI(max_retries=0)

    def begin(size: int = 10) -> str:
        return client.uploads.create(bytes=size, filename="a", mime_type="text/plain", purpose="batch").id

    upload_id = begin()
    part = client.uploads.parts.create(upload_id, data=b"12345")
    with pytest.raises(openai.BadRequestError, match="have 5 bytes"):
        client.uploads.complete(upload_id, part_ids=[part.id])
    with pytest.raises(openai.BadRequestError, match="No such part"):
        client.uploads.complete(upload_id, part_ids=["part_x"])
    other = client.uploads.parts.create(upload_id, data=b"67890")
    with pytest.raises(openai.BadRequestError, match="MD5"):
        client.uploads.complete(upload_id, part_ids=[part.id, other.id], md5="0" * 32)
    done = client.uploads.complete(upload_id, part_ids=[other.id, part.id])
    assert done.file is not None
    assert client.files.content(done.file.id).content == b"6789012345"
    with pytest.raises(openai.BadRequestError, match="completed already"):
        client.uploads.parts.create(upload_id, data=b"x")
    cancelled = begin()
    assert client.uploads.cancel(cancelled).status == "cancelled"
    late = begin()
    batch_cloud.clock.advance(3601)
    with pytest.raises(openai.BadRequestError, match="expired"):
        client.uploads.parts.create(late, data=b"x")
    with pytest.raises(openai.NotFoundError, match="No such Upload"):
        client.uploads.cancel("upload_x")
    with pytest.raises(openai.BadRequestError, match="may have"):
        begin(9 * 1024**3)


# Anthropic and Google


@pytest.mark.batch_cloud(limits=["anthropic.max_id_chars=4"])
def test_ids_may_be_so_long(batch_cloud: BatchCloud) -> None:
    claude("four")
    with pytest.raises(anthropic.BadRequestError, match="should match pattern"):
        claude("five5")


@pytest.mark.batch_cloud(limits=["anthropic.results_kept_s=100"])
def test_results_are_archived_in_time(batch_cloud: BatchCloud) -> None:
    client = anthropic.Anthropic()
    made = claude()
    assert client.messages.batches.retrieve(made.id).archived_at is None
    assert len(list(client.messages.batches.results(made.id))) == 1
    batch_cloud.clock.advance(100)
    assert client.messages.batches.retrieve(made.id).archived_at is not None
    with pytest.raises(anthropic.NotFoundError, match="archived"):
        client.messages.batches.results(made.id)


@pytest.mark.batch_cloud(limits=["gemini.storage_bytes=1000", "gemini.file_kept_s=100"])
def test_gemini_files_have_so_much_room_and_go_after_their_time(batch_cloud: BatchCloud) -> None:
    client = genai.Client()
    config: Any = {"mime_type": "application/jsonl"}
    first = client.files.upload(file=io.BytesIO(b"x" * 900), config=config)
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        client.files.upload(file=io.BytesIO(b"x" * 900), config=config)
    batch_cloud.clock.advance(100)
    with pytest.raises(errors.ClientError, match="PERMISSION_DENIED"):
        client.files.get(name=first.name or "")
    client.files.upload(file=io.BytesIO(b"x" * 900), config=config)


# Other endpoints of OpenAI


@pytest.mark.parametrize(
    ("url", "body", "proof"),
    [
        (
            "/v1/moderations",
            {"model": "omni-moderation-latest", "input": "hi"},
            lambda body: body["results"][0]["flagged"],
        ),
        (
            "/v1/images/generations",
            {"model": "gpt-image-1", "prompt": "a cat"},
            lambda body: not body["data"][0]["b64_json"],
        ),
        ("/v1/images/edits", {"model": "gpt-image-1", "prompt": "a cat", "n": 2}, lambda body: len(body["data"]) != 2),
    ],
)
def test_moderations_and_images_can_be_batched(batch_cloud: BatchCloud, url: str, body: Any, proof: Any) -> None:
    client = openai.OpenAI()
    done = submit(client, line(1, body, url), url)
    (answer,) = client.files.content(done.output_file_id).text.splitlines()
    assert proof(json.loads(answer)["response"]["body"]) is False
    failed = submit(client, line(1, {**body, "model": "gpt-4o-mini"}, url), url)
    assert [problem.code for problem in failed.errors.data] == ["model_not_found"]
