"""`export` and `clean` as users run them: what is kept can be had again, and only what is ours and needed no more is deleted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Account, Run
from tests.support import answers_in, write_lines

PROVIDERS = ["openai", "google", "anthropic"]
WITH_FILES = ["openai"]


def questions(folder: Path, count: int) -> Path:
    return write_lines(folder / "rows.jsonl", [{"prompt": f"Say {number}", "mine": number} for number in range(count)])


def run_it(here: Account, *words: str) -> dict[str, Any]:
    ended = here.run("run", "rows.jsonl", *words, "--json")
    assert ended.code in (0, 1), ended.err
    document: dict[str, Any] = ended.json()
    return document


def files_of(home: Path, document: dict[str, Any]) -> set[str]:
    folder = home / "runs" / document["run"]
    return {path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


# export


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_whole_run_is_exported_as_it_was_written(run: Run, folder: Path, provider: str) -> None:
    questions(folder, 7)
    ended = run("run", "rows.jsonl", "--on", provider, "-o", "a.jsonl", "--emulate", "--shard-rows", "3", "--json")
    exported = run("export", ended.json()["run"], "-o", "b.jsonl")
    assert exported.code == 0, exported.err
    assert "7 of 7 answers" in exported.err and exported.out == ""
    assert (folder / "b.jsonl").read_bytes() == (folder / "a.jsonl").read_bytes()
    by_job = run("export", ended.json()["jobs"][0]["job"], "-o", "c.jsonl", "--json").json()
    assert (by_job["rows_written"], by_job["rows"], by_job["emulated"]) == (7, 7, True)


def test_a_run_that_has_not_ended_is_exported_only_in_part_and_only_where_that_is_said(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account()
    write_lines(folder / "rows.jsonl", [{"prompt": f"Say {each}", "mine": each, "max_tokens": 9} for each in range(5)])
    sent = run_it(here, "--on", "openai:gpt-5-nano", "--no-wait", "--shard-rows", "3", "--in-flight", "1")
    refused = here.run("export", sent["run"], "-o", "b.jsonl")
    assert refused.code == 2, refused.err
    assert "has not ended" in refused.err and "--partial" in refused.err
    assert f"batchmark resume {sent['run']}" in refused.err
    assert not (folder / "b.jsonl").exists()
    nothing = here.run("export", sent["run"], "-o", "none.jsonl", "--partial", "--json").json()
    assert (nothing["rows_written"], nothing["rows"], answers_in(folder / "none.jsonl")) == (0, 5, [])
    # the first batch is brought here, and there is no money for the second
    assert here.run("resume", "--max-cost", "0.0000001").code == 2
    part = here.run("export", sent["run"], "-o", "b.jsonl", "--partial", "--json").json()
    assert (part["rows_written"], part["rows"]) == (3, 5)
    assert [(each["mine"], each["outcome"]) for each in answers_in(folder / "b.jsonl")] == [
        (each, "succeeded") for each in range(3)
    ]


def test_an_export_replaces_a_file_only_with_force(run: Run, folder: Path) -> None:
    questions(folder, 2)
    id_ = run("run", "rows.jsonl", "--on", "openai", "--emulate", "--json").json()["run"]
    (folder / "b.jsonl").write_text("precious")
    refused = run("export", id_, "-o", "b.jsonl")
    assert refused.code == 2 and "exists already" in refused.err and "--force" in refused.err
    full = run("export", id_, "-o", "b.jsonl", "--force", BATCHMARK_DISK_FULL_AT="b.jsonl")
    assert full.code == 6 and "disk is full" in full.err
    assert (folder / "b.jsonl").read_text() == "precious"
    assert run("export", id_, "-o", "b.jsonl", "--force").code == 0
    assert len(answers_in(folder / "b.jsonl")) == 2


def test_a_run_of_several_jobs_has_several_answers_and_names_them(run: Run) -> None:
    document = run("openai", "create", "--emulate", "--jobs", "2", "--requests", "2", "--json").json()
    refused = run("export", document["run"], "-o", "b.jsonl")
    assert refused.code == 2
    for job in document["jobs"]:
        assert job["job"] in refused.err
    assert "results" in refused.err


def test_an_export_of_no_run_is_not_found(run: Run) -> None:
    ended = run("export", "zzzzzzzz", "-o", "b.jsonl")
    assert ended.code == 4 and "there is no run" in ended.err


# clean


def test_cleaning_lists_first_and_deletes_only_when_told_and_keeps_the_answers(
    account: Callable[..., Account], folder: Path, home: Path
) -> None:
    here = account()
    questions(folder, 5)
    document = run_it(here, "--on", "openai", "--shard-rows", "2", "--keep-files")
    before = files_of(home, document)
    uploaded = {entry["subject"] for entry in here.journal("files.create")}
    assert len(uploaded) == 3 and here.journal("files.delete") == []
    listed = here.run("clean")
    assert listed.code == 0, listed.err
    assert "May be deleted" in listed.out and "nothing was deleted" in listed.err
    assert all(name in listed.out for name in uploaded)
    assert files_of(home, document) == before and here.journal("files.delete") == []
    deleted = here.run("clean", "--yes", "--json").json()
    assert {each["name"] for each in deleted["found"] if each["where"] == "openai"} == uploaded
    assert deleted["deleted"] == len(deleted["found"]) == 4
    assert {entry["subject"] for entry in here.journal("files.delete") if entry["status"] < 300} == uploaded
    assert files_of(home, document) == {"answers.jsonl"}
    assert len(answers_in(Path(document["jobs"][0]["answers"]))) == 5
    again = here.run("clean", "--yes")
    assert again.code == 0 and "nothing to clean" in again.err


def test_after_cleaning_a_run_is_still_shown_and_exported_or_says_that_it_cannot_be(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account()
    questions(folder, 3)
    document = run_it(here, "--on", "anthropic", "-o", "a.jsonl")
    assert here.run("clean", "--yes").code == 0
    assert here.run("show", document["run"]).code == 0
    again = here.run("resume", document["run"])
    assert again.code == 0, again.err
    assert len(answers_in(folder / "a.jsonl")) == 3
    exported = here.run("export", document["run"], "-o", "b.jsonl")
    assert "Traceback" not in exported.err and exported.code != 70
    if exported.code == 0:
        assert (folder / "b.jsonl").read_bytes() == (folder / "a.jsonl").read_bytes()


@pytest.mark.parametrize("provider", ["google", "anthropic"])
def test_batches_are_deleted_too_where_that_is_wanted_and_can_be(
    account: Callable[..., Account], folder: Path, provider: str
) -> None:
    here = account()
    questions(folder, 2)
    run_it(here, "--on", provider)
    assert here.run("clean", "--yes").code == 0
    assert len(here.batches(provider)) == 1
    deleted = here.run("clean", "--yes", "--batches", "--json").json()
    assert [each["what"] for each in deleted["found"]] == ["batch"]
    assert here.batches(provider) == []


def test_what_a_run_that_has_not_ended_needs_is_left_alone(
    account: Callable[..., Account], folder: Path, home: Path
) -> None:
    here = account(profile="demo")
    questions(folder, 2)
    sent = run_it(here, "--on", "openai", "--no-wait")
    before = files_of(home, sent)
    refused = here.run("clean", sent["run"], "--yes")
    assert refused.code == 2 and "has not ended" in refused.err
    assert here.run("clean", "--yes").code == 0
    assert files_of(home, sent) == before and here.journal("files.delete") == []


def test_files_of_somebody_else_are_never_touched(account: Callable[..., Account], folder: Path) -> None:
    import openai

    here = account()
    environment = here.cloud.environment()
    with openai.OpenAI(base_url=environment["OPENAI_BASE_URL"], api_key=environment["OPENAI_API_KEY"]) as client:
        for name in ("nightly.jsonl", "bm-other000-0-1.jsonl"):
            client.files.create(file=(name, b'{"custom_id":"a"}\n'), purpose="batch")
        questions(folder, 2)
        run_it(here, "--on", "openai", "--keep-files")
        assert here.run("clean", "--yes").code == 0
        left = {each.filename for each in client.files.list() if each.purpose == "batch"}
    assert left == {"nightly.jsonl", "bm-other000-0-1.jsonl"}


def test_an_upload_of_which_nothing_was_recorded_is_found_by_its_name(
    account: Callable[..., Account], folder: Path
) -> None:
    import openai

    here = account()
    questions(folder, 2)
    document = run_it(here, "--on", "openai")
    environment = here.cloud.environment()
    with openai.OpenAI(base_url=environment["OPENAI_BASE_URL"], api_key=environment["OPENAI_API_KEY"]) as client:
        label = f"bm-{document['jobs'][0]['job']}-0-1"
        orphan = client.files.create(file=(f"{label}.jsonl", b'{"custom_id":"a"}\n'), purpose="batch")
        found = here.run("clean", "--yes", "--json").json()["found"]
        assert ("input file without a record", orphan.id) in {(each["what"], each["name"]) for each in found}
        assert orphan.id not in {each.id for each in client.files.list()}


def test_cleaning_here_alone_asks_no_provider(account: Callable[..., Account], folder: Path, run: Run) -> None:
    here = account()
    questions(folder, 2)
    run_it(here, "--on", "openai", "--keep-files")
    # without a key no provider can be asked
    assert run("clean", "--local", "--yes").code == 0
    assert here.journal("files.delete") == []


def test_a_provider_that_cannot_be_asked_is_said_and_the_rest_is_cleaned(
    account: Callable[..., Account], folder: Path, home: Path, run: Run
) -> None:
    here = account()
    questions(folder, 2)
    document = run_it(here, "--on", "openai", "--keep-files")
    ended = run("clean", "--yes")
    assert "no API key for openai" in ended.err
    assert "Traceback" not in ended.err
    assert "answers.jsonl" in files_of(home, document)


def test_emulated_and_real_runs_are_cleaned_apart(account: Callable[..., Account], folder: Path, run: Run) -> None:
    here = account()
    questions(folder, 2)
    real = run_it(here, "--on", "openai")
    emulated = run("run", "rows.jsonl", "--on", "openai", "--emulate", "--json").json()
    found = run("clean", "--emulate", "--json").json()
    assert found["emulated"] is True
    assert {each["job"] for each in found["found"]} == {emulated["jobs"][0]["job"]}
    assert {each["job"] for each in here.run("clean", "--json").json()["found"]} == {real["jobs"][0]["job"]}


def test_only_runs_that_are_old_enough_are_cleaned(run: Run, folder: Path) -> None:
    questions(folder, 1)
    assert run("run", "rows.jsonl", "--on", "openai", "--emulate").code == 0
    assert run("clean", "--emulate", "--older-than", "1", "--json").json()["found"] == []
    assert len(run("clean", "--emulate", "--json").json()["found"]) == 1


def test_what_a_process_left_that_was_killed_while_it_read_its_input_is_cleaned_once_it_is_old(
    run: Run, folder: Path, home: Path
) -> None:
    questions(folder, 1)
    assert run("run", "rows.jsonl", "--on", "openai", "--emulate").code == 0
    assert run("clean", "--emulate", "--yes").code == 0
    for name, age_s in (("fresh000", 0.0), ("old00000", 2 * 86_400.0)):
        left = home / "runs" / name / "job"
        left.mkdir(parents=True)
        (left / "bm-job-0-1.requests").write_text("x" * 10)
        then = time.time() - age_s
        os.utime(left.parent, (then, then))
    (found,) = run("clean", "--emulate", "--yes", "--json").json()["found"]
    assert (found["what"], found["name"], found["bytes"]) == ("a run that never began", "runs/old00000", 10)
    assert not (home / "runs" / "old00000").exists() and (home / "runs" / "fresh000").exists()


def test_a_run_that_is_not_there_cannot_be_cleaned(run: Run) -> None:
    ended = run("clean", "zzzzzzzz", "--emulate")
    assert ended.code == 4 and "there is no run 'zzzzzzzz'" in ended.err
