"""instructor's batch module, which fills Pydantic models: OpenAI by JSON schema, Anthropic by a tool that must be called."""

from __future__ import annotations

import time
from typing import Any

from instructor.batch import BatchProcessor
from pydantic import BaseModel


class User(BaseModel):
    name: str
    age: int


def ended(processor: Any, batch: str) -> str:
    until = time.monotonic() + 20
    status = ""
    while status not in ("completed", "ended", "cancelled", "failed") and time.monotonic() < until:
        status = processor.get_batch_status(batch)["status"]
        time.sleep(0.02)
    return status


def life(model: str, done: str) -> None:
    processor = BatchProcessor(model, User)
    messages = [[{"role": "user", "content": f"Jo is {number} years old"}] for number in range(12)]
    file = processor.create_batch_from_messages(messages, file_path=f"{processor.provider_name}.jsonl")
    batch = processor.submit_batch(file, metadata={"label": "quick"})
    assert ended(processor, batch) == done
    results = processor.get_results(batch, file_path="raw.jsonl")
    assert {one.custom_id for one in results} == {f"request-{number}" for number in range(12)}
    print(f"ok {model}: submit, poll, results on their ids")
    listed = processor.list_batches(limit=5)
    assert [one.id for one in listed] == [batch] and listed[0].status.value == "completed", listed
    in_memory = processor.create_batch_from_messages(messages[:2])
    slow = processor.submit_batch(in_memory, metadata={"label": "slow"})
    assert len(processor.list_batches(limit=5)) == 2 and len(processor.list_batches(limit=1)) == 1
    print(f"ok {model}: list, submit from memory")
    if processor.provider_name == "openai":
        processor.cancel_batch(slow)
        assert ended(processor, slow) == "cancelled"
        print(f"ok {model}: cancel")
    try:
        processor.get_batch_status("unknown")
    except Exception as error:  # noqa: BLE001 - the class that it raises
        assert "404" in str(error), error
        print(f"ok {model}: an unknown id is its error, with the service's 404 in it")
    wrong = [one for one in results if not one.success]
    assert not wrong, wrong[0]
    assert all(isinstance(one.result, User) for one in results)
    print(f"ok {model}: every answer fills its model")


life("openai/gpt-4o-mini", "completed")
life("anthropic/claude-haiku-4-5", "ended")
