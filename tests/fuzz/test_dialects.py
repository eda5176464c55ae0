"""The short run, the same every time: a sample of every kind of hostile request at each dialect."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchmark.emulator.dialects.anthropic import Anthropic
from batchmark.emulator.dialects.gemini import Gemini
from batchmark.emulator.dialects.openai import OpenAI
from batchmark.emulator.profiles import named
from batchmark.emulator.service import Service
from batchmark.emulator.world import World
from tests.fuzz import generated, rows, uploads
from tests.fuzz.cases import FAMILIES, Seeds, seeds
from tests.fuzz.descriptions import DIALECTS, description
from tests.fuzz.floods import break_off, flood, throng
from tests.fuzz.target import Finding, Target, running
from tests.fuzz.values import NAMES

_SEED = 20_261_122
_SAMPLE = {"wrong_members": 400, "deep": 100, "names": 200, "queries": 250, "headers": 250, "methods": 200}
_ROWS = list(rows.all_rows())


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running(tmp_path_factory.mktemp("fuzz")) as made:
        yield made


@pytest.fixture
def known(target: Target) -> Iterator[Seeds]:
    """Things to attack, in a world that is emptied afterwards of what may not have ended."""
    target.log.take()
    yield seeds(target)
    target.begin_anew()


def told(findings: list[Finding] | list[str]) -> None:
    """Fail with all of what was found, the first few in full."""
    if findings:
        pytest.fail(f"{len(findings)} found:\n" + "\n\n".join(map(str, findings[:4])), pytrace=False)


def each_apart(target: Target, luck: random.Random, family: str, known: Seeds) -> list[Finding]:
    cases = list(FAMILIES[family](known))
    found = []
    chosen = luck.sample(cases, min(len(cases), _SAMPLE.get(family, 1000)))
    # what is read before anything is checked is tried in every way
    chosen += [case for case in cases if "custom_id" in case.name and case not in chosen]
    for case in chosen:
        try:
            case.run(target)
        except Finding as finding:
            found.append(Finding(f"{case.name}: {finding}"))
    return found


@pytest.mark.parametrize("family", list(FAMILIES))
def test_hostile_requests_are_answered_as_the_descriptions_say(target: Target, known: Seeds, family: str) -> None:
    found = each_apart(target, random.Random(_SEED), family, known)
    try:
        target.look_back()
    except Finding as finding:
        found.append(finding)
    told(found)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_requests_made_from_a_description_are_answered_as_it_says(target: Target, known: Seeds, dialect: str) -> None:
    told(generated.fuzz(target, known, dialect, examples=2, seed=_SEED))
    target.look_back()


@pytest.mark.parametrize("kind", _ROWS, ids=lambda kind: kind.name)
def test_a_batch_ends_whatever_its_rows_are(target: Target, kind: rows.Rows) -> None:
    target.log.take()
    luck = random.Random(_SEED)
    lines = luck.sample(kind.lines, min(len(kind.lines), 20 if kind.alone else 250))
    # the nesting that only just passes one reader is too narrow a gap to leave to luck
    lines += [each for each in kind.lines if "levels" in each[0] and each not in lines][-20:] if kind.alone else []
    sample = rows.Rows(name=kind.name, dialect=kind.dialect, lines=lines, make=kind.make, alone=kind.alone)
    told(rows.run(target, sample, deadline_s=5))


@pytest.mark.parametrize("session", [uploads.gemini_session, uploads.openai_session])
def test_steps_of_an_upload_in_any_order_do_what_they_should(target: Target, session: Callable[..., None]) -> None:
    for number in range(20):
        session(target, random.Random(_SEED + number))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:30])
def test_a_file_keeps_any_name_and_can_be_downloaded(target: Target, name: str) -> None:
    uploads.named_file(target, name)


def test_requests_that_break_off_leave_nothing_behind(target: Target) -> None:
    break_off(target, random.Random(_SEED), times=100)
    target.look_back()


def test_things_may_be_deleted_while_others_use_them(target: Target, known: Seeds) -> None:
    for number in range(2):
        throng(target, known, random.Random(_SEED + number), calls=200)
    assert not target.log.take()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux shows it")
@pytest.mark.parametrize("name", ["a file", "requests at Anthropic", "the start of an upload"])
def test_memory_stays_bounded_whatever_is_sent(target: Target, name: str) -> None:
    flood(target, name, megabytes=300)
    target.look_back()


@pytest.mark.parametrize("dialect", [OpenAI, Anthropic, Gemini])
def test_a_description_holds_what_its_dialect_routes_and_no_more(tmp_path: Path, dialect: type[Any]) -> None:
    with closing(World(tmp_path)) as world:
        made = dialect(Service(world=world, profiles=named("instant"), seed=0))
        said = description(made.name)
        assert said.prefix == made.prefix
        ids = {(route.method, route.operation) for route in made.routes}
        described = {(each.method, each.id.removesuffix(".put").removesuffix(".other")) for each in said.operations}
        assert described == ids
        for each in said.operations:
            path = re.sub(r"\{\w+\}", "a", each.path.replace("{version}", "v1"))
            routed = [
                route.operation
                for route in made.routes
                if route.method == each.method and route.pattern.fullmatch(path)
            ]
            assert routed[:1] == [each.id.removesuffix(".put").removesuffix(".other")], path
