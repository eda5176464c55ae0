"""Somebody's records of batches: what is read of them, what is kept out, and how long those that did not finish had waited."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchmark.compare.measures import JobMeasures, measure
from batchmark.compare.observations import LeftOut, observe
from batchmark.compare.rounds import BY_DAY, BY_HOUR
from batchmark.compare.timings import STATES, Timings, read_timings
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.errors import BadInput
from batchmark.providers.anthropic import wire as anthropic
from batchmark.providers.google import wire as google
from batchmark.providers.openai import wire as openai

MINI = Target("openai", "gpt-4o-mini")
CREATED = 1_750_000_000
WINDOWS_S = {"openai": 86_400.0, "google": 172_800.0}


def csv(text: str, *, target: Target | None = MINI, name: str = "mine.csv") -> Timings:
    return read_timings(
        text.encode().splitlines(keepends=True), name=name, format="csv", target=target, windows_s=WINDOWS_S
    )


def jsonl(*records: dict[str, Any] | str, target: Target | None = MINI) -> Timings:
    lines = [(each if isinstance(each, str) else json.dumps(each)).encode() + b"\n" for each in records]
    return read_timings(lines, name="mine.jsonl", format="jsonl", target=target, windows_s=WINDOWS_S)


def one(**fields: Any) -> JobMeasures:
    """The measures of one record beside a finished one, which makes the file a usable one."""
    usual = {"created_at": CREATED, "status": "completed", "ended_at": CREATED + 1}
    found = jsonl({"created_at": CREATED, "status": "completed", **fields}, usual)
    assert not found.kept_out, found.kept_out
    return measure(found.jobs[0])


def reasons(found: Timings) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {each.reason: (each.count, each.places) for each in found.kept_out}


# what a record says


def test_a_finished_record_took_from_its_creation_to_its_end() -> None:
    each = one(ended_at=CREATED + 90, started_at=CREATED + 10, finalizing_at=CREATED + 80)
    assert each.turnaround_s == 90.0
    assert (each.queue_s, each.run_s, each.finalize_s) == (10.0, 70.0, 10.0)
    assert each.completion_s is None and each.submit_s is None
    assert each.job.origin == "mine.jsonl line 1"
    assert each.job.emulated is False


def test_a_turnaround_that_is_told_counts_before_an_end_that_is() -> None:
    assert one(ended_at=CREATED + 90, turnaround_s=88.5).turnaround_s == 88.5


def test_a_finished_record_without_an_end_is_a_job_without_a_turnaround() -> None:
    found = jsonl(
        {"created_at": CREATED, "status": "completed"},
        {"created_at": CREATED, "status": "completed", "ended_at": CREATED},
    )
    observations, left_out = observe([measure(each) for each in found.jobs])
    assert [each.seconds for each in observations] == [0.0]
    assert left_out == {MINI: {LeftOut.UNTOLD: 1}}


@pytest.mark.parametrize(
    "written",
    [
        "1767323045",
        "1767323045.0",
        "1767323045000",
        "2026-01-02T03:04:05Z",
        "2026-01-02 03:04:05+00:00",
        "2026-01-01T22:04:05-05:00",
        "20260102T030405Z",
    ],
)
def test_a_time_may_be_written_in_many_ways(written: str) -> None:
    found = csv(f"created_at,state,turnaround_s\n{written},completed,5\n")
    assert found.jobs[0].created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_parts_of_seconds_are_kept() -> None:
    assert one(created_at=CREATED + 0.25, ended_at=CREATED + 1.75).turnaround_s == 1.5


def test_each_time_may_have_a_zone_of_its_own() -> None:
    found = csv("created_at,state,ended_at\n2026-01-02T03:00:00+01:00,completed,2026-01-01T21:30:00-05:00\n")
    assert measure(found.jobs[0]).turnaround_s == 1800.0


def test_times_without_a_zone_are_utc_where_none_has_one_and_that_is_said() -> None:
    found = csv("created_at,state,ended_at\n2026-01-02 03:00:00,completed,2026-01-02 03:00:10\n")
    assert found.jobs[0].created_at == datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert "No time in mine.csv has a time zone: all of them are taken as UTC" in found.notes


@pytest.mark.parametrize("with_zone", ["2026-01-02T03:00:00Z", "1767323045"])
def test_times_with_a_zone_and_without_do_not_mix(with_zone: str) -> None:
    text = f"created_at,state,turnaround_s\n{with_zone},completed,1\n2026-01-02 03:00:00,completed,1\n"
    with pytest.raises(
        BadInput, match=r"mine.csv line 3: time zones mixed: created_at '2026-01-02 03:00:00' has none, line 2 has one"
    ):
        csv(text)


def test_every_word_of_the_providers_and_of_ours_is_known() -> None:
    for word, state in openai.STATES.items():
        assert STATES[word.upper()] is state
    for word in (
        "PENDING",
        "QUEUED",
        "RUNNING",
        "UPDATING",
        "PAUSED",
        "CANCELLING",
        "SUCCEEDED",
        "PARTIALLY_SUCCEEDED",
        "FAILED",
        "CANCELLED",
        "EXPIRED",
    ):
        for prefix in ("", "JOB_STATE_", "BATCH_STATE_"):
            assert one(status=prefix + word).state is google.state(prefix + word) is not State.UNKNOWN
    for word in ("in_progress", "canceling", "ended"):
        assert one(status=word).state is anthropic.state(word)
    for state in State:
        if state is not State.UNKNOWN:
            assert one(status=state.value).state is state


def test_an_ended_record_may_say_that_it_expired_or_was_cancelled() -> None:
    assert one(status="ended", requests=5, succeeded=3, expired=2).state is State.EXPIRED
    assert one(status="ended", cancelled_at=CREATED + 5).state is State.CANCELLED


def test_counts_become_totals() -> None:
    each = one(ended_at=CREATED + 10, total=10, completed=7, failed=2, input_tokens=100, output_tokens=50).job
    assert (each.rows, each.counted, each.priced) == (10, True, True)
    totals = each.totals
    assert (totals.submitted, totals.succeeded, totals.errored, totals.missing) == (10, 7, 2, 1)
    assert (totals.usage.input_tokens, totals.usage.output_tokens, totals.cost_usd) == (100, 50, None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "expired", "requests": 5, "succeeded": 2}, {"submitted": 5, "succeeded": 2, "expired": 3}),
        ({"status": "cancelled", "requests": 5, "succeeded": 2}, {"submitted": 5, "succeeded": 2, "cancelled": 3}),
        ({"status": "failed", "requests": 5, "succeeded": 0}, {"submitted": 5, "errored": 5}),
        ({"requests": 5, "succeeded": 2}, {"submitted": 5, "succeeded": 2, "errored": 3}),
        ({"succeeded": 2, "failed": 3}, {"submitted": 5, "succeeded": 2, "errored": 3}),
    ],
)
def test_requests_that_are_not_named_ended_as_their_batch_did(fields: dict[str, Any], expected: dict[str, int]) -> None:
    job = one(**fields).job
    names = ("submitted", "succeeded", "errored", "expired", "cancelled", "missing")
    assert {name: value for name in names if (value := getattr(job.totals, name))} == expected
    assert job.counted and not job.priced


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"requests": 5},
        {"succeeded": 5},
        {"total": 0, "completed": 0, "failed": 0},
        {"status": "in_progress", "total": 5, "completed": 1},
    ],
)
def test_what_became_of_requests_is_not_made_up(fields: dict[str, Any]) -> None:
    job = one(**fields).job
    assert not job.counted
    assert job.totals.submitted == 0


def test_tokens_of_zero_tell_nothing() -> None:
    assert not one(requests=1, succeeded=1, input_tokens=0, output_tokens=0).job.priced


# how long those that did not finish had waited


@pytest.mark.parametrize(
    ("fields", "waited_s"),
    [
        ({"status": "in_progress", "last_seen_at": CREATED + 50}, 50.0),
        ({"status": "validating", "waited_s": 60}, 60.0),
        ({"status": "cancelling", "cancelling_at": CREATED + 20, "last_seen_at": CREATED + 50}, 20.0),
        ({"status": "cancelled", "cancelled_at": CREATED + 30}, 30.0),
        ({"status": "cancelled", "cancelling_at": CREATED + 20, "cancelled_at": CREATED + 626}, 20.0),
        ({"status": "cancelled", "ended_at": CREATED + 40}, 40.0),
        ({"status": "expired", "ended_at": CREATED + 87_006}, 87_006.0),
        ({"status": "expired", "expires_at": CREATED + 3_600}, 3_600.0),
        ({"status": "expired", "expire_s": 87_006}, 87_006.0),
        ({"status": "expired"}, 86_400.0),
        ({"status": "expired", "provider": "google", "model": "gemini-2.5-flash"}, 172_800.0),
        # as long as it was worked on, its validation no further than to the end of its window
        ({"status": "expired", "validating_s": 1, "running_s": 86_400, "expire_s": 87_007}, 86_400.0),
        ({"status": "expired", "validating_s": 3, "running_s": 86_398, "expire_s": 87_008}, 86_400.0),
        ({"status": "expired", "validating_s": 1, "running_s": 172_855, "expire_s": 173_462}, 172_855.0),
        ({"status": "expired", "validating_s": 1, "running_s": 3_600}, 3_601.0),
        # nothing says up to when these were known to be unfinished
        ({"status": "in_progress", "validating_s": 1}, None),
        ({"status": "cancelled", "validating_s": 1, "running_s": 20}, None),
        ({"status": "in_progress", "ended_at": CREATED + 5}, None),
        ({"status": "failed", "ended_at": CREATED + 5}, None),
        ({"status": "expired", "provider": "elsewhere", "model": "some"}, None),
    ],
)  # fmt: skip
def test_an_unfinished_record_waited_up_to_the_time_that_it_tells(
    fields: dict[str, Any], waited_s: float | None
) -> None:
    each = one(**fields)
    assert each.turnaround_s is None
    assert each.unfinished_s == waited_s


def test_records_without_a_censoring_time_are_counted_and_named_and_in_no_curve() -> None:
    found = csv(
        f"created_at,state,ended_at\n{CREATED},cancelled,\n{CREATED},queued,\n{CREATED},completed,{CREATED + 5}\n"
    )
    assert len(found.jobs) == 3 and found.kept_out == ()
    _, left_out = observe([measure(each) for each in found.jobs])
    assert left_out == {MINI: {LeftOut.NO_CENSORING_TIME: 2}}
    assert any(
        each.startswith("2 records cancelled or not over, without a time up to which they had waited")
        for each in found.notes
    )


def test_a_window_that_was_taken_for_granted_is_said() -> None:
    found = csv(f"created_at,state,ended_at\n{CREATED},expired,\n")
    assert any(each.startswith("1 record expired without any time") for each in found.notes)


# what is kept out


def test_records_that_cannot_be_used_are_named_and_counted_and_cost_no_other() -> None:
    found = csv(
        "id,created_at,state,ended_at,total,completed\n"
        f"a,{CREATED},completed,{CREATED + 5},,\n"
        f"b,{CREATED},completed,{CREATED - 5},,\n"
        f"a,{CREATED},completed,{CREATED + 9},,\n"
        f"c,{CREATED},resting,{CREATED + 5},,\n"
        f"d,soon,completed,{CREATED + 5},,\n"
        f"e,{CREATED},completed,{CREATED + 5}\n"
        f"f,{CREATED},completed,{CREATED + 5},3,4\n"
        f"g,{CREATED},completed,{CREATED + 5},-3,\n"
        f"h,,completed,{CREATED + 5},,\n"
        f"i,{CREATED},,{CREATED + 5},,\n"
        f"j,2026-01-02,completed,{CREATED + 5},,\n"
        f'k,"{CREATED}"x,completed,{CREATED + 5},,\n'
        f"l,{CREATED},completed,{CREATED + 7},,\n"
    )
    assert [(each.id, each.origin) for each in found.jobs] == [("a", "mine.csv line 2"), ("l", "mine.csv line 14")]
    assert reasons(found) == {
        "negative duration": (1, ("line 3",)),
        "the same id as an earlier record": (1, ("line 4",)),
        "a state that is not known: 'resting'": (1, ("line 5",)),
        "created_at is no time": (1, ("line 6",)),
        "not 6 fields as the header has": (1, ("line 7",)),
        "counts that do not add up": (1, ("line 8",)),
        "requests is no count": (1, ("line 9",)),
        "no created_at": (1, ("line 10",)),
        "no state": (1, ("line 11",)),
        "created_at is a day, not a time": (1, ("line 12",)),
        "no CSV": (1, ("line 13",)),
    }


def test_lines_that_are_no_json_objects_are_kept_out() -> None:
    good = {"created_at": CREATED, "state": "completed", "turnaround_s": 5}
    found = jsonl(
        good,
        "{",
        "[1]",
        "",
        "nul\xff",
        {**good, "turnaround_s": True},
        {**good, "turnaround_s": -1},
        {**good, "created_at": [1]},
    )
    assert [each.origin for each in found.jobs] == ["mine.jsonl line 1"]
    assert reasons(found) == {
        "no JSON object": (3, ("line 2", "line 3", "line 5")),
        "turnaround_s is no number of seconds": (1, ("line 6",)),
        "negative duration": (1, ("line 7",)),
        "created_at is no time": (1, ("line 8",)),
    }


def test_the_first_places_of_many_are_named() -> None:
    bad = f"{CREATED},resting,\n" * 50
    found = csv(f"created_at,state,ended_at\n{bad}{CREATED},completed,{CREATED}\n")
    assert reasons(found) == {"a state that is not known: 'resting'": (50, ("line 2", "line 3", "line 4"))}


def test_a_column_full_of_odd_states_does_not_make_as_many_reasons() -> None:
    bad = "".join(f"{CREATED},word-{n},\n" for n in range(500))
    found = csv(f"created_at,state,ended_at\n{bad}{CREATED},completed,{CREATED}\n")
    assert len(found.kept_out) == 21
    assert sum(each.count for each in found.kept_out) == 500


def test_the_same_id_at_two_providers_is_no_repetition() -> None:
    found = csv(
        f"id,provider,model,created_at,state,turnaround_s\n1,openai,a,{CREATED},completed,5\n1,google,b,{CREATED},completed,5\n"
    )
    assert len(found.jobs) == 2


def test_an_id_of_a_record_that_is_kept_out_may_come_again() -> None:
    found = csv(f"id,created_at,state,turnaround_s\n1,{CREATED},resting,5\n1,{CREATED},completed,5\n")
    assert [each.origin for each in found.jobs] == ["mine.csv line 3"]


def test_a_file_without_a_usable_record_says_why() -> None:
    with pytest.raises(BadInput, match=r"mine.csv holds no usable record: 2 with negative duration \(line 2, line 3\)"):
        csv(f"created_at,state,ended_at\n{CREATED},completed,1\n{CREATED},completed,2\n")


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_said_to_be_empty(text: str) -> None:
    with pytest.raises(BadInput, match=r"mine.csv is empty"):
        csv(text)


def test_a_header_alone_holds_no_record() -> None:
    with pytest.raises(BadInput, match=r"mine.csv holds no usable record$"):
        csv("created_at,state,ended_at\n")


def test_missing_columns_are_named_beside_those_that_are_there() -> None:
    with pytest.raises(
        BadInput, match=r"mine.csv has no column created_at and no state or status; its columns are: when, ended_at"
    ) as caught:
        csv("when,ended_at\n1,2\n")
    assert caught.value.hint == "needed are created_at, state or status, and ended_at or turnaround_s"
    with pytest.raises(
        BadInput, match=r"mine.jsonl has no column ended_at or turnaround_s; its columns are: created_at, state"
    ):
        jsonl({"created_at": CREATED, "state": "completed"})


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="has the column state 2 times"):
        csv("created_at,state,State,ended_at\n1,completed,failed,2\n")


def test_text_in_another_encoding_is_refused() -> None:
    with pytest.raises(BadInput, match=r"mine.csv is no text in UTF-8"):
        read_timings(["created_at,state\n".encode("utf-16")], name="mine.csv", format="csv", target=MINI)


# whose records they are


def test_records_name_their_own_target() -> None:
    found = csv(f"provider,model,created_at,state,turnaround_s\nOpenAI,gpt-5,{CREATED},completed,5\n", target=None)
    assert found.jobs[0].target == Target("openai", "gpt-5")
    assert found.notes == ()


def test_what_a_record_does_not_name_is_filled_in_and_that_is_said() -> None:
    found = csv(
        f"provider,model,created_at,state,turnaround_s\n,gpt-5,{CREATED},completed,5\nopenai,,{CREATED},completed,5\n"
    )
    assert [each.target for each in found.jobs] == [Target("openai", "gpt-5"), MINI]
    assert found.notes == (
        "2 records of mine.csv without provider or model: taken for openai:gpt-4o-mini, as --as says",
    )


def test_another_providers_record_is_not_given_the_model_that_was_named() -> None:
    found = csv(f"provider,created_at,state,turnaround_s\nopenai,{CREATED},completed,5\ngoogle,{CREATED},completed,5\n")
    assert reasons(found) == {"no model, and google is not the provider that was named": (1, ("line 3",))}


def test_records_of_nobody_are_refused_with_what_to_do() -> None:
    with pytest.raises(BadInput, match=r"mine.csv line 2 names no provider and no model") as caught:
        csv(f"created_at,state,turnaround_s\n{CREATED},completed,5\n", target=None)
    assert caught.value.hint is not None and "--as openai:gpt-4o-mini" in caught.value.hint


# rounds and forms of a file


def test_rounds_are_the_files_own_where_every_record_has_one() -> None:
    found = csv(
        f"round,created_at,state,turnaround_s\nlate,{CREATED + 9},ended,5\nearly,{CREATED},ended,5\nlate,{CREATED + 8},ended,5\n"
    )
    assert [each.round for each in found.jobs] == [2, 1, 2]
    assert found.round_is == "jobs of the same round as the file says"


def test_rounds_are_hours_or_days_where_some_record_has_none() -> None:
    rows = "".join(f"{CREATED + 86_400 * day},completed,5,{day or ''}\n" for day in range(6))
    found = csv(f"created_at,state,turnaround_s,round\n{rows}")
    assert [each.round for each in found.jobs] == [1, 2, 3, 4, 5, 6]
    assert found.round_is == BY_DAY
    assert "The column round is not used: 1 of 6 records have none" in found.notes
    assert csv(f"created_at,state,turnaround_s\n{CREATED},completed,5\n").round_is == BY_HOUR


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "\ufeff", "\ufeff\n"])
def test_the_form_of_a_csv_file_is_found_out(delimiter: str, ending: str, before: str) -> None:
    lines = [
        "Created_At, status ,turnaround_s,remark",
        f'{CREATED},completed, 5 ,"a ""word"""',
        "",
        f"{CREATED},completed,nan,",
    ]
    text = before + "".join(line.replace(",", delimiter) + ending for line in lines)
    found = csv(text)
    first = 3 if before.endswith("\n") else 2
    assert [each.origin for each in found.jobs] == [f"mine.csv line {first}", f"mine.csv line {first + 2}"]
    assert measure(found.jobs[0]).turnaround_s == 5.0


