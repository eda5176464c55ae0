"""steadybatch, which checks every answer off and asks again for what is lost: its runner on all three services.

The emulator loses every fifth row of the first batch of each service.
"""

from __future__ import annotations

import sys
from typing import Any

import anthropic
import openai
from google.genai import errors
from steadybatch import Request, Runner
from steadybatch.providers.anthropic_batch import AnthropicBatch
from steadybatch.providers.base import BatchProvider
from steadybatch.providers.gemini_batch import GeminiBatch
from steadybatch.providers.openai_batch import OpenAIBatch

SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["negative", "neutral", "positive"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}
ROWS = 20
MODELS: dict[type[BatchProvider], str] = {
    OpenAIBatch: "gpt-4.1-mini",
    AnthropicBatch: "claude-haiku-4-5",
    GeminiBatch: "gemini-3.5-flash-lite",
}


def run(kind: type[BatchProvider], model: str, **settings: Any) -> Any:
    requests = [
        Request(key=f"row {n}", messages=[{"role": "user", "content": f"Sentiment of {n}"}]) for n in range(ROWS)
    ]
    runner = Runner(
        kind(), model, response_schema=SCHEMA, checkpoint=f"{kind.name}.sqlite", poll_every=0.05, timeout=30, **settings
    )
    return runner.run(requests)


def life(kind: type[BatchProvider], model: str) -> None:
    report = run(kind, model)
    assert (report.ok, report.failed) == (ROWS, 0), [one.error for one in report.results if one.error][:3]
    assert [one.key for one in report.results] == [f"row {number}" for number in range(ROWS)]
    assert all(one.data["sentiment"] in SCHEMA["properties"]["sentiment"]["enum"] for one in report.results)  # type: ignore[index]
    assert (report.lines_missing, report.batches_submitted) == (4, 2), report
    print(f"ok {kind.name}: 20 rows with a JSON schema, the 4 lost ones asked for again")
    again = run(kind, model)
    assert (again.ok, again.batches_submitted) == (ROWS, 0), again
    print(f"ok {kind.name}: a second run takes all from its checkpoint")


def unknown(kind: type[BatchProvider], refusal: type[Exception]) -> None:
    try:
        kind().status("batches/unknown" if kind is GeminiBatch else "unknown")
    except refusal:
        return
    sys.exit(f"no {refusal.__name__}")


for one, model in MODELS.items():
    life(one, model)
unknown(OpenAIBatch, openai.NotFoundError)
unknown(AnthropicBatch, anthropic.NotFoundError)
unknown(GeminiBatch, errors.ClientError)
print("ok unknown ids raise the SDK's exceptions")
