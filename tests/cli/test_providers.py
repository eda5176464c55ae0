"""The original commands, for each provider, one after another on the same emulated world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PROVIDERS = ["openai", "google", "anthropic"]


def newest(run: Run, provider: str) -> dict[str, object]:
    batches = run(provider, "list", "--emulate", "--json").json()["batches"]
    return dict(batches[0])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_create_list_cancel_list_on_one_world(run: Run, run_fresh: Run, provider: str) -> None:
    # One that does not end by itself before it is cancelled, however slow the machine is.
    demo = {"BATCHMARK_EMULATOR_PROFILE": "demo", "BATCHMARK_EMULATOR_FAULTS": "* life -> stuck"}
    created = run_fresh(provider, "create", "--emulate", "--no-wait", "--requests", "3", **demo)
    assert created.code == 0, created.err
    batch = newest(run, provider)
    assert str(batch["id"]) in created.out
    assert batch["state"] in ("queued", "running")
    cancelled = run_fresh(provider, "cancel", "--emulate", "--job_id", str(batch["id"]), **demo)
    assert cancelled.code == 0, cancelled.err
    listed = run_fresh(provider, "list", "--emulate", **demo)
    assert listed.code == 0
    assert "emulated" in listed.out
    assert newest(run, provider)["state"] in ("cancelled", "cancelling")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_create_waits_and_leaves_every_answer_on_its_row(run: Run, folder: Path, provider: str) -> None:
    rows = [{"custom_id": f"id {number % 2}", "prompt": f"Say {number}", "mine": number} for number in range(7)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = run(provider, "create", "rows.jsonl", "--emulate", "-o", "answers.jsonl")
    assert ended.code == 0, ended.err
    assert "7 succeeded" in ended.out
    assert "emulated" in ended.out
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert [answer["row"] for answer in answers] == list(range(7))
    assert [answer["mine"] for answer in answers] == list(range(7))
    assert [answer["custom_id"] for answer in answers] == [row["custom_id"] for row in rows]
    assert all(answer["outcome"] == "succeeded" and answer["text"] and answer["cost_usd"] > 0 for answer in answers)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_jobs_and_requests_sample_latency_as_the_original_did(run: Run, provider: str) -> None:
    ended = run(provider, "create", "--emulate", "--jobs", "3", "--requests", "50", "--json")
    assert ended.code == 0, ended.err
    document = ended.json()
    assert document["emulated"] is True
    assert [job["rows"] for job in document["jobs"]] == [50, 50, 50]
    assert [job["round"] for job in document["jobs"]] == [1, 2, 3]
    assert all(job["totals"]["succeeded"] == 50 for job in document["jobs"])
    assert len(run(provider, "list", "--emulate", "--json").json()["batches"]) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_results_come_later_by_our_id_or_the_providers(run: Run, provider: str) -> None:
    created = run(provider, "create", "--emulate", "--no-wait", "--requests", "2", "--json").json()
    job = created["jobs"][0]
    by_job = run(provider, "results", job["job"], "--wait", "--emulate")
    by_batch = run(provider, "results", "--job-id", job["batches"][0]["id"], "--emulate")
    assert by_job.code == by_batch.code == 0, by_job.err + by_batch.err
    assert by_job.out == by_batch.out
    assert [line["row"] for line in by_job.lines()] == [0, 1]
    shown = run(provider, "status", job["job"], "--emulate")
    assert shown.code == 0
    assert job["batches"][0]["id"] in shown.out


def test_results_asked_too_early_say_so_and_how_to_wait(run: Run) -> None:
    demo = {"BATCHMARK_EMULATOR_PROFILE": "demo"}
    job = run("openai", "create", "--emulate", "--no-wait", "--requests", "2", "--json", **demo).json()["jobs"][0]
    early = run("openai", "results", job["job"], "--emulate", **demo)
    assert early.code == 4
    assert "has not ended yet" in early.err
    assert "--wait" in early.err
    assert early.out == ""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_results_of_a_batch_that_is_not_ours_are_the_providers_own_lines(run: Run, home: Path, provider: str) -> None:
    job = run(provider, "create", "--emulate", "--requests", "2", "--json").json()["jobs"][0]
    (home / "ledger.sqlite3").unlink()
    ended = run(provider, "results", job["batches"][0]["id"], "--emulate")
    assert ended.code == 0, ended.err
    assert "no rows are known" in ended.err
    assert len(ended.lines()) == 2


@pytest.mark.parametrize("provider", ["google", "anthropic"])
def test_delete_removes_the_batch_from_the_account(run: Run, provider: str) -> None:
    job = run(provider, "create", "--emulate", "--requests", "1", "--json").json()["jobs"][0]
    assert run(provider, "delete", job["job"], "--emulate").code == 0
    assert run(provider, "list", "--emulate", "--json").json()["batches"] == []


def test_openai_says_that_it_cannot_delete(run: Run) -> None:
    job = run("openai", "create", "--emulate", "--requests", "1", "--json").json()["jobs"][0]
    ended = run("openai", "delete", job["job"], "--emulate")
    assert ended.code == 4
    assert "cannot delete" in ended.err


def test_models_are_those_that_can_be_batched(run: Run) -> None:
    for provider in ("google", "anthropic"):
        models = run(provider, "list-models", "--emulate", "--json").json()["models"]
        assert models
        assert all(model["batch"] is True for model in models)
    models = run("openai", "list-models", "--emulate", "--json").json()["models"]
    assert {model["batch"] for model in models} == {True, None}
    assert next(model for model in models if model["default"])["batch"] is True
