"""A tool that must be called is called, with arguments that fit its schema, in each dialect's own shape."""

from __future__ import annotations

import io
import json
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from batchmark.emulator import BatchCloud

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
NAMES = ("clock", "weather")


def fits(arguments: Any) -> bool:
    return set(arguments) == {"city", "days"} and isinstance(arguments["days"], int)


def openai_answer(url: Any, body: dict[str, Any]) -> dict[str, Any]:
    client = openai.OpenAI()
    line = {"custom_id": "a", "method": "POST", "url": url, "body": {"model": "gpt-4o-mini", **body}}
    file = client.files.create(file=io.BytesIO(json.dumps(line).encode()), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h")
    done = client.batches.retrieve(made.id)
    answer: dict[str, Any] = json.loads(client.files.content(done.output_file_id or "").text)["response"]["body"]
    return answer


@pytest.mark.parametrize(
    ("choice", "name", "finish"),
    [
        ("required", "clock", "tool_calls"),
        ({"type": "function", "function": {"name": "weather"}}, "weather", "stop"),
    ],
)
def test_a_chat_calls_the_function_that_it_must(batch_cloud: BatchCloud, choice: Any, name: str, finish: str) -> None:
    tools = [{"type": "function", "function": {"name": one, "parameters": SCHEMA}} for one in NAMES]
    messages = [{"role": "user", "content": "hi"}]
    body = {"messages": messages, "tools": tools, "tool_choice": choice}
    (answer,) = openai_answer("/v1/chat/completions", body)["choices"]
    (call,) = answer["message"]["tool_calls"]
    assert (answer["message"]["content"], answer["finish_reason"]) == (None, finish)
    assert (call["type"], call["function"]["name"]) == ("function", name)
    assert fits(json.loads(call["function"]["arguments"]))


def test_a_response_calls_the_function_that_it_must(batch_cloud: BatchCloud) -> None:
    tools = [{"type": "function", "name": one, "parameters": SCHEMA} for one in NAMES]
    body = {"input": "hi", "tools": tools, "tool_choice": {"type": "function", "name": "weather"}}
    (call,) = openai_answer("/v1/responses", body)["output"]
    assert (call["type"], call["name"], call["status"]) == ("function_call", "weather", "completed")
    assert fits(json.loads(call["arguments"]))


def test_a_function_that_may_be_called_is_not(batch_cloud: BatchCloud) -> None:
    tools = [{"type": "function", "function": {"name": "clock", "parameters": SCHEMA}}]
    body = {"messages": [{"role": "user", "content": "hi"}], "tools": tools}
    (answer,) = openai_answer("/v1/chat/completions", body)["choices"]
    assert "tool_calls" not in answer["message"]
    assert answer["message"]["content"]


@pytest.mark.parametrize(
    ("choice", "name"), [({"type": "any"}, "clock"), ({"type": "tool", "name": "weather"}, "weather")]
)
def test_a_message_uses_the_tool_that_it_must(batch_cloud: BatchCloud, choice: Any, name: str) -> None:
    client = anthropic.Anthropic()
    params: Any = {
        "model": "claude-haiku-4-5",
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": one, "input_schema": SCHEMA} for one in NAMES],
    }
    right: Any = {**params, "tool_choice": choice}
    wrong: Any = {**params, "tool_choice": {"type": "tool", "name": "absent"}}
    made = client.messages.batches.create(
        requests=[
            {"custom_id": "good", "params": right},
            {"custom_id": "wrong", "params": wrong},
        ]
    )
    results = {line.custom_id: line.result for line in client.messages.batches.results(made.id)}
    good = results["good"]
    assert good.type == "succeeded"
    (block,) = good.message.content
    assert block.type == "tool_use"
    assert (block.name, good.message.stop_reason) == (name, "tool_use")
    assert fits(block.input)
    assert results["wrong"].type == "errored"


def test_gemini_calls_the_function_that_it_must(batch_cloud: BatchCloud) -> None:
    client = genai.Client()
    declared = [{"name": one, "parameters_json_schema": SCHEMA} for one in NAMES]
    request: Any = {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "config": {
            "tools": [{"function_declarations": declared}],
            "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["weather"]}},
        },
    }
    job = client.batches.create(model="gemini-2.5-flash", src=[request])
    dest = client.batches.get(name=job.name or "").dest
    assert dest is not None and dest.inlined_responses is not None
    response = dest.inlined_responses[0].response
    assert response is not None and response.function_calls is not None
    assert [call.name for call in response.function_calls] == ["weather"]
    assert fits(response.function_calls[0].args)


def test_completions_give_a_choice_for_every_prompt_and_repetition(batch_cloud: BatchCloud) -> None:
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": ["a", "b"], "n": 2}
    choices = openai_answer("/v1/completions", body)["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
