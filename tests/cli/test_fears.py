"""What users fear most, at the command line: an answer on the wrong row or model, an answer deleted unread, a job half sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def write(folder: Path, *rows: dict[str, object]) -> None:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rows_that_name_different_models_are_not_all_asked_of_the_first(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "a", "model": "gpt-5-nano"}, {"prompt": "b", "model": "gpt-5.2"})
    refused = run("openai", "create", "rows.jsonl", "--emulate")
    assert refused.code == 2
    assert "line 2" in refused.err and "gpt-5.2" in refused.err and "--model" in refused.err
    assert run("openai", "create", "rows.jsonl", "--emulate", "--model", "gpt-5-nano").code == 0


def test_an_answer_in_json_stays_on_its_line(run: Run, folder: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    rows: list[dict[str, object]] = [{"prompt": f"Say {number}", "response_format": form} for number in range(3)]
    write(folder, *rows)
    ended = run("openai", "create", "rows.jsonl", "--emulate", "-o", "answers.jsonl")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == [0, 1, 2]
    assert all(set(line["parsed"]) == {"a", "b"} for line in lines)


@pytest.mark.parametrize("provider", ["google", "anthropic"])
def test_a_batch_whose_answers_were_not_fetched_is_not_deleted(run: Run, provider: str) -> None:
    job = run(provider, "create", "--emulate", "--no-wait", "--requests", "2", "--json").json()["jobs"][0]
    refused = run(provider, "delete", job["job"], "--emulate")
    assert refused.code == 4
    assert "paid for" in refused.err and "--emulate" in refused.err
    assert run(provider, "results", job["job"], "--wait", "--emulate").code == 0
    assert run(provider, "delete", job["job"], "--emulate").code == 0


def test_texts_to_embed_are_not_sent_to_a_model_that_answers(run: Run, folder: Path) -> None:
    write(folder, {"input": "a text"})
    refused = run("openai", "create", "rows.jsonl", "--emulate")
    assert refused.code == 2 and "--model" in refused.err
    assert run("openai", "create", "rows.jsonl", "--emulate", "--model", "text-embedding-3-small").code == 0


def test_a_limit_that_is_misspelt_is_no_column(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "a", "max_token": 5})
    refused = run("openai", "create", "rows.jsonl", "--emulate")
    assert refused.code == 2 and "max_tokens" in refused.err


def test_a_pipe_is_refused_rather_than_read_as_empty(run: Run) -> None:
    refused = run("openai", "create", "/dev/null", "--emulate")
    assert refused.code == 2 and "no regular file" in refused.err


def test_hints_of_the_emulated_world_stay_in_it(run: Run) -> None:
    refused = run("openai", "status", "batch_0", "--emulate")
    assert "batchmark openai list --emulate" in refused.err
