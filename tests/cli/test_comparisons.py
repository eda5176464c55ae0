"""`compare` in rounds and `report` as users run them: what is sent, in which order, what may be concluded, and wrong input."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchmark.engine.turns import in_order
from batchmark.ledger.store import Ledger
from tests.cli.conftest import QUICK, Account, Ended, Run, clean_environment, command
from tests.support import journal, write_lines

TARGETS = ("--on", "openai", "--on", "google", "--on", "anthropic")


def run_id(ended: Ended) -> str:
    """The id that a command named on stderr."""
    line = next(line for line in ended.err.splitlines() if line.startswith("run "))
    return line.split()[1].rstrip(";:")


def document(folder: Path) -> Any:
    return json.loads((folder / "comparison.json").read_text())


def says(ended: Ended, code: int, *words: str) -> None:
    """One clear sentence and no trace."""
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err, ended.err


# rounds


def test_every_round_sends_one_job_per_target_in_the_order_that_the_seed_draws(
    account: Callable[..., Account], home: Path, folder: Path
) -> None:
    here = account()
    ended = here.run("compare", *TARGETS, "--requests", "4", "--jobs", "6", "--seed", "11", "--markdown", "report.md")
    assert ended.code == 0, ended.err
    found = document(folder)
    assert (found["rounds"], found["seed"], len(found["jobs"])) == (6, 11, 18)
    ledger = Ledger(home / "ledger.sqlite3")
    planned = [job.provider for job in in_order(ledger.jobs(run_id(ended)), 11)]
    sent = [entry["dialect"] for entry in here.journal("batches.create") if entry["stored"]]
    assert sent == [{"google": "gemini"}.get(name, name) for name in planned]
    assert "openai:" in (folder / "report.md").read_text()
    for each in found["jobs"]:
        assert each["submit_s"] is not None
        assert each["turnaround_s"] is not None
        assert each["download_s"] is not None
        assert each["completion_s"] >= each["submit_s"]


def test_several_models_of_one_provider_are_compared(run: Run, folder: Path) -> None:
    ended = run("compare", "--emulate", "--on", "openai:gpt-5-nano", "--on", "openai:gpt-4o-mini", "--requests", "3")
    assert ended.code == 0, ended.err
    assert [each["target"] for each in document(folder)["targets"]] == ["openai:gpt-5-nano", "openai:gpt-4o-mini"]


def test_rounds_are_spread_over_the_time_that_is_named(account: Callable[..., Account], folder: Path) -> None:
    ended = account().run("compare", *TARGETS[:4], "--requests", "2", "--jobs", "3", "--spread", "6s")
    assert ended.code == 0, ended.err
    found = document(folder)
    sent: dict[int, float] = {}
    for each in found["jobs"]:
        at = each["begun_at"]
        seconds = float(at[17:].rstrip("Z").partition("+")[0]) + 60 * int(at[14:16])
        sent[each["round"]] = min(seconds, sent.get(each["round"], 1e9))
    # two seconds apart by plan; a busy machine begins one of them late, and the next all the sooner after it
    assert sent[3] - sent[1] > 2
    assert sent[1] < sent[2] < sent[3]
    assert found["spread_s"] == 6.0


def test_a_comparison_that_was_killed_goes_on_in_the_same_rounds_and_buys_nothing_twice(
    account: Callable[..., Account], home: Path, folder: Path
) -> None:
    here = account()
    environment = clean_environment(home, **here.cloud.environment(), **QUICK)
    words = ["compare", *TARGETS, "--requests", "3", "--jobs", "6", "--spread", "12s", "--seed", "5"]
    process = subprocess.Popen(command(words), cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len([each for each in journal(here.cloud, "batches.create") if each["stored"]]) < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stderr is not None
    process.stderr.close()
    assert not (folder / "comparison.json").exists()
    before = here.run("report", "--json").json()
    assert any("not over" in each for each in before["caveats"])
    ended = here.run("resume")
    assert ended.code == 0, ended.err
    found = document(folder)
    assert (found["rounds"], found["seed"], len(found["jobs"])) == (6, 5, 18)
    assert {each["state"] for each in found["jobs"]} == {"succeeded"}
    assert len([each for each in here.journal("batches.create") if each["stored"]]) == 18
    planned = [job.provider for job in in_order(Ledger(home / "ledger.sqlite3").jobs(found["run_ids"][0]), 5)]
    sent = [entry["dialect"] for entry in here.journal("batches.create") if entry["stored"]]
    assert sent == [{"google": "gemini"}.get(name, name) for name in planned]


def test_a_target_whose_key_is_wrong_stands_in_the_report_and_the_others_finish(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account()
    ended = here.run("compare", *TARGETS, "--requests", "3", "--jobs", "2", ANTHROPIC_API_KEY="bad-key")
    assert ended.code == 1
    found = document(folder)
    assert any("anthropic" in each for each in found["caveats"])
    assert [each["states"] for each in found["targets"]][:2] == [{"succeeded": 2}, {"succeeded": 2}]


# answers


def test_expected_answers_are_matched_as_the_user_says(run: Run, folder: Path) -> None:
    rows = [{"prompt": f"Say {number}", "right": "[a-z]" if number % 2 else "^nothing$"} for number in range(8)]
    write_lines(folder / "rows.jsonl", rows)
    words = ("compare", "rows.jsonl", "--emulate", *TARGETS[:4], "--expect", "right")
    assert run(*words, "--match", "regex").code == 0
    scores = document(folder)["scores"]
    assert [each["share"]["n"] for each in scores["accuracies"]] == [8, 8]
    assert [each["share"]["hits"] for each in scores["accuracies"]] == [4, 4]
    again = run("report", "--expect", "right", "--match", "exact")
    assert again.code == 0, again.err
    assert [each["share"]["hits"] for each in document(folder)["scores"]["accuracies"]] == [0, 0]


def test_without_expected_answers_targets_are_measured_by_their_agreement(run: Run, folder: Path) -> None:
    write_lines(folder / "rows.jsonl", [{"prompt": f"Say {number}"} for number in range(5)])
    assert run("compare", "rows.jsonl", "--emulate", *TARGETS[:4]).code == 0
    scores = document(folder)["scores"]
    assert (scores["match"], scores["accuracies"]) == (None, [])
    assert scores["agreements"][0]["share"]["n"] == 5


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--expect", "nowhere"), ("nowhere", "no row")),
        (("--expect", "text"), ("text", "field of every answer")),
        (("--match", "fuzzy"), ("fuzzy", "contains, exact, numeric")),
        (("--match", "regex", "--expect", "kind"), ()),
        (("--spread", "tomorrow"), ("tomorrow", "24h")),
        (("--jobs", "0"), ("--jobs",)),
    ],
)
def test_wrong_options_are_said_before_anything_is_sent(
    run: Run, folder: Path, home: Path, words: tuple[str, ...], named: tuple[str, ...]
) -> None:
    ended = run("compare", "--emulate", *TARGETS[:4], "--requests", "4", *words)
    if not named:
        assert ended.code == 0
        return
    says(ended, 2, *named)
    assert not (home / "runs").exists()
    assert not (folder / "report.html").exists()


# reports of runs


def test_the_report_of_a_single_job_says_that_nothing_is_compared(run: Run, folder: Path) -> None:
    assert run("openai", "create", "--emulate", "--requests", "3").code == 0
    ended = run("report")
    assert ended.code == 0, ended.err
    assert "nothing is compared" in ended.out
    assert "emulated" in ended.out
    assert (folder / "report.html").exists()


def test_runs_of_different_workloads_are_compared_only_by_force_and_the_report_says_so_first(
    run: Run, folder: Path
) -> None:
    write_lines(folder / "one.jsonl", [{"prompt": "Say 1"}])
    write_lines(folder / "two.jsonl", [{"prompt": "Say 2"}])
    first = run_id(run("run", "one.jsonl", "--on", "openai", "--emulate"))
    second = run_id(run("run", "two.jsonl", "--on", "google", "--emulate"))
    says(run("report", first, second), 2, first, second, "different workloads", "--force")
    assert not (folder / "report.html").exists()
    ended = run("report", first, second, "--force")
    assert ended.code == 0, ended.err
    assert document(folder)["caveats"][0].startswith("Not a fair comparison")
    assert ended.out.index("Not a fair comparison") < ended.out.index("Turnaround")


def test_emulated_and_real_runs_are_never_mixed_silently(account: Callable[..., Account], folder: Path) -> None:
    here = account()
    write_lines(folder / "rows.jsonl", [{"prompt": "Say 1"}])
    real = run_id(here.run("run", "rows.jsonl", "--on", "openai"))
    emulated = run_id(here.command("run", "rows.jsonl", "--on", "google", "--emulate"))
    says(here.run("report", real, emulated), 2, f"{emulated} emulated", "--force")
    ended = here.run("report", real, emulated, "--force")
    assert ended.code == 0, ended.err
    found = document(folder)
    assert found["emulated"] is False
    assert "emulated" in found["caveats"][0]
    assert "EMULATED" in ended.out


def test_a_target_of_which_every_job_failed_has_no_curve_and_the_report_still_stands(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account("openai life -> fail-validation invalid_json_line")
    ended = here.run("compare", *TARGETS[:4], "--requests", "3", "--jobs", "6")
    assert ended.code == 1, ended.err
    found = document(folder)
    assert found["targets"][0]["states"] == {"failed": 6}
    assert found["analysis"]["targets"][0]["finished"] == 0
    verdicts = {each["question"]: each for each in found["analysis"]["verdicts"]}
    assert verdicts["fastest"]["winner"] is None
    assert verdicts["most reliable"]["winner"] == found["targets"][1]["target"]


def test_a_report_of_an_unknown_run_or_of_two_kinds_of_sources_is_refused(run: Run, folder: Path) -> None:
    says(run("report"), 4, "no run")
    write_lines(folder / "t.jsonl", [{"created_at": 1, "status": "completed", "turnaround_s": 5}])
    says(run("report", "--timings", "t.jsonl", "--history", "openai"), 2, "--history and --timings")
    says(run("report", "nowhere"), 4, "nowhere")
    says(run("report", "--as", "openai:x"), 2, "--as")


# history and records


def test_the_history_of_accounts_is_read_and_nothing_is_sent(account: Callable[..., Account], folder: Path) -> None:
    here = account()
    assert here.run("compare", *TARGETS, "--requests", "3", "--jobs", "6").code == 0
    before = len(here.journal("batches.create"))
    ended = here.run("report", "--history", "openai", "--history", "google", "--hours", "2")
    assert ended.code == 0, ended.err
    found = document(folder)
    assert found["kind"] == "history"
    assert len(found["jobs"]) == 12
    assert {each["target"].partition(":")[0] for each in found["targets"]} == {"openai", "google"}
    assert len(here.journal("batches.create")) == before


def test_records_of_anybody_give_the_same_statistics(run: Run, folder: Path) -> None:
    lines = ["created_at,status,turnaround_s,round"]
    lines += [f"{1_760_000_000 + 3600 * n},completed,{100 + n},{n}" for n in range(12)]
    lines += ["1760500000,cancelled,,13", "1760500000,strange,5,14", "1760500000,completed,-5,15"]
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    ended = run("report", "--timings", "records.csv", "--as", "openai:gpt-4o-mini")
    assert ended.code == 0, ended.err
    found = document(folder)
    only = found["analysis"]["targets"][0]
    assert (only["finished"], only["median"]["value_s"]) == (12, 105.0)
    assert sum(each["count"] for each in found["kept_out"]) == 2
    assert "strange" in ended.out


def test_a_file_of_records_without_its_columns_is_refused(run: Run, folder: Path) -> None:
    (folder / "records.csv").write_text("when,what\n1,2\n")
    says(run("report", "--timings", "records.csv", "--as", "openai:x"), 2, "records.csv", "created_at")
    says(run("report", "--timings", "nowhere.csv", "--as", "openai:x"), 2, "nowhere.csv")


# what stops a comparison


def test_a_comparison_that_waits_for_its_next_round_ends_when_it_is_cancelled(
    account: Callable[..., Account], home: Path, folder: Path
) -> None:
    here = account()
    environment = clean_environment(home, **here.cloud.environment(), **QUICK)
    words = ["compare", *TARGETS[:4], "--requests", "3", "--jobs", "3", "--spread", "2h"]
    process = subprocess.Popen(command(words), cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    ledger = home / "ledger.sqlite3"
    while not ledger.exists() or sum(job.ended_at is not None for job in all_jobs(ledger)) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert here.run("cancel", all_jobs(ledger)[0].run_id).code == 0
    _, said = process.communicate(timeout=45)
    assert process.returncode == 1, said
    found = document(folder)
    assert {tuple(each["states"].items()) for each in found["targets"]} == {(("succeeded", 1), ("cancelled", 2))}
    # what the user called off is nobody's failure
    assert [each["success"]["value"] for each in found["analysis"]["targets"]] == [1.0, 1.0]


def all_jobs(path: Path) -> list[Any]:
    ledger = Ledger(path)
    try:
        return [job for line in ledger.runs() for job in ledger.jobs(line.id)]
    finally:
        ledger.close()


def test_a_job_that_still_runs_counts_as_not_done_up_to_the_last_look_at_it(
    account: Callable[..., Account], home: Path, folder: Path
) -> None:
    here = account("openai life nth=1 -> stuck 100000")
    environment = clean_environment(home, **here.cloud.environment(), **QUICK, PYTHONFAULTHANDLER="1")
    words = ["compare", *TARGETS[:4], "--requests", "2", "--jobs", "2"]
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command(words), cwd=folder, env=environment, stderr=said)
    deadline = time.monotonic() + 60
    ledger = home / "ledger.sqlite3"
    while not ledger.exists() or sum(job.ended_at is not None for job in all_jobs(ledger)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ended = time.monotonic()
    while time.monotonic() < ended + 6:  # how long the stuck one has waited is what this is about
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        process.wait()
        pytest.fail(f"an interrupt did not end it:\n{(folder / 'said').read_text()}")
    assert here.run("report").code == 0
    stuck = next(each for each in document(folder)["jobs"] if each["state"] in ("queued", "running"))
    assert stuck["unfinished_s"] >= 4


def test_a_column_that_no_answer_has_is_said_and_a_field_of_every_answer_is_refused(run: Run, folder: Path) -> None:
    assert run("compare", "--emulate", *TARGETS[:4], "--requests", "3").code == 0
    says(run("report", "--expect", "text"), 2, "text", "field of every answer")
    ended = run("report", "--expect", "nowhere")
    assert ended.code == 0, ended.err
    assert "nowhere" in ended.out


def test_records_need_a_provider_and_a_model(run: Run, folder: Path) -> None:
    write_lines(folder / "t.jsonl", [{"created_at": 1, "status": "completed", "turnaround_s": 5}])
    says(run("report", "--timings", "t.jsonl", "--as", "openai"), 2, "openai", "openai:gpt-4o-mini")
