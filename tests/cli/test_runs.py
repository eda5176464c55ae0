"""`run`, `runs`, `show`, `watch` and `resume` as users run them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchmark.domain.lifecycle import State
from batchmark.ledger.store import Ledger
from tests.cli.conftest import Account, Ended, Run
from tests.support import answers_in, write_lines

PROVIDERS = ["openai", "google", "anthropic"]
FAIL = "* answers row%10 -> fail 500"


def questions(folder: Path, count: int, **more: Any) -> Path:
    rows = [{"custom_id": f"id {number}", "prompt": f"Say {number}", "mine": number, **more} for number in range(count)]
    return write_lines(folder / "rows.jsonl", rows)


def run_id(ended: Ended) -> str:
    """The id that a command named on stderr."""
    line = next(line for line in ended.err.splitlines() if line.startswith("run "))
    return line.split()[1].rstrip(";:")


def nothing_recorded(home: Path) -> bool:
    """Neither in the ledger nor among the files."""
    ledger = home / "ledger.sqlite3"
    runs = home / "runs"
    return (not ledger.exists() or Ledger(ledger).runs() == []) and not (
        runs.exists() and any(path.is_file() for path in runs.rglob("*"))
    )


# the way of a run


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_run_leaves_every_answer_on_its_row_in_the_file_that_was_named(run: Run, folder: Path, provider: str) -> None:
    questions(folder, 25)
    ended = run("run", "rows.jsonl", "--on", provider, "-o", "answers.jsonl", "--shard-rows", "10", "--emulate")
    assert ended.code == 0, ended.err
    assert "25 succeeded" in ended.out and "(emulated)" in ended.out
    assert "answers.jsonl" in ended.out
    answers = answers_in(folder / "answers.jsonl")
    assert [each["row"] for each in answers] == list(range(25))
    assert [each["mine"] for each in answers] == list(range(25))
    assert [each["custom_id"] for each in answers] == [f"id {number}" for number in range(25)]
    assert {(each["outcome"], each["attempt"]) for each in answers} == {("succeeded", 1)}
    assert all(each["text"] and each["cost_usd"] > 0 for each in answers)
    assert len({each["batch_id"] for each in answers}) == 3


def test_the_plan_is_said_before_anything_is_sent(run: Run, folder: Path) -> None:
    questions(folder, 5, max_tokens=7)
    ended = run("run", "rows.jsonl", "--on", "openai:gpt-5-nano", "--emulate")
    assert ended.code == 0, ended.err
    plan, _, rest = ended.err.partition(f"run {run_id(ended)}")
    for word in ("openai:gpt-5-nano", "5 of rows.jsonl", "at most 35 out", "batches", "cost", "on the wire"):
        assert word in plan
    assert "batchmark resume" in rest
    # data alone on stdout
    assert "Plan" not in ended.out


def test_without_a_named_file_the_answers_are_where_the_command_says(run: Run, folder: Path) -> None:
    questions(folder, 3)
    ended = run("run", "rows.jsonl", "--on", "openai", "--emulate")
    assert ended.code == 0, ended.err
    path = next(line.split(maxsplit=1)[1] for line in ended.out.splitlines() if line.strip().startswith("answers"))
    assert len(answers_in(Path(path))) == 3


def test_a_csv_becomes_prompts_by_a_template_and_its_columns_come_back(run: Run, folder: Path) -> None:
    (folder / "rows.csv").write_text('country,score\nJapan,1\n"Côte d\'Ivoire, the",2\n')
    ended = run(
        "run", "rows.csv", "--on", "openai", "--emulate", "-o", "a.jsonl",
        "--prompt", "Capital of {country}? {{one}} word", "--system", "Be terse.", "--max-tokens", "5",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    answers = answers_in(folder / "a.jsonl")
    assert [each["country"] for each in answers] == ["Japan", "Côte d'Ivoire, the"]
    assert [str(each["score"]) for each in answers] == ["1", "2"]
    assert "at most 10 out" in ended.err


def test_jsonl_rows_become_prompts_by_a_template(run: Run, folder: Path) -> None:
    write_lines(folder / "rows.jsonl", [{"q": "one", "lang": "de"}, {"q": "two", "lang": "fr"}])
    ended = run("run", "rows.jsonl", "--on", "anthropic", "--emulate", "-o", "a.jsonl", "--prompt", "In {lang}: {q}")
    assert ended.code == 0, ended.err
    assert [(each["q"], each["lang"]) for each in answers_in(folder / "a.jsonl")] == [("one", "de"), ("two", "fr")]


def test_a_column_that_the_template_names_and_a_row_lacks_is_named(run: Run, folder: Path, home: Path) -> None:
    write_lines(folder / "rows.jsonl", [{"q": "one"}, {"question": "two"}])
    ended = run("run", "rows.jsonl", "--on", "openai", "--emulate", "--prompt", "{q}")
    assert ended.code == 2
    assert "line 2" in ended.err and "no column q" in ended.err and "Nothing was sent" in ended.err
    assert nothing_recorded(home)


def test_so_many_requests_repeat_the_file_in_order(run: Run, folder: Path) -> None:
    questions(folder, 3)
    ended = run("run", "rows.jsonl", "--on", "google", "--emulate", "-o", "a.jsonl", "--requests", "8")
    assert ended.code == 0, ended.err
    assert [each["mine"] for each in answers_in(folder / "a.jsonl")] == [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_run_that_is_not_waited_for_is_gone_on_with(run: Run, folder: Path, provider: str) -> None:
    questions(folder, 5)
    sent = run("run", "rows.jsonl", "--on", provider, "--no-wait", "-o", "a.jsonl", "--emulate")
    assert sent.code == 0, sent.err
    assert not (folder / "a.jsonl").exists()
    assert f"batchmark resume {run_id(sent)}" in sent.err
    # no word about the emulator is needed: the run knows where it began
    ended = run("resume")
    assert ended.code == 0, ended.err
    assert "5 succeeded" in ended.out
    assert len(answers_in(folder / "a.jsonl")) == 5
    assert len(run(provider, "list", "--emulate", "--json").json()["batches"]) == 1


def test_a_run_is_one_document_where_json_is_asked_for(run: Run, folder: Path) -> None:
    path = questions(folder, 5)
    document = run("run", "rows.jsonl", "--on", "openai", "--emulate", "--shard-rows", "3", "--json").json()
    assert (document["kind"], document["emulated"], document["rows"], document["rows_done"]) == ("run", True, 5, 5)
    assert (document["totals"]["submitted"], document["totals"]["succeeded"]) == (5, 5)
    assert document["states"] == {"collected": 2}
    assert document["worked_on_by"] is None and document["ended_at"] is not None
    assert document["input"]["path"] == str(path) and document["input"]["rows"] == 5
    assert document["options"]["attempts"] == 3
    (job,) = document["jobs"]
    assert (job["provider"], job["rows"], job["unsent_batches"], job["batches_in_doubt"]) == ("openai", 5, 0, 0)
    assert [each["state"] for each in job["batches"]] == ["succeeded", "succeeded"]
    assert len(answers_in(Path(job["answers"]))) == 5
    # and the same later
    shown = run("show", document["run"], "--json").json()
    assert {name: value for name, value in shown.items() if name != "late"} == document
    assert shown["late"] == []
    again = run("resume", document["run"], "--json").json()
    assert again == document


def test_quiet_leaves_data_alone(run: Run, folder: Path) -> None:
    questions(folder, 3)
    ended = run("run", "rows.jsonl", "--on", "openai", "--emulate", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert "3 succeeded" in ended.out


# rows that fail


def test_rows_that_go_on_failing_end_with_one_and_are_summed_up_by_their_error(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account(FAIL)
    questions(folder, 25)
    ended = here.run("run", "rows.jsonl", "--on", "openai", "-o", "a.jsonl", "--attempts", "3")
    assert ended.code == 1, ended.err
    assert "(emulated)" not in ended.out
    errors = [line for line in ended.out.splitlines() if " x " in line]
    # rows 0, 10 and 20 at first; of those three, the first again; and once more
    assert len(errors) == 1 and "failed   1 x " in errors[0] and "asked 3 times" in errors[0]
    assert "24 succeeded" in ended.out and "1 errored" in ended.out
    answers = answers_in(folder / "a.jsonl")
    assert [each["attempt"] for each in answers if each["row"] in (0, 10, 20)] == [3, 2, 2]
    assert (answers[0]["outcome"], answers[0]["error"]["retryable"], answers[0]["text"]) == ("errored", True, None)
    assert [line for line in ended.err.splitlines() if "rows are asked again: " in line]
    assert len(here.batches("openai")) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_row_that_fails_was_asked_so_often_as_was_wanted(
    account: Callable[..., Account], folder: Path, provider: str
) -> None:
    here = account("* answers row%1 -> fail 500")
    questions(folder, 4)
    ended = here.run("run", "rows.jsonl", "--on", provider, "-o", "a.jsonl", "--json")
    assert ended.code == 1, ended.err
    assert [each["attempt"] for each in answers_in(folder / "a.jsonl")] == [3, 3, 3, 3]
    totals = ended.json()["totals"]
    assert (totals["submitted"], totals["succeeded"], totals["errored"]) == (4, 0, 4)
    (group,) = totals["errors"].values()
    assert (group["count"], group["retryable"]) == (4, True)
    assert len(here.batches(provider)) == 3


def test_one_attempt_asks_once(account: Callable[..., Account], folder: Path) -> None:
    here = account(FAIL)
    questions(folder, 5)
    assert here.run("run", "rows.jsonl", "--on", "openai", "--attempts", "1").code == 1
    assert len(here.batches("openai")) == 1


@pytest.mark.parametrize("attempts", ["0", "10", "many", "-1"])
def test_attempts_are_from_one_to_nine(run: Run, folder: Path, home: Path, attempts: str) -> None:
    questions(folder, 1)
    ended = run("run", "rows.jsonl", "--on", "openai", "--emulate", "--attempts", attempts)
    assert ended.code == 2 and "--attempts" in ended.err
    assert nothing_recorded(home)


def test_an_unknown_model_is_refused_with_every_row_accounted_for(run: Run, folder: Path) -> None:
    questions(folder, 3)
    ended = run("run", "rows.jsonl", "--on", "openai:no-such-model", "--emulate", "-o", "a.jsonl")
    assert ended.code in (1, 4), ended.err
    assert "no-such-model" in ended.out + ended.err
    assert {each["outcome"] for each in answers_in(folder / "a.jsonl")} == {"errored"}


# what is refused before anything is sent


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on", "opanai"], "opanai"),
        (["--on", "openai:"], "openai:"),
        (["--on", ":gpt-5-nano"], "gpt-5-nano"),
        ([], "--on"),
        (["--on", "openai", "--shard-rows", "0"], "--shard-rows"),
        (["--on", "openai", "--max-cost", "-1"], "--max-cost"),
        (["--on", "openai", "--prompt", "{open"], "brace"),
        (["--on", "openai", "--stall", "panic"], "panic"),
        (["--on", "openai", "-o", "none/a.jsonl"], "no folder none"),
    ],
)
def test_a_call_that_makes_no_sense_sends_nothing(
    run: Run, folder: Path, home: Path, words: list[str], said: str
) -> None:
    questions(folder, 1)
    ended = run("run", "rows.jsonl", *words, "--emulate")
    assert ended.code == 2, ended.err
    assert said in ended.err and "Traceback" not in ended.err
    assert nothing_recorded(home)


def test_what_may_cost_too_much_is_not_sent(run: Run, folder: Path, home: Path) -> None:
    questions(folder, 20, max_tokens=1000)
    words = ["run", "rows.jsonl", "--on", "openai:gpt-5-nano", "--emulate", "-o", "a.jsonl"]
    ended = run(*words, "--max-cost", "0.0001")
    assert ended.code == 2, ended.err
    assert "above --max-cost 0.0001" in ended.err and "Nothing was sent" in ended.err
    assert nothing_recorded(home)
    assert not (folder / "a.jsonl").exists()
    assert run("openai", "list", "--emulate", "--json").json()["batches"] == []
    assert run(*words, "--max-cost", "1").code == 0


def test_a_cost_without_an_upper_bound_cannot_be_promised(run: Run, folder: Path, home: Path) -> None:
    questions(folder, 2)
    words = ["run", "rows.jsonl", "--on", "openai:gpt-5-nano", "--emulate"]
    ended = run(*words, "--max-cost", "100")
    assert ended.code == 2, ended.err
    assert "no upper bound" in ended.err and "--max-tokens" in ended.err
    assert nothing_recorded(home)
    assert run(*words, "--max-cost", "100", "--max-tokens", "50").code == 0
    unpriced = run(
        "run", "rows.jsonl", "--on", "openai:nobody-knows", "--emulate", "--max-cost", "100", "--max-tokens", "5"
    )
    assert unpriced.code == 2 and "no price is known" in unpriced.err


def test_an_output_that_is_there_is_replaced_only_with_force_and_only_by_a_whole_one(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account()
    questions(folder, 3)
    (folder / "a.jsonl").write_text("precious")
    words = ["run", "rows.jsonl", "--on", "openai", "-o", "a.jsonl"]
    refused = here.run(*words)
    assert refused.code == 2 and "exists already" in refused.err and "--force" in refused.err
    assert (here.batches("openai"), (folder / "a.jsonl").read_text()) == ([], "precious")
    # sent, but not whole yet
    assert here.run(*words, "--force", "--no-wait").code == 0
    assert (folder / "a.jsonl").read_text() == "precious"
    full = here.run("resume", BATCHMARK_DISK_FULL_AT="a.jsonl")
    assert full.code == 6 and "disk is full" in full.err and "batchmark resume" in full.err
    assert (folder / "a.jsonl").read_text() == "precious"
    ended = here.run("resume")
    assert ended.code == 0, ended.err
    assert len(answers_in(folder / "a.jsonl")) == 3
    assert len(here.batches("openai")) == 1


def test_the_input_is_never_the_output(run: Run, folder: Path, home: Path) -> None:
    path = questions(folder, 3)
    before = path.read_bytes()
    (folder / "link.jsonl").symlink_to(path)
    for name in ("rows.jsonl", "link.jsonl", "./rows.jsonl"):
        ended = run("run", "rows.jsonl", "--on", "openai", "--emulate", "-o", name, "--force")
        assert ended.code == 2 and "the input itself" in ended.err
    assert path.read_bytes() == before
    assert nothing_recorded(home)


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_a_file_without_rows_is_said_to_be_empty(run: Run, folder: Path, home: Path, content: str) -> None:
    (folder / "rows.jsonl").write_text(content)
    ended = run("run", "rows.jsonl", "--on", "openai", "--emulate")
    assert ended.code == 2 and "is empty" in ended.err
    assert nothing_recorded(home)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_prompt_of_ten_megabytes_goes_through_where_it_fits(run: Run, folder: Path, provider: str) -> None:
    write_lines(folder / "rows.jsonl", [{"prompt": "a"}, {"prompt": "x" * 10_000_000}, {"prompt": "b"}])
    ended = run("run", "rows.jsonl", "--on", provider, "--emulate", "-o", "a.jsonl")
    assert ended.code == 0, ended.err
    assert [each["outcome"] for each in answers_in(folder / "a.jsonl")] == ["succeeded"] * 3


@pytest.mark.parametrize("provider", ["google", "anthropic"])
def test_a_row_that_is_too_big_is_named_before_anything_is_sent(
    run: Run, folder: Path, home: Path, provider: str
) -> None:
    write_lines(folder / "rows.jsonl", [{"prompt": "a"}, {"prompt": "x" * 33_000_000}])
    ended = run("run", "rows.jsonl", "--on", provider, "--emulate", "--shard-rows", "1")
    assert ended.code == 2
    assert "line 2 (row 1)" in ended.err and "bytes on the wire; at most" in ended.err
    assert nothing_recorded(home)
    assert run(provider, "list", "--emulate", "--json").json()["batches"] == []


# looking


def test_runs_are_listed_newest_first(run: Run, folder: Path) -> None:
    assert run("runs").code == 0
    assert run("runs", "--json").json() == {"runs": []}
    questions(folder, 4)
    first = run("run", "rows.jsonl", "--on", "openai", "--emulate", "--json").json()["run"]
    second = run(
        "run", "rows.jsonl", "--on", "anthropic", "--emulate", "--no-wait", "--shard-rows", "2", "--json"
    ).json()["run"]
    listed = run("runs")
    assert listed.code == 0
    assert listed.out.index(second) < listed.out.index(first)
    assert "0 of 2 batches collected" in listed.out and "ended" in listed.out and "emulated" in listed.out
    newest, oldest = run("runs", "--json").json()["runs"]
    assert (newest["run"], newest["rows"], newest["provider"], newest["batches"], newest["batches_collected"]) == (
        second, 4, "anthropic", 2, 0,
    )  # fmt: skip
    assert (oldest["run"], oldest["batches_collected"], oldest["ended_at"] is None) == (first, 1, False)
    assert [each["run"] for each in run("runs", "--limit", "1", "--json").json()["runs"]] == [second]


def test_show_says_where_a_run_stands(account: Callable[..., Account], folder: Path) -> None:
    here = account(profile="demo")
    questions(folder, 4)
    sent = here.run("run", "rows.jsonl", "--on", "openai", "--no-wait", "--shard-rows", "2", "--json").json()
    shown = here.run("show")
    assert shown.code == 0, shown.err
    for word in (
        sent["run"],
        "0 of 4",
        "nobody",
        "2 queued",
        "submitted",
        *(each["id"] for each in sent["jobs"][0]["batches"]),
    ):
        assert word in shown.out
    assert f"batchmark resume {sent['run']}" in shown.err
    by_job = here.run("show", sent["jobs"][0]["job"], "--json").json()
    assert by_job["run"] == sent["run"]


@pytest.mark.parametrize("command", ["show", "watch", "resume", "cancel"])
def test_a_run_that_is_not_there_is_not_found(run: Run, command: str) -> None:
    ended = run(command, "zzzzzzzz")
    assert ended.code == 4
    assert "there is no run 'zzzzzzzz'" in ended.err and "batchmark runs" in ended.err


@pytest.mark.parametrize("command", ["show", "watch"])
def test_before_the_first_run_there_is_none_to_show(run: Run, command: str) -> None:
    ended = run(command)
    assert ended.code == 4 and "there is no run yet" in ended.err


def test_watching_an_ended_run_says_what_it_came_to(run: Run, folder: Path) -> None:
    questions(folder, 3)
    id_ = run("run", "rows.jsonl", "--on", "openai", "--emulate", "--json").json()["run"]
    watched = run("watch", id_)
    assert watched.code == 0
    assert "3 of 3 rows done" in watched.err and "3 succeeded" in watched.out
    assert run("watch", "--json").json()["run"] == id_


# going on


def test_with_nothing_unfinished_there_is_nothing_to_resume(run: Run, folder: Path) -> None:
    questions(folder, 1)
    assert run("run", "rows.jsonl", "--on", "openai", "--emulate").code == 0
    ended = run("resume")
    assert ended.code == 4 and "there is no unfinished run" in ended.err and "batchmark runs" in ended.err


def test_resuming_an_ended_run_says_its_summary_again_and_sends_nothing(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account()
    questions(folder, 3)
    first = here.run("run", "rows.jsonl", "--on", "google", "-o", "a.jsonl")
    before = (folder / "a.jsonl").read_bytes(), (folder / "a.jsonl").stat().st_mtime_ns
    again = here.run("resume", run_id(first))
    assert again.code == 0, again.err
    assert again.out == first.out
    assert ((folder / "a.jsonl").read_bytes(), (folder / "a.jsonl").stat().st_mtime_ns) == before
    assert len(here.journal("batches.create")) == 1


def test_answers_that_were_deleted_are_written_again_from_what_is_kept(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account()
    questions(folder, 5)
    first = here.run("run", "rows.jsonl", "--on", "openai", "-o", "a.jsonl", "--shard-rows", "2")
    content = (folder / "a.jsonl").read_bytes()
    (folder / "a.jsonl").unlink()
    assert here.run("resume", run_id(first)).code == 0
    assert (folder / "a.jsonl").read_bytes() == content
    assert len(here.journal("batches.create")) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_text(path.read_text() + '{"prompt": "one more"}\n'), "4 rows"),
        (lambda path: path.write_text(path.read_text().replace("Say 1", "Say 7")), "3 rows"),
        (lambda path: path.write_text("nonsense\n"), "something else"),
    ],
    ids=["longer", "other-words", "nonsense"],
)
def test_a_run_whose_input_was_changed_is_gone_on_with_only_as_it_was_sent(
    account: Callable[..., Account], folder: Path, change: Callable[[Path], object], said: str
) -> None:
    here = account()
    path = questions(folder, 3)
    sent = here.run("run", "rows.jsonl", "--on", "openai", "--no-wait", "-o", "a.jsonl")
    change(path)
    refused = here.run("resume")
    assert refused.code == 2, refused.err
    assert "was changed since" in refused.err and "held 3 rows" in refused.err and said in refused.err
    assert f"batchmark resume {run_id(sent)} --as-sent" in refused.err
    ended = here.run("resume", "--as-sent")
    assert ended.code == 0, ended.err
    assert [each["mine"] for each in answers_in(folder / "a.jsonl")] == [0, 1, 2]


def test_an_input_that_was_only_touched_or_is_gone_is_no_obstacle(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account()
    changes: dict[str, Callable[[Path], None]] = {"a.jsonl": Path.touch, "b.jsonl": Path.unlink}
    for name, change in changes.items():
        path = questions(folder, 3)
        assert here.run("run", "rows.jsonl", "--on", "openai", "--no-wait", "-o", name).code == 0
        change(path)
        ended = here.run("resume")
        assert ended.code == 0, ended.err
        assert len(answers_in(folder / name)) == 3
    assert "is gone; the run goes on" in ended.err


def test_a_run_is_gone_on_with_in_another_way_where_that_is_said(account: Callable[..., Account], folder: Path) -> None:
    here = account("* answers row=0 -> fail 500")
    questions(folder, 3)
    assert here.run("run", "rows.jsonl", "--on", "openai", "--no-wait", "--attempts", "1").code == 0
    ended = here.run("resume", "--attempts", "4", "--json")
    assert ended.code == 1, ended.err
    assert ended.json()["options"]["attempts"] == 4
    assert len(here.batches("openai")) == 4


def test_a_real_run_is_not_gone_on_with_without_a_key(account: Callable[..., Account], folder: Path, run: Run) -> None:
    here = account(profile="demo")
    questions(folder, 1)
    assert here.run("run", "rows.jsonl", "--on", "openai", "--no-wait").code == 0
    for environment in ({}, {"BATCHMARK_EMULATE": "1"}):
        ended = run("resume", **environment)
        assert ended.code == 3 and "no API key for openai" in ended.err


def test_a_ledger_of_a_newer_version_is_refused_in_one_sentence(run: Run, folder: Path, home: Path) -> None:
    questions(folder, 1)
    assert run("run", "rows.jsonl", "--on", "openai", "--emulate").code == 0
    with sqlite3.connect(home / "ledger.sqlite3") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    for words in (["runs"], ["show"], ["resume"], ["run", "rows.jsonl", "--on", "openai", "--emulate"]):
        ended = run(*words)
        assert ended.code == 6, ended.err
        errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and "newer batchmark" in errors[0]
        assert "Traceback" not in ended.err


# what is at the provider, and stops


def test_a_cancelled_run_sends_nothing_more_and_keeps_what_is_there(
    account: Callable[..., Account], folder: Path
) -> None:
    here = account(profile="demo")
    questions(folder, 6)
    sent = here.run(
        "run", "rows.jsonl", "--on", "openai", "--no-wait", "--shard-rows", "2", "--in-flight", "2", "-o", "a.jsonl"
    )
    assert sent.code == 0, sent.err
    assert len(here.batches("openai")) == 2
    cancelled = here.run("cancel", run_id(sent))
    assert cancelled.code == 0, cancelled.err
    assert "is being cancelled" in cancelled.out and f"batchmark resume {run_id(sent)}" in cancelled.err
    assert len(here.journal("batches.cancel")) == 2
    ended = here.run("resume")
    assert ended.code == 1, ended.err
    answers = answers_in(folder / "a.jsonl")
    assert [each["row"] for each in answers] == list(range(6))
    assert {each["outcome"] for each in answers[4:]} == {"cancelled"}
    assert {each["outcome"] for each in answers} <= {"succeeded", "cancelled"}
    assert len(here.batches("openai")) == 2
    over = here.run("cancel", run_id(sent))
    assert over.code == 4 and "is over" in over.err
    assert all(State(each["state"]).terminal for each in here.run("openai", "list", "--json").json()["batches"])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_run_that_found_no_room_says_so_and_is_cancelled_without_a_word_to_the_provider(
    account: Callable[..., Account], folder: Path, provider: str
) -> None:
    here = account("* batches.create -> status 429")
    questions(folder, 2)
    sent = here.run("run", "rows.jsonl", "--on", provider, "--no-wait", "-o", "a.jsonl")
    assert sent.code == 0, sent.err
    assert "1 waiting" in sent.out and "wait for room" in sent.err
    id_ = run_id(sent)
    assert here.run("cancel", id_).code == 0
    assert here.run("resume", id_).code == 1
    assert {each["outcome"] for each in answers_in(folder / "a.jsonl")} == {"cancelled"}
    assert (here.batches(provider), here.journal("batches.cancel")) == ([], [])


@pytest.mark.parametrize("provider", ["google", "anthropic"])
def test_a_batch_that_was_deleted_at_the_provider_is_given_up_by_cancelling(
    account: Callable[..., Account], folder: Path, provider: str
) -> None:
    here = account(profile="instant")
    questions(folder, 2)
    sent = here.run("run", "rows.jsonl", "--on", provider, "--no-wait", "-o", "a.jsonl", "--json").json()
    batch = sent["jobs"][0]["batches"][0]["id"]
    delete_there(here, provider, batch)
    assert here.batches(provider) == []
    cancelled = here.run("cancel", sent["run"])
    assert cancelled.code == 0, cancelled.err
    ended = here.run("resume", sent["run"])
    assert ended.code == 1, ended.err
    assert {each["outcome"] for each in answers_in(folder / "a.jsonl")} <= {"cancelled", "missing"}


def delete_there(here: Account, provider: str, batch: str) -> None:
    """As by hand, with the provider's own SDK."""
    environment = here.cloud.environment()
    if provider == "anthropic":
        import anthropic

        with anthropic.Anthropic(
            base_url=environment["ANTHROPIC_BASE_URL"], api_key=environment["ANTHROPIC_API_KEY"]
        ) as client:
            while client.messages.batches.retrieve(batch).processing_status != "ended":
                pass
            client.messages.batches.delete(batch)
        return
    from google import genai

    google = genai.Client(
        api_key=environment["GOOGLE_API_KEY"],
        http_options=genai.types.HttpOptions(base_url=environment["GOOGLE_GEMINI_BASE_URL"]),
    )
    google.batches.delete(name=batch)
    google.close()


