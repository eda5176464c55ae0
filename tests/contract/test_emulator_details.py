"""Details that clients trip over: what a row may ask beside its text, what counts say on the way, what stands in headers."""

from __future__ import annotations

import io
import json
import os
import socket
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai

from batchmark.emulator import BatchCloud

FLASH = "gemini-2.5-flash"
QUESTION = [{"role": "user", "content": "What is two and two?"}]


def openai_lines(endpoint: str, *bodies: dict[str, Any]) -> str:
    lines = (
        {"custom_id": f"r{number}", "method": "POST", "url": endpoint, "body": body}
        for number, body in enumerate(bodies)
    )
    return "".join(json.dumps(line) + "\n" for line in lines)


def submit(client: openai.OpenAI, endpoint: str, *bodies: dict[str, Any]) -> str:
    file = client.files.create(file=io.BytesIO(openai_lines(endpoint, *bodies).encode()), purpose="batch")
    given: Any = endpoint
    return client.batches.create(input_file_id=file.id, endpoint=given, completion_window="24h").id


def openai_answers(*bodies: dict[str, Any], endpoint: str = "/v1/chat/completions") -> list[Any]:
    """The bodies of the answers in input order, of both files."""
    client = openai.OpenAI()
    batch = client.batches.retrieve(submit(client, endpoint, *bodies))
    assert batch.status == "completed", batch.errors
    found: dict[str, Any] = {}
    for file_id in (batch.output_file_id, batch.error_file_id):
        for line in client.files.content(file_id).text.splitlines() if file_id else ():
            made = json.loads(line)
            found[made["custom_id"]] = made["response"]["body"]
    return [found[f"r{number}"] for number in range(len(bodies))]


def anthropic_results(*params: dict[str, Any], **headers: str) -> list[Any]:
    client = anthropic.Anthropic()
    usual = {"model": "claude-sonnet-4-5", "max_tokens": 2_000, "messages": QUESTION}
    requests: Any = [{"custom_id": f"r{number}", "params": usual | one} for number, one in enumerate(params)]
    made = client.messages.batches.create(requests=requests, extra_headers=headers)
    found = {one.custom_id: one.result for one in client.messages.batches.results(made.id)}
    return [found[f"r{number}"] for number in range(len(params))]


def gemini_responses(*configs: dict[str, Any], model: str = FLASH, version: str = "v1beta") -> list[dict[str, Any]]:
    row = {"contents": [{"role": "user", "parts": [{"text": "What is two and two?"}]}]}
    requests = [{"request": {**row, "generationConfig": config}} for config in configs]
    headers = {"x-goog-api-key": "k"}
    with httpx2.Client(base_url=_gemini(), headers=headers) as client:
        body = {"batch": {"inputConfig": {"requests": {"requests": requests}}}}
        made = client.post(f"/{version}/models/{model}:batchGenerateContent", json=body)
        assert made.status_code == 200, made.text
        got = client.get(f"/{version}/{made.json()['name']}").json()
    found: list[dict[str, Any]] = got["response"]["inlinedResponses"]["inlinedResponses"]
    return found


def _gemini() -> str:
    return os.environ["GOOGLE_GEMINI_BASE_URL"]


# What a row may ask


