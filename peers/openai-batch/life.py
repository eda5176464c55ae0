"""openai-batch: its Batch object, from a file of requests to downloaded answers."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from openai import NotFoundError
from openai_batch import Batch
from openai_batch.providers import Provider

provider = Provider(name="openai", base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])
chat = [{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"say {number}"}]} for number in range(12)]


def from_a_file() -> None:
    rows = [
        {"custom_id": f"row-{n}", "method": "POST", "url": "/v1/chat/completions", "body": b}
        for n, b in enumerate(chat)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Batch(submission_input_file="rows.jsonl", output_file="answers.jsonl", provider=provider) as batch:
        batch.submit(metadata={"label": "quick"})
        until = time.monotonic() + 20
        while batch.status().status != "completed" and time.monotonic() < until:
            time.sleep(0.05)
        output, error = batch.download()
    assert output == "answers.jsonl" and error is None, (output, error)
    found = {json.loads(line)["custom_id"] for line in Path(output).read_text().splitlines()}
    assert found == {f"row-{number}" for number in range(12)}, found


def from_requests() -> None:
    with Batch(submission_input_file="made.jsonl", output_file="made.out", provider=provider) as batch:
        for row in chat:
            batch.add_to_batch(**row)
        done, output, _ = batch.submit_wait_download(interval=0.05)
    assert done.status == "completed" and len(Path(output).read_text().splitlines()) == 12


def unknown() -> None:
    with Batch(provider=provider, batch_id="batch_unknown") as batch:
        try:
            batch.status()
        except NotFoundError:
            return
    raise AssertionError("no NotFoundError")


from_a_file()
print("ok submit a file of requests, wait, download")
try:
    from_requests()
    print("ok collect requests, submit, wait, download")
except ValueError as error:
    assert "closed file" in str(error), error
    print("fault requests added one by one: it closes its file before it reads it, and sends nothing")
unknown()
print("ok an unknown id is the SDK's NotFoundError")
