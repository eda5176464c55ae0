"""The emulator as a whole: its world between commands, its clock, its journal, starting and stopping."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from batchmark.emulator import Emulator, EmulatorError, EmulatorOptions

HEADERS = {"authorization": "Bearer any", "anthropic-version": "2023-06-01"}
BATCHES = "/anthropic/v1/messages/batches"


def options(home: Path, **changes: Any) -> EmulatorOptions:
    values: dict[str, Any] = {"home": home, "profile": "instant", "answers": "synthetic"}
    return EmulatorOptions(**(values | changes))


def connect(cloud: Emulator) -> httpx2.Client:
    return httpx2.Client(base_url=cloud.base_url, headers=HEADERS, timeout=30)


def create(client: httpx2.Client, rows: int = 3) -> dict[str, Any]:
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    body = {"requests": [{"custom_id": f"row-{number}", "params": params} for number in range(rows)]}
    made: dict[str, Any] = client.post(BATCHES, json=body).json()
    return made


def finished(client: httpx2.Client, batch_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while True:
        batch: dict[str, Any] = client.get(f"{BATCHES}/{batch_id}").json()
        if batch["processing_status"] == "ended":
            return batch
        assert time.monotonic() < deadline


def test_the_world_survives_a_restart_and_nothing_about_an_ended_batch_changes(tmp_path: Path) -> None:
    with Emulator(options(tmp_path)) as first, connect(first) as client:
        before = finished(client, create(client)["id"])
        results = client.get(f"{BATCHES}/{before['id']}/results").text
    with Emulator(options(tmp_path, seed=9, profile="demo")) as second, connect(second) as client:
        after = client.get(f"{BATCHES}/{before['id']}").json()
        assert client.get(f"{BATCHES}/{before['id']}/results").text == results
        assert after.pop("results_url").startswith(second.base_url)
        before.pop("results_url")
        assert after == before


def test_a_batch_ends_on_schedule_though_nothing_ran_in_between(tmp_path: Path) -> None:
    with Emulator(options(tmp_path, profile="demo")) as first, connect(first) as client:
        made = create(client)
    # An hour passes on the emulator's clock within a moment of ours.
    with Emulator(options(tmp_path, time_scale=100_000)) as passing, connect(passing) as client:
        batch = finished(client, made["id"])
    lasted = datetime.fromisoformat(batch["ended_at"]) - datetime.fromisoformat(batch["created_at"])
    assert 4 < lasted.total_seconds() < 16
    assert batch["request_counts"]["succeeded"] == 3


def test_two_emulators_may_have_the_same_world_open(tmp_path: Path) -> None:
    with Emulator(options(tmp_path)) as one, Emulator(options(tmp_path)) as two, connect(one) as a, connect(two) as b:
        made = [create(client)["id"] for _ in range(10) for client in (a, b)]
        for batch_id in made:
            assert finished(b, batch_id)["request_counts"] == finished(a, batch_id)["request_counts"]
        listed = a.get(BATCHES, params={"limit": 1000}).json()
        assert {batch["id"] for batch in listed["data"]} == set(made)


def test_another_process_sees_what_a_command_left_behind(tmp_path: Path) -> None:
    with Emulator(options(tmp_path)) as running, connect(running) as client:
        made = create(client)
        program = (
            "import sys, pathlib, httpx2\n"
            "from batchmark.emulator import Emulator, EmulatorOptions\n"
            "o = EmulatorOptions(home=pathlib.Path(sys.argv[1]), profile='instant', answers='synthetic')\n"
            "with Emulator(o) as e, httpx2.Client(base_url=e.base_url) as c:\n"
            f"    print(c.get({BATCHES!r}, headers={HEADERS!r}).text)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
        )
        assert json.loads(done.stdout)["data"][0]["id"] == made["id"]


def test_a_script_that_forgets_to_stop_ends_cleanly_all_the_same(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, httpx2\n"
        "from batchmark.emulator import Emulator, EmulatorOptions\n"
        "e = Emulator(EmulatorOptions(home=pathlib.Path(sys.argv[1]), profile='demo', answers='synthetic'))\n"
        "e.start()\n"
        "c = httpx2.Client(base_url=e.base_url)\n"
        f"print(c.get({BATCHES!r}, headers={HEADERS!r}).status_code)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")
    assert time.monotonic() - started < 20


def test_importing_the_emulator_loads_no_server() -> None:
    program = (
        "import sys, batchmark.emulator; print([m for m in ('uvicorn', 'sqlite3', 'msgspec.json') if m in sys.modules])"
    )
    # a measured process imports sqlite3 for its coverage data
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=unmeasured)
    assert "uvicorn" not in done.stdout
    assert "sqlite3" not in done.stdout


def test_stopping_does_not_wait_for_clients(tmp_path: Path) -> None:
    cloud = Emulator(options(tmp_path))
    cloud.start()
    port = int(cloud.base_url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as half_sent, connect(cloud) as idle:
        half_sent.sendall(b"POST /anthropic/v1/messages/batches HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        idle.get("/_emulator/status")
        started = time.monotonic()
        cloud.stop()
        assert time.monotonic() - started < 3
    cloud.stop()


def test_the_journal_says_what_was_asked_and_never_a_key(tmp_path: Path) -> None:
    with Emulator(options(tmp_path, key="sesame-open")) as cloud, connect(cloud) as client:
        assert client.get(BATCHES).status_code == 401
        client.headers["authorization"] = "Bearer sesame-open"
        made = create(client)
        client.get("/gemini/v1/batches", params={"key": "sesame-open"})
        entries = client.get("/_emulator/journal").json()["entries"]
        assert [(entry["dialect"], entry["operation"], entry["status"]) for entry in entries] == [
            ("anthropic", "batches.list", 401),
            ("anthropic", "batches.create", 200),
            ("gemini", "batches.list", 200),
        ]
        assert entries[1]["subject"] == made["id"]
        assert entries[1]["request_bytes"] > 100
        assert "sesame" not in json.dumps(entries)
        assert client.get("/_emulator/journal", params={"after": entries[1]["seq"]}).json()["entries"] == entries[2:]


def test_the_journal_tells_which_files_and_batches_were_made_under_which_names(cloud: Emulator) -> None:
    with connect(cloud) as client:
        create(client)
        line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o"}}
        upload = {"data": {"purpose": "batch"}, "files": {"file": ("job-1-1.jsonl", json.dumps(line).encode())}}
        client.headers["authorization"] = "Bearer any"
        file = client.post("/openai/v1/files", **upload).json()  # type: ignore[arg-type]
        body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = client.post("/openai/v1/batches", json={**body, "metadata": {"label": "job-1-1"}}).json()
        client.get(f"/openai/v1/batches/{batch['id']}")

        def journal(**asked: str) -> list[dict[str, Any]]:
            entries: list[dict[str, Any]] = client.get("/_emulator/journal", params=asked).json()["entries"]
            return entries

        assert [entry["file_name"] for entry in journal(operation="files.*")] == ["job-1-1.jsonl"]
        creates = journal(operation="batches.create")
        assert [(entry["dialect"], entry["labels"]) for entry in creates] == [
            ("anthropic", ["row-0"]),
            ("openai", ["job-1-1"]),
        ]
        assert creates[1]["stored"] == batch["id"]
        assert [entry["dialect"] for entry in journal(operation="batches.create", dialect="openai")] == ["openai"]
        assert journal(operation="batches.cancel") == []


def test_faults_and_limits_are_set_on_the_command_line(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "batchmark", "emulator", "--port", "0", "--home", str(tmp_path)]
    arguments += ["--profile", "instant", "--answers", "synthetic", "--control"]
    arguments += ["--fault", "anthropic answers row=0 -> fail 500", "--limit", "anthropic.max_batches_in_flight=1"]
    arguments += ["--fault", "anthropic life nth=2 -> stuck"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = dict(process.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(6))
        base_url = told["OPENAI_BASE_URL"].removesuffix("/openai/v1")
        with httpx2.Client(base_url=base_url, headers=HEADERS, timeout=10) as client:
            made = create(client)
            assert finished(client, made["id"])["request_counts"]["errored"] == 1
            create(client)
            body = {"requests": [{"custom_id": "late", "params": {"model": "claude-haiku-4-5"}}]}
            assert client.post(BATCHES, json=body).status_code == 429
            assert client.post("/_emulator/faults", json={"rules": []}).json() == {"rules": [], "met": {}}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_a_file_of_ones_own_keys_is_refused_before_anything_is_told(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("OPENAI_API_KEY=mine\n")
    arguments = [sys.executable, "-m", "batchmark", "emulator", "--port", "0", "--home", str(tmp_path / "home")]
    ended = subprocess.run([*arguments, "--env-file", str(path)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 6
    assert ended.stdout == ""
    assert "may hold your own keys" in ended.stderr
    assert path.read_text() == "OPENAI_API_KEY=mine\n"


def test_the_status_page_says_what_it_is(cloud: Emulator) -> None:
    with connect(cloud) as client:
        status = client.get("/_emulator/status").json()
        assert client.get("/elsewhere").status_code == 404
    assert status["name"] == "batchmark emulator"
    assert (status["profile"], status["answers"], status["time_scale"]) == ("instant", "synthetic", 1.0)
    assert cloud.answers_name == "synthetic"
    assert cloud.tokens_per_s() is None


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_it_gives_out_the_description_of_each_dialect(cloud: Emulator, dialect: str) -> None:
    with connect(cloud) as client:
        found = client.get(f"/_emulator/openapi/{dialect}.json")
        assert client.get("/_emulator/openapi/../server.py").status_code == 404
        assert client.get("/_emulator/openapi/other.json").status_code == 404
    assert found.headers["content-type"] == "application/json"
    assert found.json()["openapi"].startswith("3.1")


def test_dates_are_on_the_emulators_clock_which_runs_at_its_scale(tmp_path: Path) -> None:
    with Emulator(options(tmp_path, time_scale=10_000)) as cloud, connect(cloud) as client:

        def shown() -> datetime:
            return parsedate_to_datetime(client.get(BATCHES).headers["date"])

        first = shown()
        assert abs((first - datetime.now(UTC)).total_seconds()) < 86_400
        deadline = time.monotonic() + 10
        while (shown() - first).total_seconds() < 600:
            assert time.monotonic() < deadline
        made = create(client)
        assert datetime.fromisoformat(made["created_at"]) > first


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"profile": "nope"}, "instant or demo"),
        ({"answers": "oracle"}, "auto, smollm2, synthetic, echo or upstream URL"),
        ({"answers": "upstream nowhere"}, "base URL"),
        ({"host": "0.0.0.0", "remote": True}, "add a --key"),
        ({"host": "0.0.0.0"}, "loopback"),
        ({"time_scale": -1.0}, "time scale"),
        ({"time_scale": 0.0}, "stands still"),
        ({"port": 99_999}, "port"),
    ],
)
def test_impossible_options_are_refused_in_one_sentence(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(EmulatorError, match=word):
        Emulator(options(tmp_path, **changes))


def test_a_port_in_use_and_a_home_that_is_no_folder_are_told(tmp_path: Path) -> None:
    with Emulator(options(tmp_path / "a")) as cloud:
        port = int(cloud.base_url.rsplit(":", 1)[1])
        with pytest.raises(EmulatorError, match=f"port {port}"):
            Emulator(options(tmp_path / "b", port=port)).start()
        with pytest.raises(EmulatorError, match="already running"):
            cloud.start()
    (tmp_path / "file").write_text("")
    with pytest.raises(EmulatorError, match="cannot keep"):
        Emulator(options(tmp_path / "file")).start()


def test_the_three_sdks_are_pointed_at_their_prefixes(cloud: Emulator) -> None:
    variables = cloud.environment()
    assert variables["OPENAI_BASE_URL"] == f"{cloud.base_url}/openai/v1"
    assert variables["ANTHROPIC_BASE_URL"] == f"{cloud.base_url}/anthropic"
    assert variables["GOOGLE_GEMINI_BASE_URL"] == f"{cloud.base_url}/gemini"
    assert {variables[name] for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY")} == {"emulated"}


@pytest.mark.parametrize(
    "path",
    [
        "/openai/v1/files/..%2f..%2fetc%2fpasswd/content",
        "/openai/v1/batches/%00",
        "/anthropic/v1/messages/batches/%2e%2e/results",
        "/gemini/v1/files/..%2fx:download",
        "/gemini/v1/batches/%ff",
        "/openai/v1/nothing",
        "/gemini/v2/batches",
    ],
)
def test_odd_paths_are_refused_politely(cloud: Emulator, path: str) -> None:
    with connect(cloud) as client:
        refused = client.get(path, headers={"x-goog-api-key": "any"})
    assert refused.status_code in (403, 404)
    assert "error" in refused.json()
