"""Bespoke's curator, which makes datasets with batches: plain text and a Pydantic model."""

from __future__ import annotations

import os
from typing import Any

from bespokelabs import curator
from datasets import Dataset
from pydantic import BaseModel

TOPICS = [f"topic {number}" for number in range(12)]


class Person(BaseModel):
    name: str
    age: int


class Writer(curator.LLM):  # type: ignore[misc]
    def prompt(self, input: dict[str, Any]) -> str:
        return f"Write about {input['topic']}"

    def parse(self, input: dict[str, Any], response: Any) -> list[dict[str, str]]:
        return [{"topic": input["topic"], "answer": str(response)}]


class Extractor(Writer):
    response_format = Person


def made(kind: type[Any], model: str, backend: str, base_url: str) -> list[str]:
    llm = kind(
        model_name=model,
        backend=backend,
        batch=True,
        backend_params={"batch_check_interval": 1, "base_url": base_url},
    )
    answer = llm(Dataset.from_dict({"topic": TOPICS}))
    rows = list(getattr(answer, "dataset", answer))
    assert {row["topic"] for row in rows} == set(TOPICS), rows
    return [row["answer"] for row in rows]


assert all(made(Writer, "gpt-4o-mini", "openai", os.environ["OPENAI_BASE_URL"]))
print("ok openai: a dataset of 12 rows")
assert all("age=" in one for one in made(Extractor, "gpt-4o-mini", "openai", os.environ["OPENAI_BASE_URL"]))
print("ok openai: the same with a Pydantic model")
try:
    made(Writer, "claude-haiku-4-5", "anthropic", os.environ["ANTHROPIC_BASE_URL"])
    print("ok anthropic: a dataset of 12 rows")
except AttributeError as error:
    assert "handle_response_model" in str(error), error
    print("fault anthropic: it calls a function that the instructor which it installs no longer has; nothing is sent")
