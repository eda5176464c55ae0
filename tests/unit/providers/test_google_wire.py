"""Gemini's bytes: what is sent for each kind of request, and what each kind of answer means."""

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
from batchmark.providers.google import wire
from tests.support import chat, vector


def sent(request: Request) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(wire.encode(request, "bm-job1-0-1-0", "gemini"))
    assert list(line) == ["key", "request"]
    assert line["key"] == "bm-job1-0-1-0"
    body: dict[str, Any] = line["request"]
    return body


def test_a_conversation_with_its_system_text_apart() -> None:
    request = ChatRequest(
        (Message("system", "Be brief"), Message("user", "hi"), Message("assistant", "yes?"), Message("user", "why"))
    )
    assert wire.endpoint(request) == "batchGenerateContent"
    assert sent(request) == {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"text": "yes?"}]},
            {"role": "user", "parts": [{"text": "why"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief"}]},
    }


def test_every_setting_has_its_name_on_the_wire() -> None:
    assert sent(chat(settings=Settings(5, 0, 0.9, 40, ("END",), 0)))["generationConfig"] == {
        "maxOutputTokens": 5,
        "temperature": 0,
        "topP": 0.9,
        "topK": 40,
        "seed": 0,
        "stopSequences": ["END"],
    }


def test_a_request_without_settings_has_no_config() -> None:
    assert "generationConfig" not in sent(chat())


@pytest.mark.parametrize(
    ("choice", "theirs"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("f", {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tools_and_the_choice_among_them(choice: str, theirs: dict[str, Any]) -> None:
    body = sent(chat(tools=(Tool("f", "does f", {"type": "object"}), Tool("g")), tool_choice=choice))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does f", "parametersJsonSchema": {"type": "object"}},
                {"name": "g"},
            ]
        }
    ]
    assert body["toolConfig"] == {"functionCallingConfig": theirs}


def test_a_schema_asks_for_structured_output() -> None:
    assert sent(chat(schema={"type": "object"}))["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    assert sent(chat(json_only=True))["generationConfig"] == {"responseMimeType": "application/json"}


def test_images_documents_calls_and_results_are_parts() -> None:
    messages = (
        Message(
            "user",
            (
                Text("Look"),
                Image(url="https://example.com/a.png"),
                Image(data="AAAA", media_type="image/webp"),
                Document(data="BBBB"),
            ),
        ),
        Message("assistant", (ToolCall("c1", "f", '{"a":1}'),)),
        Message("tool", (ToolResult("c1", "42"),)),
    )
    assert sent(ChatRequest(messages))["contents"] == [
        {
            "role": "user",
            "parts": [
                {"text": "Look"},
                {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}},
                {"inlineData": {"mimeType": "image/webp", "data": "AAAA"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "BBBB"}},
            ],
        },
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "42"}}}]},
    ]


def test_a_text_to_embed() -> None:
    assert wire.endpoint(vector()) == "asyncBatchEmbedContent"
    assert sent(vector("a", dimensions=8)) == {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (OtherRequest(Verbatim("/v1/moderations", msgspec.Raw(b"{}"), None)), "no counterpart of /v1/moderations"),
        (chat(settings=Settings(reasoning_effort="low")), "reasoning_effort"),
        (chat(unknown=("logit_bias",)), "cannot honour logit_bias"),
        (vector("a", "b"), "one text per row"),
        (vector("a", unknown=("user",)), "cannot honour user"),
        (ChatRequest((Message("system", "x"),)), "at least one user message"),
        (ChatRequest((Message("user", "x"), Message("system", "y"))), "only before the conversation"),
        (ChatRequest((Message("system", (Image(url="u"),)), Message("user", "x"))), "text only"),
        (ChatRequest((Message("user", (Document(file_id="f"),)),)), "file id"),
        (ChatRequest((Message("assistant", (ToolCall("c", "f", "{oops"),)),)), "arguments of tool call c are not JSON"),
        (ChatRequest((Message("tool", (ToolResult("c9", "x"),)),)), "c9 answers no earlier tool call"),
    ],
)
def test_what_gemini_cannot_honour_is_said(request_: Request, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        wire.encode(request_, "w", "gemini")


def test_inside_a_create_the_key_moves_into_the_metadata() -> None:
    line = wire.encode(chat("hi"), "w", "gemini")
    assert wire.inline_item(line) == {"request": sent(chat("hi")), "metadata": {"key": "w"}}


# answers


def line(entry: dict[str, Any]) -> bytes:
    return json.dumps({"key": "w", **entry}).encode()


def response(*parts: dict[str, Any], finish: str | None = "STOP", **more: Any) -> bytes:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, "index": 0}
    return line(
        {
            "response": {
                "candidates": [candidate],
                "usageMetadata": {
                    "promptTokenCount": 10,
                    "candidatesTokenCount": 5,
                    "thoughtsTokenCount": 3,
                    "totalTokenCount": 18,
                },
                "modelVersion": "gemini-x",
                **more,
            }
        }
    )


