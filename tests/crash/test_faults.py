"""Calls that go wrong in every way that leaves open whether a batch was made: one batch in the end, and every answer on its row."""

from __future__ import annotations

import pytest

from tests.crash.conftest import Site
from tests.crash.test_kill import PROVIDERS, told, write_rows

CREATE = {
    "stored, no answer": "* batches.create nth=1 -> drop-after-store",
    "not stored, no answer": "* batches.create nth=1 -> drop-before-store",
    "stored, answered too late": "* batches.create nth=1 -> answer-late 6",
    "not stored, 503": "* batches.create nth=1 -> status 503",
    "not stored, 429": "* batches.create nth=1 -> status 429 retry-after=1",
}
SETTINGS = {"BATCHMARK_PATIENCE_S": "60"}


def scenes() -> list[object]:
    return [
        pytest.param((provider, rule), id=f"{provider}-{what.replace(', ', '-').replace(' ', '-')}")
        for provider in PROVIDERS
        for what, rule in CREATE.items()
    ]


@pytest.mark.parametrize("site", scenes(), indirect=True)
def test_a_create_without_a_clear_answer_ends_in_one_batch(site: Site) -> None:
    write_rows(site.folder)
    site.settings |= SETTINGS
    ended = site.run(site.provider, "create", "rows.jsonl", "-o", "answers.jsonl")
    assert ended.code == 0, ended.err
    assert len(site.batches()) == 1
    assert [row[2] for row in told((site.folder / "answers.jsonl").read_text())] == list(range(5))


@pytest.mark.parametrize(
    "site",
    [
        (provider, "* batches.create nth=1 -> drop-after-store", "* batches.create nth=1 -> visible-late 1.5")
        for provider in PROVIDERS
    ],
    indirect=True,
    ids=PROVIDERS,
)
def test_a_batch_that_shows_itself_late_is_waited_for_and_not_made_again(site: Site) -> None:
    write_rows(site.folder)
    site.settings |= SETTINGS
    ended = site.run(site.provider, "create", "rows.jsonl", "-o", "answers.jsonl")
    assert ended.code == 0, ended.err
    assert len(site.batches()) == 1


@pytest.mark.parametrize(
    "site",
    [
        ("openai", "openai files.content nth=1 -> truncate 0.5"),
        ("anthropic", "anthropic batches.results nth=1 -> truncate 0.5"),
        ("google", "gemini batches.get nth=2 -> truncate 0.5"),
        ("openai", "* files.create nth=1 -> drop-before-store"),
        ("openai", "* batches.list p=0.3 seed=3 -> status 503"),
        ("anthropic", "* batches.list p=0.3 seed=4 -> drop-before-store"),
        ("google", "* batches.list p=0.3 seed=5 -> status 429 retry-after=1"),
        ("openai", "openai answers -> reorder"),
        ("anthropic", "anthropic answers row=1 -> duplicate-line", "anthropic answers row=2 -> foreign-line"),
        ("google", "preset:gemini-reordered"),
    ],
    indirect=True,
    ids=str,
)
def test_calls_that_may_be_repeated_are_until_every_answer_is_here(site: Site) -> None:
    write_rows(site.folder)
    site.settings |= SETTINGS
    ended = site.run(site.provider, "create", "rows.jsonl", "-o", "answers.jsonl")
    assert ended.code == 0, ended.err
    assert len(site.batches()) == 1
    assert [row[2] for row in told((site.folder / "answers.jsonl").read_text())] == list(range(5))


@pytest.mark.parametrize(
    "site",
    [("openai", "openai answers row=1 -> drop-line"), ("anthropic", "* answers row=1 -> corrupt-line")],
    indirect=True,
    ids=str,
)
def test_a_row_whose_line_is_lost_or_broken_is_named_missing(site: Site) -> None:
    write_rows(site.folder)
    ended = site.run(site.provider, "create", "rows.jsonl", "-o", "answers.jsonl")
    assert ended.code == 1, ended.err
    outcomes = [row[3] for row in told((site.folder / "answers.jsonl").read_text())]
    assert outcomes == ["succeeded", "missing", "succeeded", "succeeded", "succeeded"]
