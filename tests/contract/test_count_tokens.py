"""Every provider's free count of tokens: the real clients on their official SDKs, against the emulator and a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest

from batchmark.domain.request import (
    ChatRequest,
    Image,
    Message,
    OtherRequest,
    Request,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Unsupported,
    Verbatim,
)
from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.errors import BadCredentials, BatchmarkError, NotFound, RateLimited, Refused, Retryable
from batchmark.providers import registry
from batchmark.providers.credentials import base_url_of, key_of
from batchmark.providers.seam import ProviderSpec
from tests.loopback import DROP, Asked, Reply, loopback
from tests.support import chat, journal, vector

SECRET = "sk-test-1234567890abcdef"
OPERATIONS = {
    "openai": "responses.input_tokens",
    "google": "models.count_tokens",
    "anthropic": "messages.count_tokens",
}
COUNTS = {"openai": {"input_tokens": 7}, "google": {"totalTokens": 7}, "anthropic": {"input_tokens": 7}}
LOOKUP = Tool("lookup", "Look a word up", {"type": "object", "properties": {"word": {"type": "string"}}})


@pytest.fixture(params=list(registry.BUILT_IN))
def spec(request: pytest.FixtureRequest) -> ProviderSpec:
    return registry.find(request.param)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    home = tmp_path_factory.mktemp("cloud")
    with Emulator(EmulatorOptions(home=home, profile="instant", answers="synthetic")) as running:
        yield running


def count(spec: ProviderSpec, where: Emulator | str, request: Request, *, model: str = "", key: str = "") -> int:
    environment = where.environment() if isinstance(where, Emulator) else {}
    url = where if isinstance(where, str) else base_url_of(spec, environment)

    async def go() -> int:
        client = registry.connect(spec, key=key or (key_of(spec, environment) if environment else SECRET), base_url=url)
        try:
            return await client.count_tokens(request, model or spec.default_model)
        finally:
            await client.close()

    return asyncio.run(go())


def asked_for(spec: ProviderSpec, request: Request, model: str = "") -> dict[str, Any]:
    """The body that the client sends."""
    with loopback(lambda _: Reply(body=json.dumps(COUNTS[spec.name]).encode())) as server:
        assert count(spec, server.url, request, model=model) == 7
        (asked,) = server.asked
    body: dict[str, Any] = json.loads(asked.body)
    return body


def test_longer_texts_count_more_and_nothing_is_run(spec: ProviderSpec, shared: Emulator) -> None:
    before = len(journal(shared, "*"))
    short, long = (count(spec, shared, chat("x" * size)) for size in (40, 4000))
    assert 0 < short < long
    assert long - short == 990  # four characters a token there
    entries = journal(shared, "*")[before:]
    assert {entry["operation"] for entry in entries} == {OPERATIONS[spec.name]}


def test_the_system_message_is_counted_too(spec: ProviderSpec, shared: Emulator) -> None:
    both = ChatRequest((Message("system", "Be brief. " * 40), Message("user", "hello")))
    assert count(spec, shared, both) > count(spec, shared, chat("hello")) + 90


def test_settings_of_the_answer_are_no_part_of_what_is_counted(spec: ProviderSpec, shared: Emulator) -> None:
    assert count(spec, shared, chat("hello", settings=Settings(max_tokens=50, stop=("x",)))) == count(
        spec, shared, chat("hello")
    )


def test_tools_and_a_schema_go_along(spec: ProviderSpec, shared: Emulator) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = ChatRequest((Message("user", "hello"),), tools=(LOOKUP,), tool_choice="lookup", schema=schema)
    assert count(spec, shared, request) > 0
    sent = json.dumps(asked_for(spec, request))
    assert "Look a word up" in sent and '"a"' in sent


def test_a_conversation_with_calls_of_tools_and_an_image_is_translated(spec: ProviderSpec, shared: Emulator) -> None:
    request = ChatRequest(
        (
            Message("user", (Text("what is this?"), Image(data="aGk=", media_type="image/png"))),
            Message("assistant", (Text("I look it up"), ToolCall("c1", "lookup", '{"word":"x"}'))),
            Message("tool", (ToolResult("c1", "a letter"),)),
            Message("user", "thanks"),
        ),
        tools=(LOOKUP,),
    )
    assert count(spec, shared, request) > 0
    sent = json.dumps(asked_for(spec, request))
    for text in ("what is this?", "aGk=", "I look it up", "a letter", "thanks"):
        assert text in sent


def test_openai_is_asked_in_the_shape_of_responses() -> None:
    spec = registry.find("openai")
    request = ChatRequest(
        (
            Message("system", "Be brief."),
            Message("user", (Text("hi"), Image(url="https://example.com/x.png", detail="low"))),
            Message("assistant", (Text("so"), ToolCall("c1", "lookup", "{}"))),
            Message("tool", (ToolResult("c1", "42"),)),
        ),
        tools=(LOOKUP,),
        tool_choice="required",
        settings=Settings(max_tokens=9, reasoning_effort="low"),
        json_only=True,
    )
    assert asked_for(spec, request) == {
        "model": spec.default_model,
        "input": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "hi"},
                    {"type": "input_image", "image_url": "https://example.com/x.png", "detail": "low"},
                ],
            },
            {"role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
            {"type": "function_call", "call_id": "c1", "name": "lookup", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ],
        "tools": [
            {
                "type": "function",
                "name": "lookup",
                "description": "Look a word up",
                "parameters": LOOKUP.parameters,
                "strict": False,
            }
        ],
        "tool_choice": "required",
        "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "low"},
    }


def test_a_body_that_is_a_response_already_goes_as_it_is_but_for_how_to_answer() -> None:
    body = b'{"model":"gpt-4o","input":"hi","instructions":"Be brief.","max_output_tokens":50,"temperature":1,"tools":null}'
    verbatim = Verbatim("/v1/responses", msgspec.Raw(body), "gpt-4o")
    request = ChatRequest((Message("user", "hi"),), unknown=("input",), verbatim=verbatim)
    assert asked_for(registry.find("openai"), request, "gpt-5-nano") == {
        "model": "gpt-5-nano",
        "input": "hi",
        "instructions": "Be brief.",
    }
    other = OtherRequest(Verbatim("/v1/moderations", msgspec.Raw(b"{}"), None))
    for spec in registry.BUILT_IN.values():
        with pytest.raises(Unsupported):
            count(spec, "http://127.0.0.1:9", other)


def test_google_counts_the_request_as_the_wire_has_it() -> None:
    request = ChatRequest((Message("system", "Be brief."), Message("user", "hi")), settings=Settings(max_tokens=9))
    assert asked_for(registry.find("google"), request, "gemini-x") == {
        "contents": [],
        "generateContentRequest": {
            "model": "models/gemini-x",
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {"maxOutputTokens": 9},
        },
    }


def test_texts_to_embed_are_counted_by_google_and_by_nobody_else(spec: ProviderSpec, shared: Emulator) -> None:
    if spec.name == "google":
        assert count(spec, shared, vector("hello there"), model="gemini-embedding-001") > 0
        return
    with pytest.raises(Unsupported):
        count(spec, shared, vector("hello there"))


def test_an_unknown_model_is_said(spec: ProviderSpec, shared: Emulator) -> None:
    with pytest.raises(NotFound, match="no-such-model"):
        count(spec, shared, chat(), model="no-such-model")


def test_a_bad_key_is_said_to_be_bad_and_not_shown(spec: ProviderSpec, shared: Emulator) -> None:
    with pytest.raises(BadCredentials) as caught:
        count(spec, shared, chat(), key="bad-secret-0123456789")
    assert "0123456789" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(400, b'{"error":{"message":"no"}}'), Refused),
        (Reply(429, b'{"error":{"message":"slow down"}}', {"retry-after": "7"}), RateLimited),
        (Reply(500), Retryable),
        (DROP, Retryable),
        (Reply(200, b"<html>", {"content-type": "text/html"}), Retryable),
        (Reply(200, b"{}"), Retryable),
    ],
    ids=["400", "429", "500", "drop", "html", "no count"],
)
def test_a_count_that_fails_is_sent_once_and_says_how(
    spec: ProviderSpec, reply: Reply, kind: type[BatchmarkError]
) -> None:
    with loopback(lambda _: reply) as server:
        with pytest.raises(kind) as caught:
            count(spec, server.url, chat())
        assert type(caught.value) is kind and len(server.asked) == 1
    assert SECRET not in str(caught.value)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after_s == 7


def test_no_query_or_path_carries_the_key(spec: ProviderSpec) -> None:
    def answer(asked: Asked) -> Reply:
        assert SECRET not in asked.path
        return Reply(body=json.dumps(COUNTS[spec.name]).encode())

    with loopback(answer) as server:
        assert count(spec, server.url, chat()) == 7


# the emulator's refusals


def post(cloud: Emulator, spec: ProviderSpec, body: object, model: str = "") -> tuple[int, dict[str, Any]]:
    """A count as plain HTTP."""
    paths = {
        "openai": "/openai/v1/responses/input_tokens",
        "google": f"/gemini/v1beta/models/{model or spec.default_model}:countTokens",
        "anthropic": "/anthropic/v1/messages/count_tokens",
    }
    headers = {
        "authorization": "Bearer k",
        "x-api-key": "k",
        "x-goog-api-key": "k",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    }
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with httpx2.Client() as plain:
        reply = plain.post(f"{cloud.base_url}{paths[spec.name]}", headers=headers, content=content)
    error: dict[str, Any] = reply.json()["error"]
    return reply.status_code, error


BAD: list[tuple[str, object, str]] = [
    ("openai", b"{", "parse"),
    ("openai", {"input": "hi"}, "'model'"),
    ("openai", {"model": "gpt-5-nano"}, "'input'"),
    ("openai", {"model": "gpt-5-nano", "input": 3}, "'input'"),
    (
        "openai",
        {"model": "gpt-5-nano", "input": "hi", "max_output_tokens": 5},
        "Unknown parameter: 'max_output_tokens'",
    ),
    ("openai", {"model": "text-embedding-3-small", "input": "hi"}, "not supported"),
    ("google", b"{", "JSON"),
    ("google", {}, "CountTokensRequest.contents"),
    ("google", {"contents": [{}]}, "contents[0].parts"),
    ("google", {"generateContentRequest": {}}, "GenerateContentRequest.contents"),
    ("google", {"generateContentRequest": 3}, "generate_content_request"),
    ("google", {"contents": [{"parts": [{"text": "a"}]}], "generateContentRequest": {"contents": []}}, "Only one"),
    ("anthropic", b"{", "JSON"),
    ("anthropic", {"model": "claude-haiku-5-5"}, "messages"),
    ("anthropic", {"model": "claude-haiku-5-5", "messages": []}, "messages"),
    ("anthropic", {"messages": [{"role": "user", "content": "hi"}]}, "model"),
]


@pytest.mark.parametrize(("provider", "body", "said"), BAD)
def test_the_emulator_refuses_a_bad_body(provider: str, body: object, said: str, shared: Emulator) -> None:
    status, error = post(shared, registry.find(provider), body)
    assert status == 400 and said in error["message"]


def test_the_emulator_knows_no_unknown_models(spec: ProviderSpec, shared: Emulator) -> None:
    bodies: dict[str, object] = {
        "openai": {"model": "no-such-model", "input": "hi"},
        "google": {"contents": [{"parts": [{"text": "hi"}]}]},
        "anthropic": {"model": "no-such-model", "messages": [{"role": "user", "content": "hi"}]},
    }
    status, error = post(shared, spec, bodies[spec.name], "no-such-model")
    assert status == 404 and "no-such-model" in error["message"]
