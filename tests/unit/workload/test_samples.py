"""The bundled questions: what every first run sends must be well-formed, mixed and checkable."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest

KINDS = {"fact": 12, "arithmetic": 12, "classification": 8, "extraction": 8, "rewriting": 8}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    text = files("batchmark.workload").joinpath("samples", "questions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_row_has_the_fields_that_the_note_beside_it_promises(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        wanted = {"custom_id", "prompt", "max_tokens", "kind"}
        if row["kind"] != "rewriting":
            wanted.add("expected")
        assert set(row) == wanted, row
        assert row["max_tokens"] == 48
        assert row["prompt"].strip() == row["prompt"] != ""


def test_no_two_rows_share_an_id_or_a_question(rows: list[dict[str, Any]]) -> None:
    assert len({row["custom_id"] for row in rows}) == len(rows) == 48
    assert len({row["prompt"] for row in rows}) == len(rows)


def test_the_kinds_are_balanced(rows: list[dict[str, Any]]) -> None:
    assert Counter(row["kind"] for row in rows) == KINDS


def test_the_first_rows_of_any_number_are_a_mixture(rows: list[dict[str, Any]]) -> None:
    assert {row["kind"] for row in rows[:5]} == set(KINDS)
    for first, second in pairwise(rows):
        assert first["kind"] != second["kind"], (first["custom_id"], second["custom_id"])


def test_arithmetic_has_a_number_as_its_answer(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["kind"] == "arithmetic":
            float(row["expected"])
            assert "number only" in row["prompt"]


def test_an_expected_label_is_one_of_those_the_prompt_allows(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["kind"] == "classification":
            allowed = row["prompt"].split(":", 1)[1].split(".", 1)[0]
            assert row["expected"] in allowed.replace(",", " ").replace(" or ", " ").split(), row


def test_an_extraction_can_be_found_in_its_text(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["kind"] == "extraction" and "YYYY-MM-DD" not in row["prompt"]:
            for part in row["expected"].split(", "):
                assert part in row["prompt"], row


def test_prompts_and_answers_are_short_enough_for_the_smallest_model(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert len(row["prompt"].split()) <= 60, row
        assert len(row.get("expected", "").split()) <= 8, row
