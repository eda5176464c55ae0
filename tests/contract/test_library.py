"""The library on the emulator: what a program of its own sees."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import batchmark
from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.engine.events import Event, JobEnded
from batchmark.errors import BadInput, BatchmarkError, NotFound

ROWS = [
    {"custom_id": f"q{number}", "prompt": f"Say {number}", "max_tokens": 20, "mine": number} for number in range(12)
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose providers are an emulator that outlives each call."""
    options = EmulatorOptions(
        home=tmp_path / "cloud",
        profile="instant",
        answers="synthetic",
        faults=("* answers row=1 label=*-1 -> fail 500",),
    )
    with Emulator(options) as cloud:
        for name, value in {**cloud.environment(), "BATCHMARK_POLL_S": "0.05", "BATCHMARK_GRACE_S": "0.1"}.items():
            monkeypatch.setenv(name, value)
        yield tmp_path / "home"


@pytest.mark.parametrize("provider", ["openai", "google", "anthropic"])
def test_rows_given_as_values_come_back_in_order_with_their_columns(place: Path, provider: str) -> None:
    run = batchmark.run(ROWS, on=provider, home=place, shard_rows=5)
    answers = list(run)
    assert [(each["row"], each["custom_id"], each["mine"]) for each in answers] == [(n, f"q{n}", n) for n in range(12)]
    assert {each["outcome"] for each in answers} == {"succeeded"}
    assert len(run) == 12 and run.totals.succeeded == 12
    assert run.id in repr(run)


def test_answers_land_once_each_and_only_with_their_last_word(place: Path) -> None:
    async def land() -> list[batchmark.Answer]:
        return [answer async for answer in batchmark.stream(ROWS, on="openai", home=place, shard_rows=5)]

    answers = asyncio.run(land())
    assert sorted(each["row"] for each in answers) == list(range(12))
    assert {each["outcome"] for each in answers} == {"succeeded"}
    # row 1 of each shard failed at first
    assert sorted(each["row"] for each in answers if each["attempt"] == 2) == [1, 6, 11]


def test_leaving_a_stream_early_keeps_the_run_for_resume(place: Path) -> None:
    async def leave() -> None:
        stream = batchmark.stream(ROWS, on="openai", home=place, shard_rows=3)
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator

    asyncio.run(leave())
    run = batchmark.resume(home=place)
    assert [each["row"] for each in run] == list(range(12))


def test_events_are_told_to_whoever_asks(place: Path) -> None:
    told: list[Event] = []
    batchmark.run(ROWS, on="openai", home=place, on_event=told.append)
    assert isinstance(told[-1], JobEnded)


def test_two_runs_may_go_on_in_one_program_at_once(place: Path) -> None:
    async def both() -> list[batchmark.Run]:
        return list(
            await asyncio.gather(
                batchmark.run_async(ROWS, "openai", home=place), batchmark.run_async(ROWS, "anthropic", home=place)
            )
        )

    one, other = asyncio.run(both())
    assert one.id != other.id
    assert one.totals.succeeded == other.totals.succeeded == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attempts": 0}, "attempts must be from 1 to 9"),
        ({"stall": "panic"}, "stall must be one of"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_cost_usd": 0.0}, "above --max-cost"),
    ],
)
def test_an_option_that_cannot_be_is_said_before_anything_is_sent(
    place: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        batchmark.run(ROWS, on="openai", home=place, **options)


def test_an_output_that_exists_is_left_alone_unless_it_may_be_replaced(place: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    output.write_text("mine\n")
    with pytest.raises(BadInput, match="exists already"):
        batchmark.run(ROWS, on="openai", home=place, output=output)
    assert output.read_text() == "mine\n"
    run = batchmark.run(ROWS, on="openai", home=place, output=output, force=True)
    assert run.path == output and len(output.read_text().splitlines()) == 12


def test_resuming_where_there_is_nothing_to_resume_says_so(place: Path) -> None:
    with pytest.raises(NotFound, match="no unfinished run"):
        batchmark.resume(home=place)
    with pytest.raises(BatchmarkError, match="there is no run"):
        batchmark.resume("nothing1", home=place)