@pytest.mark.batch_cloud(answers="echo")
def test_chat_completions_bring_the_probabilities_of_tokens_that_were_asked_for(batch_cloud: BatchCloud) -> None:
    asked = {"model": "gpt-4o-mini", "messages": QUESTION}
    (unable,) = openai_answers({"model": "gpt-5-nano", "messages": QUESTION, "logprobs": True})
    plain, likely, ranked, refused = openai_answers(
        asked,
        asked | {"logprobs": True},
        asked | {"logprobs": True, "top_logprobs": 3},
        asked | {"top_logprobs": 3},
    )
    assert plain["choices"][0]["logprobs"] is None
    content = likely["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in content) == likely["choices"][0]["message"]["content"]
    assert all(token["logprob"] <= 0 and token["top_logprobs"] == [] for token in content)
    for token in ranked["choices"][0]["logprobs"]["content"]:
        assert len(token["top_logprobs"]) == 3
        assert token["top_logprobs"][0]["token"] == token["token"]
        chances = [other["logprob"] for other in token["top_logprobs"]]
        assert chances == sorted(chances, reverse=True)
    openai.types.chat.ChatCompletion.model_validate(ranked, strict=False)
    assert refused["error"]["param"] == "top_logprobs"
    assert unable["error"]["code"] == "unsupported_parameter"


@pytest.mark.batch_cloud(answers="echo")
def test_completions_and_responses_bring_them_in_their_own_ways(batch_cloud: BatchCloud) -> None:
    (older,) = openai_answers(
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Say it", "logprobs": 2, "max_tokens": 50},
        endpoint="/v1/completions",
    )
    likely = older["choices"][0]["logprobs"]
    assert "".join(likely["tokens"]) == older["choices"][0]["text"]
    assert likely["text_offset"][:2] == [0, 4]
    assert len(likely["top_logprobs"][0]) == 2
    (newer,) = openai_answers(
        {
            "model": "gpt-4o-mini",
            "input": "Say it",
            "include": ["message.output_text.logprobs"],
            "top_logprobs": 1,
        },
        endpoint="/v1/responses",
    )
    part = newer["output"][0]["content"][0]
    assert "".join(token["token"] for token in part["logprobs"]) == part["text"]
    assert newer["top_logprobs"] == 1


@pytest.mark.batch_cloud()
def test_openai_models_that_reason_spend_tokens_on_it_and_keep_the_limit(batch_cloud: BatchCloud) -> None:
    plain, quiet, short = openai_answers(
        {"model": "gpt-5-nano", "input": "2+2?", "include": ["reasoning.encrypted_content"]},
        {"model": "gpt-5-nano", "input": "2+2?", "reasoning": {"effort": "minimal"}},
        {"model": "gpt-5-nano", "input": "2+2?", "max_output_tokens": 100},
        endpoint="/v1/responses",
    )
    details = plain["usage"]["output_tokens_details"]
    assert details["reasoning_tokens"] in (64, 128)
    assert plain["usage"]["output_tokens"] > details["reasoning_tokens"]
    assert plain["usage"]["total_tokens"] == plain["usage"]["input_tokens"] + plain["usage"]["output_tokens"]
    assert plain["output"][0]["type"] == "reasoning"
    assert plain["output"][0]["encrypted_content"].startswith("gAAAAA")
    assert quiet["usage"]["output_tokens_details"]["reasoning_tokens"] == 0
    assert short["usage"]["output_tokens"] <= 100
    client = openai.OpenAI()
    (batch,) = client.batches.list().data
    assert batch.usage is not None
    assert batch.usage.output_tokens_details.reasoning_tokens >= details["reasoning_tokens"]


@pytest.mark.batch_cloud()
def test_anthropic_thinks_aloud_where_it_is_asked_to(batch_cloud: BatchCloud) -> None:
    enabled = {"type": "enabled", "budget_tokens": 1_024}
    spoken, hidden, small, large, forced = anthropic_results(
        {"thinking": enabled},
        {"thinking": enabled | {"display": "omitted"}},
        {"thinking": enabled | {"budget_tokens": 100}},
        {"thinking": enabled, "max_tokens": 1_024},
        {
            "thinking": enabled,
            "tool_choice": {"type": "any"},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        },
    )
    assert [block.type for block in spoken.message.content] == ["thinking", "text"]
    thought = spoken.message.content[0]
    assert thought.thinking
    assert len(thought.signature) > 100
    assert hidden.message.content[0].thinking == ""
    details = spoken.message.usage.output_tokens_details
    assert 0 < details.thinking_tokens < spoken.message.usage.output_tokens
    for result, word in ((small, "budget_tokens"), (large, "max_tokens"), (forced, "tool_choice")):
        assert result.type == "errored"
        assert word in result.error.error.message


@pytest.mark.batch_cloud(answers="echo")
def test_gemini_thinks_unless_told_not_to_and_gives_as_many_candidates_as_asked(batch_cloud: BatchCloud) -> None:
    plain, quiet, spoken, several, likely, as_text = gemini_responses(
        {},
        {"thinkingConfig": {"thinkingBudget": 0}},
        {"thinking_config": {"include_thoughts": True}},
        {"candidateCount": 3},
        {"responseLogprobs": True, "logprobs": 2},
        {"maxOutputTokens": "100", "candidateCount": "2"},
    )
    usage = plain["response"]["usageMetadata"]
    assert 0 < usage["thoughtsTokenCount"] < 100
    counted = usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    assert usage["totalTokenCount"] == counted
    assert "thoughtsTokenCount" not in quiet["response"]["usageMetadata"]
    parts = spoken["response"]["candidates"][0]["content"]["parts"]
    assert [part.get("thought") for part in parts] == [True, None]
    assert [one["index"] for one in several["response"]["candidates"]] == [0, 1, 2]
    candidate = likely["response"]["candidates"][0]
    result = candidate["logprobsResult"]
    said = "".join(token["token"] for token in result["chosenCandidates"])
    assert said == candidate["content"]["parts"][0]["text"]
    assert all(len(step["candidates"]) == 2 for step in result["topCandidates"])
    genai.types.Candidate.model_validate(candidate)
    assert len(as_text["response"]["candidates"]) == 2
    (lite,) = gemini_responses({}, model="gemini-2.5-flash-lite")
    assert "thoughtsTokenCount" not in lite["response"]["usageMetadata"]


@pytest.mark.batch_cloud()
@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"candidateCount": 9}, "candidate_count"),
        ({"logprobs": 3}, "response_logprobs"),
        ({"thinkingConfig": {"thinkingBudget": "much"}}, "thinking_config"),
    ],
)
def test_gemini_refuses_such_a_row(batch_cloud: BatchCloud, config: dict[str, Any], word: str) -> None:
    (row,) = gemini_responses(config)
    assert row["error"]["code"] == 3
    assert word in row["error"]["message"]


