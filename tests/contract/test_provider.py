"""One suite for every provider: the real clients on their official SDKs, against the emulator, and against a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from batchmark.domain.ids import wire_id
from batchmark.domain.lifecycle import BatchRef, FileRef, Intent, RawFile, Snapshot, State
from batchmark.domain.request import Request
from batchmark.domain.result import Outcome, Result
from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.errors import (
    Ambiguous,
    BadCredentials,
    BadInput,
    BatchmarkError,
    NotFound,
    RateLimited,
    Refused,
    Retryable,
)
from batchmark.providers import registry
from batchmark.providers.credentials import base_url_of, key_of
from batchmark.providers.seam import Provider, ProviderSpec, Submission
from tests.loopback import DROP, Asked, Reply, loopback, unused_url
from tests.support import chat, vector, wire

_T = TypeVar("_T")
EMBEDDING_MODELS = {"openai": "text-embedding-3-small", "google": "gemini-embedding-001"}
SECRET = "sk-test-1234567890abcdef"


@pytest.fixture(params=list(registry.BUILT_IN))
def spec(request: pytest.FixtureRequest) -> ProviderSpec:
    return registry.find(request.param)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One cloud where everything happens at once, for tests that do not mind each other's batches."""
    home = tmp_path_factory.mktemp("cloud")
    with Emulator(EmulatorOptions(home=home, profile="instant", answers="synthetic")) as running:
        yield running


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One cloud where every state lasts for seconds of its own clock."""
    home = tmp_path_factory.mktemp("slow")
    with Emulator(EmulatorOptions(home=home, profile="demo", answers="synthetic", time_scale=10)) as running:
        yield running


@asynccontextmanager
async def connected(spec: ProviderSpec, where: Emulator | str, key: str | None = None) -> AsyncIterator[Provider]:
    if isinstance(where, Emulator):
        environment = where.environment()
        client = registry.connect(spec, key=key or key_of(spec, environment), base_url=base_url_of(spec, environment))
    else:
        client = registry.connect(spec, key=key or SECRET, base_url=where)
    try:
        yield client
    finally:
        await client.close()


def run(
    spec: ProviderSpec, where: Emulator | str, work: Callable[[Provider], Awaitable[_T]], key: str | None = None
) -> _T:
    """What `work` gives with a connected client."""

    async def go() -> _T:
        async with connected(spec, where, key) as provider:
            return await work(provider)

    return asyncio.run(go())


def shard(
    spec: ProviderSpec, folder: Path, label: str, requests: list[Request], model: str | None = None
) -> Submission:
    """A shard file of these requests."""
    rules = wire(spec.name)
    model = model or spec.default_model
    rows = [rules.encode(each, wire_id(label, number), model) for number, each in enumerate(requests)]
    path = folder / f"{label}.requests"
    path.write_bytes(rules.FRAME.prefix + rules.FRAME.separator.join(rows) + rules.FRAME.suffix)
    return Submission(
        path=path, label=label, model=model, endpoint=rules.endpoint(requests[0]), rows=len(rows), timeout_s=30
    )


def chats(count: int, text: str = "question") -> list[Request]:
    return [chat(f"{text} {number}") for number in range(count)]


async def submit(provider: Provider, submission: Submission) -> BatchRef:
    file = await provider.upload(submission.path, submission.label)
    return await provider.create(replace(submission, file=file))


async def until(provider: Provider, ref: BatchRef, good: Callable[[Snapshot], bool]) -> Snapshot:
    deadline = time.monotonic() + 20
    while True:
        seen = await provider.get(ref)
        if good(seen):
            return seen
        assert time.monotonic() < deadline, f"still {seen.raw_status}"
        await asyncio.sleep(0.005)


def terminal(seen: Snapshot) -> bool:
    return seen.state.terminal


def results(spec: ProviderSpec, files: list[RawFile]) -> dict[str, Result]:
    rules = wire(spec.name)
    found = [rules.decode(line) for raw in files for line in rules.split(raw)]
    assert len({each.wire_id for each in found}) == len(found)
    return {each.wire_id: each for each in found}


# the whole life of a batch


def test_the_providers_clock_is_read(spec: ProviderSpec, shared: Emulator) -> None:
    now = run(spec, shared, lambda provider: provider.now())
    assert now.tzinfo is UTC and abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_batch_goes_from_rows_to_results(spec: ProviderSpec, shared: Emulator, home: Path) -> None:
    async def work(provider: Provider) -> None:
        label = "bm-life0-0-1"
        before = await provider.now()
        ref = await submit(provider, shard(spec, home, label, chats(5)))
        assert ref.provider == spec.name and ref.id.startswith(spec.id_prefixes)
        seen = await until(provider, ref, terminal)
        assert (seen.ref, seen.state) == (ref, State.SUCCEEDED)
        assert seen.counts.total == 5 and seen.counts.done == 5
        assert seen.created_at is not None and seen.ended_at is not None
        assert before - timedelta(seconds=1) <= seen.created_at <= seen.ended_at
        into = home / "raw"
        into.mkdir()
        found = results(spec, await provider.fetch(seen, into))
        assert set(found) == {wire_id(label, number) for number in range(5)}
        for result in found.values():
            assert result.outcome is Outcome.SUCCEEDED and result.text
            assert result.usage is not None and result.usage.input_tokens > 0 and result.usage.output_tokens > 0
            assert result.model is not None and result.model.startswith(spec.default_model)
        assert not [path for path in into.iterdir() if path.name.endswith(".part")]
        # fetching again is harmless
        assert results(spec, await provider.fetch(seen, into)) == found

    run(spec, shared, work)


def test_a_new_batch_is_found_in_the_list_as_the_one_we_meant(spec: ProviderSpec, cloud: Emulator, home: Path) -> None:
    async def work(provider: Provider) -> None:
        label = "bm-find0-0-1"
        submission = shard(spec, home, label, chats(3))
        await submit(provider, shard(spec, home, "bm-find0-1-1", chats(2)))
        intent = Intent(label=label, rows=3, sent_at=await provider.now(), timeout_s=600)
        ref = await submit(provider, submission)
        found = [each async for each in provider.list_batches() if wire(spec.name).matches(intent, each)]
        assert [each.ref for each in found] == [ref]
        assert found[0].label == (None if spec.name == "anthropic" else label)

    run(spec, cloud, work)


def test_a_list_goes_on_over_its_pages_newest_first(spec: ProviderSpec, cloud: Emulator, home: Path) -> None:
    async def work(provider: Provider) -> None:
        submission = shard(spec, home, "bm-many0-0-1", chats(1))
        file = await provider.upload(submission.path, submission.label)
        made = [await provider.create(replace(submission, file=file)) for _ in range(103)]
        seen = [each async for each in provider.list_batches()]
        assert [each.ref for each in seen] == made[::-1]
        created = [each.created_at for each in seen if each.created_at is not None]
        assert created == sorted(created, reverse=True) and len(created) == 103
        # back to a time: whole pages, but no more of them than needed
        recent = [each.ref async for each in provider.list_batches(created[0] + timedelta(days=1))]
        assert recent == made[::-1][: len(recent)]
        # no document says in which order Gemini lists, so there every page is read
        assert len(recent) < 103 or spec.name == "google"

    run(spec, cloud, work)


def test_an_empty_account_has_an_empty_list(spec: ProviderSpec, cloud: Emulator) -> None:
    async def work(provider: Provider) -> list[Snapshot]:
        return [each async for each in provider.list_batches()]

    assert run(spec, cloud, work) == []


def test_rows_that_fail_are_told_apart_from_those_that_succeed(
    spec: ProviderSpec, shared: Emulator, home: Path
) -> None:
    """The second row asks for a model that does not exist, where a batch may mix models, else it has an empty message."""

    async def work(provider: Provider) -> None:
        label = "bm-fail0-0-1"
        submission = shard(spec, home, label, chats(2))
        content = submission.path.read_bytes()
        if spec.name == "anthropic":
            head, _, tail = content.rpartition(spec.default_model.encode())
            submission.path.write_bytes(head + b"claude-none" + tail)
        elif spec.name == "openai":
            submission.path.write_bytes(content.replace(b'"content":"question 1"', b'"content":5'))
        else:
            submission.path.write_bytes(content.replace(b'[{"text":"question 1"}]', b"[]"))
        seen = await until(provider, await submit(provider, submission), terminal)
        assert seen.state is State.SUCCEEDED
        assert (seen.counts.succeeded, seen.counts.failed) == (1, 1)
        into = home / "raw"
        into.mkdir()
        found = results(spec, await provider.fetch(seen, into))
        assert found[wire_id(label, 0)].outcome is Outcome.SUCCEEDED
        bad = found[wire_id(label, 1)]
        assert bad.outcome is Outcome.ERRORED
        assert bad.error is not None and bad.error.message and not bad.error.retryable

    run(spec, shared, work)


@pytest.mark.parametrize("inline_max_bytes", [0, 1_000_000])
@pytest.mark.parametrize("name", list(EMBEDDING_MODELS))
def test_texts_are_embedded(name: str, inline_max_bytes: int, shared: Emulator, home: Path) -> None:
    spec = inlining(registry.find(name), inline_max_bytes)

    async def work(provider: Provider) -> None:
        label = "bm-embd0-0-1"
        submission = shard(spec, home, label, [vector("one"), vector("two")], EMBEDDING_MODELS[name])
        seen = await until(provider, await submit(provider, submission), terminal)
        assert seen.state is State.SUCCEEDED, seen.problems
        found = results(spec, await provider.fetch(seen, home))
        assert set(found) == {wire_id(label, 0), wire_id(label, 1)}
        first, second = (found[wire_id(label, number)] for number in (0, 1))
        assert first.embedding and second.embedding and first.embedding != second.embedding
        assert first.usage is not None and first.usage.input_tokens > 0

    run(spec, shared, work)


def inlining(spec: ProviderSpec, most: int) -> ProviderSpec:
    return replace(spec, limits=replace(spec.limits, inline_max_bytes=most))


@pytest.mark.parametrize(("most", "inline"), [(0, False), (1_000_000, True)])
def test_gemini_takes_small_shards_inside_the_create_and_others_as_files(
    most: int, inline: bool, cloud: Emulator, home: Path
) -> None:
    spec = inlining(registry.find("google"), most)

    async def work(provider: Provider) -> None:
        submission = shard(spec, home, "bm-inln0-0-1", chats(4))
        file = await provider.upload(submission.path, submission.label)
        assert (file is None) is inline
        ref = await provider.create(replace(submission, file=file))
        seen = await until(provider, ref, terminal)
        files = await provider.fetch(seen, home)
        assert [raw.kind for raw in files] == ["operation" if inline else "lines"]
        assert len(results(spec, files)) == 4
        assert seen.input_file == file
        if file is not None:
            await provider.delete_file(file)
            with pytest.raises(BatchmarkError):
                await provider.create(replace(submission, file=file))

    run(spec, cloud, work)


def test_openai_forgets_a_file_that_is_deleted(shared: Emulator, home: Path) -> None:
    spec = registry.find("openai")

    async def work(provider: Provider) -> None:
        submission = shard(spec, home, "bm-file0-0-1", chats(1))
        file = await provider.upload(submission.path, submission.label)
        assert file is not None
        await provider.delete_file(file)
        with pytest.raises(NotFound):
            await provider.delete_file(file)

    run(spec, shared, work)


def test_the_models_listed_are_those_that_can_be_batched(spec: ProviderSpec, shared: Emulator) -> None:
    async def work(provider: Provider) -> dict[str, bool | None]:
        return {each.id: each.batch async for each in provider.models()}

    found = run(spec, shared, work)
    assert found[spec.default_model] is True
    assert False not in found.values()
    for cannot in ("claude-mythos-5-2", "gemini-2.5-flash-preview-tts", "gemini-3.1-flash-live-preview"):
        assert cannot not in found
    # OpenAI's list does not say: what is not known to be batched is left open
    assert found.get("whisper-1") is None


# cancelling and deleting


def test_a_cancelled_batch_ends_and_what_there_is_of_it_can_be_fetched(
    spec: ProviderSpec, slow: Emulator, home: Path
) -> None:
    async def work(provider: Provider) -> None:
        label = "bm-cncl0-0-1"
        ref = await submit(provider, shard(spec, home, label, chats(20, "cancelled question")))
        await until(provider, ref, lambda seen: seen.state in (State.RUNNING, State.QUEUED))
        await provider.cancel(ref)
        seen = await until(provider, ref, terminal)
        assert seen.state is State.CANCELLED
        found = results(spec, await provider.fetch(seen, home))
        assert set(found) <= {wire_id(label, number) for number in range(20)}
        assert {each.outcome for each in found.values()} <= {Outcome.SUCCEEDED, Outcome.CANCELLED}

    run(spec, slow, work)


def test_every_state_on_the_way_is_known(spec: ProviderSpec, slow: Emulator, home: Path) -> None:
    async def work(provider: Provider) -> None:
        ref = await submit(provider, shard(spec, home, "bm-stat0-0-1", chats(2)))
        states: list[State] = []

        def note(seen: Snapshot) -> bool:
            states.append(seen.state)
            return seen.state.terminal

        await until(provider, ref, note)
        assert State.UNKNOWN not in states and State.RUNNING in states
        order = [State.QUEUED, State.RUNNING, State.FINALIZING, State.SUCCEEDED]
        assert states == sorted(states, key=order.index)

    run(spec, slow, work)


def test_a_batch_that_is_over_cannot_be_cancelled(spec: ProviderSpec, shared: Emulator, home: Path) -> None:
    async def work(provider: Provider) -> None:
        ref = await submit(provider, shard(spec, home, "bm-over0-0-1", chats(1)))
        await until(provider, ref, terminal)
        with pytest.raises(Refused):
            await provider.cancel(ref)

    run(spec, shared, work)


def test_a_batch_can_be_deleted_where_the_api_has_such_a_call(spec: ProviderSpec, shared: Emulator, home: Path) -> None:
    async def work(provider: Provider) -> None:
        ref = await submit(provider, shard(spec, home, "bm-dele0-0-1", chats(1)))
        await until(provider, ref, terminal)
        if not spec.can_delete:
            with pytest.raises(Refused, match="cannot delete") as caught:
                await provider.delete(ref)
            assert caught.value.hint is not None and "cancel" in caught.value.hint
            assert (await provider.get(ref)).ref == ref
            return
        await provider.delete(ref)
        with pytest.raises(NotFound):
            await provider.get(ref)

    run(spec, shared, work)


# refusals


@pytest.mark.parametrize("verb", ["get", "cancel", "delete"])
def test_an_unknown_batch_is_not_found(spec: ProviderSpec, shared: Emulator, verb: str) -> None:
    kind = Refused if verb == "delete" and not spec.can_delete else NotFound

    async def work(provider: Provider) -> None:
        with pytest.raises(kind) as caught:
            await getattr(provider, verb)(BatchRef(spec.name, f"{spec.id_prefixes[0]}doesnotexist"))
        assert type(caught.value) is kind
        assert spec.name in caught.value.message.lower()

    run(spec, shared, work)


@pytest.mark.parametrize("id_", ["../files/secret", "batches/a/b", "batches/a?x=1", "", "models/x"])
def test_what_is_no_id_of_gemini_is_not_put_into_an_address(id_: str, shared: Emulator) -> None:
    spec = registry.find("google")

    async def work(provider: Provider) -> None:
        with pytest.raises(BadInput):
            await provider.get(BatchRef("google", id_))

    run(spec, shared, work)


@pytest.mark.parametrize("call", ["now", "list", "get", "models", "create"])
def test_a_bad_key_is_said_to_be_bad_and_not_shown(spec: ProviderSpec, call: str, shared: Emulator, home: Path) -> None:
    key = "bad-secret-key-0123456789"

    async def work(provider: Provider) -> None:
        with pytest.raises(BadCredentials) as caught:
            if call == "now":
                await provider.now()
            elif call == "list":
                async for _ in provider.list_batches():
                    pass
            elif call == "get":
                await provider.get(BatchRef(spec.name, f"{spec.id_prefixes[0]}x"))
            elif call == "models":
                async for _ in provider.models():
                    pass
            else:
                await submit(provider, shard(spec, home, "bm-badk0-0-1", chats(1)))
        shown = f"{caught.value} {caught.value.hint} {caught.value!r}"
        assert key not in shown and "0123456789" not in shown
        assert spec.name in caught.value.message
        assert caught.value.__cause__ is None or key not in repr(caught.value.__cause__)

    run(spec, shared, work, key=key)


def test_an_unknown_model_is_refused_or_fails_the_batch_and_is_never_ambiguous(
    spec: ProviderSpec, shared: Emulator, home: Path
) -> None:
    async def work(provider: Provider) -> None:
        try:
            ref = await submit(provider, shard(spec, home, "bm-nomo0-0-1", chats(1), "no-such-model"))
        except Refused as error:
            assert "no-such-model" in error.message
            return
        seen = await until(provider, ref, terminal)
        if seen.state is State.FAILED:
            assert seen.problems
            return
        found = results(spec, await provider.fetch(seen, home))
        assert {each.outcome for each in found.values()} == {Outcome.ERRORED}

    run(spec, shared, work)


# a server that misbehaves


def create_only(reply: Reply) -> Callable[[Asked], Reply]:
    """Answers the create with `reply` and everything before it well."""

    def answer(asked: Asked) -> Reply:
        if asked.method == "POST" and asked.path.endswith("/files"):
            return Reply(body=b'{"id":"file-1","object":"file"}')
        return reply if asked.method == "POST" else Reply(body=b'{"data":[],"has_more":false}')

    return answer


def try_create(spec: ProviderSpec, url: str, home: Path) -> BatchRef:
    return run(spec, url, lambda provider: submit(provider, shard(spec, home, "bm-crea0-0-1", chats(2))))


@pytest.mark.parametrize(
    "reply",
    [
        DROP,
        Reply(500, b'{"error":{"message":"boom"}}'),
        Reply(502, b"<html>bad gateway</html>", {"content-type": "text/html"}),
        Reply(503, b"", {"retry-after": "1"}),
        Reply(529, b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'),
        Reply(408, b"{}"),
        Reply(409, b'{"error":{"message":"conflict"}}', {"x-should-retry": "true"}),
        Reply(200, b'{"id":"batch_1","name":"batches/x"', cut=10),
        Reply(200, b"<html>signed out</html>", {"content-type": "text/html"}),
        Reply(200, b"{}"),
        Reply(200, b"not json"),
    ],
    ids=["drop", "500", "502", "503", "529", "408", "409", "cut", "html", "empty", "nonsense"],
)
def test_a_create_without_a_clear_answer_is_ambiguous_and_sent_once(
    spec: ProviderSpec, reply: Reply, home: Path
) -> None:
    with loopback(create_only(reply)) as server:
        with pytest.raises(Ambiguous, match="the batch may exist") as caught:
            try_create(spec, server.url, home)
        creates = [each for each in server.asked if each.method == "POST" and not each.path.endswith("/files")]
        assert len(creates) == 1
    assert SECRET not in str(caught.value) and "bm-crea0-0-1" in caught.value.message


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(400, b'{"error":{"message":"no"}}'), Refused),
        (Reply(401, b'{"error":{"message":"who?"}}'), BadCredentials),
        (Reply(404, b'{"error":{"message":"no such model"}}'), NotFound),
        (Reply(413, b'{"error":{"message":"too much"}}'), Refused),
        (Reply(429, b'{"error":{"message":"slow down"}}', {"retry-after": "7"}), RateLimited),
    ],
)
def test_a_create_that_is_clearly_refused_made_nothing_and_is_sent_once(
    spec: ProviderSpec, reply: Reply, kind: type[BatchmarkError], home: Path
) -> None:
    with loopback(create_only(reply)) as server:
        with pytest.raises(kind) as caught:
            try_create(spec, server.url, home)
        assert type(caught.value) is kind
        creates = [each for each in server.asked if each.method == "POST" and not each.path.endswith("/files")]
        assert len(creates) == 1
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after_s == 7


def test_googles_retry_delay_is_read_from_the_details(home: Path) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
    error = {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED", "details": [detail]}
    for body in ({"error": error}, [{"error": error}]):
        with loopback(create_only(Reply(429, json.dumps(body).encode()))) as server:
            with pytest.raises(RateLimited, match="RESOURCE_EXHAUSTED") as caught:
                try_create(registry.find("google"), server.url, home)
            assert caught.value.retry_after_s == 37


def test_where_nobody_listens_nothing_was_sent_so_a_create_may_be_tried_again(spec: ProviderSpec, home: Path) -> None:
    async def work(provider: Provider) -> None:
        submission = shard(spec, home, "bm-dead0-0-1", chats(1))
        file = FileRef(spec.name, "file-1") if spec.name == "openai" else None
        for call in (provider.now, lambda: provider.create(replace(submission, file=file))):
            with pytest.raises(Retryable) as caught:
                await call()
            assert "127.0.0.1" in caught.value.message and caught.value.hint is not None

    run(spec, unused_url(), work)


@pytest.mark.parametrize(
    "reply",
    [
        DROP,
        Reply(500),
        Reply(503, b"busy"),
        Reply(429, headers={"retry-after": "3"}),
        Reply(200, b"<html>"),
        Reply(200, b'"'),
    ],
    ids=["drop", "500", "503", "429", "html", "nonsense"],
)
def test_a_read_that_fails_may_be_tried_again_and_is_sent_once(spec: ProviderSpec, reply: Reply) -> None:
    async def work(provider: Provider) -> None:
        with pytest.raises(Retryable) as caught:
            await provider.get(BatchRef(spec.name, f"{spec.id_prefixes[0]}x"))
        assert caught.value.retry_after_s == (3 if reply.status == 429 else None)
        with pytest.raises(Retryable):
            async for _ in provider.list_batches():
                pass

    with loopback(lambda _: reply) as server:
        run(spec, server.url, work)
        assert server.count("GET") == 2


def test_results_that_break_off_are_not_taken_for_whole(spec: ProviderSpec, home: Path) -> None:
    async def work(provider: Provider, url: str) -> None:
        files = (f"{url}/results",) if spec.name == "anthropic" else ("files/../../out",)
        ref = BatchRef(spec.name, f"{spec.id_prefixes[0]}x")
        seen = Snapshot(ref=ref, state=State.SUCCEEDED, raw_status="", files=files)
        with pytest.raises(Retryable):
            await provider.fetch(seen, home)

    with loopback(lambda _: Reply(body=b'{"custom_id":"a"}\n' * 100, cut=500)) as server:
        run(spec, server.url, lambda provider: work(provider, server.url))
    assert list(home.iterdir()) == []


def test_anthropic_results_at_another_host_are_not_fetched_from_there(home: Path) -> None:
    spec = registry.find("anthropic")

    async def work(provider: Provider, away: str) -> None:
        ref = BatchRef("anthropic", "msgbatch_1")
        seen = Snapshot(ref=ref, state=State.SUCCEEDED, raw_status="ended", files=(f"{away}/results",))
        with pytest.raises(Refused, match="another host"):
            await provider.fetch(seen, home)

    with loopback(lambda _: Reply()) as away, loopback(lambda _: Reply()) as server:
        run(spec, server.url, lambda provider: work(provider, away.url))
        assert away.asked == [] == server.asked


def test_the_key_travels_in_a_header_of_the_configured_host_only(spec: ProviderSpec) -> None:
    with loopback(lambda _: Reply()) as away:
        with loopback(lambda _: Reply(302, headers={"location": f"{away.url}/taken"})) as server:

            async def work(provider: Provider) -> None:
                with pytest.raises(BatchmarkError):
                    await provider.get(BatchRef(spec.name, f"{spec.id_prefixes[0]}x"))

            run(spec, server.url, work)
            assert any(SECRET in value for value in server.asked[0].headers.values())
        assert SECRET not in server.asked[0].path
        assert away.asked and not any(SECRET in value for each in away.asked for value in each.headers.values())


def test_no_warning_of_an_sdk_reaches_a_user(spec: ProviderSpec, shared: Emulator, home: Path) -> None:
    """States that an SDK does not know, and calls that it calls experimental, are met in silence."""

    def odd(asked: Asked) -> Reply:
        body: dict[str, Any] = {
            "id": "batch_x",
            "status": "dreaming",
            "processing_status": "dreaming",
            "name": "batches/x",
        }
        return Reply(body=json.dumps(body | {"metadata": {"state": "BATCH_STATE_DREAMING"}}).encode())

    async def work(provider: Provider) -> None:
        seen = await provider.get(BatchRef(spec.name, f"{spec.id_prefixes[0]}x"))
        assert seen.state is State.UNKNOWN
        model = EMBEDDING_MODELS.get(spec.name)
        requests: list[Request] = [vector("a")] if model else chats(1)
        await submit(provider, shard(spec, home, "bm-warn0-0-1", requests, model))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with loopback(odd) as server:
            run(spec, server.url, work)
    assert [str(each.message) for each in caught] == []
