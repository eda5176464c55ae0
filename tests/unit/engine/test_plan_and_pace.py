"""Where shards end, how often to look, how long to wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from batchmark.domain.limits import Frame, Limits
from batchmark.engine.calls import repeat
from batchmark.engine.pace import Pace, backoff_s, next_poll_s
from batchmark.engine.plan import fits, too_big
from batchmark.errors import BadCredentials, BatchmarkError, RateLimited, Retryable
from tests.support import in_virtual_time

FRAME = Frame(prefix=b"[", separator=b",", suffix=b"]")
LIMITS = Limits(
    max_rows=3,
    max_bytes=20,
    max_row_bytes=15,
    window_s=1,
    expires_s=1,
    one_model_per_batch=True,
    source="",
    as_of=date(2026, 1, 1),
    max_embedding_texts=4,
)


@pytest.mark.parametrize(
    ("rows", "row_bytes", "texts", "next_bytes", "next_texts", "fit"),
    [
        (0, 0, 0, 15, 0, True),
        (2, 2, 0, 1, 0, True),
        (3, 3, 0, 1, 0, False),  # rows
        (1, 10, 0, 7, 0, True),  # [ + 10 + , + 7 + ] = 20
        (1, 10, 0, 8, 0, False),  # bytes
        (1, 1, 3, 1, 1, True),
        (1, 1, 3, 1, 2, False),  # texts
    ],
)
def test_a_row_fits_up_to_each_limit_and_not_beyond(
    rows: int, row_bytes: int, texts: int, next_bytes: int, next_texts: int, fit: bool
) -> None:
    given = {"rows": rows, "row_bytes": row_bytes, "texts": texts, "next_bytes": next_bytes, "next_texts": next_texts}
    assert fits(LIMITS, FRAME, **given) is fit


def test_without_a_limit_of_texts_there_is_none() -> None:
    limits = replace(LIMITS, max_embedding_texts=None)
    assert fits(limits, FRAME, rows=0, row_bytes=0, texts=10**9, next_bytes=1, next_texts=1)


def test_a_row_that_fits_no_shard_is_said_with_both_figures() -> None:
    assert too_big(LIMITS, FRAME, 15) is None
    assert too_big(LIMITS, FRAME, 16) == "the request is 16 bytes on the wire; at most 15 fit"
    assert too_big(replace(LIMITS, max_row_bytes=1000), FRAME, 18) is None
    assert too_big(replace(LIMITS, max_row_bytes=1000), FRAME, 19) is not None


@pytest.mark.parametrize(("age_s", "wait_s"), [(0, 2.0), (60, 2.0), (1_000, 20.0), (6_000, 120.0), (86_400, 120.0)])
def test_a_batch_is_looked_at_within_two_per_cent_of_its_age(age_s: float, wait_s: float) -> None:
    assert next_poll_s(Pace(), age_s) == wait_s
    assert next_poll_s(Pace(), age_s, retry_after_s=500) == 500


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (10_000, 60)])
def test_waits_double_up_to_a_minute(failures: int, wait_s: float) -> None:
    assert backoff_s(failures) == wait_s
    assert backoff_s(failures, 0.1) == wait_s
    assert backoff_s(failures, 300) == 300


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