# money in the middle of a run


def test_a_run_stops_before_it_costs_more_and_goes_on_where_more_is_allowed(
    account: Callable[..., Account], folder: Path
) -> None:
    # the second row of each batch is asked again, for which more money is needed
    here = account("* answers row=1 -> fail 500")
    questions(folder, 6, max_tokens=50)
    words = ["run", "rows.jsonl", "--on", "openai:gpt-5-nano", "--shard-rows", "2", "-o", "a.jsonl", "--attempts", "9"]
    plan = here.run(*words, "--no-wait", "--json", "--max-cost", "0.01").json()
    assert plan["options"]["max_cost_usd"] == 0.01
    ended = here.run("resume", "--max-cost", "0.0000001")
    assert ended.code == 2, ended.err
    assert "stopped at --max-cost" in ended.err and "every answer is kept" in ended.err
    assert f"batchmark resume {plan['run']} --max-cost" in ended.err
    assert len(here.batches("openai")) == 3
    assert here.run("resume", "--max-cost", "0.01").code == 0
    assert len(here.batches("openai")) == 6
    assert [each["row"] for each in answers_in(folder / "a.jsonl")] == list(range(6))


def test_json_documents_are_json_and_nothing_else(run: Run, folder: Path) -> None:
    questions(folder, 2)
    id_ = json.loads(run("run", "rows.jsonl", "--on", "openai", "--emulate", "--json").out)["run"]
    for words in (
        ["runs"],
        ["show", id_],
        ["watch", id_],
        ["resume", id_],
        ["export", id_, "-o", "e.jsonl"],
        ["clean", "--emulate"],
    ):
        ended = run(*words, "--json")
        assert ended.code == 0, ended.err
        assert isinstance(ended.json(), dict)
