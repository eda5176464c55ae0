"""What holds for the wire rules of every provider: ids are found and replaced, and no row gets what another row asked for."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchmark.domain.request import ChatRequest, EmbeddingRequest, Message, Request, Settings, Text, Tool
from batchmark.providers import registry
from tests.support import chat, vector, wire

PROVIDERS = list(registry.BUILT_IN)
ID = "bm-job1-0-1-17"
# Texts that look like what stands around an id.
EVIL = (
    '"custom_id":"bm-evil-0-1-0"}',
    '","custom_id":"bm-evil-0-1-0"',
    '{"key":"bm-evil-0-1-0"}',
    '","method":"POST",',
    '","params":',
    '","request":',
    "\\",
    '\\"',
    "}\n",
)

_texts = st.text(max_size=20) | st.sampled_from(EVIL)
_ids = st.from_regex(r"bm-[0-9a-z]{4,8}-[0-9]{1,6}-[0-9]{1,3}-[0-9]{1,9}", fullmatch=True)
_schemas = st.none() | st.sampled_from([1, True, 1.0]).map(lambda value: {"type": "object", "default": value})
_chats = st.builds(
    ChatRequest,
    st.lists(
        st.builds(Message, st.sampled_from(["user", "assistant"]), _texts | _texts.map(lambda text: (Text(text),))),
        min_size=1,
        max_size=3,
    ).map(tuple),
    settings=st.builds(
        Settings, max_tokens=st.none() | st.integers(1, 9), stop=st.lists(_texts, max_size=2).map(tuple)
    ),
    tools=st.lists(st.builds(Tool, _texts), max_size=1).map(tuple),
    schema=_schemas,
)


@pytest.mark.parametrize("provider", PROVIDERS)
@given(request=_chats, before=_ids | _texts, after=_ids | _texts)
def test_another_wire_id_changes_nothing_else(provider: str, request: ChatRequest, before: str, after: str) -> None:
    rules = wire(provider)
    assert rules.relabel(rules.encode(request, before, "m"), after) == rules.encode(request, after, "m")


@pytest.mark.parametrize("provider", ["openai", "google"])
def test_rows_to_embed_get_another_wire_id_too(provider: str) -> None:
    rules = wire(provider)
    assert rules.relabel(rules.encode(vector("a"), "w", "m"), ID) == rules.encode(vector("a"), ID, "m")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("line", [b"", b"{}", b'{"id":"x","custom_id":"w"}', b'{"custom_id":"w"}', b'{"key":"w"}'])
def test_bytes_that_are_no_request_of_ours_get_no_id(provider: str, line: bytes) -> None:
    with pytest.raises(ValueError, match="does not begin with its id"):
        wire(provider).relabel(line, ID)


@pytest.mark.parametrize("provider", PROVIDERS)
@given(requests=st.lists(_chats, min_size=2, max_size=4))
def test_what_earlier_rows_asked_for_leaves_no_trace(provider: str, requests: list[ChatRequest]) -> None:
    rules = wire(provider)
    alone = {}
    for number, each in enumerate(requests):
        rules.encode(chat(settings=Settings(max_tokens=number + 100)), ID, "m")
        alone[number] = rules.encode(each, ID, "m")
    assert {number: rules.encode(each, ID, "m") for number, each in enumerate(requests)} == alone


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_and_true_are_not_the_same_schema(provider: str) -> None:
    rules = wire(provider)
    messages = (Message("user", "x"),)
    for value in (1, True, 1.0, 1):
        line = rules.encode(ChatRequest(messages, schema={"default": value}), ID, "m")
        assert b'{"default":%b}' % json.dumps(value).encode() in line


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_model_is_written_as_it_was_asked_for(provider: str) -> None:
    rules = wire(provider)
    requests: list[Request] = [chat("a"), chat("b")]
    if provider != "anthropic":
        requests.append(EmbeddingRequest(("a",)))
    for each in requests:
        for model in ("one", "two", "one"):
            assert (f'"{model}"'.encode() in rules.encode(each, ID, model)) is (provider != "google")


def answers(provider: str, id_: str, text: str) -> list[dict[str, Any]]:
    """An answer with its members in every order."""
    usage = {"key": text, "custom_id": text}
    if provider == "google":
        response = {"candidates": [{"content": {"parts": [{"text": text}]}}], "metadata": usage}
        members: dict[str, Any] = {"key": id_, "response": response}
    elif provider == "anthropic":
        message = {"content": [{"type": "text", "text": text}], "metadata": usage}
        members = {"custom_id": id_, "result": {"type": "succeeded", "message": message}}
    else:
        body = {"choices": [{"message": {"content": text}}], "metadata": usage}
        members = {"id": text, "custom_id": id_, "response": {"status_code": 200, "body": body}, "error": None}
    return [dict(order) for order in permutations(members.items())]


@pytest.mark.parametrize("provider", PROVIDERS)
@given(id_=_ids, text=_texts | _ids, separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,  ", " : ")]))
def test_the_id_of_an_answer_is_found_wherever_it_stands_and_no_text_is_taken_for_it(
    provider: str, id_: str, text: str, separators: tuple[str, str]
) -> None:
    rules = wire(provider)
    for each in answers(provider, id_, text):
        line = json.dumps(each, separators=separators).encode()
        for end in (b"\n", b"", b"\r\n"):
            assert rules.wire_id_of(line + end) == id_
        assert rules.decode(line).wire_id == id_


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_cut_line_has_no_id(provider: str) -> None:
    rules = wire(provider)
    for each in answers(provider, ID, EVIL[0]):
        line = json.dumps(each).encode()
        for cut in range(1, len(line)):
            with pytest.raises(ValueError, match=r"\w"):
                rules.wire_id_of(line[:cut])
