"""What accounts did in the past, by list calls alone: every provider's own client on the emulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import batchmark
from batchmark.api.history import UNTOLD_MODEL, History, read_history
from batchmark.api.workspace import Workspace
from batchmark.compare.measures import JobFacts, measure
from batchmark.compare.observations import observe
from batchmark.compare.rounds import BY_HOUR
from batchmark.domain.ids import wire_id
from batchmark.domain.lifecycle import BatchRef, State
from batchmark.domain.target import Target
from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.engine.events import Event, Trouble
from batchmark.errors import BadCredentials, BadInput, Configuration
from batchmark.providers import registry
from batchmark.providers.credentials import base_url_of, key_of
from batchmark.providers.seam import Provider, Submission
from tests.support import chat, journal, wire

PROVIDERS = tuple(registry.BUILT_IN)


class World:
    """An emulated cloud with accounts that other people's programs have used, and a workspace to read them from."""

    def __init__(self, cloud: Emulator, home: Path) -> None:
        self.cloud, self.home = cloud, home
        self.told: list[Event] = []

    def environment(self, **changes: str) -> dict[str, str]:
        quick = {"BATCHMARK_HOME": str(self.home), "BATCHMARK_PATIENCE_S": "1"}
        return {**self.cloud.environment(), **quick, **changes}

    def submit(self, name: str, label: str, rows: int = 3, *, then: str = "end") -> str:
        """Make a batch as any program could: without a word to our ledger. `then` it is left, cancelled, or waited for."""
        spec, rules = registry.find(name), wire(name)
        lines = [rules.encode(chat(f"question {n}"), wire_id(label, n), spec.default_model) for n in range(rows)]
        path = self.home.parent / f"{name}-{label}.requests"
        path.write_bytes(rules.FRAME.prefix + rules.FRAME.separator.join(lines) + rules.FRAME.suffix)
        shard = Submission(
            path=path, label=label, model=spec.default_model, endpoint=rules.endpoint(chat()), rows=rows, timeout_s=30
        )

        async def go() -> str:
            environment = self.environment()
            client = registry.connect(spec, key=key_of(spec, environment), base_url=base_url_of(spec, environment))
            try:
                ref = await client.create(replace(shard, file=await client.upload(path, label)))
                if then == "cancel":
                    await client.cancel(ref)
                if then != "leave":
                    await ended(client, ref)
                return ref.id
            finally:
                await client.close()

        return asyncio.run(go())

    def read(self, *names: str, hours: float = 24.0, **changes: str) -> History:
        with Workspace(environment=self.environment(**changes)) as workspace:
            return asyncio.run(read_history(workspace, names, hours=hours, tell=self.told.append))


async def ended(client: Provider, ref: BatchRef) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while not (await client.get(ref)).state.terminal:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Start a world where these faults strike; the options are the emulator's."""
    with ExitStack() as stack:

        def start(*faults: str, **options: Any) -> World:
            chosen = {"profile": "instant", "answers": "synthetic", **options}
            cloud = stack.enter_context(Emulator(EmulatorOptions(home=tmp_path / "cloud", faults=faults, **chosen)))
            return World(cloud, tmp_path / "home")

        yield start


def by_id(found: History) -> dict[str, JobFacts]:
    return {each.id: each for each in found.jobs}


STUCK_AND_CUT = ("* life label=b -> stuck", "* life label=c -> expire after=0.4 in=0")


