"""Every answer of the real services that was recorded goes through our wire rules without loss.

What is asserted follows from each recording itself, read here with plain JSON, so that more recordings need no more code.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batchmark.domain.lifecycle import RawFile, Snapshot, State
from batchmark.domain.result import Outcome, Result
from batchmark.providers.anthropic import wire as anthropic
from batchmark.providers.google import wire as google
from batchmark.providers.openai import wire as openai
from tests.support import write_lines

FOLDER = Path(os.environ.get("BATCHMARK_RECORDINGS") or Path(__file__).parents[3] / "shared" / "recordings")
PROVIDERS = ("openai", "anthropic", "gemini")


def _exchanges() -> list[tuple[str, str, int, dict[str, Any]]]:
    return [
        (provider, path.stem, number, json.loads(line))
        for provider in PROVIDERS
        for path in sorted((FOLDER / provider).glob("*.jsonl"))
        for number, line in enumerate(path.read_text().splitlines())
    ]


EXCHANGES = _exchanges()


def _where(exchange: tuple[str, str, int, dict[str, Any]]) -> str:
    return f"{exchange[0]}/{exchange[1]} {exchange[2]}"


def some(provider: str, kind: str) -> list[Any]:
    """The bodies of this kind of answer, each with the name of its place."""
    return [
        pytest.param(entry["response"]["body"], id=_where((owner, name, number, entry)))
        for owner, name, number, entry in EXCHANGES
        if owner == provider and entry["response"]["status"] == 200 and _kind(provider, entry) == kind
    ]


def _kind(provider: str, entry: dict[str, Any]) -> str:
    uri = entry["request"]["uri"].split("?")[0].rstrip("/")
    if uri.endswith(("/content", "/results")):
        return "results"
    if uri.endswith("/files"):
        return "file"
    body = json.loads(entry["response"]["body"])
    if "operations" in body or isinstance(body.get("data"), list):
        return "page"
    return "operation" if provider == "gemini" else "batch"


def test_there_are_recordings_of_every_provider() -> None:
    found = {provider for provider, *_ in EXCHANGES}
    if not EXCHANGES:
        message = f"no recordings at {FOLDER}: set BATCHMARK_RECORDINGS"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    assert found == set(PROVIDERS)


def test_no_recorded_answer_is_left_out() -> None:
    """Each is a batch, a page of them, a file of results or the upload of an input."""
    kinds = {_kind(provider, entry) for provider, *_, entry in EXCHANGES if entry["response"]["status"] == 200}
    assert kinds <= {"batch", "operation", "page", "results", "file"}


def unix(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def same_time(ours: datetime | None, theirs: str | None) -> bool:
    """Equal to the microsecond; what is finer is cut."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    assert ours.tzinfo is UTC
    return abs(ours - datetime.fromisoformat(theirs)) < timedelta(microseconds=1)


# OpenAI

OPENAI_END = {"completed": "completed_at", "failed": "failed_at", "expired": "expired_at", "cancelled": "cancelled_at"}


@pytest.mark.parametrize("body", some("openai", "batch"))
def test_openais_batches(body: str) -> None:
    raw, seen = json.loads(body), openai.snapshot(body.encode())
    assert (seen.ref.id, seen.raw_status) == (raw["id"], raw["status"])
    assert seen.state is not State.UNKNOWN
    assert seen.created_at == unix(raw["created_at"]) and seen.expires_at == unix(raw["expires_at"])
    assert seen.started_at == unix(raw["in_progress_at"]) and seen.finalizing_at == unix(raw["finalizing_at"])
    assert seen.ended_at == unix(raw.get(OPENAI_END.get(raw["status"], ""), None))
    assert seen.state.terminal is (raw["status"] in OPENAI_END)
    counts = raw["request_counts"]
    assert (seen.counts.total or 0, seen.counts.succeeded, seen.counts.failed) == (
        counts["total"],
        counts["completed"],
        counts["failed"],
    )
    assert seen.files == tuple(id_ for id_ in (raw["output_file_id"], raw["error_file_id"]) if id_)
    assert (seen.model, seen.endpoint) == (raw["model"], raw["endpoint"])
    assert seen.input_file is not None and seen.input_file.id == raw["input_file_id"]
    assert len(seen.problems) == len((raw["errors"] or {}).get("data", ()))


def decoded(rules: Any, body: str, home: Path) -> list[tuple[dict[str, Any], Result]]:
    """Each line as plain JSON and as our rules understand it."""
    raw = RawFile(write_lines(home / "results.jsonl", [body]))
    lines = list(rules.split(raw))
    assert [json.loads(line) for line in lines] == [json.loads(line) for line in body.splitlines() if line.strip()]
    assert [rules.wire_id_of(line) for line in lines] == [json.loads(line)["custom_id"] for line in lines]
    found = [(json.loads(line), rules.decode(line)) for line in lines]
    assert all(result.wire_id == entry["custom_id"] for entry, result in found)
    return found