USAGE = Usage(10, 8, reasoning_tokens=3)


@pytest.mark.parametrize(
    ("finish", "ours"), [("STOP", "stop"), ("MAX_TOKENS", "length"), ("LANGUAGE", "language"), (None, None)]
)
def test_an_answer_and_why_it_ended(finish: str | None, ours: str | None) -> None:
    raw = response({"text": "hm", "thought": True}, {"text": "fo"}, {"text": "ur"}, finish=finish)
    assert wire.decode(raw) == Result(
        "w", Outcome.SUCCEEDED, text="four", finish_reason=ours, usage=USAGE, model="gemini-x"
    )


def test_counts_may_be_strings() -> None:
    usage = {"promptTokenCount": "10", "candidatesTokenCount": "2", "cachedContentTokenCount": "4"}
    assert wire.decode(response({"text": "x"}, usageMetadata=usage)).usage == Usage(10, 2, cached_tokens=4)


def test_tool_calls_are_an_answer_without_text() -> None:
    result = wire.decode(response({"functionCall": {"name": "f", "args": {"a": 1}}}))
    assert (result.outcome, result.text) == (Outcome.SUCCEEDED, None)
    assert result.tool_calls is not None
    assert (result.tool_calls[0]["name"], json.loads(result.tool_calls[0]["arguments"])) == ("f", {"a": 1})


@pytest.mark.parametrize("feedback", [{"blockReason": "SAFETY"}, {}])
def test_a_blocked_prompt_is_a_response_without_candidates(feedback: dict[str, str]) -> None:
    usage = {"promptTokenCount": 10}
    result = wire.decode(line({"response": {"promptFeedback": feedback, "usageMetadata": usage}}))
    assert result.outcome is Outcome.ERRORED
    assert result.error is not None and result.error.code == "refused" and not result.error.retryable
    assert feedback.get("blockReason", "no candidates") in result.error.message
    assert result.usage == Usage(10)


@pytest.mark.parametrize("finish", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"])
def test_an_answer_that_was_blocked_on_its_way_is_no_answer(finish: str) -> None:
    result = wire.decode(response(finish=finish))
    assert result.outcome is Outcome.ERRORED
    assert result.error is not None and result.error.code == "refused" and finish in result.error.message


def test_no_text_at_all_is_no_answer() -> None:
    result = wire.decode(response(finish="MAX_TOKENS"))
    assert result.error is not None and result.error.code == "empty_answer"
    assert result.usage == USAGE


def test_a_vector() -> None:
    raw = line({"response": {"embedding": {"values": [0.5, -1]}, "tokenCount": "3"}})
    assert wire.decode(raw) == Result("w", Outcome.SUCCEEDED, embedding=[0.5, -1], usage=Usage(3))


@pytest.mark.parametrize("embedding", [{}, {"values": []}, {"values": None}])
def test_an_empty_vector_is_no_answer(embedding: dict[str, Any]) -> None:
    assert wire.decode(line({"response": {"embedding": embedding}})).outcome is Outcome.ERRORED


@pytest.mark.parametrize(
    "entry",
    [
        {"error": {"code": 3, "message": "bad"}},
        {"status": {"code": 3, "message": "bad"}},
        {"code": 3, "message": "bad"},
        {"metadata": {"key": "w"}, "error": {"code": 3, "message": "bad"}},
    ],
)
def test_a_failure_wherever_it_stands(entry: dict[str, Any]) -> None:
    assert wire.decode(line(entry)).error == Failure("rpc_3", "bad", False)


@pytest.mark.parametrize(
    ("code", "again"), [(1, True), (3, False), (4, True), (5, False), (7, False), (8, True), (13, True), (14, True)]
)
def test_which_failures_may_pass(code: int, again: bool) -> None:
    error = wire.decode(line({"error": {"code": code, "message": "The operation was cancelled."}})).error
    assert error is not None and error.retryable is again


def test_a_failure_by_name_and_one_that_says_nothing() -> None:
    named = wire.decode(line({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}})).error
    assert named == Failure("RESOURCE_EXHAUSTED", "m", True)
    silent = wire.decode(line({})).error
    assert silent is not None and (silent.code, silent.retryable) == ("unknown_error", False)


