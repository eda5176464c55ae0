"""The quick readers of plain rows understand what the careful ones do, or leave the row to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchmark.emulator.dialects import anthropic_rows, gemini_rows, openai_rows
from batchmark.emulator.dialects.anthropic_rows import AnthropicBook
from batchmark.emulator.dialects.gemini_rows import GENERATE, GeminiBook
from batchmark.emulator.dialects.openai_rows import OpenAIBook
from batchmark.emulator.profiles import named
from batchmark.emulator.rows import Book
from batchmark.emulator.service import Service
from batchmark.emulator.world import Batch, World

texts = st.sampled_from(["", "hi", "ein Stück", "a\nb", '"quoted"', "\U0001f600"])
odd: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(-1, 3) | texts | st.just([]) | st.just({})
)


def mostly(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(value, value, value, value, odd)


def maybe(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    kinds = {name: mostly(value) for name, value in optional.items()}
    return st.fixed_dictionaries({name: mostly(value) for name, value in required.items()}, optional=kinds)


said = maybe({"role": st.sampled_from(["user", "system", "developer", "assistant", "tool"]), "content": texts})
openai_lines = maybe(
    {
        "custom_id": st.sampled_from(["a", "b", ""]),
        "method": st.just("POST"),
        "url": st.just("/v1/chat/completions"),
        "body": maybe(
            {"model": st.sampled_from(["gpt-4o", "gpt-5-nano"]), "messages": st.lists(said, max_size=3)},
            max_tokens=st.integers(1, 9),
            max_completion_tokens=st.integers(1, 9),
            temperature=st.floats(0, 2),
            top_p=st.floats(0, 1),
            seed=st.integers(0, 3),
        ),
    }
)
anthropic_lines = st.fixed_dictionaries(
    {
        "custom_id": st.just("a"),
        "params": maybe(
            {
                "model": st.sampled_from(["claude-haiku-4-5", "claude-mythos-5-2", "nobody"]),
                "messages": st.lists(said, max_size=3),
                "max_tokens": st.integers(1, 99_000),
            },
            system=texts,
            temperature=st.floats(0, 1),
        ).filter(lambda params: isinstance(params, dict)),
    }
)
content = maybe(
    {"parts": st.lists(maybe({"text": texts}), max_size=2)}, role=st.sampled_from(["user", "model", "function"])
)
gemini_lines = maybe(
    {
        "key": st.just("k"),
        "request": maybe(
            {"contents": st.lists(content, max_size=3)},
            systemInstruction=content,
            generationConfig=maybe({}, maxOutputTokens=st.integers(1, 9), temperature=st.floats(0, 2), topK=st.just(3)),
            model=st.just("models/gemini-2.5-pro"),
        ),
    },
    metadata=st.just({"a": 1}),
)


class Batches:
    """One batch of each dialect in a world of their own."""

    def __init__(self, home: Path) -> None:
        self.world = World(home)
        self.service = Service(world=self.world, profiles=named("instant"), seed=0)

    def add(self, dialect: str, endpoint: str, spec: dict[str, Any]) -> Batch:
        source = self.world.incoming / dialect
        source.write_text("{}\n")
        return self.world.add_batch(
            id="b",
            dialect=dialect,
            endpoint=endpoint,
            model="gemini-2.5-flash",
            seed=0,
            profiles=named("instant"),
            window_s=60,
            spec=spec,
            source=source,
        )


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> tuple[OpenAIBook, Batch]:
    batches = Batches(tmp_path_factory.mktemp("openai"))
    return OpenAIBook(batches.service), batches.add("openai", "/v1/chat/completions", {})


@pytest.fixture(scope="module")
def anthropic(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnthropicBook, Batch]:
    batches = Batches(tmp_path_factory.mktemp("anthropic"))
    return AnthropicBook(batches.service), batches.add("anthropic", "/v1/messages", {"version": "2023-06-01"})


@pytest.fixture(scope="module")
def gemini(tmp_path_factory: pytest.TempPathFactory) -> tuple[GeminiBook, Batch]:
    batches = Batches(tmp_path_factory.mktemp("gemini"))
    return GeminiBook(batches.service), batches.add("gemini", GENERATE, {"file": "files/x"})


def same(book: Book, batch: Batch, line: bytes, module: Any, reader: str) -> None:
    """Hold the reading of one line against the reading without the quick reader."""
    quick = book.read(batch, line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, reader, lambda raw: None)
        careful = book.read(batch, line)
    assert (quick.id, quick.ask, quick.refusal) == (careful.id, careful.ask, careful.refusal)


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(openai_lines, min_size=1, max_size=5))
def test_openai(openai: tuple[OpenAIBook, Batch], lines: list[Any]) -> None:
    book, batch = openai
    raw = [json.dumps(line).encode() + b"\n" for line in lines]
    quick = book.check(batch, raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_rows, "openai_row", lambda line: None)
        assert book.check(batch, raw) == quick
    if not quick.problems:
        for line in raw:
            same(book, batch, line, openai_rows, "openai_row")


@settings(max_examples=200, deadline=None)
@given(line=anthropic_lines)
def test_anthropic(anthropic: tuple[AnthropicBook, Batch], line: Any) -> None:
    same(*anthropic, json.dumps(line).encode(), anthropic_rows, "anthropic_row")


@settings(max_examples=200, deadline=None)
@given(line=gemini_lines)
def test_gemini(gemini: tuple[GeminiBook, Batch], line: Any) -> None:
    same(*gemini, json.dumps(line).encode(), gemini_rows, "gemini_row")


def test_parameters_that_are_no_text_are_an_error_of_their_row_alone(anthropic: tuple[AnthropicBook, Batch]) -> None:
    book, batch = anthropic
    row = book.read(batch, b'{"custom_id":"a","params":{"model":"\xff"}}')
    assert row.id == "a"
    assert row.refusal is not None and row.refusal["type"] == "invalid_request_error"
