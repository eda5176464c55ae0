"""chatlas (Posit), whose batches keep their state in a file: text and Pydantic models, through all three services' SDKs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from chatlas import (
    ChatAnthropic,
    ChatGoogle,
    ChatOpenAI,
    ChatOpenAICompletions,
    batch_chat,
    batch_chat_structured,
    batch_chat_text,
)
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


URL = os.environ["OPENAI_BASE_URL"]  # this peer takes it as an argument only
CHATS: dict[str, Any] = {
    "responses": lambda: ChatOpenAI(base_url=URL, model="gpt-4.1-mini"),
    "completions": lambda: ChatOpenAICompletions(base_url=URL, model="gpt-4o-mini"),
    "anthropic": lambda: ChatAnthropic(model="claude-haiku-4-5"),
    "gemini": lambda: ChatGoogle(model="gemini-2.5-flash", api_key="any"),
}
for name, make in CHATS.items():
    said = batch_chat_text(make(), ["red", "green", "blue"], path=f"{name}.json")
    assert len(said) == 3, said
    assert all(said), said
    again = batch_chat_text(make(), ["red", "green", "blue"], path=f"{name}.json")
    assert again == said, "read from its file"
    print(f"ok {name}: three prompts in one batch, kept in a file")
    people = batch_chat_structured(make(), ["Ann is 3", "Bob is 4"], path=f"{name}-people.json", data_model=Person)
    assert all(isinstance(person, Person) for person in people), people
    assert len(people) == 2
    print(f"ok {name}: every answer fills its model")
    started = batch_chat(make(), ["red"], path=f"{name}-later.json", wait=False)
    assert started is None or len(started) == 1
    assert Path(f"{name}-later.json").exists()