def test_a_field_may_hold_a_line_break() -> None:
    found = csv(f'created_at,state,turnaround_s,remark\n{CREATED},completed,5,"two\nlines"\n{CREATED},completed,6,\n')
    assert [each.origin for each in found.jobs] == ["mine.csv line 2", "mine.csv line 4"]


def test_json_may_hold_what_python_writes_for_nothing() -> None:
    found = jsonl(f'{{"created_at": {CREATED}, "state": "expired", "turnaround_s": NaN, "ended_at": null}}')
    assert measure(found.jobs[0]).unfinished_s == 86_400.0


def test_the_provider_that_lists_a_batch_names_its_times_as_it_does() -> None:
    listed = {
        "id": "b",
        "created_at": CREATED,
        "in_progress_at": CREATED + 1,
        "finalizing_at": CREATED + 8,
        "completed_at": CREATED + 9,
    }
    each = measure(jsonl({**listed, "status": "completed", "failed_at": None}).jobs[0])
    assert (each.job.id, each.queue_s, each.turnaround_s) == ("b", 1.0, 9.0)


def test_lines_are_taken_one_at_a_time() -> None:
    def lines() -> Any:
        yield b"created_at,state,turnaround_s\n"
        for number in range(20_000):
            yield f"{CREATED + number},completed,5\n".encode()

    found = read_timings(lines(), name="mine.csv", format="csv", target=MINI)
    assert len(found.jobs) == 20_000
    assert found.jobs[-1].created_at - found.jobs[0].created_at == timedelta(seconds=19_999)


