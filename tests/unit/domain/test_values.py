"""The values of the domain and the few rules they carry."""

from __future__ import annotations

import pytest

from batchmark.domain.lifecycle import TERMINAL, Counts, State
from batchmark.domain.limits import Frame
from batchmark.domain.result import is_retryable
from batchmark.domain.target import Target, parse_target
from batchmark.domain.usage import NO_USAGE, Usage
from batchmark.errors import BadInput

MODELS = {"openai": "gpt-5-nano", "google": "gemini-2.5-flash-lite"}


def test_four_states_are_the_end_and_unknown_is_none_of_them() -> None:
    assert {state for state in State if state.terminal} == TERMINAL
    assert {"succeeded", "failed", "expired", "cancelled"} == TERMINAL
    assert not State.UNKNOWN.terminal


@pytest.mark.parametrize(
    ("counts", "done"),
    [
        (Counts(), None),
        (Counts(total=5), None),
        (Counts(total=5, processing=5), 0),
        (Counts(total=5, processing=2), 3),
        (Counts(succeeded=2), 2),
        (Counts(total=5, succeeded=2, failed=1), 3),
    ],
)
def test_progress_is_told_only_where_the_provider_tells_it(counts: Counts, done: int | None) -> None:
    assert counts.done == done


@pytest.mark.parametrize("frame", [Frame(), Frame(prefix=b"[", separator=b",", suffix=b"]}")])
@pytest.mark.parametrize("rows", [[], [b"a"], [b"a", b"bcd", b"ef"]])
def test_a_frame_foretells_the_size_of_the_file(frame: Frame, rows: list[bytes]) -> None:
    written = frame.prefix + frame.separator.join(rows) + frame.suffix
    assert frame.size(len(rows), sum(map(len, rows))) == len(written)


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (0, "status_0", True),
        (408, "x", True),
        (429, "rate_limit_exceeded", True),
        (429, "insufficient_quota", False),
        (429, "billing_hard_limit_reached", False),
        (400, "invalid_request_error", False),
        (404, "model_not_found", False),
        (500, "server_error", True),
        (503, "x", True),
        (None, "overloaded_error", True),
        (None, "rate_limit_error", True),
        (None, "api_error", True),
        (None, "timeout_error", True),
        (None, "batch_expired", True),
        (None, "billing_error", False),
        (None, "invalid_request_error", False),
        (None, "permission_error", False),
        (None, "something new", False),
    ],
)
def test_only_what_may_pass_by_itself_is_worth_another_try(status: int | None, code: str, again: bool) -> None:
    assert is_retryable(status, code) is again


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("openai", Target("openai", "gpt-5-nano")),
        ("openai:gpt-6-luna", Target("openai", "gpt-6-luna")),
        (" google : tunedModels/a:b ", Target("google", "tunedModels/a:b")),
    ],
)
def test_a_target_is_read_as_users_write_it(text: str, target: Target) -> None:
    assert parse_target(text, MODELS) == target
    assert parse_target(str(target), MODELS) == target


def test_a_model_name_alone_is_no_target_and_the_hint_names_the_providers() -> None:
    with pytest.raises(BadInput, match="unknown provider 'gpt-4o'") as caught:
        parse_target("gpt-4o", MODELS)
    assert caught.value.hint == "known providers: google, openai"


def test_a_colon_with_nothing_after_it_is_said_to_lack_the_model() -> None:
    with pytest.raises(BadInput, match="no model after the colon in 'openai:'") as caught:
        parse_target("openai:", MODELS)
    assert caught.value.hint == "for example openai:gpt-5-nano"


def test_token_counts_add_up_part_by_part() -> None:
    assert Usage(1, 2, 3, 4, 5) + Usage(10, 20, 30, 40, 50) == Usage(11, 22, 33, 44, 55)
    assert Usage(1, 2) + NO_USAGE == Usage(1, 2)