def test_finished_cancelled_and_expired_batches_of_every_account_are_jobs(world: Callable[..., World]) -> None:
    here = world(*STUCK_AND_CUT)
    made = {
        name: [
            here.submit(name, "a", rows=5),
            here.submit(name, "b", rows=5, then="cancel"),
            here.submit(name, "c", rows=5),
        ]
        for name in PROVIDERS
    }
    before = len(journal(here.cloud, "*"))
    found = here.read(*PROVIDERS)
    assert not found.failures and found.kept_out == () and found.round_is == BY_HOUR
    assert [each.target.provider for each in found.jobs] == [name for name in PROVIDERS for _ in range(3)]
    for name, ids in made.items():
        jobs = [by_id(found)[id_] for id_ in ids]
        measures = [measure(each) for each in jobs]
        assert [each.state for each in measures] == [State.SUCCEEDED, State.CANCELLED, State.EXPIRED], name
        first, cancelled, expired = jobs
        assert first.rows == first.totals.submitted == first.totals.succeeded == 5
        assert first.counted and not first.priced and first.totals.cost_usd is None
        assert first.origin == f"{name} list" and not first.emulated
        assert cancelled.totals.submitted == expired.totals.submitted == 5
        assert expired.totals.succeeded == (2 if registry.find(name).expiry_keeps_finished else 0)
        observations, left_out = observe(measures)
        assert [each.finished for each in observations] == [True, False, False] and not left_out
    calls = journal(here.cloud, "*")[before:]
    assert {each["operation"] for each in calls} == {"batches.list"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_batch_under_way_is_known_to_be_unfinished_up_to_the_providers_now(
    name: str, world: Callable[..., World]
) -> None:
    here = world("* life -> stuck")
    here.submit(name, "a", then="leave")
    job = here.read(name).jobs[0]
    batch = job.batches[0]
    assert not batch.state.terminal and batch.last_seen_at is not None
    assert abs((batch.last_seen_at - datetime.now(UTC)).total_seconds()) < 30
    each = measure(job)
    assert not each.finished and each.unfinished_s is not None
    assert not job.counted


def test_a_model_that_the_list_does_not_name_is_taken_from_the_ledger_or_said_to_be_untold(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world()
    for name, value in here.environment().items():
        monkeypatch.setenv(name, value)
    run = batchmark.run([{"prompt": "Hello", "max_tokens": 9}] * 4, on="anthropic", home=here.home)
    theirs = here.submit("anthropic", "x")
    found = here.read("anthropic")
    jobs = by_id(found)
    mine = next(each for id_, each in jobs.items() if id_ != theirs)
    assert jobs[theirs].target == Target("anthropic", UNTOLD_MODEL)
    assert mine.target == Target("anthropic", registry.find("anthropic").default_model)
    assert mine.priced and mine.totals.usage == run.totals.usage and mine.totals.cost_usd == run.totals.cost_usd
    assert any(note.startswith("anthropic: 1 of 2 batches is named with no model") for note in found.notes)


def test_an_account_that_cannot_be_read_is_told_of_and_the_others_go_on(world: Callable[..., World]) -> None:
    here = world("anthropic batches.list -> revoke-key")
    here.submit("openai", "a")
    found = here.read("openai", "anthropic", "google")
    assert [each.target.provider for each in found.jobs] == ["openai"]
    assert list(found.failures) == ["anthropic"] and isinstance(found.failures["anthropic"], BadCredentials)
    assert any(note.startswith("The account on anthropic could not be read") for note in found.notes)
    assert any(isinstance(each, Trouble) and "anthropic" in each.message for each in here.told)
    assert "google: no batch in this time" in found.notes


def test_a_missing_key_is_the_error_where_it_leaves_no_account_to_read(world: Callable[..., World]) -> None:
    with pytest.raises(Configuration, match="openai"):
        world().read("openai", OPENAI_API_KEY="")


def test_an_unknown_provider_is_refused_before_anything_is_asked(world: Callable[..., World]) -> None:
    here = world()
    with pytest.raises(BadInput, match="unknown provider 'nobody'"):
        here.read("openai", "nobody")
    assert journal(here.cloud, "*") == []


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_list_that_fails_at_first_is_asked_for_again(name: str, world: Callable[..., World]) -> None:
    here = world("* batches.list nth=1 -> status 503")
    here.submit(name, "a")
    found = here.read(name, BATCHMARK_PATIENCE_S="20")
    assert len(found.jobs) == 1


def test_no_ledger_is_made_where_there_is_none(world: Callable[..., World]) -> None:
    here = world()
    here.submit("openai", "a")
    here.read("openai")
    assert not (here.home / "ledger.sqlite3").exists()


def test_the_past_ends_where_it_was_asked_to(world: Callable[..., World]) -> None:
    here = world(time_scale=1_000_000)  # minutes pass with every call
    here.submit("openai", "a")
    assert here.read("openai", hours=1e12).jobs
    assert here.read("openai", hours=0.01).jobs == ()
