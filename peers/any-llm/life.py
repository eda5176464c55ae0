"""any-llm, which gives every service OpenAI's batch types."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from any_llm import api


def life(provider: str, model: str, variable: str) -> None:
    rows = [
        {
            "custom_id": f"row-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": f"say {number}"}], "max_tokens": 20},
        }
        for number in range(12)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    where: dict[str, Any] = {"api_base": os.environ[variable]}
    batch = api.create_batch(provider, input_file_path="rows.jsonl", endpoint="/v1/chat/completions", **where)
    until = time.monotonic() + 20
    while batch.status not in ("completed", "failed") and time.monotonic() < until:
        time.sleep(0.02)
        batch = api.retrieve_batch(provider, batch.id, **where)
    assert batch.status == "completed", batch
    assert [one.id for one in api.list_batches(provider, **where)] == [batch.id]
    print(f"ok {provider}: create, poll, list")
    try:
        found = api.retrieve_batch_results(provider, batch.id, **where).results
    except ValueError as error:
        assert "GCS" in str(error), error
        print(f"fault {provider}: it looks for the results of the Developer API in a bucket, as on Vertex AI")
        return
    assert {one.custom_id for one in found} == {f"row-{number}" for number in range(12)}
    assert all(one.result is not None and one.result.choices[0].message.content for one in found)
    print(f"ok {provider}: results on their ids")


life("openai", "gpt-4o-mini", "OPENAI_BASE_URL")
life("anthropic", "claude-haiku-4-5", "ANTHROPIC_BASE_URL")
life("gemini", "gemini-2.5-flash", "GOOGLE_GEMINI_BASE_URL")
