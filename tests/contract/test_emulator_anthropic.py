"""Anthropic's SDK, unmodified, against the emulator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types.messages import MessageBatch

from batchmark.emulator import Emulator, EmulatorOptions


@pytest.fixture
def client(cloud: Emulator) -> Iterator[anthropic.Anthropic]:
    url = cloud.environment()["ANTHROPIC_BASE_URL"]
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as made:
        yield made


def request(custom_id: str, **changes: Any) -> Any:
    params = {"model": "claude-haiku-4-5", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}
    return {"custom_id": custom_id, "params": {k: v for k, v in (params | changes).items() if v is not None}}


def finished(client: anthropic.Anthropic, batch: MessageBatch) -> MessageBatch:
    for _ in range(1000):
        if batch.processing_status == "ended":
            return batch
        batch = client.messages.batches.retrieve(batch.id)
    raise AssertionError(f"still {batch.processing_status}")


def run(client: anthropic.Anthropic, requests: list[Any]) -> MessageBatch:
    return finished(client, client.messages.batches.create(requests=requests))


def outcomes(client: anthropic.Anthropic, batch: MessageBatch) -> dict[str, Any]:
    return {each.custom_id: each.result for each in client.messages.batches.results(batch.id)}


def test_a_batch_lives_from_create_to_results(client: anthropic.Anthropic) -> None:
    made = client.messages.batches.create(requests=[request(f"row-{number}") for number in range(20)])
    assert (made.processing_status, made.request_counts.processing, made.results_url) == ("in_progress", 20, None)
    done = finished(client, made)
    assert done.request_counts.succeeded == 20
    assert done.request_counts.processing == 0
    assert done.ended_at is not None
    assert (done.expires_at - done.created_at).total_seconds() == 86_400
    found = list(client.messages.batches.results(done.id))
    assert {each.custom_id for each in found} == {f"row-{number}" for number in range(20)}
    assert [each.custom_id for each in found] != [f"row-{number}" for number in range(20)], "results come shuffled"
    assert found[0].result.type == "succeeded"
    assert found[0].result.message.model == "claude-haiku-4-5-20251001"
    assert found[0].result.message.usage.service_tier == "batch"


def test_the_async_client_does_the_same(cloud: Emulator) -> None:
    async def life() -> list[str]:
        url = cloud.environment()["ANTHROPIC_BASE_URL"]
        async with anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0) as client:
            batch = await client.messages.batches.create(requests=[request("a"), request("b")])
            while batch.processing_status != "ended":
                batch = await client.messages.batches.retrieve(batch.id)
            return [each.custom_id async for each in await client.messages.batches.results(batch.id)]

    assert sorted(asyncio.run(life())) == ["a", "b"]


def test_a_create_streamed_from_disk_is_taken(client: anthropic.Anthropic, tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(b'{"requests":[\n{"custom_id": "a",\n "params": {"model": "claude-haiku-5-5"}}\n]}')
    with path.open("rb") as opened:
        made = client.post(
            "/v1/messages/batches",
            content=opened,
            cast_to=MessageBatch,
            options={"headers": {"content-type": "application/json"}},
        )
    assert finished(client, made).request_counts.errored == 1


@pytest.mark.parametrize(
    ("changes", "kind", "word"),
    [
        ({"model": "claude-unheard-of"}, "not_found_error", "claude-unheard-of"),
        ({"model": "claude-mythos-5-2"}, "invalid_request_error", "not supported"),
        ({"max_tokens": None}, "invalid_request_error", "max_tokens: Field required"),
        ({"max_tokens": 0}, "invalid_request_error", "max_tokens"),
        ({"messages": []}, "invalid_request_error", "messages"),
        ({"stream": True}, "invalid_request_error", "stream"),
        ({"temperature": 1.0}, "invalid_request_error", "temperature"),
        ({"top_p": 1.0}, "invalid_request_error", "top_p"),
        ({"top_k": 5}, "invalid_request_error", "top_k"),
    ],
)
def test_bad_parameters_are_accepted_at_create_and_err_at_the_end(
    client: anthropic.Anthropic, changes: dict[str, Any], kind: str, word: str
) -> None:
    done = run(client, [request("good"), request("bad", **changes)])
    assert (done.request_counts.succeeded, done.request_counts.errored) == (1, 1)
    bad = outcomes(client, done)["bad"]
    assert bad.type == "errored"
    assert bad.error.type == "error"
    assert bad.error.error.type == kind
    assert word in bad.error.error.message


def test_the_older_api_version_still_takes_sampling_parameters(client: anthropic.Anthropic) -> None:
    older = client.with_options(default_headers={"anthropic-version": "2023-06-01"})
    assert run(older, [request("a", temperature=0.2)]).request_counts.succeeded == 1


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{nonsense", "JSON"),
        (b"{}", "requests: Field required"),
        (b'{"requests": 3}', "valid list"),
        (b'{"requests": []}', "at least 1 item"),
        (b'{"requests": [{"params": {}}]}', "requests.0.custom_id: Field required"),
        (b'{"requests": [{"custom_id": "a"}]}', "requests.0.params: Field required"),
        (b'{"requests": [{"custom_id": "a b", "params": {}}]}', "should match pattern"),
        (b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]}', "unique"),
        (b'{"requests": [{"custom_id": "a", "params": 3}]}', "valid dictionary"),
        (b'{"requests": [{"custom_id": "a", "params": {}}], "other": 1}', "Extra inputs"),
    ],
)
def test_a_bad_envelope_is_refused_at_once(client: anthropic.Anthropic, body: bytes, word: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=word) as refused:
        client.post(
            "/v1/messages/batches",
            content=body,
            cast_to=MessageBatch,
            options={"headers": {"content-type": "application/json"}},
        )
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["error"]["type"] == "invalid_request_error"
    assert refused.value.body["request_id"] == refused.value.request_id
    assert list(client.messages.batches.list()) == []


def test_while_it_runs_counters_stand_still_and_results_are_not_there(cloud: Emulator, tmp_path: Path) -> None:
    options = EmulatorOptions(home=tmp_path / "slow", profile="demo", answers="synthetic", time_scale=5)
    with Emulator(options) as slow:
        url = slow.environment()["ANTHROPIC_BASE_URL"]
        with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
            made = client.messages.batches.create(requests=[request(f"row-{number}") for number in range(50)])
            raw = client.messages.batches.with_raw_response.retrieve(made.id)
            assert raw.headers["retry-after"] == "10"
            with pytest.raises(anthropic.NotFoundError):
                client.get(f"/v1/messages/batches/{made.id}/results", cast_to=httpx2.Response)
            with pytest.raises(anthropic.BadRequestError):
                client.messages.batches.delete(made.id)
            seen = set()
            batch = made
            while batch.processing_status != "ended":
                seen.add((batch.request_counts.processing, batch.request_counts.succeeded))
                batch = client.messages.batches.retrieve(made.id)
            assert seen == {(50, 0)}
            assert "retry-after" not in client.messages.batches.with_raw_response.retrieve(made.id).headers


def test_cancelling_ends_with_partial_results_for_every_request(cloud: Emulator, tmp_path: Path) -> None:
    options = EmulatorOptions(home=tmp_path / "slow", profile="demo", answers="synthetic", time_scale=5)
    with Emulator(options) as slow:
        url = slow.environment()["ANTHROPIC_BASE_URL"]
        with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
            made = client.messages.batches.create(requests=[request(f"row-{number}") for number in range(50)])
            asked = client.messages.batches.cancel(made.id)
            assert (asked.processing_status, asked.request_counts.processing) == ("canceling", 50)
            assert asked.cancel_initiated_at is not None
            done = finished(client, asked)
            assert done.request_counts.canceled + done.request_counts.succeeded == 50
            assert done.request_counts.canceled > 0
            assert len(outcomes(client, done)) == 50


def test_only_ended_batches_can_be_deleted_and_not_cancelled(client: anthropic.Anthropic) -> None:
    done = run(client, [request("a")])
    with pytest.raises(anthropic.BadRequestError):
        client.messages.batches.cancel(done.id)
    assert client.messages.batches.delete(done.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(done.id)


def test_pages_can_be_walked_forth_and_back(client: anthropic.Anthropic) -> None:
    made = [run(client, [request("a")]).id for _ in range(5)][::-1]
    first = client.messages.batches.list(limit=2)
    assert [batch.id for batch in first.data] == made[:2]
    assert first.has_more
    assert [batch.id for batch in client.messages.batches.list(limit=2)] == made
    newer = client.messages.batches.list(limit=2, before_id=made[4])
    assert [batch.id for batch in newer.data] == made[2:4]
    assert newer.has_more


def test_keys_and_versions_are_checked(cloud: Emulator, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="bad-key").messages.batches.list()
    url = f"{cloud.base_url}/anthropic/v1/messages/batches"
    with httpx2.Client() as plain:
        assert plain.get(url, headers={"anthropic-version": "2023-06-01"}).status_code == 401
        assert plain.get(url, headers={"x-api-key": "k", "anthropic-version": "2023-06-01"}).status_code == 200
        missing = plain.get(url, headers={"x-api-key": "k"})
        assert missing.status_code == 400
        assert "anthropic-version" in missing.json()["error"]["message"]
        assert missing.headers["request-id"] == missing.json()["request_id"]


def test_models_say_whether_they_can_be_batched(client: anthropic.Anthropic) -> None:
    can = {}
    for model in client.models.list(limit=3):
        assert model.capabilities is not None and model.capabilities.batch is not None
        can[model.id] = model.capabilities.batch.supported
    assert can["claude-haiku-5-5"]
    assert not can["claude-mythos-5-2"]
    assert len(can) > 10
    counted = client.messages.count_tokens(model="claude-haiku-5-5", messages=[{"role": "user", "content": "hello"}])
    assert counted.input_tokens > 0
