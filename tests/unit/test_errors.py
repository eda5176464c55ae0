"""The error tree: exit codes follow the type, and no key gets out through a message."""

from __future__ import annotations

import pytest

from batchmark.errors import (
    Ambiguous,
    BadCredentials,
    BadInput,
    BatchmarkError,
    Configuration,
    LocalTrouble,
    NotFound,
    RateLimited,
    Refused,
    Retryable,
    RowError,
    redact,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (BadInput, 2),
        (Configuration, 3),
        (BadCredentials, 3),
        (Refused, 4),
        (NotFound, 4),
        (Ambiguous, 5),
        (Retryable, 6),
        (RateLimited, 6),
        (LocalTrouble, 6),
        (BatchmarkError, 70),
    ],
)
def test_the_type_decides_the_exit_code(kind: type[BatchmarkError], code: int) -> None:
    error = kind("something happened", hint="do that")
    assert (error.exit_code, error.message, error.hint, str(error)) == (
        code,
        "something happened",
        "do that",
        "something happened",
    )


def test_a_row_error_names_file_line_and_row_and_says_that_nothing_was_sent() -> None:
    error = RowError("prompt must be text", path="in.jsonl", line=7, row=5)
    assert error.message == "in.jsonl line 7 (row 5): prompt must be text. Nothing was sent"
    assert error.exit_code == 2
    assert (error.path, error.line, error.row, error.reason) == ("in.jsonl", 7, 5, "prompt must be text")


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abc123def456.",
        "Incorrect API key provided: sk-ab***********wxyz.",
        "key AIzaSyA1234567890abcdefghijklmnopq is not valid",
        "header Authorization: Bearer abc.def-ghi was refused",
        "sk-ant-api03-AbCdEf_123-xyz is unknown",
    ],
)
def test_whatever_looks_like_a_key_is_taken_out(text: str) -> None:
    said = redact(text)
    assert "[key]" in said
    for piece in ("abc123", "wxyz", "1234567890", "abc.def", "AbCdEf"):
        assert piece not in said


def test_the_known_key_is_taken_out_whatever_it_looks_like() -> None:
    assert redact("the key hunter22 is wrong, hunter22!", "hunter22", None) == "the key [key] is wrong, [key]!"


def test_a_secret_too_short_to_be_a_key_leaves_the_text_alone() -> None:
    assert redact("a cat sat", "at", "") == "a cat sat"


def test_text_without_a_key_is_untouched() -> None:
    text = "No batch found with id 'batch_123'"
    assert redact(text) == text


def test_a_word_that_only_ends_like_a_key_is_untouched() -> None:
    text = "no risk-free task-list"
    assert redact(text) == text
