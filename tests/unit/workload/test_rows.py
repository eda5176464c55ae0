"""Reading workloads: every kind of row, and a sentence with its line for every row that cannot be used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchmark.domain.request import (
    ChatRequest,
    EmbeddingRequest,
    Message,
    OtherRequest,
    Row,
    Settings,
    Text,
    Tool,
)
from batchmark.errors import BadInput, RowError
from batchmark.workload import sources
from batchmark.workload.rows import ANSWER_FIELDS, Workload, sample_path
from tests.support import write_lines


def read(home: Path, *lines: object, limit: int | None = None) -> list[Row]:
    return list(Workload(write_lines(home / "in.jsonl", lines), limit=limit).rows())


def one(home: Path, entry: dict[str, Any]) -> Row:
    (found,) = read(home, entry)
    return found


def refusal(home: Path, line: object) -> str:
    with pytest.raises(RowError) as caught:
        read(home, line)
    return caught.value.reason


# the three shapes


def test_a_prompt_becomes_one_user_message(home: Path) -> None:
    assert one(home, {"prompt": "Why?"}) == Row(0, 1, ChatRequest((Message("user", "Why?"),)))


def test_a_system_text_stands_before_the_prompt_and_before_messages(home: Path) -> None:
    for entry in ({"prompt": "Why?"}, {"messages": [{"role": "user", "content": "Why?"}]}):
        request = one(home, {**entry, "system": "Be brief"}).request
        assert isinstance(request, ChatRequest)
        assert request.messages == (Message("system", "Be brief"), Message("user", "Why?"))


def test_parameters_reach_the_request_and_do_not_stay_columns(home: Path) -> None:
    found = one(
        home,
        {
            "prompt": "Why?",
            "max_tokens": 5,
            "temperature": 0,
            "top_p": 0.5,
            "top_k": 3,
            "stop": "END",
            "seed": 7,
            "reasoning_effort": "low",
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": "required",
            "response_format": {"type": "json_object"},
            "model": "gpt-5-nano",
        },
    )
    assert isinstance(found.request, ChatRequest)
    assert found.request.settings == Settings(5, 0, 0.5, 3, ("END",), 7, "low")
    assert found.request.tools == (Tool("f", None, {"type": "object"}),)
    assert (found.request.tool_choice, found.request.json_only) == ("required", True)
    assert (found.model, found.columns) == ("gpt-5-nano", None)


@pytest.mark.parametrize(("given", "texts"), [("hello", ("hello",)), (["a", "b"], ("a", "b"))])
def test_an_input_is_one_text_or_many_to_embed(home: Path, given: object, texts: tuple[str, ...]) -> None:
    assert one(home, {"input": given, "dimensions": 8}).request == EmbeddingRequest(texts, 8)


def test_an_openai_line_keeps_its_body_byte_for_byte(home: Path) -> None:
    body = '{"model": "gpt-5-nano",  "messages":[{"role":"user","content":"h\\u00e9"}], "logit_bias": {"1": 2.50}}'
    line = '{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ' + body + "}"
    (found,) = read(home, line)
    request = found.request
    assert isinstance(request, ChatRequest) and request.verbatim is not None
    assert bytes(request.verbatim.body) == body.encode()
    assert (request.verbatim.endpoint, request.verbatim.model) == ("/v1/chat/completions", "gpt-5-nano")
    assert request.messages == (Message("user", "hé"),)
    assert request.unknown == ("logit_bias",)
    assert (found.custom_id, found.model, found.columns) == ("a", "gpt-5-nano", None)


def openai_line(url: str, body: object, **more: object) -> dict[str, Any]:
    return {"custom_id": "a", "method": "POST", "url": url, "body": body, **more}


def test_every_openai_endpoint_is_read(home: Path) -> None:
    responses = one(home, openai_line("/v1/responses", {"model": "m", "input": "hi", "instructions": "brief"})).request
    assert isinstance(responses, ChatRequest)
    assert responses.messages == (Message("system", "brief"), Message("user", "hi"))
    vectors = one(home, openai_line("/v1/embeddings", {"model": "m", "input": ["a", "b"], "dimensions": 2})).request
    assert isinstance(vectors, EmbeddingRequest) and (vectors.texts, vectors.dimensions) == (("a", "b"), 2)
    other = one(home, openai_line("/v1/moderations", {"input": "hi"})).request
    assert isinstance(other, OtherRequest) and other.verbatim.endpoint == "/v1/moderations"


def test_columns_of_an_openai_line_are_carried_too(home: Path) -> None:
    found = one(home, openai_line("/v1/moderations", {"input": "hi"}, topic="x"))
    assert found.columns == b'{"topic":"x"}'


# the user's own keys and columns


@pytest.mark.parametrize("custom_id", ["order-1204", "", "ключ 🔑", "a" * 5000, 17, -3, 2**80])
def test_a_custom_id_is_carried_through_however_odd(home: Path, custom_id: str | int) -> None:
    assert one(home, {"prompt": "x", "custom_id": custom_id}).custom_id == custom_id


def test_repeated_custom_ids_are_allowed(home: Path) -> None:
    found = read(home, *({"prompt": "x", "custom_id": "same"} for _ in range(3)))
    assert [(each.number, each.custom_id) for each in found] == [(0, "same"), (1, "same"), (2, "same")]


def test_columns_are_carried_untouched(home: Path) -> None:
    columns = {"id": 2**70, "price": 1.5, "tags": ["a", {"b": None}], "ключ": "🔑", "lang": "de"}
    found = one(home, {"prompt": "x", **columns})
    assert found.columns is not None
    assert json.loads(found.columns) == columns


def test_a_column_with_the_name_of_an_answer_field_gets_another_name(home: Path) -> None:
    found = one(home, {"prompt": "x", "text": "theirs", "row": 5, "lang": "de"})
    assert found.columns is not None
    assert json.loads(found.columns) == {"input_text": "theirs", "input_row": 5, "lang": "de"}


def test_renaming_a_column_never_overwrites_another(home: Path) -> None:
    found = one(home, {"prompt": "x", "text": "first", "input_text": "second", "input_input_text": "third"})
    assert found.columns is not None
    columns = json.loads(found.columns)
    assert set(columns.values()) == {"first", "second", "third"}
    assert not ANSWER_FIELDS.intersection(columns)
    assert (columns["input_text"], columns["input_input_text"]) == ("second", "third")


# what cannot be used


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "the line is not valid JSON"),
        ('{"prompt": "x"} {}', "the line is not valid JSON"),
        ("[1]", "the line is JSON, but no object"),
        ('"text"', "the line is JSON, but no object"),
        ("{}", "the row has neither prompt nor messages nor input"),
        ('{"prompt": null}', "the row has neither prompt nor messages nor input"),
        ('{"prompt": "x", "input": "y"}', "the row has both prompt and input; give one"),
        ('{"prompt": "  "}', "prompt must be text, and not empty"),
        ('{"prompt": 5}', "prompt must be text, and not empty"),
        ('{"input": []}', "input must be a text or a list of texts, none of them empty"),
        ('{"input": ["a", ""]}', "input must be a text or a list of texts, none of them empty"),
        ('{"messages": []}', "messages must be a list with at least one message"),
        ('{"prompt": "x", "custom_id": 1.5}', "custom_id must be text or a whole number"),
        ('{"prompt": "x", "custom_id": true}', "custom_id must be text or a whole number"),
        ('{"prompt": "x", "max_tokens": 0}', "max_tokens must be a whole number above 0, not 0"),
        ('{"prompt": "x", "model": 5}', "model must be text"),
        ('{"prompt": "x", "system": []}', "system must be text"),
        ('{"input": "x", "dimensions": true}', "dimensions must be a whole number"),
        ('{"method": "GET", "url": "/v1/responses", "body": {}}', "method must be \"POST\", not 'GET'"),
        ('{"method": "POST", "url": 5, "body": {}}', "url must be text and body an object"),
        (
            '{"method": "POST", "url": "/v1/responses", "body": {"stream": true}}',
            "stream cannot be used in a batch",
        ),
        ('{"method": "POST", "url": "/v1/responses", "body": {"model": 1}}', "body.model must be text"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(home: Path, line: str, reason: str) -> None:
    assert refusal(home, line).startswith(reason)


def test_the_message_names_file_line_and_row_where_blank_lines_count_as_lines_only(home: Path) -> None:
    path = write_lines(home / "in.jsonl", [{"prompt": "a"}, "", "   ", {"prompt": 5}])
    with pytest.raises(RowError) as caught:
        list(Workload(path).rows())
    assert caught.value.message.startswith(f"{path} line 4 (row 1): prompt must be text")
    assert (caught.value.line, caught.value.row) == (4, 1)


def test_text_in_another_encoding_is_said_to_be_so(home: Path) -> None:
    path = home / "in.jsonl"
    path.write_bytes('{"prompt": "Grüße"}\n'.encode("latin-1"))
    with pytest.raises(RowError, match="the line is not UTF-8 text") as caught:
        list(Workload(path).rows())
    assert caught.value.hint == "save the file as UTF-8"


def test_a_line_nested_too_deep_to_read_is_a_bad_row_and_no_crash(home: Path) -> None:
    assert "not valid JSON" in refusal(home, '{"prompt": ' + "[" * 50_000 + "]" * 50_000 + "}")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(home: Path) -> None:
    path = home / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\r\n{"prompt": "b"}\r\n')
    assert [each.line for each in Workload(path).rows()] == [1, 2]


def test_a_last_line_without_an_end_is_a_row(home: Path) -> None:
    path = home / "in.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "b"}')
    assert len(list(Workload(path).rows())) == 2


@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_a_file_without_rows_is_said_to_be_empty(home: Path, text: str) -> None:
    path = home / "in.jsonl"
    path.write_text(text)
    for limit in (None, 5):
        with pytest.raises(BadInput, match="is empty: it holds no row"):
            list(Workload(path, limit=limit).rows())


def test_a_line_longer_than_any_provider_takes_is_not_read_into_memory(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 50)
    path = write_lines(home / "in.jsonl", [{"prompt": "a"}, {"prompt": "b" * 100}])
    with pytest.raises(BadInput, match="line 2 is longer than"):
        list(Workload(path).rows())


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_is_not_there_is_said_at_once(home: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"there is no file|is a folder"):
        Workload(home / name)


# limits, repeats, digests


def test_a_limit_takes_the_first_rows_and_repeats_the_file_in_order_where_it_is_short(home: Path) -> None:
    path = write_lines(home / "in.jsonl", [{"prompt": str(each)} for each in range(3)])

    def prompts(limit: int) -> list[object]:
        found = list(Workload(path, limit=limit).rows())
        assert [each.number for each in found] == list(range(limit))
        return [each.request.messages[0].content for each in found if isinstance(each.request, ChatRequest)]

    assert prompts(2) == ["0", "1"]
    assert prompts(7) == ["0", "1", "2", "0", "1", "2", "0"]


def test_the_digest_is_of_the_rows_that_were_used_and_known_after_a_whole_walk(home: Path) -> None:
    path = write_lines(home / "in.jsonl", [{"prompt": "a"}, "", {"prompt": "b"}])
    whole = Workload(path)
    walk = whole.rows()
    next(walk)
    before = whole.digest
    list(walk)
    assert (before, whole.digest) == (None, hashlib.sha256(b'{"prompt": "a"}\n{"prompt": "b"}\n').hexdigest())
    first = Workload(path, limit=1)
    list(first.rows())
    assert first.digest == hashlib.sha256(b'{"prompt": "a"}\n').hexdigest()


def test_a_workload_can_be_walked_again(home: Path) -> None:
    workload = Workload(write_lines(home / "in.jsonl", [{"prompt": "a"}]))
    assert list(workload.rows()) == list(workload.rows())


def test_a_stamp_tells_whether_the_file_is_still_the_same(home: Path) -> None:
    path = write_lines(home / "in.jsonl", [{"prompt": "a"}])
    workload = Workload(path)
    before = workload.stamp()
    assert before == {"path": str(path), "bytes": 16, "modified_ns": path.stat().st_mtime_ns}
    assert workload.stamp() == before
    write_lines(path, [{"prompt": "ab"}])
    assert workload.stamp() != before
    path.unlink()
    with pytest.raises(BadInput, match="there is no file"):
        workload.stamp()


def test_the_stamp_of_a_relative_path_is_absolute(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_lines(home / "in.jsonl", [{"prompt": "a"}])
    monkeypatch.chdir(home)
    assert Workload(Path("in.jsonl")).stamp() == Workload(path).stamp()


def test_rows_with_other_keys_and_values_in_between_keep_their_own(home: Path) -> None:
    entries = [
        {"prompt": "a", "max_tokens": 1, "temperature": value, "x": value}
        if value is not None
        else {"x": 0, "prompt": "b", "system": "s"}
        for value in (1, True, None, 1.0, 1, 0.5, None)
        if value is not True
    ]
    for entry, found in zip(entries, read(home, *entries), strict=True):
        assert isinstance(found.request, ChatRequest) and found.columns is not None
        assert repr(found.request.settings.temperature) == repr(entry.get("temperature"))
        assert found.columns == json.dumps({"x": entry["x"]}, separators=(",", ":")).encode()
        assert len(found.request.messages) == (2 if "system" in entry else 1)


def test_one_row_of_many_that_says_true_for_one_is_still_refused(home: Path) -> None:
    with pytest.raises(RowError, match=r"line 3 \(row 2\): temperature must be a number, not True"):
        read(home, *({"prompt": "a", "temperature": value} for value in (1, 1.0, True)))


def test_a_file_with_more_shapes_and_values_than_are_remembered_is_read_all_the_same(home: Path) -> None:
    entries = [{f"c{number % 90}": number, "prompt": "a", "max_tokens": number + 1} for number in range(200)]
    for number, found in enumerate(read(home, *entries)):
        assert isinstance(found.request, ChatRequest)
        assert found.request.settings == Settings(max_tokens=number + 1)
        assert found.columns == b'{"c%d":%d}' % (number % 90, number)


def test_the_bundled_sample_is_called_by_its_name() -> None:
    assert Workload(sample_path()).name == "the bundled sample"


# whatever people write

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.sampled_from(["", "x", "user", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "type", "role"]), inner),
    max_leaves=6,
)
_TURN = st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "tool_call_id", "name"]), _JSON)
_PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "input_image", "file", "input_file"]) | _JSON},
    optional=dict.fromkeys(("text", "image_url", "file", "file_data", "file_id", "detail", "filename"), _JSON)
    | {"image_url": st.fixed_dictionaries({"url": _JSON}, optional={"detail": _JSON})},
)
_MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]) | _JSON, "content": st.lists(_PART) | _JSON},
    optional={
        "tool_calls": st.lists(st.fixed_dictionaries({"function": st.dictionaries(st.sampled_from(["name"]), _JSON)}))
        | _JSON,
        "tool_call_id": _JSON,
    },
)
_PARAMETERS = dict.fromkeys(
    (
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_k",
        "stop",
        "seed",
        "reasoning_effort",
        "model",
        "dimensions",
        "system",
        "instructions",
        "text",
        "reasoning",
        "n",
        "stream",
    ),
    _JSON,
) | {
    "tools": st.lists(st.fixed_dictionaries({}, optional={"type": _JSON, "function": _JSON, "name": _JSON})) | _JSON,
    "tool_choice": st.fixed_dictionaries({}, optional={"function": _JSON, "name": _JSON}) | _JSON,
    "response_format": st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "json_object", "json_schema"]) | _JSON}, optional={"json_schema": _JSON}
    )
    | _JSON,
}
_TURNS = st.lists(_MESSAGE | _TURN, min_size=1, max_size=3)
_BODY = st.one_of(
    *(
        st.fixed_dictionaries(source, optional=optional)
        for source in ({"prompt": st.just("x")}, {"messages": _TURNS}, {"input": _TURNS | _JSON}, {"messages": _JSON})
        for optional in (_PARAMETERS, {})
    ),
    *(
        st.fixed_dictionaries({"prompt": st.just("x"), name: values, "messages": st.none()})
        for name, values in _PARAMETERS.items()
    ),
)
_LINE = _BODY | st.fixed_dictionaries(
    {
        "method": st.just("POST"),
        "url": st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations"]),
        "body": _BODY,
    }
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_LINE)
def test_any_object_is_a_row_or_a_bad_row_and_never_a_crash(home: Path, line: dict[str, Any]) -> None:
    try:
        found = one(home, line)
    except RowError as error:
        assert error.reason
        return
    assert found.request.verbatim is None or json.loads(bytes(found.request.verbatim.body)) == line["body"]
    if isinstance(found.request, ChatRequest):
        for message in found.request.messages:
            assert isinstance(message.content, str) or all(
                isinstance(part.text, str) for part in message.content if isinstance(part, Text)
            )
