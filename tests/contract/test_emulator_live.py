"""The live page's stream: complete and in order, quiet where nothing happens, cheap to hold open, and for this machine only."""

from __future__ import annotations

import contextlib
import json
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.emulator.access import admitted
from batchmark.emulator.live import MOST_STREAMS

EVENTS = "/_emulator/events"
ANTHROPIC = "/anthropic/v1/messages/batches"
GEMINI = "/gemini/v1beta"
HEADERS = {"authorization": "Bearer any", "x-goog-api-key": "any", "anthropic-version": "2023-06-01"}


def options(home: Path, **changes: Any) -> EmulatorOptions:
    values: dict[str, Any] = {"home": home, "profile": "instant", "answers": "synthetic"}
    return EmulatorOptions(**(values | changes))


def connect(cloud: Emulator, **headers: str) -> httpx2.Client:
    return httpx2.Client(base_url=cloud.base_url, headers=HEADERS | headers, timeout=20)


class Over(Exception):
    """The stream has ended."""


@dataclass
class Watcher:
    """What a page has made of its stream so far."""

    lines: Iterator[str]
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    batches: dict[int, dict[str, Any]] = field(default_factory=dict)
    total: int = 0
    unfinished: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    first_call: int = 1
    mark: str = ""

    def take(self, deadline: float) -> tuple[str, dict[str, Any]]:
        """The next event, taken in."""
        name = mark = ""
        data: dict[str, Any] = {}
        for line in self.lines:
            assert time.monotonic() < deadline, f"nothing new since {self.events[-1:]}"
            kind, _, value = line.partition(": ")
            if kind == "event":
                name = value
            elif kind == "id":
                mark = value
            elif kind == "data":
                data = json.loads(value)
            elif not line and name:
                break
        if not name:
            raise Over
        if name == "status":
            self.status = data
        elif name == "batches":
            if data["all"]:
                self.batches.clear()
            for seq in data["gone"]:
                del self.batches[seq]
            self.total, self.unfinished = data["total"], data["unfinished"]
            changed = {batch["seq"]: batch for batch in data["batches"]}
            self.batches = dict(sorted((self.batches | changed).items()))
        else:
            self.mark, self.first_call = mark, data["first"]
            self.calls = [call for call in self.calls if call["seq"] >= data["first"]] + data["entries"]
        self.events.append((name, data))
        return name, data

    def until(self, seen: Callable[[Watcher], object]) -> Watcher:
        """Take in events until it has seen what it should; what keeps a silent stream alive shows that time has passed."""
        deadline = time.monotonic() + 20
        while not seen(self):
            self.take(deadline)
        return self

    @property
    def complete(self) -> bool:
        """Whether it has all that a new page is given."""
        return {"status", "batches", "journal"} <= {name for name, _ in self.events}

    @property
    def operations(self) -> list[str]:
        return [call["operation"] for call in self.calls]


