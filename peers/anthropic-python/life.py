"""Anthropic's Python SDK through everything that its users do with Message Batches. For versions 0.42 to 2."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

import anthropic

MODEL = "claude-sonnet-4-5"
client = anthropic.Anthropic(max_retries=0)


def request(number: int, name: str = "row", **changes: Any) -> Any:
    params = {"model": MODEL, "max_tokens": 20, "messages": [{"role": "user", "content": f"say {number}"}]}
    return {"custom_id": f"{name}-{number}", "params": params | changes}


def ended(batch: Any) -> Any:
    until = time.monotonic() + 20
    while batch.processing_status != "ended" and time.monotonic() < until:
        time.sleep(0.02)
        batch = client.messages.batches.retrieve(batch.id)
    assert batch.processing_status == "ended", batch
    return batch


def counts(batch: Any) -> tuple[int, ...]:
    found = batch.request_counts
    return (found.processing, found.succeeded, found.errored, found.canceled, found.expired)


def life() -> None:
    """create, poll, results on their ids, counts, times"""
    made = client.messages.batches.create(requests=[request(number) for number in range(20)])
    assert made.type == "message_batch" and made.processing_status == "in_progress", made
    assert counts(made) == (20, 0, 0, 0, 0) and made.results_url is None and made.ended_at is None, made
    assert (made.expires_at - made.created_at).total_seconds() == 86_400
    done = ended(made)
    assert counts(done) == (0, 20, 0, 0, 0) and done.results_url and done.ended_at, done
    answers = {line.custom_id: line.result for line in client.messages.batches.results(done.id)}
    assert answers.keys() == {f"row-{number}" for number in range(20)}
    for result in answers.values():
        assert result.type == "succeeded" and result.message.content[0].text and result.message.role == "assistant"
        assert result.message.usage.input_tokens > 0 and result.message.stop_reason in ("end_turn", "max_tokens")


def rows_that_fail() -> None:
    """rows that fail, with their ids and reasons"""
    rows = [request(1), request(2, max_tokens=10**9), request(3, model="claude-unknown"), request(4, temperature=0.5)]
    done = ended(client.messages.batches.create(requests=rows))
    answers = {line.custom_id: line.result for line in client.messages.batches.results(done.id)}
    assert answers.keys() == {"row-1", "row-2", "row-3", "row-4"} and answers["row-1"].type == "succeeded"
    reasons = {name: one.error.error.type for name, one in answers.items() if one.type == "errored"}
    since_2 = anthropic.__version__ >= "2"  # asks for the API version that refuses sampling parameters
    expected = {"row-2": "invalid_request_error", "row-3": "not_found_error"}
    assert reasons == expected | ({"row-4": "invalid_request_error"} if since_2 else {}), reasons
    assert counts(done) == (0, 4 - len(reasons), len(reasons), 0, 0)


def paging() -> None:
    """list over several pages, newest first; backwards too"""
    newest = [client.messages.batches.create(requests=[request(1)]).id for _ in range(5)][::-1]
    first = client.messages.batches.list(limit=2)
    assert len(first.data) == 2 and first.has_next_page() and first.first_id == newest[0], first
    listed = [batch.id for batch in client.messages.batches.list(limit=2)]
    assert listed[:5] == newest and len(set(listed)) == len(listed) > 5, listed
    before = [batch.id for batch in client.messages.batches.list(limit=2, before_id=newest[4])]
    assert sorted(before) == sorted(newest[:4]), before


def cancel() -> None:
    """cancel; the rows say canceled"""
    slow = client.messages.batches.create(requests=[request(number, "slow") for number in range(3)])
    cancelled = client.messages.batches.cancel(slow.id)
    assert cancelled.processing_status in ("canceling", "ended") and cancelled.cancel_initiated_at, cancelled
    done = ended(cancelled)
    assert counts(done) == (0, 0, 0, 3, 0), done
    assert [line.result.type for line in client.messages.batches.results(done.id)] == ["canceled"] * 3
    refused(anthropic.BadRequestError, lambda: client.messages.batches.cancel(done.id))


def delete() -> bool:
    """delete, only after the end"""
    if not hasattr(client.messages.batches, "delete"):
        return False  # older than that call
    slow = client.messages.batches.create(requests=[request(1, "slow")])
    refused(anthropic.BadRequestError, lambda: client.messages.batches.delete(slow.id))
    done = ended(client.messages.batches.cancel(slow.id))
    deleted = client.messages.batches.delete(done.id)
    assert deleted.id == done.id and deleted.type == "message_batch_deleted", deleted
    refused(anthropic.NotFoundError, lambda: client.messages.batches.retrieve(done.id))
    return True


def streaming() -> None:
    """results one by one and as raw bytes; none before the end"""
    done = ended(client.messages.batches.create(requests=[request(number) for number in range(300)]))
    lines = client.messages.batches.results(done.id)
    assert len({line.custom_id for line in itertools.islice(lines, 10)}) == 10
    with client.messages.batches.with_streaming_response.results(done.id) as answer:
        raw = b"".join(answer.iter_bytes())
    assert {json.loads(line)["custom_id"] for line in raw.splitlines()} == {f"row-{number}" for number in range(300)}
    slow = client.messages.batches.create(requests=[request(1, "slow")])
    try:
        client.messages.batches.results(slow.id)
    except anthropic.AnthropicError:
        return
    raise AssertionError("there were results before the end")


def beta() -> None:
    """the beta namespace"""
    made = client.beta.messages.batches.create(requests=[request(1)], betas=["message-batches-2024-09-24"])
    done = ended(made)
    assert [line.result.type for line in client.beta.messages.batches.results(done.id)] == ["succeeded"]
    assert client.beta.messages.batches.list(limit=1).data[0].id == done.id


def refused(kind: type[anthropic.APIStatusError], call: Any) -> anthropic.APIStatusError:
    try:
        call()
    except kind as error:
        assert isinstance(error.body, dict) and error.body["type"] == "error" and error.body["error"]["message"], error
        assert error.response.headers["request-id"]
        return error
    raise AssertionError(f"no {kind.__name__}")


def errors() -> None:
    """errors in the SDK's own classes"""
    batches = client.messages.batches
    refused(anthropic.AuthenticationError, lambda: anthropic.Anthropic(api_key="bad-key").messages.batches.list())
    refused(anthropic.NotFoundError, lambda: batches.retrieve("msgbatch_unknown"))
    refused(anthropic.NotFoundError, lambda: batches.cancel("msgbatch_unknown"))
    refused(anthropic.NotFoundError, lambda: batches.results("msgbatch_unknown"))
    refused(anthropic.BadRequestError, lambda: batches.create(requests=[]))
    refused(anthropic.BadRequestError, lambda: batches.create(requests=[request(1), request(1)]))
    refused(anthropic.BadRequestError, lambda: batches.create(requests=[request(1, "no spaces")]))


def models() -> None:
    """models over several pages, token counts"""
    names = [model.id for model in client.models.list(limit=3)]
    assert len(set(names)) == len(names) > 3 and client.models.retrieve(names[0]).id == names[0], names
    assert client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "hello"}]).input_tokens > 0


async def _async_life() -> None:
    async with anthropic.AsyncAnthropic() as other:
        batch = await other.messages.batches.create(requests=[request(number) for number in range(5)])
        until = time.monotonic() + 20
        while batch.processing_status != "ended" and time.monotonic() < until:
            await asyncio.sleep(0.02)
            batch = await other.messages.batches.retrieve(batch.id)
        found = [line.custom_id async for line in await other.messages.batches.results(batch.id)]
        assert sorted(found) == [f"row-{number}" for number in range(5)], found
        assert len([one.id async for one in other.messages.batches.list(limit=4)]) > 8


def async_client() -> None:
    """the same with AsyncAnthropic"""
    asyncio.run(_async_life())


CHECKS = (life, rows_that_fail, paging, cancel, delete, streaming, beta, errors, models, async_client)

for check in CHECKS:
    if check() is not False:
        print("ok", check.__doc__, flush=True)