def test_reading_needs_no_statistics() -> None:
    program = "import sys, batchmark.compare.timings; sys.exit(bool({'numpy', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_stray_quote_costs_its_own_line_and_no_other() -> None:
    lines = [b"created_at,status,turnaround_s,model\n"]
    lines += [f"{1_760_000_000 + n},completed,{n},m\n".encode() for n in range(500)]
    lines[12] = b'1760000011,completed,11,"m\n'
    found = read_timings(lines, name="t.csv", format="csv", target=Target("openai", "m"))
    assert len(found.jobs) == 499
    assert [(each.count, each.places) for each in found.kept_out] == [(1, ("line 13",))]


def test_a_quoted_field_may_hold_line_ends() -> None:
    lines = [
        b"created_at,status,turnaround_s,note\n",
        b'1760000000,completed,5,"two\n',
        b'lines"\n',
        b"1760000001,completed,6,x\n",
    ]
    found = read_timings(lines, name="t.csv", format="csv", target=Target("openai", "m"))
    assert [each.told_s for each in found.jobs] == [5.0, 6.0]
    assert [each.origin for each in found.jobs] == ["t.csv line 2", "t.csv line 4"]


def test_a_duration_that_is_a_date_is_kept_out_and_named() -> None:
    lines = [b"created_at,status,turnaround_s\n", b"1760000000,completed,1760000000000\n", b"1760000001,completed,6\n"]
    found = read_timings(lines, name="t.csv", format="csv", target=Target("openai", "m"))
    assert [each.reason for each in found.kept_out] == ["turnaround_s is longer than ten years"]


def test_an_anthropic_batch_that_was_asked_to_stop_and_ended_was_cancelled() -> None:
    stopped = b'{"created_at": 1760000000, "processing_status": "ended", "cancel_initiated_at": 1760000060, "ended_at": 1760001860}\n'
    whole = stopped.replace(b'"ended",', b'"ended", "requests": 3, "succeeded": 3,')
    found = read_timings([stopped, whole], name="t.jsonl", format="jsonl", target=Target("anthropic", "m"))
    assert [each.batches[0].state for each in found.jobs] == [State.CANCELLED, State.SUCCEEDED]
