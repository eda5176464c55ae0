"""OpenAI's bytes: what is sent for each kind of request, and what each kind of answer means."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchmark.domain.lifecycle import Counts, FileRef, Intent, RawFile, State
from batchmark.domain.request import (
    ChatRequest,
    Document,
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
from batchmark.domain.result import Failure, Outcome, Result
from batchmark.domain.usage import Usage
from batchmark.providers.openai import wire
from tests.support import chat, vector

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def sent(request: Request, model: str = "m") -> dict[str, Any]:
    line: dict[str, Any] = json.loads(wire.encode(request, "bm-job1-0-1-0", model))
    assert (line["custom_id"], line["method"], line["url"]) == ("bm-job1-0-1-0", "POST", wire.endpoint(request))
    assert list(line) == ["custom_id", "method", "url", "body"]
    body: dict[str, Any] = line["body"]
    return body


def verbatim(body: str, endpoint: str = "/v1/chat/completions", model: str | None = "m") -> Verbatim:
    return Verbatim(endpoint, msgspec.Raw(body.encode()), model)


# requests


def test_a_conversation_is_a_chat_completion() -> None:
    assert wire.endpoint(chat()) == "/v1/chat/completions"
    assert sent(chat("hi")) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_every_setting_has_its_name_on_the_wire() -> None:
    body = sent(chat(settings=Settings(5, 0.5, 0.9, None, ("END",), 7, "low")))
    del body["messages"]
    assert body == {
        "model": "m",
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "reasoning_effort": "low",
        "stop": ["END"],
    }


def test_a_setting_of_zero_is_sent() -> None:
    body = sent(chat(settings=Settings(temperature=0, seed=0)))
    assert (body["temperature"], body["seed"]) == (0, 0)


@pytest.mark.parametrize("choice", [None, "auto", "none", "required", "f"])
def test_tools_and_the_choice_among_them(choice: str | None) -> None:
    body = sent(chat(tools=(Tool("f", "does f", {"type": "object"}), Tool("g")), tool_choice=choice))
    assert body["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}}},
        {"type": "function", "function": {"name": "g"}},
    ]
    wanted = {"type": "function", "function": {"name": "f"}} if choice == "f" else choice
    assert body.get("tool_choice") == wanted


def test_a_schema_asks_for_structured_output() -> None:
    form = sent(chat(schema=SCHEMA, schema_name="answer_n"))["response_format"]
    assert form["type"] == "json_schema"
    assert (form["json_schema"]["name"], form["json_schema"]["schema"]) == ("answer_n", SCHEMA)
    assert sent(chat(schema=SCHEMA))["response_format"]["json_schema"]["name"] == "answer"
    assert sent(chat(json_only=True))["response_format"] == {"type": "json_object"}


def test_images_and_documents_are_parts() -> None:
    content = (
        Text("Look"),
        Image(url="https://example.com/a.png", detail="low"),
        Image(data="AAAA", media_type="image/webp"),
        Document(data="BBBB", name="a.pdf"),
        Document(file_id="file-1"),
    )
    assert sent(ChatRequest((Message("user", content),)))["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AAAA"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        }
    ]


def test_tool_calls_and_results_are_messages() -> None:
    messages = (
        Message("assistant", (ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "{}"))),
        Message("tool", (ToolResult("c1", "1"), ToolResult("c2", "2"))),
    )
    assert sent(ChatRequest(messages))["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
    ]


def test_texts_to_embed() -> None:
    assert wire.endpoint(vector()) == "/v1/embeddings"
    assert sent(vector("a")) == {"model": "m", "input": "a"}
    assert sent(vector("a", "b", dimensions=8)) == {"model": "m", "input": ["a", "b"], "dimensions": 8}


def test_a_body_in_openais_own_shape_goes_through_byte_for_byte() -> None:
    body = '{"model": "m",  "logit_bias": {"1": 2.50}, "messages": []}'
    line = wire.encode(chat(unknown=("logit_bias",), verbatim=verbatim(body)), "w", "m")
    assert body.encode() in line


def test_only_the_model_of_such_a_body_gives_way_to_the_target() -> None:
    request = chat(verbatim=verbatim('{"n": 2, "model": "other"}', model="other"))
    assert sent(request) == {"n": 2, "model": "m"}
    assert sent(chat(verbatim=verbatim('{"n": 2}', model=None))) == {"n": 2, "model": "m"}


def test_an_endpoint_without_a_common_shape_is_kept() -> None:
    request = OtherRequest(verbatim('{"model":"m","input":"x"}', "/v1/moderations"))
    assert wire.endpoint(request) == "/v1/moderations"
    assert sent(request) == {"model": "m", "input": "x"}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (chat(settings=Settings(top_k=3)), "top_k"),
        (ChatRequest((Message("user", (Document(url="https://example.com/a.pdf"),)),)), "no file by URL"),
        (OtherRequest(verbatim("{}", "/v1/audio/speech")), "no batch endpoint '/v1/audio/speech'"),
        (chat(verbatim=verbatim("{}", "/v1/chat")), "no batch endpoint '/v1/chat'"),
    ],
)
def test_what_openai_cannot_honour_is_said(request_: Request, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        wire.encode(request_, "w", "m")


# answers


def line(body: object, status: int = 200, error: object = None) -> bytes:
    return json.dumps(
        {
            "id": "batch_req_1",
            "custom_id": "w",
            "response": {"status_code": status, "request_id": "r", "body": body},
            "error": error,
        }
    ).encode()


def chat_body(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    return {
        "object": "chat.completion",
        "model": "gpt-5-nano-2025-08-07",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }


USAGE = Usage(10, 5, cached_tokens=4, reasoning_tokens=3)
MODEL = "gpt-5-nano-2025-08-07"


def failed(raw: bytes) -> Failure:
    result = wire.decode(raw)
    assert result.error is not None
    assert result.outcome is not Outcome.SUCCEEDED
    return result.error


def test_a_chat_answer() -> None:
    body = chat_body({"content": "four", "refusal": None, "tool_calls": None})
    assert wire.decode(line(body)) == Result(
        "w", Outcome.SUCCEEDED, text="four", finish_reason="stop", usage=USAGE, model=MODEL
    )


def test_a_cut_answer_is_an_answer_that_says_so() -> None:
    result = wire.decode(line(chat_body({"content": "fo"}, "length")))
    assert (result.outcome, result.text, result.finish_reason) == (Outcome.SUCCEEDED, "fo", "length")


def test_tool_calls_are_an_answer_without_text() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    result = wire.decode(line(chat_body({"content": None, "tool_calls": [call]}, "tool_calls")))
    assert (result.outcome, result.text) == (Outcome.SUCCEEDED, None)
    assert result.tool_calls == [{"id": "c1", "name": "f", "arguments": '{"a":1}'}]


def test_a_refusal_is_no_answer_but_was_paid() -> None:
    result = wire.decode(line(chat_body({"content": None, "refusal": "I cannot help with that"})))
    assert result.outcome is Outcome.ERRORED
    assert result.error == Failure("refused", "I cannot help with that", False)
    assert result.usage == USAGE


def test_no_text_at_all_is_no_answer() -> None:
    result = wire.decode(line(chat_body({"content": ""}, "length")))
    assert result.error is not None and result.error.code == "empty_answer"
    assert "length" in result.error.message
    assert result.usage == USAGE


def test_a_responses_answer() -> None:
    body = {
        "object": "response",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": MODEL,
        "output": [
            {"type": "reasoning", "content": [], "summary": []},
            {
                "type": "message",
                "content": [{"type": "output_text", "text": "fo"}, {"type": "output_text", "text": "ur"}],
            },
        ],
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3},
        },
    }
    assert wire.decode(line(body)) == Result(
        "w", Outcome.SUCCEEDED, text="four", finish_reason="stop", usage=USAGE, model=MODEL
    )
    cut = body | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert wire.decode(line(cut)).finish_reason == "length"


def test_a_responses_answer_with_calls_or_a_refusal() -> None:
    calls = {
        "object": "response",
        "output": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}],
    }
    assert wire.decode(line(calls)).tool_calls == [{"id": "c", "name": "f", "arguments": "{}"}]
    refused = {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No"}]}]}
    assert failed(line(refused)) == Failure("refused", "No", False)


def test_a_response_that_failed_under_status_200_keeps_its_reason() -> None:
    body = {"object": "response", "status": "failed", "output": [], "error": {"code": "server_error", "message": "Boo"}}
    assert failed(line(body)) == Failure("server_error", "Boo", True)


def test_one_vector_and_many() -> None:
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    one = {"object": "list", "data": [{"embedding": [0.5, -1], "index": 0}], "model": "e", "usage": usage}
    assert wire.decode(line(one)) == Result("w", Outcome.SUCCEEDED, embedding=[0.5, -1], usage=Usage(3), model="e")
    many = one | {"data": [{"embedding": [2.0], "index": 1}, {"embedding": [1.0], "index": 0}]}
    result = wire.decode(line(many))
    assert (result.embedding, result.embeddings) == (None, [[1.0], [2.0]])


@pytest.mark.parametrize(
    "body",
    [
        {"id": "modr-1", "results": [{"flagged": False}]},
        {"created": 1, "data": [{"b64_json": "AAAA"}]},
        {"object": "list", "data": [{"embedding": "AACAPw==", "index": 0}]},
        {"id": "video_1", "status": "completed", "output": "somewhere"},
    ],
)
def test_a_body_without_a_common_shape_is_kept_as_its_own_json(body: dict[str, Any]) -> None:
    result = wire.decode(line(body))
    assert result.outcome is Outcome.SUCCEEDED and result.text is not None
    assert json.loads(result.text) == body


def test_a_failure_that_stands_in_the_body() -> None:
    error = {"message": "Unknown model", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    assert failed(line({"error": error}, 400)) == Failure("model_not_found", "Unknown model", False)
    assert failed(line({"error": error | {"code": None}}, 400)).code == "invalid_request_error"


def test_a_failure_that_stands_beside_the_response() -> None:
    raw = b'{"custom_id":"w","response":null,"error":{"code":"batch_expired","message":"Too late."}}'
    result = wire.decode(raw)
    assert (result.outcome, result.error) == (Outcome.EXPIRED, Failure("batch_expired", "Too late.", True))
    raw = raw.replace(b"batch_expired", b"batch_cancelled")
    assert wire.decode(raw).outcome is Outcome.CANCELLED


def test_a_request_that_openai_lost_is_worth_another_try() -> None:
    raw = (
        b'{"id": "batch_req_1", "custom_id": "chat-186", '
        b'"response": {"status_code": 0, "request_id": "", "body": {}}, "error": null}'
    )
    result = wire.decode(raw)
    assert (result.wire_id, result.outcome) == ("chat-186", Outcome.ERRORED)
    assert result.error is not None and result.error.retryable


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (429, "rate_limit_exceeded", True),
        (429, "insufficient_quota", False),
        (500, "server_error", True),
        (503, None, True),
        (404, None, False),
    ],
)
def test_which_failures_may_pass(status: int, code: str | None, again: bool) -> None:
    assert failed(line({"error": {"message": "m", "code": code}}, status)).retryable is again


@pytest.mark.parametrize("body", [None, {}, "gateway timeout", ["x"], {"error": "overloaded"}])
def test_a_failure_with_an_odd_body_is_still_a_failure(body: object) -> None:
    error = failed(line(body, 503))
    assert (error.code, error.retryable) == ("status_503", True)


@pytest.mark.parametrize("body", [None, {}])
def test_success_with_nothing_in_it_is_no_answer(body: object) -> None:
    assert wire.decode(line(body)).outcome is Outcome.ERRORED


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"a":1}', b'{"custom_id":5}', b'{"custom_id":"w","response":{"status', b"\xff\xfe"]
)
def test_bytes_that_are_no_answer_raise_valueerror(raw: bytes) -> None:
    with pytest.raises(ValueError):
        wire.decode(raw)
    if not raw.startswith(b'{"custom_id":"w"'):
        with pytest.raises(ValueError):
            wire.wire_id_of(raw)


def test_the_wire_id_is_read_without_the_rest() -> None:
    assert wire.wire_id_of(line({"anything": [1]})) == "w"


def test_lines_are_read_one_by_one_and_empty_ones_are_passed_over(home: Path) -> None:
    path = home / "out.jsonl"
    path.write_bytes(b'{"a":1}\n\n  \r\n{"b":2}\r\n{"c":3}')
    assert list(wire.split(RawFile(path))) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


# batches


def batch(**fields: Any) -> bytes:
    nothing = dict.fromkeys(("errors", "output_file_id", "error_file_id", "in_progress_at", "metadata", "model"))
    return json.dumps(
        {"id": "batch_1", "object": "batch", "endpoint": "/v1/responses", "status": "validating", **nothing, **fields}
    ).encode()


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_batch_is_seen_with_all_its_times_on_the_providers_clock() -> None:
    seen = wire.snapshot(
        batch(
            status="completed",
            created_at=100,
            in_progress_at=101,
            finalizing_at=102,
            completed_at=103,
            expires_at=86_500,
            request_counts={"total": 3, "completed": 2, "failed": 1},
            input_file_id="file-in",
            output_file_id="file-out",
            error_file_id="file-err",
            metadata={"batchmark_label": "bm-job1-0-1", "theirs": "x"},
            model=MODEL,
        )
    )
    assert (seen.ref.provider, seen.ref.id, seen.state, seen.raw_status) == (
        "openai",
        "batch_1",
        State.SUCCEEDED,
        "completed",
    )
    assert (seen.created_at, seen.started_at, seen.finalizing_at) == (at(100), at(101), at(102))
    assert (seen.ended_at, seen.expires_at) == (at(103), at(86_500))
    assert seen.counts == Counts(total=3, succeeded=2, failed=1)
    assert (seen.files, seen.input_file) == (("file-out", "file-err"), FileRef("openai", "file-in"))
    assert (seen.label, seen.model, seen.endpoint) == ("bm-job1-0-1", MODEL, "/v1/responses")


@pytest.mark.parametrize("end", ["completed_at", "failed_at", "expired_at", "cancelled_at"])
def test_every_kind_of_end_is_an_end(end: str) -> None:
    assert wire.snapshot(batch(**{end: 7})).ended_at == at(7)


def test_no_total_is_known_while_validating() -> None:
    assert wire.snapshot(batch(request_counts={"total": 0, "completed": 0, "failed": 0})).counts.total is None
    assert wire.snapshot(batch(request_counts=None)).counts == Counts()


def test_empty_file_ids_are_no_files() -> None:
    assert wire.snapshot(batch(output_file_id="", error_file_id="")).files == ()


def test_a_batch_of_which_every_request_failed_has_only_an_error_file() -> None:
    counts = {"total": 9, "completed": 0, "failed": 9}
    seen = wire.snapshot(batch(status="completed", error_file_id="file-e", request_counts=counts))
    assert (seen.state, seen.files, seen.counts.failed) == (State.SUCCEEDED, ("file-e",), 9)


def test_the_reasons_of_a_failed_batch_are_kept_in_openais_words() -> None:
    errors = {
        "object": "list",
        "data": [
            {
                "code": "invalid_json_line",
                "line": 1,
                "message": "This line is not parseable as valid JSON.",
                "param": None,
            },
            {"code": "token_limit_exceeded", "line": None, "message": "Enqueued token limit reached", "param": None},
        ],
    }
    assert wire.snapshot(batch(status="failed", errors=errors)).problems == (
        "invalid_json_line (line 1 of the shard): This line is not parseable as valid JSON",
        "token_limit_exceeded: Enqueued token limit reached",
    )


def test_a_state_that_is_not_known_is_kept_in_openais_word() -> None:
    seen = wire.snapshot(batch(status="hibernating"))
    assert (seen.state, seen.raw_status) == (State.UNKNOWN, "hibernating")


def test_the_least_that_can_be_called_a_batch() -> None:
    assert wire.snapshot(b'{"id":"b"}').state is State.UNKNOWN


@pytest.mark.parametrize("raw", [b"<html>", b"{}", b"[]", b""])
def test_what_is_no_batch_raises_valueerror(raw: bytes) -> None:
    with pytest.raises(ValueError):
        wire.snapshot(raw)


def test_a_page_names_where_the_next_begins() -> None:
    def page(*ids: str, more: bool) -> bytes:
        return json.dumps({"object": "list", "data": [{"id": each} for each in ids], "has_more": more}).encode()

    seen, after = wire.page(page("b2", "b1", more=True))
    assert ([each.ref.id for each in seen], after) == (["b2", "b1"], "b1")
    assert wire.page(page("b2", more=False))[1] is None
    assert wire.page(page(more=True)) == ([], None)


def test_a_batch_with_our_label_is_the_one_we_meant() -> None:
    intent = Intent(label="bm-job1-0-1", rows=1, sent_at=at(0), timeout_s=600)
    assert wire.matches(intent, wire.snapshot(batch(metadata={"batchmark_label": "bm-job1-0-1"})))
    assert not wire.matches(intent, wire.snapshot(batch(metadata={"batchmark_label": "bm-job1-0-2"})))
    assert not wire.matches(intent, wire.snapshot(batch()))
    assert not wire.matches(intent, wire.snapshot(batch(metadata={"batchmark_label": 5})))
