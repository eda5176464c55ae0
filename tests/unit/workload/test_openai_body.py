"""Bodies in OpenAI's shape: what the common shape holds is read, and what it does not hold is named."""

from __future__ import annotations

from typing import Any

import pytest

from batchmark.domain.request import Document, Image, Message, Settings, Text, Tool, ToolCall, ToolResult
from batchmark.workload.openai_body import BadBody, chat_parameters, embeddings, messages, responses


def turn(**fields: Any) -> tuple[Message, list[str]]:
    (found,), unknown = messages([fields])
    return found, unknown


@pytest.mark.parametrize(
    ("role", "ours"),
    [("system", "system"), ("developer", "system"), ("user", "user"), ("assistant", "assistant")],
)
def test_roles_are_those_of_the_common_shape(role: str, ours: str) -> None:
    assert turn(role=role, content="x") == (Message(ours, "x"), [])  # type: ignore[arg-type]


@pytest.mark.parametrize("role", [None, "human", 5, [], {}])
def test_an_unknown_role_is_refused_by_name(role: object) -> None:
    with pytest.raises(BadBody, match=r"messages\[0\].role must be one of system, developer, user"):
        turn(role=role, content="x")


def test_text_images_and_files_are_parts() -> None:
    found, unknown = turn(
        role="user",
        content=[
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "input_image", "image_url": "data:image/webp;base64,AAAA"},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "a.pdf"}},
            {"type": "input_file", "file_id": "file-1"},
        ],
    )
    assert unknown == []
    assert found.content == (
        Text("Look"),
        Image(url="https://example.com/a.png", detail="low"),
        Image(data="AAAA", media_type="image/webp"),
        Document(data="BBBB", media_type="application/pdf", name="a.pdf"),
        Document(file_id="file-1"),
    )


def test_a_part_of_another_kind_is_named() -> None:
    found, unknown = turn(
        role="user", content=[{"type": "input_audio", "input_audio": {}}, {"type": "text", "text": ""}]
    )
    assert unknown == ["messages[0].content[0] of type input_audio"]
    assert found.content == (Text(""),)


def test_tool_calls_and_their_results_are_parts() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    found, unknown = messages(
        [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        ]
    )
    assert unknown == []
    assert found[0] == Message("assistant", (ToolCall("call_1", "f", '{"a": 1}'),))
    assert found[1] == Message("tool", (ToolResult("call_1", "42"),))


def test_a_tool_may_answer_in_text_parts() -> None:
    parts = [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]
    assert turn(role="tool", tool_call_id="c", content=parts) == (Message("tool", (ToolResult("c", "42"),)), [])


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "user"},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url"}]},
        {"role": "user", "content": 5},
        {"role": "tool", "content": "x"},
        {"role": "assistant", "tool_calls": 1},
        {"role": "assistant", "tool_calls": [{"function": {"name": 5}}]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        {"role": "user", "content": ["x"]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": 5}}]},
    ],
)
def test_a_message_of_the_wrong_kind_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadBody, match=r"messages\[0\]"):
        turn(**fields)


def test_what_a_message_holds_beyond_the_common_shape_is_named() -> None:
    assert turn(role="user", content="x", name="Ann", audio=None)[1] == ["messages[0].name"]
    assert turn(role="user", content="x", tool_call_id="c")[1] == ["messages[0].tool_call_id"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_the_three_names_of_the_token_limit_mean_the_same(name: str) -> None:
    assert chat_parameters({name: 9}) == ({"settings": Settings(max_tokens=9)}, [])


def test_two_limits_that_differ_are_refused() -> None:
    with pytest.raises(BadBody, match="max_tokens and max_completion_tokens contradict each other"):
        chat_parameters({"max_tokens": 1, "max_completion_tokens": 2})
    assert chat_parameters({"max_tokens": 2, "max_completion_tokens": 2})[0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"max_tokens": True}, "max_tokens must be a whole number"),
        ({"max_tokens": -1}, "max_tokens must be a whole number above 0"),
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"stop": 5}, "stop must be text or a list of texts"),
        ({"stop": [5]}, "stop must be text or a list of texts"),
        ({"reasoning_effort": 5}, "reasoning_effort must be text"),
        ({"tools": {}, "tool_choice": 5}, "tool_choice must be auto, none, required or name a function"),
        ({"tools": "x"}, "tools must be a list"),
        ({"tools": ["x"]}, r"tools\[0\] must be an object"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, r"tools\[0\].parameters must be"),
        ({"response_format": {"type": "yaml"}}, "response_format must be"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format must be"),
    ],
)
def test_a_parameter_of_the_wrong_kind_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(BadBody, match=said):
        chat_parameters(body)


