"""A batch through the official OpenAI SDK, on the emulator: start `batchmark emulator --port 8765 --profile instant` first.

OPENAI_BASE_URL=http://127.0.0.1:8765/openai/v1 OPENAI_API_KEY=emulated python examples/openai_sdk_on_the_emulator.py
"""

import json
import time

from openai import OpenAI

ENDPOINT = "/v1/chat/completions"
body = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": "Name a prime."}]}
line = json.dumps({"custom_id": "a", "method": "POST", "url": ENDPOINT, "body": body})

with OpenAI() as client:
    file = client.files.create(file=("in.jsonl", line.encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h")
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(0.5)
        batch = client.batches.retrieve(batch.id)
    print(batch.id, batch.status)
    if batch.output_file_id:
        print(client.files.content(batch.output_file_id).text)
