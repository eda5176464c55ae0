"""litellm's files and batches on the services that it can be pointed at: OpenAI and Gemini whole, Anthropic as far as it goes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
import litellm
import openai

CHAT: Any = "/v1/chat/completions"


def write(name: str, rows: list[dict[str, Any]]) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def chat(number: int, model: str) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": f"say {number}"}], "max_tokens": 20}
    return {"custom_id": f"row-{number}", "method": "POST", "url": CHAT, "body": body}


def upload(rows: list[dict[str, Any]], provider: Any) -> Any:
    with Path(write("rows.jsonl", rows)).open("rb") as file:
        return litellm.create_file(file=file, purpose="batch", custom_llm_provider=provider)


def ended(batch: Any, **where: Any) -> Any:
    until = time.monotonic() + 20
    while batch.status not in ("completed", "failed", "cancelled", "expired") and time.monotonic() < until:
        time.sleep(0.02)
        batch = litellm.retrieve_batch(batch.id, **where)
    return batch


def lines(file: str, provider: Any) -> list[dict[str, Any]]:
    content: Any = litellm.file_content(file, custom_llm_provider=provider)
    return [json.loads(line) for line in content.text.splitlines()]


def on_openai() -> None:
    """OpenAI: upload, create, poll, results on their ids, list, cancel, delete, errors"""
    stored = upload([chat(number, "gpt-4o-mini") for number in range(12)], "openai")
    wanted = {"completion_window": "24h", "endpoint": CHAT, "input_file_id": stored.id}
    done = ended(litellm.create_batch(**wanted, metadata={"label": "quick"}))
    assert done.status == "completed" and done.request_counts.completed == 12, done
    found = {line["custom_id"]: line["response"]["status_code"] for line in lines(done.output_file_id, "openai")}
    assert found == {f"row-{number}": 200 for number in range(12)}, found
    slow = litellm.create_batch(**wanted, metadata={"label": "slow"})
    assert [one.id for one in litellm.list_batches(limit=1).data] == [slow.id]
    assert {one.id for one in litellm.list_batches(limit=1, after=slow.id).data} == {done.id}
    litellm.cancel_batch(slow.id)
    assert ended(slow).status == "cancelled"
    assert stored.id in {one.id for one in litellm.file_list(custom_llm_provider="openai")}
    assert litellm.file_delete(stored.id, custom_llm_provider="openai").deleted
    for refusal, call in (
        (openai.NotFoundError, lambda: litellm.retrieve_batch("batch_unknown")),
        (openai.AuthenticationError, lambda: litellm.retrieve_batch(done.id, api_key="bad-key")),
    ):
        try:
            call()
        except refusal:
            continue
        raise AssertionError(f"no {refusal.__name__}")


async def _async_life() -> None:
    file = ("rows.jsonl", json.dumps(chat(1, "gpt-4o-mini")).encode())
    stored = await litellm.acreate_file(file=file, purpose="batch", custom_llm_provider="openai")
    batch = await litellm.acreate_batch(completion_window="24h", endpoint=CHAT, input_file_id=stored.id)
    until = time.monotonic() + 20
    while batch.status != "completed" and time.monotonic() < until:
        await asyncio.sleep(0.02)
        batch = await litellm.aretrieve_batch(batch.id)
    content: Any = await litellm.afile_content(batch.output_file_id, custom_llm_provider="openai")
    assert json.loads(content.text)["custom_id"] == "row-1"


def on_openai_async() -> None:
    """OpenAI: the same with its async calls"""
    asyncio.run(_async_life())


def on_gemini() -> None:
    """Gemini: upload, create, poll, results on their keys, retrieve and delete a file"""
    contents = [{"role": "user", "parts": [{"text": "hello"}]}]
    stored = upload([{"key": f"row-{number}", "request": {"contents": contents}} for number in range(12)], "gemini")
    assert litellm.file_retrieve(stored.id, custom_llm_provider="gemini").status == "processed"
    found = {line["key"] for line in lines(gemini_batch(stored).output_file_id, "gemini") if "response" in line}
    assert found == {f"row-{number}" for number in range(12)}, found
    assert litellm.file_delete(stored.id, custom_llm_provider="gemini").deleted


def gemini_batch(stored: Any) -> Any:
    where: Any = {"custom_llm_provider": "gemini", "model": "gemini-2.5-flash"}
    made = litellm.create_batch(completion_window="24h", endpoint=CHAT, input_file_id=stored.id, **where)
    done = ended(made, **where)
    assert done.status == "completed", done
    return done


def on_anthropic() -> None:
    """Anthropic: retrieve, results (it creates no batches there)"""
    rows = [{"custom_id": f"row-{number}", "params": _params(number)} for number in range(12)]
    headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
    url = f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages/batches"
    made = httpx.post(url, headers=headers, json={"requests": rows}).json()
    where: Any = {"custom_llm_provider": "anthropic"}
    done = ended(litellm.retrieve_batch(made["id"], **where), **where)
    assert done.status == "completed" and done.request_counts.completed == 12, done
    found = {line["custom_id"] for line in lines(done.output_file_id, "anthropic")}
    assert found == {f"row-{number}" for number in range(12)}, found


def _params(number: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"say {number}"}]
    return {"model": "claude-haiku-4-5", "max_tokens": 20, "messages": messages}


for check in (on_openai, on_openai_async, on_gemini, on_anthropic):
    check()
    print("ok", check.__doc__, flush=True)

done = gemini_batch(upload([chat(1, "gemini-2.5-flash")], "gemini"))
if done.request_counts.failed:
    print("gap Gemini: rows in OpenAI's shape, which litellm says that the service takes")
else:
    print("ok Gemini: rows in OpenAI's shape")
