"""Every state that a provider is known to use, in our closed set."""

from __future__ import annotations

import pytest

from batchmark.domain.lifecycle import State
from batchmark.providers.anthropic import wire as anthropic
from batchmark.providers.google import wire as google
from batchmark.providers.openai import wire as openai


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("validating", State.QUEUED),
        ("in_progress", State.RUNNING),
        ("finalizing", State.FINALIZING),
        ("completed", State.SUCCEEDED),
        ("failed", State.FAILED),
        ("expired", State.EXPIRED),
        ("cancelling", State.CANCELLING),
        ("cancelled", State.CANCELLED),
        ("Completed", State.SUCCEEDED),  # Azure writes capitals
        ("paused", State.UNKNOWN),
        ("", State.UNKNOWN),
    ],
)
def test_openais_states(word: str, state: State) -> None:
    assert openai.state(word) is state


@pytest.mark.parametrize("prefix", ["BATCH_STATE_", "JOB_STATE_", ""])
@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("UNSPECIFIED", State.UNKNOWN),
        ("QUEUED", State.QUEUED),
        ("PENDING", State.QUEUED),
        ("RUNNING", State.RUNNING),
        ("UPDATING", State.RUNNING),
        ("PAUSED", State.RUNNING),
        ("CANCELLING", State.CANCELLING),
        ("SUCCEEDED", State.SUCCEEDED),
        ("PARTIALLY_SUCCEEDED", State.SUCCEEDED),
        ("FAILED", State.FAILED),
        ("CANCELLED", State.CANCELLED),
        ("EXPIRED", State.EXPIRED),
        ("DREAMING", State.UNKNOWN),
    ],
)
def test_googles_states_under_each_of_their_prefixes(prefix: str, word: str, state: State) -> None:
    assert google.state(prefix + word) is state


@pytest.mark.parametrize(
    ("word", "facts", "state"),
    [
        ("in_progress", {}, State.RUNNING),
        ("canceling", {}, State.CANCELLING),
        ("ended", {}, State.SUCCEEDED),
        ("ended", {"expired": 1}, State.EXPIRED),
        ("ended", {"expired": 1, "canceled": 5, "cancel_asked": True}, State.EXPIRED),
        ("ended", {"canceled": 1, "cancel_asked": True}, State.CANCELLED),
        ("ended", {"canceled": 0, "cancel_asked": True}, State.SUCCEEDED),
        ("completed", {}, State.SUCCEEDED),
        ("cancelled", {}, State.CANCELLED),
        ("failed", {}, State.FAILED),
        ("expired", {}, State.EXPIRED),
        ("resting", {}, State.UNKNOWN),
    ],
)
def test_anthropics_states_where_ended_is_told_apart_by_the_counts(
    word: str, facts: dict[str, int], state: State
) -> None:
    assert anthropic.state(word, **facts) is state  # type: ignore[arg-type]  # counts and a flag by name