def test_the_key_is_that_of_the_line_or_of_its_metadata() -> None:
    for raw in (b'{"response":{},"key":"w"}', b'{"response":{},"metadata":{"key":"w","x":1}}'):
        assert wire.wire_id_of(raw) == wire.decode(raw).wire_id == "w"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"metadata":{}}', b'{"metadata":{"key":5}}', b"\xff"])
def test_bytes_without_a_key_raise_valueerror(raw: bytes) -> None:
    for read in (wire.decode, wire.wire_id_of):
        with pytest.raises(ValueError):
            read(raw)


# raw files


@pytest.mark.parametrize("where", ["metadata", "response", "both"])
@pytest.mark.parametrize("kind", ["inlinedResponses", "inlinedEmbedContentResponses"])
def test_inline_answers_are_taken_out_of_the_operation_one_a_line(home: Path, where: str, kind: str) -> None:
    items = [{"response": {"a": "x\ny"}, "metadata": {"key": f"w{each}"}} for each in range(3)]
    output = {"@type": "t", kind: {"inlinedResponses": items}}
    operation: dict[str, Any] = {"name": "batches/x", "metadata": {"state": "BATCH_STATE_SUCCEEDED"}, "done": True}
    if where in ("metadata", "both"):
        operation["metadata"]["output"] = output
    if where in ("response", "both"):
        operation["response"] = output
    path = home / "x.json"
    path.write_text(json.dumps(operation, indent=2))
    lines = list(wire.split(RawFile(path, "operation")))
    assert all(b"\n" not in each for each in lines)
    assert [json.loads(each) for each in lines] == items


def test_an_operation_without_answers_has_no_lines(home: Path) -> None:
    path = home / "x.json"
    path.write_text('{"name":"batches/x","metadata":{"state":"BATCH_STATE_CANCELLED"},"done":true,"error":{"code":1}}')
    assert list(wire.split(RawFile(path, "operation"))) == []


# batches


def batch(state: str = "BATCH_STATE_PENDING", *, metadata: dict[str, Any] | None = None, **fields: Any) -> bytes:
    return json.dumps(
        {
            "name": "batches/abc",
            "metadata": {
                "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
                "name": "batches/abc",
                "model": "models/gemini-x",
                "displayName": "bm-job1-0-1",
                "createTime": "2026-08-19T14:34:12.267870162Z",
                "updateTime": "2026-08-19T14:34:12.267870162Z",
                "state": state,
            }
            | (metadata or {}),
            **fields,
        }
    ).encode()


def test_a_waiting_batch_with_counts_that_are_strings() -> None:
    stats = {"requestCount": "2", "pendingRequestCount": "2"}
    seen = wire.snapshot(batch(metadata={"batchStats": stats, "inputConfig": {"fileName": "files/in"}}))
    assert (seen.ref.provider, seen.ref.id) == ("google", "batches/abc")
    assert (seen.state, seen.raw_status) == (State.QUEUED, "BATCH_STATE_PENDING")
    assert seen.counts == Counts(total=2, succeeded=0, failed=0, processing=2)
    assert seen.created_at == datetime(2026, 8, 19, 14, 34, 12, 267870, UTC)
    assert (seen.label, seen.model, seen.input_file) == ("bm-job1-0-1", "gemini-x", FileRef("google", "files/in"))
    assert (seen.ended_at, seen.files, seen.problems) == (None, (), ())


