"""Calls that go wrong in every way: every row is answered in the end, and of each shard attempt one batch was made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.crash.conftest import PROVIDERS, Site, Zygote, at_once, opened, opened_all, write_rows

ROWS = 10
SETTINGS = {"BATCHMARK_PATIENCE_S": "60", "BATCHMARK_CREATE_TIMEOUT_S": "1.5"}

# What befalls the calls of each dialect; the first shard's create is the first of three or more.
CALLS = {
    "stored, no answer": ["batches.create* nth=1 -> drop-after-store"],
    "each stored, none answered": ["batches.create* nth=1..3 -> drop-after-store"],
    "not stored, no answer": ["batches.create* nth=1 -> drop-before-store"],
    "stored, answered too late": ["batches.create* nth=2 -> answer-late 4"],
    "not stored, 503": ["batches.create* nth=1 -> status 503"],
    "not stored, 429": ["batches.create* nth=1 -> status 429 retry-after=1"],
    "shown late": ["batches.create* nth=1 -> drop-after-store", "batches.create* nth=1 -> visible-late 1"],
    "lists drop out": ["batches.list p=0.3 seed=4 -> drop-before-store"],
    "lists are refused": ["batches.list p=0.3 seed=3 -> status 503", "batches.list p=0.1 seed=5 -> status 429 retry-after=1"],
    "batches are denied": ["batches.retrieve p=0.3 seed=3 -> status 404", "batches.get p=0.3 seed=3 -> status 404"],
}  # fmt: skip


def of_each(*rules: str) -> list[str]:
    """Each rule for each dialect that knows the operation: what one provider is asked counts for it alone."""
    from batchmark.emulator.faults import RuleError, parse

    made = []
    for dialect in ("openai", "anthropic", "gemini"):
        for rule in rules:
            try:
                parse(f"{dialect} {rule}")
            except RuleError:
                continue
            made.append(f"{dialect} {rule}")
    return made


def words(site: Site) -> list[str]:
    return ["run", "rows.jsonl", "--on", site.provider, "-o", "answers.jsonl", "--shard-rows", "4"]


def check_ended(site: Site, batches: int = 3) -> None:
    assert [(row["row"], row["custom_id"], row["mine"], row["outcome"]) for row in site.rows()] == [
        (number, f"id-{number}", number, "succeeded") for number in range(ROWS)
    ]
    assert len(site.made()) == batches
    site.check_bought_once()


@pytest.mark.parametrize("what", CALLS)
def test_calls_that_go_wrong_end_in_one_batch_per_shard(tmp_path: Path, zygote: Zygote, what: str) -> None:
    with opened_all(tmp_path, zygote, of_each(*CALLS[what])) as sites:
        for site in sites:
            site.settings |= SETTINGS
            write_rows(site.folder, ROWS)
        for site, ended in zip(sites, at_once(sites, words), strict=True):
            assert ended.code == 0, (site.provider, ended)
            check_ended(site)


@pytest.mark.parametrize(
    "site",
    [
        ("openai", "openai files.content nth=1 -> truncate 0.5"),
        ("anthropic", "anthropic batches.results nth=1 -> truncate 0.5"),
        ("google", "gemini batches.get nth=2 -> truncate 0.5"),
        ("openai", "openai files.create nth=1..2 -> drop-before-store"),
        ("openai", "openai answers -> reorder"),
        ("anthropic", "anthropic answers row=1 -> duplicate-line", "anthropic answers row=2 -> foreign-line"),
        ("google", "preset:gemini-reordered"),
        ("openai", "openai answers row=1 label=*-1 -> foreign-line", "openai answers row=0 -> duplicate-line"),
    ],
    indirect=True,
    ids=str,
)
def test_results_that_come_broken_are_put_right_without_a_second_batch(site: Site) -> None:
    write_rows(site.folder, ROWS)
    site.settings |= SETTINGS
    ended = site.run(*words(site))
    assert ended.code == 0, ended.err
    names = site.uploads()
    assert len(site.made()) == 3
    site.check_bought_once(uploaded_again=names.total() - len(names))
    assert [(row["row"], row["mine"], row["outcome"]) for row in site.rows()] == [
        (number, number, "succeeded") for number in range(ROWS)
    ]


@pytest.mark.parametrize(
    ("rule", "again"),
    [
        ("answers row=1 label=*-1 -> drop-line", 3),
        ("answers row=1..2 label=*-1 -> fail 500", 3),
        ("life label=*-1 -> expire after=0.5", 3),
        ("answers row=1 label=*-1 -> fail 429", 3),
    ],
)
def test_rows_without_an_answer_are_asked_again_and_only_they(
    tmp_path: Path, zygote: Zygote, rule: str, again: int
) -> None:
    with opened_all(tmp_path, zygote, of_each(rule)) as sites:
        for site in sites:
            write_rows(site.folder, ROWS)
        for site, ended in zip(sites, at_once(sites, words), strict=True):
            assert ended.code == 0, (site.provider, ended.err)
            check_ended(site, batches=3 + again)
            asked_again = sum(each.rows for each in site.made() if each.label.endswith("-2"))
            assert asked_again == sum(row["attempt"] == 2 for row in site.rows())
            assert 0 < asked_again < ROWS or (site.provider == "google" and "expire" in rule)


@pytest.mark.parametrize(
    "site",
    [(provider, "* answers row=1 -> corrupt-line") for provider in ("openai", "anthropic")],
    indirect=True,
    ids=str,
)
def test_a_row_whose_line_is_broken_is_named_missing(site: Site) -> None:
    write_rows(site.folder, 5)
    ended = site.run("run", "rows.jsonl", "--on", site.provider, "-o", "answers.jsonl", "--attempts", "1")
    assert ended.code == 1, ended.err
    outcomes = [row["outcome"] for row in site.rows()]
    assert outcomes == ["succeeded", "missing", "succeeded", "succeeded", "succeeded"]
    site.check_bought_once()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_row_that_fails_at_every_attempt_ends_with_its_last_error(
    tmp_path: Path, zygote: Zygote, provider: str
) -> None:
    with opened(provider, tmp_path, zygote, ["* answers row=0 -> fail 500"]) as site:
        write_rows(site.folder, 5)
        ended = site.run("run", "rows.jsonl", "--on", provider, "-o", "answers.jsonl", "--attempts", "3")
        assert ended.code == 1, ended.err
        first, *others = site.rows()
        assert (first["outcome"], first["attempt"], first["error"]["retryable"]) == ("errored", 3, True)
        assert {row["outcome"] for row in others} == {"succeeded"}
        assert sorted(each.rows for each in site.made()) == [1, 1, 5]
        site.check_bought_once()


@pytest.mark.parametrize("site", [("openai", "openai life nth=1 -> token-limit")], indirect=True)
def test_a_batch_that_met_a_full_queue_is_sent_again_with_the_same_file(site: Site) -> None:
    write_rows(site.folder, ROWS)
    site.settings |= {"BATCHMARK_PROBE_S": "0.2"}
    ended = site.run(*words(site))
    assert ended.code == 0, ended.err
    assert [(row["row"], row["mine"], row["outcome"], row["attempt"]) for row in site.rows()] == [
        (number, number, "succeeded", 1) for number in range(ROWS)
    ]
    assert sorted(site.uploads().values()) == [1, 1, 1]
    labels = Counter(each.label for each in site.made())
    assert set(labels.values()) == {1}
    assert len(labels) == 4, "three batches, and one that found no room and cost nothing"