@pytest.mark.batch_cloud()
def test_the_version_of_october_2026_refuses_what_the_old_one_takes(batch_cloud: BatchCloud) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "a"}
    document = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "document", "source": source}]},
        {"role": "user", "content": "and?"},
    ]
    cited = [{"role": "user", "content": [{"type": "text", "text": "q", "citations": [{"type": "char_location"}]}]}]
    rows: list[dict[str, Any]] = [{"messages": document}, {"messages": cited}]
    new = anthropic_results(*rows, **{"anthropic-version": "2026-10-21"})
    assert [result.type for result in new] == ["errored", "errored"]
    old = anthropic_results(*rows, **{"anthropic-version": "2023-06-01"})
    assert [result.type for result in old] == ["succeeded", "succeeded"]


@pytest.mark.batch_cloud()
def test_a_beta_allows_longer_answers_of_some_models(batch_cloud: BatchCloud) -> None:
    long = {"max_tokens": 300_000, "model": "claude-opus-4-6"}
    (usual,) = anthropic_results(long)
    (beta,) = anthropic_results(long, **{"anthropic-beta": "output-300k-2026-03-24"})
    assert (usual.type, beta.type) == ("errored", "succeeded")


@pytest.mark.batch_cloud()
def test_models_of_earlier_years_are_answered_for_and_in_no_list(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    for name in ("gpt-4-turbo", "gpt-3.5-turbo", "gpt-4o-2024-11-20", "o3-mini"):
        (made,) = openai_answers({"model": name, "messages": QUESTION})
        assert made["choices"][0]["message"]["content"]
        assert client.models.retrieve(name).id == name
    assert "gpt-4-turbo" not in {model.id for model in client.models.list()}
    older = ("claude-3-5-haiku-20241022", "claude-sonnet-4-20250514", "claude-3-haiku-20240307")
    assert {one.type for one in anthropic_results(*({"model": name} for name in older))} == {"succeeded"}
    (old,) = gemini_responses({}, model="gemini-2.0-flash")
    assert old["response"]["modelVersion"] == "gemini-2.0-flash"
    (latest,) = gemini_responses({}, model="gemini-flash-latest")
    assert latest["response"]["modelVersion"].startswith("gemini-3")
    with httpx2.Client(base_url=_gemini(), headers={"x-goog-api-key": "k"}) as raw:
        assert raw.get("/v1/models/gemini-flash-latest").status_code == 404


@pytest.mark.batch_cloud()
def test_a_batch_of_videos_brings_their_jobs(batch_cloud: BatchCloud) -> None:
    (made,) = openai_answers({"model": "sora-2", "prompt": "a cat", "seconds": "8"}, endpoint="/v1/videos")
    assert (made["object"], made["seconds"], made["model"]) == ("video", "8", "sora-2")


@pytest.mark.batch_cloud()
def test_models_say_all_that_the_sdks_read(batch_cloud: BatchCloud) -> None:
    model = anthropic.Anthropic().models.retrieve("claude-opus-4-6")
    assert model.line == "opus"
    assert model.capabilities is not None
    assert model.capabilities.thinking.types.enabled.supported
    assert model.capabilities.server_tools.web_search.supported
    assert openai.OpenAI().models.retrieve("gpt-4o-mini").to_dict()["shutdown_date"] is None


# What is said on the way


@pytest.mark.batch_cloud(profile="demo", time_scale=0)
def test_counts_never_go_back_and_know_failures_before_the_end(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    good: dict[str, Any] = {"model": "gpt-4o-mini", "messages": QUESTION}
    batch_id = submit(client, "/v1/chat/completions", *[good, good | {"temperature": 9}] * 10)
    seen = []
    while (batch := client.batches.retrieve(batch_id)).status != "completed":
        assert batch.request_counts is not None
        seen.append((batch.request_counts.completed, batch.request_counts.failed))
        batch_cloud.clock.advance(seconds=0.5)
    assert batch.request_counts is not None
    seen.append((batch.request_counts.completed, batch.request_counts.failed))
    assert seen[-1] == (10, 10)
    assert seen == sorted(seen)
    assert [failed for _, failed in seen] == sorted(failed for _, failed in seen)
    assert any(0 < failed < 10 for _, failed in seen)


@pytest.mark.batch_cloud(profile="demo", time_scale=0, faults=["openai answers row%2 -> fail 500"])
def test_a_row_that_fails_twice_over_counts_once(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    refused: dict[str, Any] = {"model": "gpt-4o-mini", "messages": QUESTION, "temperature": 9}
    batch_id = submit(client, "/v1/chat/completions", *[refused] * 5, *[refused | {"temperature": 1}] * 5)
    seen = []
    while (batch := client.batches.retrieve(batch_id)).status != "completed":
        assert batch.request_counts is not None
        seen.append((batch.request_counts.completed, batch.request_counts.failed))
        batch_cloud.clock.advance(seconds=0.5)
    assert batch.request_counts is not None
    assert seen[-1] == (batch.request_counts.completed, batch.request_counts.failed)
    assert batch.request_counts.failed == 7


@pytest.mark.batch_cloud(profile="demo", time_scale=0, faults=["gemini answers row%3 -> fail 8"])
def test_geminis_counts_know_them_too(batch_cloud: BatchCloud) -> None:
    row = {"request": {"contents": [{"parts": [{"text": "q"}]}]}}
    body = {"batch": {"inputConfig": {"requests": {"requests": [row] * 30}}}}
    seen = []
    with httpx2.Client(base_url=_gemini(), headers={"x-goog-api-key": "k"}) as client:
        name = client.post(f"/v1/models/{FLASH}:batchGenerateContent", json=body).json()["name"]
        while True:
            got = client.get(f"/v1/{name}").json()
            stats = got["metadata"]["batchStats"]
            seen.append(tuple(int(stats.get(f"{kind}RequestCount", "0")) for kind in ("successful", "failed")))
            if got.get("done"):
                break
            batch_cloud.clock.advance(seconds=0.5)
    assert seen[-1] == (20, 10)
    assert seen == sorted(seen)
    assert any(0 < failed < 10 for _, failed in seen)


@pytest.mark.batch_cloud(profile="demo", time_scale=0)
def test_a_batch_with_a_bad_input_can_be_cancelled_while_it_is_validated(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    file = client.files.create(file=io.BytesIO(b"no JSON"), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
    )
    cancelled = client.batches.cancel(made.id)
    assert (cancelled.status, cancelled.cancelling_at is None) == ("cancelling", False)
    batch_cloud.clock.advance(seconds=60)
    batch = client.batches.retrieve(made.id)
    assert (batch.status, batch.errors, batch.output_file_id) == ("cancelled", None, None)
    assert batch.request_counts is not None
    assert batch.request_counts.total == 0


@pytest.mark.batch_cloud(profile="demo", time_scale=0)
def test_answers_are_made_one_after_the_other_with_stragglers(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    batch_id = submit(client, "/v1/chat/completions", *[{"model": "gpt-4o-mini", "messages": QUESTION}] * 300)
    batch_cloud.clock.advance(minutes=5)
    batch = client.batches.retrieve(batch_id)
    lines = client.files.content(batch.output_file_id or "").text.splitlines()
    made = [json.loads(line)["response"]["body"]["created"] for line in lines]
    assert batch.in_progress_at is not None
    assert batch.completed_at is not None
    assert batch.in_progress_at <= min(made) < max(made) <= batch.completed_at
    assert made != sorted(made)


# Headers and ways to ask


@pytest.mark.batch_cloud(
    faults=['openai batches.list -> status 429 retry-after=2 header="x-should-retry: false | retry-after-ms: 1500"']
)
def test_a_failed_call_may_carry_any_header_and_says_what_is_left(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    with pytest.raises(openai.RateLimitError) as caught:
        client.batches.list()
    headers = caught.value.response.headers
    assert (headers["x-should-retry"], headers["retry-after-ms"], headers["retry-after"]) == ("false", "1500", "2")
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"] == "2s"
    assert "x-ratelimit-limit-tokens" in headers
    batch_cloud.assert_nothing_twice()
    assert len(batch_cloud.journal("openai", "batches.list")) == 1, "the SDK was told not to try again"


@pytest.mark.batch_cloud(limits=["gemini.calls_per_minute=1"], time_scale=0)
def test_whatever_refuses_a_chunk_says_so_to_the_upload(batch_cloud: BatchCloud) -> None:
    with httpx2.Client(base_url=_gemini(), headers={"x-goog-api-key": "k"}) as client:
        start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
        url = client.post("/upload/v1/files", headers=start).headers["x-goog-upload-url"]
        command = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        refused = client.post(url, headers=command, content=b"x")
    assert refused.status_code == 429
    assert refused.headers["x-goog-upload-status"] == "final"


@pytest.mark.batch_cloud()
def test_an_upload_of_another_size_than_announced_is_refused(batch_cloud: BatchCloud) -> None:
    with httpx2.Client(base_url=_gemini(), headers={"x-goog-api-key": "k"}) as client:
        start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
        size = {"x-goog-upload-header-content-length": "5"}
        url = client.post("/upload/v1/files", headers=start | size).headers["x-goog-upload-url"]
        command = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        refused = client.post(url, headers=command, content=b"longer")
        assert (refused.status_code, refused.headers["x-goog-upload-status"]) == (400, "final")
        assert client.get("/v1/files").json() == {}


@pytest.mark.batch_cloud()
def test_behind_a_proxy_addresses_lead_back_through_it(batch_cloud: BatchCloud) -> None:
    through = {"x-forwarded-proto": "https", "x-forwarded-host": "cloud.example", "x-forwarded-prefix": "/batch"}
    client = anthropic.Anthropic(default_headers=through)
    params: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": QUESTION}
    made = client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    batch = client.messages.batches.retrieve(made.id)
    assert batch.results_url is not None
    assert batch.results_url.startswith("https://cloud.example/batch/anthropic/v1/messages/batches/")


@pytest.mark.batch_cloud()
def test_a_target_with_its_host_and_a_prefix_without_a_slash_are_answered_in_the_dialect(
    batch_cloud: BatchCloud,
) -> None:
    host, _, port = batch_cloud.base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            f"GET {batch_cloud.openai_url}/models HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer k\r\n"
            "connection: close\r\n\r\n".encode()
        )
        assert raw.recv(15) == b"HTTP/1.1 200 OK"
    bare = httpx2.get(batch_cloud.openai_url, headers={"authorization": "Bearer k"})
    assert bare.status_code == 404
    assert bare.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.batch_cloud()
def test_a_name_beyond_ascii_may_come_in_its_long_form(batch_cloud: BatchCloud) -> None:
    body = (
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename*=utf-8''gr%C3%BC%C3%9Fe.jsonl\r\n\r\n{}\r\n--b--\r\n"
    )
    headers = {"authorization": "Bearer k", "content-type": "multipart/form-data; boundary=b"}
    made = httpx2.post(f"{batch_cloud.openai_url}/files", content=body, headers=headers).json()
    assert made["filename"] == "grüße.jsonl"


@pytest.mark.batch_cloud(limits=["openai.queued_tokens=10"])
def test_a_full_queue_names_its_limit(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    batch = client.batches.retrieve(
        submit(client, "/v1/chat/completions", {"model": "gpt-4o-mini", "messages": QUESTION})
    )
    assert batch.errors is not None
    assert batch.errors.data is not None
    message = batch.errors.data[0].message or ""
    assert "Limit: 10 enqueued tokens." in message


@pytest.mark.batch_cloud()
def test_gemini_reads_bodies_in_single_quotes_as_its_guides_write_them(batch_cloud: BatchCloud) -> None:
    headers = {"x-goog-api-key": "k", "content-type": "application/json"}
    with httpx2.Client(base_url=_gemini(), headers=headers) as client:
        start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
        begun = client.post(
            "/upload/v1beta/files", headers=start, content="{'file': {'display_name': 'it\\'s \"mine\"'}}"
        )
        assert begun.status_code == 200
        command = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        line = json.dumps({"key": "a", "request": {"contents": [{"parts": [{"text": "it's"}]}]}})
        file = client.post(begun.headers["x-goog-upload-url"], headers=command, content=line).json()["file"]
        assert file["displayName"] == 'it\'s "mine"'
        body = f"{{'batch': {{'display_name': 'x', 'input_config': {{'file_name': '{file['name']}'}}}}}}"
        made = client.post(f"/v1beta/models/{FLASH}:batchGenerateContent", content=body)
        assert made.status_code == 200, made.text
        assert client.post(f"/v1beta/models/{FLASH}:batchGenerateContent", content="{'batch: 1}").status_code == 400


@pytest.mark.batch_cloud()
def test_tools_and_schemas_count_as_input(batch_cloud: BatchCloud) -> None:
    client = anthropic.Anthropic()
    tool: Any = {"name": "f", "description": "d" * 400, "input_schema": {"type": "object"}}
    asked: Any = {"model": "claude-haiku-4-5", "messages": QUESTION}
    few = client.messages.count_tokens(**asked).input_tokens
    many = client.messages.count_tokens(**asked, tools=[tool]).input_tokens
    assert many - few > 100
    (row,) = anthropic_results({"tools": [tool]})
    assert row.message.usage.input_tokens == many
    schema = {"type": "object", "properties": {"a" * 400: {"type": "string"}}}
    plain, structured = gemini_responses({}, {"responseJsonSchema": schema, "responseMimeType": "application/json"})
    counts = [one["response"]["usageMetadata"]["promptTokenCount"] for one in (plain, structured)]
    assert counts[1] - counts[0] > 100
    body: dict[str, Any] = {"model": "gpt-4o-mini", "messages": QUESTION}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    first, second = openai_answers(body, body | {"response_format": form})
    assert second["usage"]["prompt_tokens"] - first["usage"]["prompt_tokens"] > 100


@pytest.mark.batch_cloud(answers="echo")
def test_an_echo_that_must_fit_a_schema_is_made_up(batch_cloud: BatchCloud) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    (made,) = openai_answers({"model": "gpt-4o-mini", "messages": QUESTION, "response_format": form})
    assert isinstance(json.loads(made["choices"][0]["message"]["content"])["name"], str)


@pytest.mark.batch_cloud()
def test_the_services_own_hosts_need_no_prefix(batch_cloud: BatchCloud) -> None:
    claude = {"host": "api.anthropic.com", "x-forwarded-proto": "https"}
    client = anthropic.Anthropic(base_url=batch_cloud.base_url, default_headers=claude)
    params: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": QUESTION}
    made = client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    batch = client.messages.batches.retrieve(made.id)
    assert batch.results_url == f"https://api.anthropic.com/v1/messages/batches/{made.id}/results"
    google = {"host": "generativelanguage.googleapis.com", "x-goog-api-key": "k"}
    start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    begun = httpx2.post(f"{batch_cloud.base_url}/upload/v1beta/files", headers=google | start)
    assert begun.headers["x-goog-upload-url"].startswith(
        "http://generativelanguage.googleapis.com/upload/v1beta/files?"
    )


@pytest.mark.batch_cloud()
def test_gemini_image_models_bring_a_pixel(batch_cloud: BatchCloud) -> None:
    (made,) = gemini_responses({}, model="gemini-2.5-flash-image")
    parts = made["response"]["candidates"][0]["content"]["parts"]
    assert parts[-1]["inlineData"]["mimeType"] == "image/png"
