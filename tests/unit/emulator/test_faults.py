"""The language of fault rules: what it accepts, what it refuses and how, and which calls, batches and rows it picks."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from batchmark.emulator import Emulator, EmulatorError, EmulatorOptions
from batchmark.emulator.dialects.anthropic import Anthropic
from batchmark.emulator.dialects.gemini import Gemini
from batchmark.emulator.dialects.openai import OpenAI
from batchmark.emulator.fault_actions import OPERATIONS
from batchmark.emulator.fault_desk import FaultDesk
from batchmark.emulator.fault_life import bend
from batchmark.emulator.fault_lines import shuffle_lines
from batchmark.emulator.faults import parse, parse_all
from batchmark.emulator.http import Call
from batchmark.emulator.limits import LIMITS, parse_limits
from batchmark.emulator.presets import PRESETS
from batchmark.emulator.profiles import Schedule, named
from batchmark.emulator.service import Service
from batchmark.emulator.store import Store
from batchmark.emulator.world import World

PLAN = Schedule(validate_s=10, queue_s=5, run_s=100, finalize_s=2, cancel_s=30, drain_s=20, window_s=86_400)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("openai batches.create", "no arrow"),
        ("mistral batches.create -> delay 1", "'mistral' is no dialect"),
        ("openai batch.create -> delay 1", "no operation is called 'batch.create'"),
        ("anthropic files.content -> delay 1", "no operation is called 'files.content'"),
        ("openai batches.create -> explode", "'explode' is no action"),
        ("openai batches.create -> drop-line", "'drop-line' is no action for batches.create"),
        ("openai answers -> delay 1", "'delay' is no action for answers"),
        ("openai batches.create nth=0 -> delay 1", "'0' is no range"),
        ("openai batches.create nth=4..2 -> delay 1", "'4..2' is no range"),
        ("openai batches.create nth=x -> delay 1", "'x' is no whole number"),
        ("openai batches.create p=2 -> delay 1", "'2' is no number from 0 to 1"),
        ("openai batches.create p=0.1 p=0.2 -> delay 1", "is there twice"),
        ("openai batches.create row=1 -> delay 1", "'row' is no condition here"),
        ("openai batches.create colour=red -> delay 1", "'colour' is no condition"),
        ("openai batches.create -> delay", "ends where a number for delay"),
        ("openai batches.create -> delay soon", "'soon' is no number"),
        ("openai batches.create -> status 200", "'200' is no number from 400"),
        ("openai batches.create -> status 503 later=1", "'later' says nothing to status"),
        ("openai batches.create -> drop-after-store now=1", "it has no options"),
        ("openai files.list -> visible-late 3", "visible-late has no meaning for files.list"),
        ("anthropic answers -> empty-error", "empty-error is only for openai"),
        ("openai life -> expire after=3", "'3' is no number from 0 to 1"),
        ("openai", "no arrow"),
        ('openai batches.create -> status 400 message="x', "cannot be read"),
        ("preset:nope", "no fault preset is called 'nope'"),
    ],
)
def test_a_bad_rule_is_refused_in_one_sentence_that_names_it(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(EmulatorError, match=re.escape(why)) as caught:
        Emulator(EmulatorOptions(home=tmp_path, faults=(text,)))
    message = str(caught.value)
    assert "\n" not in message
    assert text.removeprefix("preset:") in message


def test_a_rule_says_which_word_of_it_is_wrong() -> None:
    with pytest.raises(ValueError, match="word 4"):
        parse("openai batches.create -> explode")


def test_the_rules_of_the_guide_can_be_read() -> None:
    rules = parse_all(
        [
            "openai batches.create nth=1 -> drop-after-store",
            "* batches.create p=0.2 seed=7 -> status 503 retry-after=1",
            "google batches.list -> lag 4",
            "anthropic batches.results nth=1 -> truncate 0.5",
            "* answers row=3 -> fail 400",
            'gemini batches.get -> status 403 message="two words"',
        ]
    )
    assert [rule.action for rule in rules] == ["drop-after-store", "status", "lag", "truncate", "fail", "status"]
    assert rules[2].dialect == "gemini"
    assert rules[5].options["message"] == "two words"


def test_every_preset_can_be_read_and_names_its_source() -> None:
    for name, preset in PRESETS.items():
        assert parse_all([f"preset:{name}"]), name
        assert preset.source and preset.about
        assert all(parse(rule).dialect == name.split("-")[0] for rule in preset.rules)


def test_one_name_speaks_of_the_same_operation_in_every_dialect() -> None:
    rule = parse("* batches.retrieve -> delay 1")
    assert rule.concerns("openai", "batches.retrieve")
    assert rule.concerns("gemini", "batches.get")
    assert not rule.concerns("gemini", "batches.list")
    assert parse("* batches.* -> delay 1").concerns("anthropic", "batches.results")


def test_a_rule_for_all_dialects_leaves_out_those_that_know_no_such_thing() -> None:
    rule = parse("* answers -> empty-error")
    assert rule.concerns("openai", "answers")
    assert not rule.concerns("anthropic", "answers")


@pytest.mark.parametrize(
    ("condition", "struck"), [("nth=2", [2]), ("nth=2..3", [2, 3]), ("nth=4..", [4, 5]), ("", [1, 2, 3, 4, 5])]
)
def test_nth_picks_matches_by_their_number(condition: str, struck: list[int]) -> None:
    rule = parse(f"openai batches.list {condition} -> delay 1")
    assert [count for count in range(1, 6) if rule.strikes(count)] == struck


@pytest.mark.parametrize(("condition", "rows"), [("row=3", [3]), ("row=1..2", [1, 2]), ("row%3", [0, 3, 6])])
def test_row_picks_rows_by_their_number(condition: str, rows: list[int]) -> None:
    rule = parse(f"* answers {condition} -> drop-line")
    assert [row for row in range(8) if rule.picks(1, row)] == rows


def test_a_probability_picks_about_its_share_and_the_same_for_the_same_seed() -> None:
    rule = parse("* answers p=0.2 seed=7 -> drop-line")
    other = parse("* answers p=0.2 seed=8 -> drop-line")
    picked = [row for row in range(2000) if rule.picks(5, row)]
    assert 300 < len(picked) < 500
    assert picked == [row for row in range(2000) if rule.picks(5, row)]
    assert picked != [row for row in range(2000) if other.picks(5, row)]


def test_a_batch_is_meant_by_its_id_its_label_or_their_beginning() -> None:
    rule = parse("* life batch=job7 model=gpt-* -> stuck")
    assert rule.fits("openai", "gpt-4o", ["batch_1", "job7-0-1"])
    assert not rule.fits("openai", "o3", ["batch_1", "job7-0-1"])
    assert not rule.fits("openai", "gpt-4o", ["batch_1", "other"])
    assert parse("* life batch=*-2 -> stuck").fits("openai", "x", ["job7-2"])


@pytest.mark.parametrize(
    ("dialect", "first", "second"),
    [
        ("openai", ["batch_1", "job-1-1"], ["batch_2", "job-1-2"]),
        ("gemini", ["abc", "job-1-1"], ["abd", "job-1-2"]),
        ("anthropic", ["msgbatch_1", "job-1-1-2"], ["msgbatch_2", "job-1-2-1"]),  # the last number is a row's
    ],
)
def test_a_label_is_the_whole_of_it_and_the_same_in_every_dialect(
    dialect: str, first: list[str], second: list[str]
) -> None:
    rule = parse("* answers label=*-1 row%10 -> fail 500")
    assert rule.fits(dialect, "m", first)
    assert not rule.fits(dialect, "m", second)
    assert not parse("* life label=job -> stuck").fits(dialect, "m", first)


def test_the_known_operations_are_those_that_the_dialects_serve(tmp_path: Path) -> None:
    world = World(tmp_path)
    service = Service(world=world, profiles=named("instant"), seed=0)
    for dialect in (OpenAI(service), Anthropic(service), Gemini(service)):
        assert set(OPERATIONS[dialect.name]) == {route.operation for route in dialect.routes}
    world.close()


def test_counts_survive_a_restart(tmp_path: Path) -> None:
    call = Call(method="GET", path="/openai/v1/batches", query={}, headers={}, base_url="", args={})
    rules = parse_all(["openai batches.list nth=3 -> status 500"] * 2)
    struck: list[Any] = []
    for _ in range(4):
        world = World(tmp_path)
        dialect = OpenAI(Service(world=world, profiles=named("instant"), seed=0))
        struck.append(len(FaultDesk(world, rules).on_call(dialect, "batches.list", call).texts))
        world.close()
    assert struck == [0, 0, 2, 0]


def test_expiry_comes_when_the_batch_would_have_ended_or_when_told() -> None:
    cut = bend(PLAN, [parse("* life -> expire after=0.25")])
    assert (cut.window_s, cut.cut) == (115, 0.25)
    told = bend(PLAN, [parse("* life -> expire after=0.25 in=3600")])
    assert told.window_s == 3600
    assert told.run_s > 3600


def test_a_stuck_batch_begins_after_its_window_or_after_a_while() -> None:
    assert bend(PLAN, [parse("* life -> stuck")]).queue_s > PLAN.window_s
    assert bend(PLAN, [parse("* life -> stuck 60")]).queue_s == 65


def test_another_order_is_another_order_even_for_two_lines(tmp_path: Path) -> None:
    for seed in range(20):
        path = tmp_path / "lines"
        path.write_text("a\nb\n")
        shuffle_lines(path, seed)
        assert path.read_text() == "b\na\n"


def test_limits_are_the_services_own_unless_told_otherwise() -> None:
    limits = parse_limits(["openai.max_rows=100", "*.max_batches_in_flight=8", "anthropic.queued_requests=none"])
    assert limits["openai"]["max_rows"] == 100
    assert limits["anthropic"]["max_rows"] == LIMITS["anthropic"]["max_rows"].value == 100_000
    assert [limits[name]["max_batches_in_flight"] for name in limits] == [8, 8, 8]
    assert limits["anthropic"]["queued_requests"] is None
    assert parse_limits(["google.concurrent_batches=3"])["gemini"]["max_batches_in_flight"] == 3
    assert parse_limits([])["gemini"]["max_batches_in_flight"] == 100


@pytest.mark.parametrize("text", ["openai.max_rows", "openai.rows=3", "mistral.max_rows=3", "openai.max_rows=-1"])
def test_a_bad_limit_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(EmulatorError, match=re.escape(text)):
        Emulator(EmulatorOptions(home=tmp_path, limits=(text,)))


def test_a_world_of_the_version_before_is_brought_up_to_date(tmp_path: Path) -> None:
    world = World(tmp_path)
    store = world.store
    store.run("DROP INDEX batches_holding")
    for column in ("queue", "input_bytes", "labels", "faults", "hidden_until", "holds_until", "failing"):
        store.run(f"ALTER TABLE batches DROP COLUMN {column}")
    for column in ("stored", "batch_seq", "faults", "file_name"):
        store.run(f"ALTER TABLE journal DROP COLUMN {column}")
    for table in ("fault_counts", "upload_parts", "hooks", "notices", "signing_keys"):
        store.run(f"DROP TABLE {table}")
    store.run("PRAGMA user_version = 1")
    world.close()
    for _ in range(2):
        again = World(tmp_path)
        assert again.journal() == []
        assert again.count_fault("x") > 0
        again.close()
    with sqlite3.connect(tmp_path / "world.sqlite3") as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(sqlite3.DatabaseError, match="another version"):
        Store(tmp_path / "world.sqlite3")


def test_the_rules_kept_with_a_batch_are_json_that_can_be_read_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    source = world.incoming / "rows"
    source.write_text("{}\n")
    text = 'gemini answers row=2 -> fail 9 message="Precondition check failed."'
    batch = world.add_batch(
        id="b",
        dialect="gemini",
        endpoint="x",
        model="m",
        seed=0,
        profiles=named("instant"),
        window_s=10,
        spec={},
        source=source,
        faults=[text],
        labels=["job-1"],
    )
    assert json.dumps(list(batch.faults)) == json.dumps([text])
    assert parse(batch.faults[0]).options["message"] == "Precondition check failed."
    assert batch.names == ["b", "job-1"]
    world.close()
