"""Repeating what may be repeated: until it works, no longer than we are patient, and as the provider asks."""

from __future__ import annotations

import pytest

from batchmark.engine.calls import repeat
from batchmark.engine.pace import Pace
from batchmark.errors import BadCredentials, BatchmarkError, RateLimited, Retryable
from tests.support import in_virtual_time


class Flaky:
    """A call that fails so many times and then works."""

    def __init__(self, *errors: BatchmarkError) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_a_call_is_repeated_until_it_works_with_growing_waits() -> None:
    call, said = Flaky(*(Retryable("no answer") for _ in range(4))), list[str]()
    result, passed_s = in_virtual_time(repeat(call, Pace(), warn=said.append))
    assert (result, call.calls, passed_s) == ("done", 5, 0.5 + 1 + 2 + 4)
    assert said == ["no answer; still trying"]


def test_a_provider_that_asks_to_wait_is_waited_for() -> None:
    call = Flaky(RateLimited("slow down", retry_after_s=100))
    assert in_virtual_time(repeat(call, Pace(), warn=lambda _: None)) == ("done", 100)


def test_patience_ends_with_the_last_error() -> None:
    call, said = Flaky(*(Retryable(f"no answer {each}") for each in range(100))), list[str]()
    with pytest.raises(Retryable, match="no answer"):
        in_virtual_time(repeat(call, Pace(patience_s=900), warn=said.append))
    assert 15 < call.calls < 30
    assert said == ["no answer 2; still trying"]


def test_a_wait_beyond_our_patience_is_not_begun() -> None:
    call = Flaky(RateLimited("come back tomorrow", retry_after_s=86_400))
    with pytest.raises(RateLimited):
        in_virtual_time(repeat(call, Pace(patience_s=900), warn=lambda _: None))
    assert call.calls == 1


def test_other_errors_are_raised_at_once() -> None:
    call = Flaky(BadCredentials("no"))
    with pytest.raises(BadCredentials):
        in_virtual_time(repeat(call, Pace(), warn=lambda _: None))
    assert call.calls == 1
