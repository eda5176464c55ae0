"""What could lose a batch, a thread or a world, each from the outside: odd moments, odd servers, odd numbers."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from batchmark.emulator import BatchCloud, Emulator, EmulatorError, EmulatorOptions
from batchmark.emulator.answers import Ask, open_answers
from batchmark.emulator.answers.synthetic import Synthetic
from batchmark.emulator.clock import LAST_NS, SECOND, Line
from batchmark.emulator.store import Store
from tests.contract.test_emulator_upstream import Server, chats, ended, lines_of, sdk, server, start, submit
from tests.support import until

__all__ = ["server"]

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def made(client: openai.OpenAI, **more: Any) -> str:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
    file = client.files.create(file=io.BytesIO(json.dumps(line).encode()), purpose="batch")
    create: Any = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    return client.batches.create(**create).id


@pytest.mark.batch_cloud(profile="demo", time_scale=0)
def test_a_batch_ends_though_the_time_of_its_results_is_over_already(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI()
    batch_id = made(client, output_expires_after={"anchor": "created_at", "seconds": 3600})
    batch_cloud.clock.advance(hours=24)
    batch = client.batches.retrieve(batch_id)
    assert batch.status == "completed"
    with pytest.raises(openai.NotFoundError):
        client.files.content(batch.output_file_id or "")


@pytest.mark.batch_cloud(limits=["openai.file_kept_s=0"])
def test_a_file_that_is_kept_for_no_time_is_uploaded_and_gone(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI(max_retries=0)
    file = client.files.create(file=io.BytesIO(b"{}"), purpose="batch")
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_a_batch_deleted_while_it_waits_its_turn_takes_no_thread_with_it(tmp_path: Path, server: Server) -> None:
    server.hold_after(0)
    with start(tmp_path, server, upstream_concurrency=1) as cloud:
        client = sdk(cloud)
        first = submit(client, chats("one"))
        until(lambda: len(server.asked) == 1)
        with httpx2.Client(base_url=f"{cloud.base_url}/gemini/v1", headers={"x-goog-api-key": "k"}) as google:
            inline = {"requests": {"requests": [{"request": {"contents": [{"parts": [{"text": "gone"}]}]}}]}}
            body = {"batch": {"inputConfig": inline}}
            job = google.post("/models/llama-tiny:batchGenerateContent", json=body).json()["name"]
            assert google.delete(f"/{job}").status_code == 200
        server.hold_after(None)
        assert ended(client, first).status == "completed"
        assert ended(client, submit(client, chats("two"))).status == "completed"


def test_a_batch_deleted_while_its_results_are_written_is_no_failure_and_leaves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"x-goog-api-key": "k"}
    row = {"request": {"contents": [{"parts": [{"text": "gone"}]}]}}
    body = {"batch": {"inputConfig": {"requests": {"requests": [row] * 3_000}}}}
    with (
        BatchCloud(home=tmp_path, profile="instant") as cloud,
        httpx2.Client(base_url=f"{cloud.base_url}/gemini/v1", headers=headers) as google,
    ):
        for number in range(8):
            job = google.post("/models/gemini-2.5-flash:batchGenerateContent", json=body).json()["name"]
            time.sleep(number / 100)  # not a wait: the deletion meets the work at another point each time
            assert google.delete(f"/{job}").status_code == 200
        until(lambda: not list((tmp_path / "work").iterdir()))
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_stopping_does_not_wait_for_requests_that_hang(tmp_path: Path, server: Server) -> None:
    server.hold_after(0)
    cloud = start(tmp_path, server, upstream_concurrency=8)
    cloud.start()
    client = sdk(cloud)
    submit(client, chats(*[f"question {number}" for number in range(8)]))
    until(lambda: len(server.asked) == 8)
    began = time.monotonic()
    cloud.stop()
    assert time.monotonic() - began < 5


def test_a_cancelled_batch_gives_its_slots_back_though_its_requests_hang(tmp_path: Path, server: Server) -> None:
    server.hold_after(0)
    with start(tmp_path, server, upstream_concurrency=1) as cloud:
        client = sdk(cloud)
        hanging = submit(client, chats("one"))
        until(lambda: len(server.asked) == 1)
        client.batches.cancel(hanging)
        submit(client, chats("two"))
        until(lambda: len(server.asked) == 2)


class Breaking:
    """A server that lists its models and closes the connection on every question that has the word `poison`."""

    def __init__(self) -> None:
        self.poisoned = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                got = b""
                while b"\r\n\r\n" not in got or (got.startswith(b"POST") and b"}" not in got):
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    got += piece
                if b"poison" in got:
                    self.poisoned += 1
                    continue
                choice = {"message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}
                body = json.dumps({"data": [], "choices": [choice]}).encode()
                head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
                connection.sendall(head + body)


def test_a_row_at_which_the_server_breaks_off_fails_after_some_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from batchmark.emulator.answers import upstream

    monkeypatch.setattr(upstream, "_LONGEST_WAIT_S", 0.05)
    breaking = Breaking()
    try:
        with start(tmp_path, breaking.url) as cloud:
            client = sdk(cloud)
            batch = ended(client, submit(client, chats("good", "poison")))
            failed = lines_of(client, batch.error_file_id)
    finally:
        breaking.close()
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    assert failed["row-1"]["status_code"] == 502
    assert breaking.poisoned == 8


def test_answers_that_are_there_count_whatever_the_source_is_after_a_restart(tmp_path: Path, server: Server) -> None:
    server.hold_after(1)
    with start(tmp_path, server, upstream_concurrency=1) as cloud:
        client = sdk(cloud)
        batch_id = submit(client, chats("one", "two"))
        until(lambda: client.batches.retrieve(batch_id).request_counts.completed == 1)  # type: ignore[union-attr]
    options = EmulatorOptions(home=tmp_path, profile="instant", answers="synthetic")
    with Emulator(options) as cloud:
        batch = ended(sdk(cloud), batch_id)
        kept = lines_of(sdk(cloud), batch.output_file_id)
    assert kept["row-0"]["body"]["choices"][0]["message"]["content"] == "heard one"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"answers": "upstream http://127.0.0.1:80a/v1"}, "base URL"),
        ({"answers": "upstream http://127.0.0.1:99999/v1"}, "base URL"),
        ({"answers": "upstream http://a b/v1"}, "base URL"),
        ({"limits": ("anthropic.max_id_chars=0",)}, "at least 1"),
        ({"limits": ("openai.models_per_file=0",)}, "at least 1"),
        ({"limits": ("openai.window_s=999999999999999",)}, "ten years"),
    ],
)
def test_options_that_no_service_could_keep_are_refused(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(EmulatorError, match=word):
        Emulator(EmulatorOptions(home=tmp_path, **changes))


def test_a_key_with_a_line_end_is_taken_without_it_and_an_impossible_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHMARK_UPSTREAM_KEY", "sk-ä")
    with pytest.raises(ValueError, match="cannot be in a key"):
        open_answers("upstream http://127.0.0.1:1/v1", home=tmp_path)


# The clock


def test_a_clock_left_alone_stops_in_the_year_2200() -> None:
    line = Line(real_ns=0, emulated_ns=0, scale=1_000_000)
    assert line.at(10**9 * SECOND) == LAST_NS
    assert LAST_NS + 20 * 366 * 86_400 * SECOND < 1 << 63


def test_a_world_whose_clock_ran_away_can_still_be_opened(tmp_path: Path) -> None:
    with BatchCloud(home=tmp_path, time_scale=3600):
        pass
    store = Store(tmp_path / "world.sqlite3")
    store.run("UPDATE clock SET real_ns = real_ns - 200 * 86400 * 1000000000")
    store.close()
    with BatchCloud(home=tmp_path) as cloud:
        assert cloud.clock.now().year == 2200
        openai.OpenAI(base_url=cloud.openai_url, api_key="k", max_retries=0).batches.list()


def test_a_clock_put_back_stays_there_while_others_read_it() -> None:
    with BatchCloud(time_scale=0) as cloud:
        stopping = threading.Event()

        def read() -> None:
            while not stopping.is_set():
                cloud.clock.now()

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        try:
            for year in range(2030, 2020, -1):
                assert cloud.clock.set(datetime(year, 1, 1, tzinfo=UTC)).year == year
                assert cloud.clock.now().year == year
        finally:
            stopping.set()
            for reader in readers:
                reader.join()


# Who may look


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-forwarded-host", "forwarded", "via", "x-real-ip"])
def test_what_came_through_a_proxy_sees_none_of_its_own_pages(header: str) -> None:
    with BatchCloud() as cloud, httpx2.Client(base_url=cloud.base_url) as client:
        assert client.get("/_emulator/status").status_code == 200
        assert client.get("/_emulator/status", headers={header: "203.0.113.9"}).status_code == 403
        assert client.get("/", headers={header: "203.0.113.9"}).status_code == 403


def test_where_others_are_served_its_own_pages_want_the_key(tmp_path: Path) -> None:
    options = EmulatorOptions(home=tmp_path, remote=True, key="K", control=True, profile="instant", answers="synthetic")
    with Emulator(options) as running, httpx2.Client(base_url=running.base_url) as client:
        asked = client.post("/_emulator/reset")
        assert asked.status_code == 401
        assert asked.headers["www-authenticate"].startswith("Basic")
        for path in ("/", "/_emulator/status", "/_emulator/events"):
            assert client.get(path).status_code == 401
        assert client.get("/_emulator/status", headers={"authorization": "Bearer nope"}).status_code == 401
        assert client.get("/", auth=("anybody", "K")).status_code == 200
        BatchCloud.attach(running.base_url, key="K").assert_created(0)
        with pytest.raises(ValueError, match="send the key"):
            BatchCloud.attach(running.base_url)


# What testers rely on


def test_nothing_twice_needs_an_emulator_that_keeps_count(tmp_path: Path) -> None:
    with (
        Emulator(EmulatorOptions(home=tmp_path, profile="instant", answers="synthetic")) as running,
        pytest.raises(ValueError, match="--control"),
    ):
        BatchCloud.attach(running.base_url)


@pytest.mark.batch_cloud(limits=["*.calls_per_minute=2"], time_scale=0)
def test_a_reset_forgets_the_calls_of_the_minute(batch_cloud: BatchCloud) -> None:
    client = openai.OpenAI(max_retries=0)
    for _ in range(2):
        client.batches.list()
    with pytest.raises(openai.RateLimitError):
        client.batches.list()
    batch_cloud.reset()
    client.batches.list()


def test_a_schema_that_multiplies_itself_is_answered_all_the_same() -> None:
    schema = json.dumps({"type": "array", "minItems": 20, "items": {"$ref": "#"}})
    answered = threading.Event()
    texts: list[str] = []

    def work(answer: Callable[[Ask], Any]) -> None:
        asked = Ask(model="m", messages=(("user", "hi"),), max_tokens=None, json_schema=schema)
        texts.append(answer(asked).text)
        answered.set()

    threading.Thread(target=work, args=(Synthetic().answer,), daemon=True).start()
    assert answered.wait(20)
    assert isinstance(json.loads(texts[0]), list)