@pytest.mark.parametrize("body", some("openai", "results"))
def test_openais_results(body: str, home: Path) -> None:
    for entry, result in decoded(openai, body, home):
        answer = entry["response"]["body"]
        assert (result.outcome is Outcome.SUCCEEDED) is (entry["response"]["status_code"] == 200)
        assert result.model == answer["model"]
        usage = answer["usage"]
        assert result.usage is not None
        assert result.usage.input_tokens == usage.get("input_tokens", usage.get("prompt_tokens"))
        assert result.usage.input_tokens + result.usage.output_tokens == usage["total_tokens"]
        details = usage.get("output_tokens_details") or usage.get("completion_tokens_details") or {}
        assert result.usage.reasoning_tokens == details.get("reasoning_tokens", 0)
        if answer["object"] == "response":
            texts = [
                part["text"]
                for item in answer["output"]
                if item["type"] == "message"
                for part in item["content"]
                if part["type"] == "output_text"
            ]
            assert result.text == "".join(texts)
        elif answer["object"] == "list":
            vectors = [each["embedding"] for each in answer["data"]]
            assert vectors == (result.embeddings if result.embedding is None else [result.embedding])
        else:
            assert result.text == answer["choices"][0]["message"]["content"]


# Anthropic


@pytest.mark.parametrize("body", some("anthropic", "batch"))
def test_anthropics_batches(body: str) -> None:
    raw, seen = json.loads(body), anthropic.snapshot(body.encode())
    assert (seen.ref.id, seen.raw_status) == (raw["id"], raw["processing_status"])
    assert seen.state is not State.UNKNOWN
    assert seen.state.terminal is (raw["processing_status"] == "ended")
    assert same_time(seen.created_at, raw["created_at"]) and same_time(seen.expires_at, raw["expires_at"])
    assert same_time(seen.ended_at, raw["ended_at"]) and same_time(seen.cancelling_at, raw["cancel_initiated_at"])
    counts = raw["request_counts"]
    assert seen.counts.total == sum(counts.values())
    if seen.state.terminal:
        assert (seen.counts.succeeded, seen.counts.processing) == (counts["succeeded"], 0)
    else:
        assert (seen.counts.succeeded, seen.counts.processing) == (None, counts["processing"])
    assert seen.files == ((raw["results_url"],) if raw["results_url"] else ())


@pytest.mark.parametrize("body", some("anthropic", "results"))
def test_anthropics_results(body: str, home: Path) -> None:
    for entry, result in decoded(anthropic, body, home):
        assert (result.outcome is Outcome.SUCCEEDED) is (entry["result"]["type"] == "succeeded")
        message = entry["result"]["message"]
        usage = message["usage"]
        assert result.text == "".join(part["text"] for part in message["content"] if part["type"] == "text")
        assert result.model == message["model"]
        assert result.usage is not None
        assert result.usage.output_tokens == usage["output_tokens"]
        cached, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        assert result.usage.input_tokens == usage["input_tokens"] + cached + written
        assert result.finish_reason == {"end_turn": "stop", "max_tokens": "length"}.get(
            message["stop_reason"], result.finish_reason
        )


# Gemini


def _google_facts(raw: dict[str, Any], seen: Snapshot) -> None:
    facts = raw["metadata"]
    stats = {name: int(count) for name, count in facts.get("batchStats", {}).items()}
    assert (seen.ref.id, seen.raw_status, seen.label) == (raw["name"], facts["state"], facts["displayName"])
    assert seen.state is not State.UNKNOWN
    assert seen.state.terminal is raw.get("done", False)
    assert seen.model == facts["model"].removeprefix("models/")
    assert same_time(seen.created_at, facts["createTime"]) and same_time(seen.ended_at, facts.get("endTime"))
    assert (seen.counts.total, seen.counts.succeeded, seen.counts.failed, seen.counts.processing) == (
        stats["requestCount"],
        stats.get("successfulRequestCount", 0),
        stats.get("failedRequestCount", 0),
        stats.get("pendingRequestCount", 0),
    )


@pytest.mark.parametrize("body", some("gemini", "operation"))
def test_geminis_batches_and_the_answers_inside_them(body: str, home: Path) -> None:
    raw, seen = json.loads(body), google.snapshot(body.encode())
    _google_facts(raw, seen)
    listed, token = google.page(json.dumps({"operations": [raw]}).encode())
    assert (listed, token) == ([seen], None)
    path = home / "operation.json"
    path.write_text(body)
    lines = list(google.split(RawFile(path, "operation")))
    inside = raw.get("response", {}).get("inlinedResponses", {}).get("inlinedResponses", [])
    assert [json.loads(line) for line in lines] == inside
    for line, entry in zip(lines, inside, strict=True):
        # these were sent by a program that calls its key otherwise than we do
        (their_key,) = entry["metadata"].values()
        ours = json.dumps({**json.loads(line), "metadata": {"key": their_key}}).encode()
        assert google.wire_id_of(ours) == their_key
        result = google.decode(ours)
        candidate, usage = entry["response"]["candidates"][0], entry["response"]["usageMetadata"]
        assert (result.wire_id, result.outcome) == (their_key, Outcome.SUCCEEDED)
        assert result.text == "".join(part["text"] for part in candidate["content"]["parts"])
        assert result.model == entry["response"]["modelVersion"]
        assert result.usage is not None
        assert result.usage.input_tokens + result.usage.output_tokens == usage["totalTokenCount"]
        assert result.usage.reasoning_tokens == usage.get("thoughtsTokenCount", 0)