@contextlib.contextmanager
def watch(cloud: Emulator, **headers: str) -> Iterator[Watcher]:
    with connect(cloud) as client, client.stream("GET", EVENTS, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        page = Watcher(answer.iter_lines())  # kept here: without its reader the connection would be closed
        yield page.until(lambda page: page.complete)


def create(client: httpx2.Client, *, rows: int = 3, label: str = "row") -> str:
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    body = {"requests": [{"custom_id": f"{label}-{number}", "params": params} for number in range(rows)]}
    made = client.post(ANTHROPIC, json=body)
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


def create_openai(client: httpx2.Client, *, first_line: str = "", **metadata: str) -> str:
    body = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": "hello"}]}
    lines = [
        json.dumps({"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
        for number in range(8)
    ]
    content = "\n".join([first_line, *lines] if first_line else lines).encode()
    upload = {"file": ("eight.jsonl", content)}
    file = client.post("/openai/v1/files", data={"purpose": "batch"}, files=upload).json()
    wanted = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return str(client.post("/openai/v1/batches", json={**wanted, "metadata": metadata}).json()["id"])


def create_gemini(client: httpx2.Client) -> str:
    item = {"request": {"contents": [{"parts": [{"text": "hello"}]}]}}
    batch = {"displayName": "eight", "inputConfig": {"requests": {"requests": [item] * 8}}}
    made = client.post(f"{GEMINI}/models/gemini-2.5-flash:batchGenerateContent", json={"batch": batch})
    return str(made.json()["name"])


# The page


def test_the_page_is_one_document_whose_policy_lets_only_its_own_style_and_script_work(cloud: Emulator) -> None:
    with connect(cloud) as client:
        answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    for name in ("style", "script"):
        (text,) = re.findall(rf"<{name}>(.*)</{name}>", answer.text, re.DOTALL)
        assert policy[f"{name}-src"] == f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert re.findall(r'(?:src|href)="((?:https?:)?//[^"]*)"', answer.text) == []
    assert len(answer.content) < 60_000


def test_the_page_says_that_it_is_emulated_before_any_script_runs(cloud: Emulator) -> None:
    with connect(cloud) as client:
        text = re.sub(r"<(script|style)>.*?</\1>", "", client.get("/").text, flags=re.DOTALL)
    assert "<title>Emulated" in text
    assert text.count("Emulated") >= 3


# The stream


def test_a_new_page_is_told_what_this_emulator_is_which_batches_there_are_and_what_was_called(tmp_path: Path) -> None:
    rules = ("openai batches.list -> status 503",)
    changes = {"faults": rules, "limits": ("openai.max_rows=100",), "time_scale": 60.0}
    with Emulator(options(tmp_path, **changes)) as cloud, connect(cloud) as client:
        batch_id = create(client)
        client.get("/openai/v1/batches")
        with watch(cloud) as page:
            assert (page.status["profile"], page.status["answers"]) == ("instant", "synthetic")
            assert page.status["faults"] == list(rules)
            assert page.status["limits"] == [["openai.max_rows", 100]]
            assert page.status["clock"]["scale"] == 60
            assert [batch["id"] for batch in page.batches.values()] == [batch_id]
            assert page.operations == ["batches.create", "batches.list"]
            assert (page.calls[1]["status"], page.calls[1]["faults"]) == (503, list(rules))


def test_the_clock_of_the_page_is_the_emulators(tmp_path: Path) -> None:
    with Emulator(options(tmp_path, time_scale=1000.0)) as cloud, connect(cloud) as client, watch(cloud) as page:
        create(client)
        created = page.until(lambda page: page.batches).batches[1]["created"]
        line = page.status["clock"]
        shown = line["emulated"] + (line["now"] - line["real"]) * line["scale"]
        assert abs(created - shown) < 60_000_000  # a minute of ours


def test_a_batch_is_followed_from_its_creation_to_its_end(tmp_path: Path) -> None:
    with Emulator(options(tmp_path, profile="demo", time_scale=3.0)) as cloud, connect(cloud) as client:
        with watch(cloud) as page:
            batch_id = create(client, rows=5)
            batch = page.until(lambda page: page.batches and page.batches[1]["phase"] == "succeeded").batches[1]
        told = [batch["phase"] for name, data in page.events if name == "batches" for batch in data["batches"]]
        assert list(dict.fromkeys(told)) == ["validating", "queued", "running", "finalizing", "succeeded"]
        assert batch["id"] == batch_id
        assert (batch["word"], batch["rows"], batch["succeeded"]) == ("ended", 5, 5)
        assert [leg[0] for leg in batch["legs"]] == ["validating", "queued", "running", "finalizing"]
        assert batch["legs"][0][1] == batch["created"]
        assert batch["legs"][-1][2] == batch["ended"]


def test_every_batch_is_shown_in_the_word_of_its_own_service_all_its_life_long(tmp_path: Path) -> None:
    faults = ("gemini life nth=2 -> expire after=0.5", "anthropic life nth=3 -> unknown-state paused for=3")
    slow = options(tmp_path, profile="demo", time_scale=0.001, control=True, faults=faults)
    with Emulator(slow) as cloud, connect(cloud) as client, watch(cloud) as page:
        made = [create_openai(client), create_openai(client, first_line="{"), create_openai(client)]
        made += [create(client, label=f"b{number}") for number in range(3)]
        made += [create_gemini(client) for _ in range(3)]
        cancels = {made[2]: f"/openai/v1/batches/{made[2]}/cancel", made[5]: f"{ANTHROPIC}/{made[5]}/cancel"}
        cancels[made[8]] = f"{GEMINI}/{made[8]}:cancel"

        def told(batch_id: str) -> str:
            if batch_id.startswith("batch_"):
                return str(client.get(f"/openai/v1/batches/{batch_id}").json()["status"])
            if batch_id.startswith("msgbatch_"):
                return str(client.get(f"{ANTHROPIC}/{batch_id}").json()["processing_status"])
            return str(client.get(f"{GEMINI}/{batch_id}").json()["metadata"]["state"])

        words: dict[str, list[str]] = {}
        for step in range(40):
            if step == 8:
                for path in cancels.values():
                    assert client.post(path).status_code == 200
            spoken = [told(batch_id) for batch_id in made]
            for batch_id, word in zip(made, spoken, strict=True):
                words.setdefault(batch_id, []).append(word)
            print(step, spoken, [each["word"] for each in page.batches.values()])
            page.until(lambda page, spoken=spoken: [each["word"] for each in page.batches.values()] == spoken)  # type: ignore[misc]
            for batch in page.batches.values():
                legs = batch["legs"]
                assert [leg[1] for leg in legs] == [batch["created"], *(leg[2] for leg in legs[:-1])]  # no gap
                assert legs[-1][2] == batch.get("ended", legs[-1][2])
                assert batch["phase"] in (*(leg[0] for leg in legs), "succeeded", "failed", "cancelled", "expired")
            client.post("/_emulator/clock", json={"jump_s": 0.5})
        assert {word for some in words.values() for word in some} == {
            *("validating", "in_progress", "finalizing", "completed", "failed", "cancelling", "cancelled"),
            *("canceling", "ended", "paused"),
            *(f"BATCH_STATE_{word}" for word in ("PENDING", "RUNNING", "SUCCEEDED", "EXPIRED", "CANCELLED")),
        }
        ends = {batch["phase"] for batch in page.batches.values()}
        assert ends == {"succeeded", "failed", "cancelled", "expired"}


def test_a_failed_batch_says_why_and_a_cancelled_one_since_when(tmp_path: Path) -> None:
    with Emulator(options(tmp_path, profile="demo", time_scale=4.0)) as cloud, connect(cloud) as client:
        with watch(cloud) as page:
            create_openai(client, first_line="{")
            client.post(f"/openai/v1/batches/{create_openai(client)}/cancel")
            page.until(lambda page: [each["phase"] for each in page.batches.values()] == ["failed", "cancelled"])
            failed, cancelled = page.batches.values()
        assert "invalid_json_line" in failed["problem"]
        assert cancelled["created"] < cancelled["cancel"] < cancelled["ended"]


def test_a_batch_that_a_fault_hides_from_its_client_is_on_the_page_with_the_fault(tmp_path: Path) -> None:
    rules = ("anthropic batches.create -> visible-late 3600", "anthropic life -> stuck")
    with Emulator(options(tmp_path, faults=rules)) as cloud, connect(cloud) as client, watch(cloud) as page:
        batch_id = create(client)
        assert client.get(f"{ANTHROPIC}/{batch_id}").status_code == 404
        batch = page.until(lambda page: page.batches).batches[1]
        assert batch["hidden"] - batch["created"] == 3_600_000
        assert batch["faults"] == [rules[1]]
        assert page.until(lambda page: page.calls).calls[0]["faults"] == [rules[0]]


def test_a_page_that_comes_back_is_sent_the_calls_it_missed_and_no_other(cloud: Emulator) -> None:
    with connect(cloud) as client:
        with watch(cloud) as page:
            create(client)
            page.until(lambda page: page.calls)
        for _ in range(7):
            client.get(ANTHROPIC)
        with watch(cloud, **{"last-event-id": page.mark}) as again:
            assert again.operations == ["batches.list"] * 7
            assert [call["seq"] for call in again.calls] == list(range(2, 9))
            assert len(again.batches) == 1  # these it is always told anew


def test_a_page_may_name_the_last_call_it_has_in_the_address(cloud: Emulator) -> None:
    with connect(cloud) as client:
        client.get(ANTHROPIC)
        with watch(cloud) as page:
            mark = page.mark
        client.get("/openai/v1/models")
        with client.stream("GET", EVENTS, params={"after": mark}) as answer:
            again = Watcher(answer.iter_lines()).until(lambda page: page.complete)
            assert again.operations == ["models.list"]


@pytest.mark.parametrize("mark", ["", "0", "nonsense", "ffffffffffff.1", "\u00b2.\u00b2"])
def test_a_page_that_comes_from_another_world_begins_anew(cloud: Emulator, mark: str) -> None:
    with connect(cloud) as client:
        client.get(ANTHROPIC)
        with client.stream("GET", EVENTS, headers={b"last-event-id": mark.encode()}) as answer:
            page = Watcher(answer.iter_lines()).until(lambda page: page.complete)
            assert page.operations == ["batches.list"]


def test_what_has_not_changed_is_not_sent_again(cloud: Emulator) -> None:
    with connect(cloud) as client:
        for _ in range(3):
            create(client)
        with watch(cloud) as page:
            page.until(lambda page: all(batch["phase"] == "succeeded" for batch in page.batches.values()))
            client.get("/openai/v1/models")
            page.until(lambda page: len(page.calls) == 4)  # what the end of the batches still brought is there by now
            before = len(page.events)
            client.get("/openai/v1/models")
            page.until(lambda page: len(page.calls) == 5)
            assert [name for name, _ in page.events[before:]] == ["journal"]
            create(client)
            page.until(lambda page: len(page.batches) == 4 and page.batches[4]["phase"] == "succeeded")
            sent = [data["batches"] for name, data in page.events[before:] if name == "batches"]
            assert {batch["seq"] for batches in sent for batch in batches} == {4}
            assert [name for name, _ in page.events].count("status") == 1


def test_of_a_batch_that_waits_nothing_is_sent(tmp_path: Path) -> None:
    with Emulator(options(tmp_path, faults=("* life -> stuck",))) as cloud, connect(cloud) as client:
        create(client)
        with watch(cloud) as page:
            page.until(lambda page: page.batches[1]["phase"] == "queued")
            before = len(page.events)
            for number in range(4):
                client.get("/openai/v1/models")
                page.until(lambda page, number=number: len(page.calls) == 2 + number)  # type: ignore[misc]
            assert {name for name, _ in page.events[before:]} == {"journal"}


def test_of_many_batches_the_newest_are_in_sight_and_older_ones_only_while_they_have_not_ended(tmp_path: Path) -> None:
    rules = ("anthropic life nth=1 -> stuck",)
    with Emulator(options(tmp_path, faults=rules)) as cloud, connect(cloud) as client:
        for _ in range(230):
            create(client, rows=1)
        with watch(cloud) as page:
            page.until(lambda page: page.unfinished == 1)
            assert page.total == 230
            assert set(page.batches) == {1, *range(31, 231)}
            create(client)
            page.until(lambda page: 231 in page.batches)
            assert set(page.batches) == {1, *range(32, 232)}


def test_of_many_calls_a_new_page_is_given_the_newest(cloud: Emulator) -> None:
    with connect(cloud) as client:
        for _ in range(520):
            client.get("/openai/v1/models/gpt-4o")
        with watch(cloud) as page:
            (first,) = [data for name, data in page.events if name == "journal"]
            assert (first["first"], first["last"], first["after"]) == (1, 520, 20)
            assert [call["seq"] for call in page.calls] == list(range(21, 521))


def test_a_reset_a_jump_of_the_clock_and_other_rules_are_told(tmp_path: Path) -> None:
    with Emulator(options(tmp_path, control=True)) as cloud, connect(cloud) as client:
        create(client)
        with watch(cloud) as page:
            line = page.status["clock"]
            client.post("/_emulator/clock", json={"jump_s": 3600})
            page.until(lambda page: page.status["clock"]["emulated"] - line["emulated"] == 3_600_000)
            client.post("/_emulator/faults", json={"rules": ["* answers -> fail 500"]})
            page.until(lambda page: page.status["faults"])
            client.post("/_emulator/reset", json={})
            page.until(lambda page: not page.batches and not page.calls)
            create(client, label="later")
            page.until(lambda page: page.batches and page.calls)
            assert page.calls[0]["seq"] == page.first_call == 2


def test_a_page_sees_what_another_process_does_in_the_same_world(tmp_path: Path) -> None:
    with Emulator(options(tmp_path)) as one, Emulator(options(tmp_path)) as two, watch(one) as page:
        with connect(two) as client:
            batch_id = create(client)
        page.until(lambda page: page.batches and page.calls)
        assert page.batches[1]["id"] == page.calls[0]["subject"] == batch_id


def test_texts_of_clients_are_cut_to_what_can_be_shown(cloud: Emulator) -> None:
    with connect(cloud) as client, watch(cloud) as page:
        create_openai(client, **{f"key-{number}": "x" * 500 for number in range(16)})
        client.get("/openai/v1/batches/" + "y" * 5_000)
        page.until(lambda page: page.batches and len(page.calls) == 3)
        assert len(page.batches[1]["labels"]) == 8
        assert {len(label) for label in page.batches[1]["labels"]} == {200}
        assert len(page.calls[2]["path"]) == 300
        assert len(page.calls[2]["subject"]) == 200


# Holding it open


def test_a_stream_too_many_is_refused_in_one_sentence_until_another_has_gone(cloud: Emulator) -> None:
    with contextlib.ExitStack() as stack, connect(cloud) as client:
        for _ in range(MOST_STREAMS - 1):
            stack.enter_context(watch(cloud))
        with watch(cloud), client.stream("GET", EVENTS) as refused:
            assert refused.status_code == 503
            assert f"{MOST_STREAMS} pages" in json.loads(refused.read())["error"]
        deadline = time.monotonic() + 20
        while True:
            with client.stream("GET", EVENTS) as answer:
                if answer.status_code == 200:
                    break
            assert time.monotonic() < deadline


def test_streams_that_wait_leave_every_thread_to_the_calls(cloud: Emulator) -> None:
    with contextlib.ExitStack() as stack, connect(cloud) as client:
        pages = [stack.enter_context(watch(cloud)) for _ in range(MOST_STREAMS)]
        batch_id = create(client)
        assert client.get(f"{ANTHROPIC}/{batch_id}").status_code == 200
        for page in pages:
            page.until(lambda page: page.batches and len(page.calls) == 2)


def test_stopping_does_not_wait_for_open_pages(tmp_path: Path) -> None:
    cloud = Emulator(options(tmp_path))
    cloud.start()
    with watch(cloud) as page, watch(cloud):
        started = time.monotonic()
        cloud.stop()
        assert time.monotonic() - started < 2
        with pytest.raises((Over, httpx2.TransportError)):
            page.until(lambda page: False)


# Who may look


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8765"},
        {"host": "localhost.evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "127.0.0.1@evil.example"},
        {"host": "192.168.1.5:8765"},
        {"host": "[::2]:8765"},
        {"host": "0.0.0.0"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
    ids=lambda headers: next(iter(headers.values())),
)
def test_a_site_in_a_browser_on_this_machine_cannot_read_along(cloud: Emulator, headers: dict[str, str]) -> None:
    with connect(cloud) as client:
        for path in ("/", EVENTS, "/_emulator/status", "/_emulator/journal"):
            refused = client.get(path, headers=headers)
            assert refused.status_code == 403
            assert list(refused.json()) == ["error"]


def test_every_name_of_loopback_is_good(cloud: Emulator) -> None:
    with connect(cloud) as client:
        for host in ("localhost", "LOCALHOST:80", "127.0.0.1:1", "127.8.9.10", "[::1]", "[::1]:8765"):
            assert client.get("/", headers={"host": host}).status_code == 200
            assert client.get("/", headers={"host": host, "origin": f"http://{host}"}).status_code == 200


def test_only_clients_on_this_machine_may_look() -> None:
    assert admitted("127.0.0.1", {"host": "localhost:8765"})
    assert admitted("::1", {"host": "localhost:8765"})
    assert not admitted("192.168.1.5", {"host": "localhost:8765"})
    assert not admitted(None, {"host": "localhost:8765"})
    assert not admitted("127.0.0.1", {})


def test_the_services_themselves_are_found_under_any_name(cloud: Emulator) -> None:
    with connect(cloud) as client:
        assert client.get(ANTHROPIC, headers={"host": "api.anthropic.com"}).status_code == 200
