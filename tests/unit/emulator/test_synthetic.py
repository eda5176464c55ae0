"""Synthetic answers: seeded, labelled, obedient to limits and schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchmark.emulator.answers import AnswersClosed, Ask
from batchmark.emulator.answers.synthetic import Synthetic


def ask(text: str, *, model: str = "m", max_tokens: int | None = None, schema: object = None) -> Ask:
    return Ask(
        model=model,
        messages=(("user", text),),
        max_tokens=max_tokens,
        json_schema=None if schema is None else json.dumps(schema),
    )


def test_the_same_question_gets_the_same_answer_and_another_model_another() -> None:
    source = Synthetic()
    assert source.answer(ask("why")) == Synthetic().answer(ask("why"))
    assert source.answer(ask("why")).text != source.answer(ask("why", model="other")).text
    assert len({source.answer(ask(f"question {n}")).text for n in range(300)}) > 290


def test_nobody_takes_one_for_the_answer_of_a_model() -> None:
    assert Synthetic().answer(ask("2+2?")).text.startswith("synthetic answer ")


@given(text=st.text(max_size=50), limit=st.integers(min_value=1, max_value=80))
def test_an_answer_never_has_more_tokens_than_allowed(text: str, limit: int) -> None:
    free, cut = Synthetic().answer(ask(text)), Synthetic().answer(ask(text, max_tokens=limit))
    assert cut.output_tokens <= limit
    assert len(cut.text.split()) == cut.output_tokens
    assert cut.finish == ("length" if limit < free.output_tokens else "stop")


def test_a_schema_is_obeyed() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "label": {"enum": ["spam", "ham"]},
            "score": {"type": "integer", "minimum": 3, "maximum": 5},
            "sure": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 4},
            "who": {"$ref": "#/$defs/person"},
        },
        "$defs": {"person": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    for number in range(50):
        value = json.loads(Synthetic().answer(ask(str(number), schema=schema)).text)
        assert value["label"] in ("spam", "ham")
        assert 3 <= value["score"] <= 5
        assert isinstance(value["sure"], bool)
        assert 2 <= len(value["tags"]) <= 4
        assert isinstance(value["who"]["name"], str)


def test_a_schema_that_points_at_itself_ends() -> None:
    loop = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert json.loads(Synthetic().answer(ask("x", schema=loop)).text)["next"]


def test_a_closed_source_answers_nothing_more() -> None:
    source = Synthetic()
    source.close()
    with pytest.raises(AnswersClosed):
        source.answer(ask("x"))
