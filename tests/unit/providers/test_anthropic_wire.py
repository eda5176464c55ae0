"""Anthropic's bytes: what is sent for each kind of request, and what each kind of answer means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from batchmark.domain.lifecycle import Counts, Intent, State
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
from batchmark.providers.anthropic import wire
from tests.support import chat, vector


def sent(request: Request) -> dict[str, Any]:
    item: dict[str, Any] = json.loads(wire.encode(request, "bm-job1-0-1-0", "claude"))
    assert list(item) == ["custom_id", "params"]
    assert item["custom_id"] == "bm-job1-0-1-0"
    params: dict[str, Any] = item["params"]
    return params


def test_a_conversation_with_its_system_text_apart() -> None:
    request = ChatRequest((Message("system", "Be brief"), Message("system", "Be kind"), Message("user", "hi")))
    assert sent(request) == {
        "model": "claude",
        "max_tokens": wire.DEFAULT_MAX_TOKENS,
        "system": "Be brief\n\nBe kind",
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_the_settings_that_this_api_takes() -> None:
    params = sent(chat(settings=Settings(max_tokens=5, stop=("END", "STOP"))))
    assert (params["max_tokens"], params["stop_sequences"]) == (5, ["END", "STOP"])


@pytest.mark.parametrize(
    ("choice", "theirs"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("f", {"type": "tool", "name": "f"}),
    ],
)
def test_tools_and_the_choice_among_them(choice: str, theirs: dict[str, str]) -> None:
    params = sent(chat(tools=(Tool("f", "does f", {"type": "object", "a": 1}), Tool("g")), tool_choice=choice))
    assert params["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "a": 1}, "description": "does f"},
        {"name": "g", "input_schema": {"type": "object"}},
    ]
    assert params["tool_choice"] == theirs


def test_a_schema_asks_for_structured_output() -> None:
    assert sent(chat(schema={"type": "object"}))["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }


def test_images_documents_calls_and_results_are_blocks() -> None:
    messages = (
        Message(
            "user",
            (
                Text("Look"),
                Image(url="https://example.com/a.png"),
                Image(data="AAAA", media_type="image/webp"),
                Document(data="BBBB", name="a.pdf"),
                Document(url="https://example.com/b.pdf"),
            ),
        ),
        Message("assistant", (Text("Hm"), ToolCall("c1", "f", '{"a":1}'))),
        Message("tool", (ToolResult("c1", "42"),)),
    )
    assert sent(ChatRequest(messages))["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "AAAA"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"},
                    "title": "a.pdf",
                },
                {"type": "document", "source": {"type": "url", "url": "https://example.com/b.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Hm"},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "42"}]},
    ]


def test_a_body_in_openais_shape_is_translated() -> None:
    verbatim = Verbatim("/v1/chat/completions", msgspec.Raw(b"{}"), "gpt-5-nano")
    assert sent(chat("hi", verbatim=verbatim))["messages"] == [{"role": "user", "content": "hi"}]
    assert sent(chat("hi", verbatim=verbatim))["model"] == "claude"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (vector(), "no embeddings"),
        (OtherRequest(Verbatim("/v1/moderations", msgspec.Raw(b"{}"), None)), "no counterpart of /v1/moderations"),
        (chat(settings=Settings(temperature=1)), "refuses temperature"),
        (chat(settings=Settings(top_p=1)), "refuses top_p"),
        (chat(settings=Settings(top_k=1)), "refuses top_k"),
        (chat(settings=Settings(seed=0)), "no parameter seed"),
        (chat(settings=Settings(reasoning_effort="low")), "reasoning_effort"),
        (chat(json_only=True), "no JSON mode"),
        (chat(unknown=("logit_bias", "n")), "logit_bias, n"),
        (ChatRequest((Message("system", "x"),)), "at least one user message"),
        (ChatRequest((Message("user", "x"), Message("system", "y"))), "only before the conversation"),
        (ChatRequest((Message("system", (Image(url="u"),)), Message("user", "x"))), "text only"),
        (ChatRequest((Message("user", (Document(file_id="f"),)),)), "file id"),
        (ChatRequest((Message("assistant", (ToolCall("c", "f", "{oops"),)),)), "arguments of tool call c are not JSON"),
        (ChatRequest((Message("user", "x"), Message("assistant", (Document(data="B"),)))), "documents in an assistant"),
    ],
)
def test_what_anthropic_cannot_honour_is_said(request_: Request, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        wire.encode(request_, "w", "claude")


def test_the_shard_file_is_the_body_of_the_create() -> None:
    rows = [wire.encode(chat(str(each)), f"bm-job1-0-1-{each}", "claude") for each in range(3)]
    body = json.loads(wire.FRAME.prefix + wire.FRAME.separator.join(rows) + wire.FRAME.suffix)
    assert [each["custom_id"] for each in body["requests"]] == ["bm-job1-0-1-0", "bm-job1-0-1-1", "bm-job1-0-1-2"]


# answers


def line(result: dict[str, Any]) -> bytes:
    return json.dumps({"custom_id": "w", "result": result}).encode()


def message(*content: dict[str, Any], stop: str | None = "end_turn", **usage: Any) -> bytes:
    return line(
        {
            "type": "succeeded",
            "message": {
                "id": "msg_1",
                "type": "message",
                "model": "claude-x",
                "content": list(content),
                "stop_reason": stop,
                "stop_details": None,
                "usage": {"input_tokens": 10, "output_tokens": 5, "service_tier": "batch", **usage},
            },
        }
    )


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("pause_turn", "pause_turn"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
        (None, None),
    ],
)
def test_an_answer_and_why_it_ended(stop: str | None, finish: str | None) -> None:
    assert wire.decode(message(text("fo"), text("ur"), stop=stop)) == Result(
        "w", Outcome.SUCCEEDED, text="four", finish_reason=finish, usage=Usage(10, 5), model="claude-x"
    )


def test_thinking_is_no_part_of_the_text_and_counts_as_reasoning() -> None:
    result = wire.decode(
        message({"type": "thinking", "thinking": "hm"}, text("4"), output_tokens_details={"thinking_tokens": 3})
    )
    assert (result.text, result.usage) == ("4", Usage(10, 5, reasoning_tokens=3))


def test_cached_tokens_are_part_of_the_input_as_on_the_other_providers() -> None:
    result = wire.decode(message(text("4"), cache_read_input_tokens=100, cache_creation_input_tokens=20))
    assert result.usage == Usage(130, 5, cached_tokens=100, cache_write_tokens=20)


def test_tool_calls_are_an_answer_without_text() -> None:
    result = wire.decode(message({"type": "tool_use", "id": "c1", "name": "f", "input": {"a": [1]}}, stop="tool_use"))
    assert (result.outcome, result.text, result.finish_reason) == (Outcome.SUCCEEDED, None, "tool_calls")
    assert result.tool_calls is not None
    assert (result.tool_calls[0]["id"], result.tool_calls[0]["name"]) == ("c1", "f")
    assert json.loads(result.tool_calls[0]["arguments"]) == {"a": [1]}


def test_a_refusal_is_no_answer_but_was_paid() -> None:
    result = wire.decode(message(text("I will not"), stop="refusal"))
    assert (result.outcome, result.error) == (Outcome.ERRORED, Failure("refused", "I will not", False))
    assert result.usage == Usage(10, 5)


def test_no_text_at_all_is_no_answer() -> None:
    result = wire.decode(message(stop="max_tokens"))
    assert result.outcome is Outcome.ERRORED
    assert result.error is not None and result.error.code == "empty_answer"


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        ("invalid_request_error", False),
        ("api_error", True),
        ("overloaded_error", True),
        ("timeout_error", True),
        ("rate_limit_error", True),
        ("authentication_error", False),
        ("billing_error", False),
        ("permission_error", False),
        ("not_found_error", False),
    ],
)
def test_an_error_is_nested_twice(kind: str, again: bool) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "Because"}, "request_id": None}
    result = wire.decode(line({"type": "errored", "error": error}))
    assert (result.outcome, result.error) == (Outcome.ERRORED, Failure(kind, "Because", again))


@pytest.mark.parametrize(
    "result",
    [
        {"type": "errored"},
        {"type": "errored", "error": None},
        {"type": "errored", "error": {"type": "error"}},
        {"type": "errored", "error": {"type": "error", "error": {"type": "api_error"}}},
        {"type": "succeeded"},
        {"type": "paused"},
    ],
)
def test_a_line_that_says_little_is_a_failure_and_no_crash(result: dict[str, Any]) -> None:
    found = wire.decode(line(result))
    assert found.outcome is Outcome.ERRORED and found.error is not None and found.error.message


def test_requests_that_never_ran_say_why_and_only_the_expired_are_worth_another_try() -> None:
    expired, cancelled = wire.decode(line({"type": "expired"})), wire.decode(line({"type": "canceled"}))
    assert expired.outcome is Outcome.EXPIRED and expired.error is not None and expired.error.retryable
    assert cancelled.outcome is Outcome.CANCELLED and cancelled.error is not None and not cancelled.error.retryable


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"custom_id":"w"}', b'{"result":{"type":"expired"}}', b"\xff"])
def test_bytes_that_are_no_answer_raise_valueerror(raw: bytes) -> None:
    with pytest.raises(ValueError):
        wire.decode(raw)


def test_the_wire_id_is_read_without_the_rest() -> None:
    assert wire.wire_id_of(b'{"custom_id":"w","result":5}') == "w"
    with pytest.raises(ValueError):
        wire.wire_id_of(b"{}")


# batches

CREATED = "2026-08-19T14:44:51.493319+00:00"


def batch(status: str = "in_progress", **fields: Any) -> bytes:
    counts = {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    return json.dumps(
        {
            "id": "msgbatch_1",
            "type": "message_batch",
            "processing_status": status,
            "request_counts": counts | fields.pop("counts", {}),
            "created_at": CREATED,
            "expires_at": "2026-08-20T14:44:51.493319+00:00",
            "ended_at": None,
            "cancel_initiated_at": None,
            "archived_at": None,
            "results_url": None,
        }
        | fields
    ).encode()


def test_a_running_batch_tells_its_total_and_no_progress() -> None:
    seen = wire.snapshot(batch())
    assert (seen.state, seen.raw_status) == (State.RUNNING, "in_progress")
    assert seen.counts == Counts(total=2, processing=2)
    assert seen.created_at == datetime(2026, 8, 19, 14, 44, 51, 493319, UTC)
    assert seen.expires_at == datetime(2026, 8, 20, 14, 44, 51, 493319, UTC)
    assert (seen.files, seen.label, seen.ended_at) == ((), None, None)


def test_an_ended_batch_tells_how_and_where_its_results_are() -> None:
    ended = {"processing": 0, "succeeded": 3, "errored": 1}
    seen = wire.snapshot(batch("ended", counts=ended, ended_at="2026-08-19T14:46:57Z", results_url="https://x/y"))
    assert seen.state is State.SUCCEEDED
    assert seen.counts == Counts(total=4, succeeded=3, failed=1, processing=0)
    assert (seen.ended_at, seen.files) == (datetime(2026, 8, 19, 14, 46, 57, tzinfo=UTC), ("https://x/y",))


def test_a_batch_of_which_every_request_failed_has_ended_as_any_other() -> None:
    assert wire.snapshot(batch("ended", counts={"processing": 0, "errored": 2})).state is State.SUCCEEDED


def test_cancelled_and_expired_requests_tell_how_a_batch_ended() -> None:
    cancelled = {"processing": 0, "succeeded": 1, "canceled": 1}
    assert wire.snapshot(batch("ended", counts=cancelled, cancel_initiated_at=CREATED)).state is State.CANCELLED
    expired = {"processing": 0, "succeeded": 1, "expired": 1}
    assert wire.snapshot(batch("ended", counts=expired)).state is State.EXPIRED


def test_the_least_that_can_be_called_a_batch() -> None:
    seen = wire.snapshot(b'{"id":"b","processing_status":"dreaming"}')
    assert (seen.state, seen.raw_status) == (State.UNKNOWN, "dreaming")


@pytest.mark.parametrize("raw", [b"<html>", b"{}", b"[]", b""])
def test_what_is_no_batch_raises_valueerror(raw: bytes) -> None:
    with pytest.raises(ValueError):
        wire.snapshot(raw)


def test_a_page_names_where_the_next_begins() -> None:
    def page(**fields: Any) -> bytes:
        return json.dumps({"data": [{"id": "b2"}, {"id": "b1"}], "first_id": "b2", **fields}).encode()

    seen, after = wire.page(page(has_more=True, last_id="b1"))
    assert ([each.ref.id for each in seen], after) == (["b2", "b1"], "b1")
    assert wire.page(page(has_more=True, last_id=None))[1] == "b1"
    assert wire.page(page(has_more=False, last_id="b1"))[1] is None
    assert wire.page(b'{"data":[],"has_more":false,"first_id":null,"last_id":null}') == ([], None)


@pytest.mark.parametrize(
    ("rows", "after_s", "likely"),
    [(2, 0, True), (2, 4, True), (2, 600, True), (3, 1, False), (2, -60, False), (2, 700, False)],
)
def test_without_a_label_the_count_and_the_time_make_a_candidate(rows: int, after_s: int, likely: bool) -> None:
    seen = wire.snapshot(batch())
    assert seen.created_at is not None
    sent_at = seen.created_at - timedelta(seconds=after_s)
    assert wire.matches(Intent(label="bm-job1-0-1", rows=rows, sent_at=sent_at, timeout_s=600), seen) is likely
