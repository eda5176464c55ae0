"""Groq's SDK, whose batches are OpenAI's: the emulator stands in for a service that speaks the same dialect."""

from __future__ import annotations

import json
import time
from typing import Any

import groq

client = groq.Groq(max_retries=0)
CHAT: Any = "/v1/chat/completions"


def row(number: int) -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"say {number}"}]}
    return json.dumps({"custom_id": f"row-{number}", "method": "POST", "url": CHAT, "body": body})


def ended(batch: Any) -> Any:
    until = time.monotonic() + 20
    while batch.status not in ("completed", "failed", "cancelled") and time.monotonic() < until:
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
    return batch


stored = client.files.create(file=("in.jsonl", "\n".join(row(n) for n in range(12)).encode()), purpose="batch")
wanted: Any = {"completion_window": "24h", "endpoint": CHAT, "input_file_id": stored.id}
done = ended(client.batches.create(**wanted))
assert done.status == "completed" and done.request_counts.completed == 12, done
lines = client.files.content(done.output_file_id).text().splitlines()
assert {json.loads(line)["custom_id"] for line in lines} == {f"row-{number}" for number in range(12)}
print("ok upload, create, poll, results on their ids")
slow = client.batches.create(**wanted, metadata={"label": "slow"})
assert ended(client.batches.cancel(slow.id)).status == "cancelled"
assert {one.id for one in client.batches.list().data} == {done.id, slow.id}
assert client.files.delete(stored.id).deleted
print("ok list, cancel, delete a file")
for kind, call in (
    (groq.NotFoundError, lambda: client.batches.retrieve("batch_unknown")),
    (groq.AuthenticationError, lambda: groq.Groq(api_key="bad-key").batches.list()),
):
    try:
        call()
    except kind:
        continue
    raise AssertionError(f"no {kind.__name__}")
print("ok errors in the SDK's own classes")