def test_functions_are_read_in_both_of_openais_shapes_and_other_tools_are_named() -> None:
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d"}},
        {"type": "function", "name": "g", "parameters": {"type": "object"}},
        {"type": "web_search"},
    ]
    found, unknown = chat_parameters({"tools": tools})
    assert found["tools"] == (Tool("f", "d"), Tool("g", None, {"type": "object"}))
    assert unknown == ["tools[2] of type web_search"]


@pytest.mark.parametrize(
    ("choice", "ours"),
    [
        ("auto", "auto"),
        ({"type": "function", "function": {"name": "f"}}, "f"),
        ({"type": "function", "name": "f"}, "f"),
    ],
)
def test_a_tool_choice_is_a_word_or_a_name(choice: object, ours: str) -> None:
    assert chat_parameters({"tool_choice": choice}) == ({"tool_choice": ours}, [])


def test_a_tool_choice_of_another_kind_is_named() -> None:
    assert chat_parameters({"tool_choice": {"type": "allowed_tools", "tools": []}}) == (
        {},
        ["tool_choice of type allowed_tools"],
    )


def test_schemas_are_read_in_both_of_openais_shapes() -> None:
    schema = {"type": "object"}
    for form in (
        {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        {"type": "json_schema", "name": "n", "schema": schema},
    ):
        assert chat_parameters({"response_format": form})[0] == {"schema": schema, "schema_name": "n"}
    assert chat_parameters({"response_format": {"type": "json_object"}})[0] == {"json_only": True}
    assert chat_parameters({"response_format": {"type": "text"}})[0] == {}


def test_what_asks_for_the_usual_is_not_named_and_all_else_is() -> None:
    body: dict[str, Any] = {"n": 1, "stream": False, "logprobs": None, "logit_bias": {}, "presence_penalty": 0.5}
    assert chat_parameters(body) == ({}, ["logit_bias", "presence_penalty"])
    assert chat_parameters({"n": 2})[1] == ["n"]


def test_a_responses_body_becomes_a_conversation() -> None:
    turns, found, unknown = responses(
        {
            "model": "m",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
            "instructions": "brief",
            "max_output_tokens": 9,
            "reasoning": {"effort": "low"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        }
    )
    assert turns == (Message("system", "brief"), Message("user", (Text("hi"),)))
    assert found == {
        "settings": Settings(max_tokens=9, reasoning_effort="low"),
        "schema": {"type": "object"},
        "schema_name": "n",
    }
    assert unknown == []


def test_nothing_of_a_responses_body_is_dropped_in_silence() -> None:
    body = {
        "input": "hi",
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "store": False,
        "previous_response_id": "resp_1",
    }
    assert responses(body)[2] == ["text.verbosity", "reasoning.summary", "store", "previous_response_id"]


def test_items_of_another_kind_in_an_input_are_named() -> None:
    turns, _, unknown = responses({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]})
    assert (turns, unknown) == ((), ["input"])


def test_texts_to_embed_are_one_or_many_and_tokens_are_named() -> None:
    assert embeddings({"model": "m", "input": "a"}) == (("a",), None, [])
    assert embeddings({"input": ["a", "b"], "dimensions": 3}) == (("a", "b"), 3, [])
    assert embeddings({"input": [1, 2]}) == ((), None, ["input"])
    assert embeddings({"input": "a", "user": "u"}) == (("a",), None, ["user"])