@pytest.mark.parametrize("where", ["metadata", "response"])
def test_an_ended_batch_names_its_file_in_one_place_or_the_other(where: str) -> None:
    output = {"responsesFile": "files/out"}
    more: dict[str, Any] = {"metadata": {"output": output}} if where == "metadata" else {"response": output}
    seen = wire.snapshot(batch("BATCH_STATE_SUCCEEDED", done=True, **more))
    assert (seen.state, seen.files) == (State.SUCCEEDED, ("files/out",))


def test_counts_that_are_zero_are_absent() -> None:
    stats = {"requestCount": "2", "successfulRequestCount": "2"}
    seen = wire.snapshot(batch("BATCH_STATE_SUCCEEDED", metadata={"batchStats": stats}))
    assert seen.counts == Counts(total=2, succeeded=2, failed=0, processing=0)


def test_the_reason_of_a_failed_batch_is_kept_in_googles_words() -> None:
    error = {"code": 9, "message": "Lightning dunning decision is deny", "status": "FAILED_PRECONDITION"}
    seen = wire.snapshot(batch("BATCH_STATE_FAILED", done=True, error=error))
    assert (seen.state, seen.problems) == (
        State.FAILED,
        ("FAILED_PRECONDITION: Lightning dunning decision is deny",),
    )
    del error["status"]
    assert wire.snapshot(batch("BATCH_STATE_FAILED", error=error)).problems[0].startswith("9: ")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-08-19T14:34:12Z", datetime(2026, 8, 19, 14, 34, 12, 0, UTC)),
        ("2026-08-19T14:34:12.5Z", datetime(2026, 8, 19, 14, 34, 12, 500_000, UTC)),
        ("2026-08-19T14:34:12.999999999Z", datetime(2026, 8, 19, 14, 34, 12, 999_999, UTC)),
        ("2026-08-19T16:34:12.25+02:00", datetime(2026, 8, 19, 14, 34, 12, 250_000, UTC)),
    ],
)
def test_times_of_any_precision(text: str, time: datetime) -> None:
    assert wire.snapshot(batch(metadata={"endTime": text})).ended_at == time


def test_a_state_that_is_not_known_is_kept_in_googles_word() -> None:
    seen = wire.snapshot(batch("BATCH_STATE_DREAMING"))
    assert (seen.state, seen.raw_status) == (State.UNKNOWN, "BATCH_STATE_DREAMING")


def test_the_least_that_can_be_called_a_batch() -> None:
    assert wire.snapshot(b'{"name":"batches/x"}').state is State.UNKNOWN


@pytest.mark.parametrize("raw", [b"<html>", b"{}", b"[]", b""])
def test_what_is_no_batch_raises_valueerror(raw: bytes) -> None:
    with pytest.raises(ValueError):
        wire.snapshot(raw)


def test_a_page_names_where_the_next_begins_and_an_empty_one_is_an_empty_object() -> None:
    raw = json.dumps({"operations": [{"name": "batches/b"}, {"name": "batches/a"}], "nextPageToken": "t"}).encode()
    seen, token = wire.page(raw)
    assert ([each.ref.id for each in seen], token) == (["batches/b", "batches/a"], "t")
    assert wire.page(b'{"operations":[],"nextPageToken":""}') == ([], None)
    assert wire.page(b"{}") == ([], None)


def test_a_batch_with_our_label_is_the_one_we_meant() -> None:
    intent = Intent(label="bm-job1-0-1", rows=1, sent_at=datetime(2026, 1, 1, tzinfo=UTC), timeout_s=600)
    assert wire.matches(intent, wire.snapshot(batch()))
    assert not wire.matches(intent, wire.snapshot(batch(metadata={"displayName": "nightly"})))
