"""Faults as clients meet them: over HTTP, in each dialect's own shapes, and what the journal says of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from batchmark.emulator import Emulator, EmulatorOptions
from batchmark.emulator.presets import PRESETS

HEADERS = {"authorization": "Bearer any", "anthropic-version": "2023-06-01", "x-goog-api-key": "any"}
DIALECTS = ("openai", "anthropic", "gemini")
ROWS = 12


class Account:
    """One dialect spoken with plain HTTP."""

    def __init__(self, dialect: str, client: httpx2.Client) -> None:
        self.dialect = dialect
        self.client = client

    @property
    def batches(self) -> str:
        places = {
            "openai": "/openai/v1/batches",
            "anthropic": "/anthropic/v1/messages/batches",
            "gemini": "/gemini/v1/batches",
        }
        return places[self.dialect]

    def post_create(self, rows: int = ROWS, label: str = "job") -> httpx2.Response:
        if self.dialect == "openai":
            file = self.client.post(
                "/openai/v1/files",
                data={"purpose": "batch"},
                files={"file": ("in.jsonl", "".join(openai_line(f"{label}-{n}") for n in range(rows)).encode())},
            ).json()
            body: dict[str, Any] = {
                "input_file_id": file["id"],
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
                "metadata": {"label": label},
            }
            return self.client.post(self.batches, json=body)
        if self.dialect == "anthropic":
            params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
            requests = [{"custom_id": f"{label}-{n}", "params": params} for n in range(rows)]
            return self.client.post(self.batches, json={"requests": requests})
        asked = {"contents": [{"parts": [{"text": "hi"}]}]}
        items = [{"request": asked, "metadata": {"key": f"{label}-{n}"}} for n in range(rows)]
        body = {"batch": {"displayName": label, "inputConfig": {"requests": {"requests": items}}}}
        return self.client.post("/gemini/v1/models/gemini-2.5-flash:batchGenerateContent", json=body)

    def create(self, rows: int = ROWS, label: str = "job") -> str:
        answer = self.post_create(rows, label)
        assert answer.status_code == 200, answer.text
        return self.id_of(answer.json())

    def id_of(self, batch: dict[str, Any]) -> str:
        named: str = batch["name"].removeprefix("batches/") if self.dialect == "gemini" else batch["id"]
        return named

    def listed(self) -> list[str]:
        body = self.client.get(self.batches).json()
        return [self.id_of(one) for one in body.get("operations" if self.dialect == "gemini" else "data", [])]

    def get(self, batch_id: str) -> httpx2.Response:
        return self.client.get(f"{self.batches}/{batch_id}")

    def status(self, batch: dict[str, Any]) -> str:
        if self.dialect == "gemini":
            return str(batch["metadata"]["state"])
        return str(batch["status" if self.dialect == "openai" else "processing_status"])

    def ended(self, batch_id: str) -> dict[str, Any]:
        """The batch once it has ended."""
        ends = ("completed", "failed", "expired", "cancelled", "ended")

        def over(batch: dict[str, Any]) -> bool:
            return bool(batch.get("done")) or (self.dialect != "gemini" and self.status(batch) in ends)

        deadline = time.monotonic() + 20
        while True:
            answer = self.get(batch_id)
            if answer.status_code == 200 and over(answer.json()):
                batch: dict[str, Any] = answer.json()
                return batch
            assert time.monotonic() < deadline, answer.text

    def raw_lines(self, batch: dict[str, Any]) -> list[str]:
        """All result lines of an ended batch; for OpenAI those of both files, the output first."""
        if self.dialect == "openai":
            names = [batch[name] for name in ("output_file_id", "error_file_id") if batch[name]]
            return [line for n in names for line in self.client.get(f"/openai/v1/files/{n}/content").text.splitlines()]
        if self.dialect == "anthropic":
            return self.client.get(f"{self.batches}/{batch['id']}/results").text.splitlines()
        return [json.dumps(one) for one in batch["response"]["inlinedResponses"]["inlinedResponses"]]

    def lines(self, batch_id: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw_lines(self.ended(batch_id))]

    def ids(self, lines: list[dict[str, Any]]) -> list[str]:
        if self.dialect == "gemini":
            return [line.get("metadata", {}).get("key", "") for line in lines]
        return [line["custom_id"] for line in lines]

    def error(self, line: dict[str, Any]) -> Any:
        """The failure in a result line, in the dialect's words; None for an answer."""
        if self.dialect == "openai":
            return (line["response"]["body"] if line["response"] else {}).get("error") or line["error"]
        if self.dialect == "anthropic":
            return line["result"].get("error", {}).get("error")
        return line.get("error")


class Cloud:
    """An emulator with rules, and a client for each dialect."""

    def __init__(self, home: Path, *rules: str, **changes: Any) -> None:
        values: dict[str, Any] = {"home": home, "profile": "instant", "answers": "synthetic", "faults": rules}
        self.emulator = Emulator(EmulatorOptions(**(values | changes)))

    def __enter__(self) -> Cloud:
        self.emulator.start()
        self.client = httpx2.Client(base_url=self.emulator.base_url, headers=HEADERS, timeout=30)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.close()
        self.emulator.stop()

    def __getitem__(self, dialect: str) -> Account:
        return Account(dialect, self.client)

    def journal(self, operation: str) -> list[dict[str, Any]]:
        entries = self.client.get("/_emulator/journal").json()["entries"]
        return [entry for entry in entries if entry["operation"] == operation]

    def jump(self, seconds: float) -> None:
        answer = self.client.post("/_emulator/clock", json={"jump_s": seconds})
        assert answer.status_code == 200


def openai_line(custom_id: str) -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line) + "\n"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


# Creates


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_create_dropped_before_it_was_stored_leaves_nothing(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, f"{dialect} batches.create nth=1 -> drop-before-store") as cloud:
        account = cloud[dialect]
        with pytest.raises(httpx2.TransportError):
            account.post_create()
        assert account.listed() == []
        made = account.create()
        assert account.listed() == [made]
        entries = cloud.journal("batches.create")
    assert [bool(entry["stored"]) for entry in entries] == [False, True]
    assert entries[0]["faults"] == [f"{dialect} batches.create nth=1 -> drop-before-store"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_create_dropped_after_it_was_stored_is_there_though_nobody_was_told(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, "* batches.create nth=1 -> drop-after-store") as cloud:
        account = cloud[dialect]
        with pytest.raises(httpx2.TransportError):
            account.post_create(label="lost")
        (found,) = account.listed()
        account.ended(found)
        (entry,) = cloud.journal("batches.create")
        assert entry["stored"].endswith(found)
        assert entry["rows"] == ROWS
        assert entry["labels"] == (["lost-0"] if dialect == "anthropic" else ["lost"])
        second = account.create()
        assert set(account.listed()) == {found, second}


def test_which_create_is_the_first_is_remembered_over_a_restart(tmp_path: Path) -> None:
    rule = "openai batches.create nth=2 -> drop-after-store"
    with Cloud(tmp_path, rule) as cloud:
        cloud["openai"].create()
    with Cloud(tmp_path, rule) as cloud:
        with pytest.raises(httpx2.TransportError):
            cloud["openai"].post_create()
        cloud["openai"].create()
        assert len(cloud["openai"].listed()) == 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_batch_visible_late_is_in_no_list_and_404_until_its_time(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, "* batches.create nth=1 -> visible-late 60", control=True) as cloud:
        account = cloud[dialect]
        hidden, seen = account.create(), account.create()
        assert account.listed() == [seen]
        assert account.get(hidden).status_code == 404
        cloud.jump(61)
        assert set(account.listed()) == {hidden, seen}
        account.ended(hidden)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_list_that_lags_shows_only_what_is_old_enough(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, "* batches.list -> lag 60", control=True) as cloud:
        account = cloud[dialect]
        made = account.create()
        assert account.listed() == []
        assert account.get(made).status_code == 200
        cloud.jump(61)
        assert account.listed() == [made]


def test_a_create_answered_late_is_stored_at_once(tmp_path: Path) -> None:
    with Cloud(tmp_path, "anthropic batches.create nth=1 -> answer-late 20") as cloud:
        account = cloud["anthropic"]
        with pytest.raises(httpx2.ReadTimeout):
            cloud.client.post(account.batches, json=anthropic_body(), timeout=0.5)
        assert len(account.listed()) == 1


def test_a_delayed_create_is_stored_only_after_its_delay(tmp_path: Path) -> None:
    with Cloud(tmp_path, "anthropic batches.create nth=1 -> delay 20") as cloud:
        account = cloud["anthropic"]
        with pytest.raises(httpx2.ReadTimeout):
            cloud.client.post(account.batches, json=anthropic_body(), timeout=0.5)
        assert account.listed() == []


def anthropic_body() -> dict[str, Any]:
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return {"requests": [{"custom_id": "a", "params": params}]}


@pytest.mark.parametrize(
    ("dialect", "where"),
    [
        ("openai", lambda body: (body["error"]["type"], body["error"]["code"])),
        ("anthropic", lambda body: (body["type"], body["error"]["type"])),
        ("gemini", lambda body: (body["error"]["code"], body["error"]["status"])),
    ],
)
def test_a_status_comes_in_the_dialects_own_shape_and_stores_nothing(
    tmp_path: Path, dialect: str, where: Callable[[Any], Any]
) -> None:
    rules = (
        "* batches.create nth=1 -> status 503 retry-after=7",
        "* batches.create nth=2 -> status 429 retry-after=3600",
        "* batches.create nth=3 -> status 400 code=odd",
    )
    expected = {
        "openai": [("server_error", None), ("requests", "rate_limit_exceeded"), ("invalid_request_error", "odd")],
        "anthropic": [("error", "api_error"), ("error", "rate_limit_error"), ("error", "odd")],
        "gemini": [(503, "UNAVAILABLE"), (429, "RESOURCE_EXHAUSTED"), (400, "odd")],
    }
    with Cloud(tmp_path, *rules) as cloud:
        account = cloud[dialect]
        answers = [account.post_create() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503, 429, 400]
        assert [where(answer.json()) for answer in answers] == expected[dialect]
        waits = [answer.headers.get("retry-after") for answer in answers]
        assert waits == ["7", None if dialect == "gemini" else "3600", None]
        limits = {"openai": "x-ratelimit-remaining-requests", "anthropic": "anthropic-ratelimit-requests-remaining"}
        if dialect == "gemini":
            assert answers[1].json()["error"]["details"][-1]["retryDelay"] == "3600s"
        else:
            assert answers[1].headers[limits[dialect]] == "0"
        assert account.listed() == []


def test_a_rule_may_mean_one_model_or_one_label_only(tmp_path: Path) -> None:
    rules = ("* batches.create batch=unlucky -> status 500", "* batches.create model=gemini-* -> status 503")
    with Cloud(tmp_path, *rules) as cloud:
        for dialect in ("openai", "anthropic"):
            assert cloud[dialect].post_create(label="lucky").status_code == 200
            assert cloud[dialect].post_create(label="unlucky").status_code == 500
        assert cloud["gemini"].post_create(label="lucky").status_code == 503
        made = cloud["openai"].create(label="lucky")
        cloud.emulator.stop()
    with Cloud(tmp_path, "openai batches.retrieve batch=lucky -> status 404") as cloud:
        assert cloud["openai"].get(made).status_code == 404


def test_a_key_may_be_revoked_in_the_middle_of_things(tmp_path: Path) -> None:
    with Cloud(tmp_path, "openai batches.retrieve nth=2.. -> revoke-key", "anthropic life -> revoke-key") as cloud:
        made = cloud["openai"].create()
        assert [cloud["openai"].get(made).status_code for _ in range(3)] == [200, 401, 401]
        assert cloud.client.get("/anthropic/v1/models").status_code == 200
        cloud["anthropic"].create()
        assert cloud.client.get("/anthropic/v1/models").status_code == 401
        assert cloud["gemini"].post_create().status_code == 200


# Downloads


def test_a_truncated_download_breaks_off_though_its_length_was_said(tmp_path: Path) -> None:
    with Cloud(tmp_path, "openai files.content nth=1 -> truncate 0.5") as cloud:
        batch = cloud["openai"].ended(cloud["openai"].create(200))
        place = f"/openai/v1/files/{batch['output_file_id']}/content"
        got = 0
        with pytest.raises(httpx2.RemoteProtocolError), cloud.client.stream("GET", place) as answer:
            promised = int(answer.headers["content-length"])
            for piece in answer.iter_bytes():
                got += len(piece)
        assert 0.3 * promised < got < 0.6 * promised
        assert len(cloud.client.get(place).content) == promised


def test_truncated_results_without_a_length_end_in_the_middle_of_a_chunk(tmp_path: Path) -> None:
    with Cloud(tmp_path, "anthropic batches.results nth=1 -> truncate 0.5") as cloud:
        account = cloud["anthropic"]
        batch = account.ended(account.create())
        with pytest.raises(httpx2.RemoteProtocolError):
            account.raw_lines(batch)
        assert len(account.raw_lines(batch)) == ROWS


def test_a_stalled_download_gives_half_and_then_nothing_for_a_while(tmp_path: Path) -> None:
    with Cloud(tmp_path, "openai files.content nth=1 -> stall 30") as cloud:
        batch = cloud["openai"].ended(cloud["openai"].create(200))
        place = f"/openai/v1/files/{batch['output_file_id']}/content"
        got = 0
        with pytest.raises(httpx2.ReadTimeout), cloud.client.stream("GET", place, timeout=0.5) as answer:
            promised = int(answer.headers["content-length"])
            for piece in answer.iter_bytes():
                got += len(piece)
        assert 0 < got <= promised / 2 + 1


def test_a_throttled_download_takes_its_time_and_is_whole(tmp_path: Path) -> None:
    with Cloud(tmp_path, "openai files.content nth=1 -> throttle 20000") as cloud:
        batch = cloud["openai"].ended(cloud["openai"].create(10))
        place = f"/openai/v1/files/{batch['output_file_id']}/content"
        started = time.monotonic()
        slow = cloud.client.get(place).content
        assert time.monotonic() - started > len(slow) / 20_000 / 2
        assert slow == cloud.client.get(place).content


# Result lines


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dropped_lines_are_missing_though_counted(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, "* answers row%4 -> drop-line") as cloud:
        account = cloud[dialect]
        made = account.create()
        assert sorted(account.ids(account.lines(made))) == sorted(f"job-{n}" for n in range(ROWS) if n % 4)
        assert str(ROWS) in json.dumps(account.ended(made))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_duplicate_and_foreign_lines_stand_beside_the_right_ones(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, "* answers row=1 -> duplicate-line", "* answers row=2 -> foreign-line") as cloud:
        account = cloud[dialect]
        ids = account.ids(account.lines(account.create()))
        assert len(ids) == ROWS + 2
        assert ids.count("job-1") == 2
        (stranger,) = [one for one in ids if not one.startswith("job-")]
        assert stranger.startswith("stranger-")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_failed_rows_come_in_the_dialects_own_shape(tmp_path: Path, dialect: str) -> None:
    rules = ("* answers row=3 -> fail 400", "* answers row=5 -> fail 429")
    with Cloud(tmp_path, *rules) as cloud:
        account = cloud[dialect]
        made = account.create()
        errors = {name: account.error(line) for line in account.lines(made) for name in account.ids([line])}
        assert sorted(name for name, error in errors.items() if error) == ["job-3", "job-5"]
        shapes = {
            "openai": ("invalid_request_error", "requests"),
            "anthropic": ("invalid_request_error", "rate_limit_error"),
            "gemini": (3, 8),
        }
        key = "code" if dialect == "gemini" else "type"
        assert (errors["job-3"][key], errors["job-5"][key]) == shapes[dialect]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_corrupt_line_is_no_json_and_the_others_are_whole(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, "* answers row=2 -> corrupt-line") as cloud:
        account = cloud[dialect]
        raw = account.raw_lines(account.ended(account.create()))
        broken = [line for line in raw if not line.endswith("}")]
        assert (len(raw), len(broken)) == (ROWS, 1)


def gemini_from_file(cloud: Cloud, rows: int = ROWS) -> dict[str, Any]:
    asked = {"contents": [{"parts": [{"text": "hi"}]}]}
    lines = "".join(json.dumps({"key": f"job-{n}", "request": asked}) + "\n" for n in range(rows))
    headers = {"x-goog-upload-protocol": "raw", "content-type": "application/jsonl"}
    file = cloud.client.post("/gemini/upload/v1/files", content=lines.encode(), headers=headers).json()["file"]
    body = {"batch": {"displayName": "job", "inputConfig": {"fileName": file["name"]}}}
    made = cloud.client.post("/gemini/v1/models/gemini-2.5-flash:batchGenerateContent", json=body).json()
    return cloud["gemini"].ended(cloud["gemini"].id_of(made))


def test_a_file_of_gemini_may_be_odd_and_its_download_cut(tmp_path: Path) -> None:
    rules = (
        "gemini answers row=2 -> corrupt-line",
        "gemini answers -> reorder",
        "gemini answers row=3 -> foreign-line",
        "gemini files.download batch=* nth=1 -> truncate 0.5",
    )
    with Cloud(tmp_path, *rules) as cloud:
        batch = gemini_from_file(cloud)
        place = f"/gemini/v1/{batch['response']['responsesFile']}:download"
        with pytest.raises(httpx2.RemoteProtocolError):
            cloud.client.get(place, params={"alt": "media"})
        raw = cloud.client.get(place, params={"alt": "media"}).text.splitlines()
        whole = [json.loads(line) for line in raw if line.endswith("}")]
        assert (len(raw), len(whole)) == (ROWS + 1, ROWS)
        keys = [line["key"] for line in whole]
        assert keys != sorted(keys, key=lambda key: int(key.rsplit("-", 1)[1], 16))
        assert sum(key.startswith("stranger-") for key in keys) == 1


def test_no_fault_breaks_the_answer_that_holds_inline_results(tmp_path: Path) -> None:
    with Cloud(tmp_path, "gemini answers -> corrupt-line") as cloud:
        assert len(cloud["gemini"].lines(cloud["gemini"].create())) == ROWS


def test_lines_may_come_in_another_order(tmp_path: Path) -> None:
    with Cloud(tmp_path, "openai answers -> reorder") as cloud:
        ids = cloud["openai"].ids(cloud["openai"].lines(cloud["openai"].create()))
        assert ids != [f"job-{n}" for n in range(ROWS)]
        assert sorted(ids) == sorted(f"job-{n}" for n in range(ROWS))


def test_counters_may_be_wrong(tmp_path: Path) -> None:
    rules = ("openai answers -> fail 500", "openai answers -> wrong-counter", "anthropic answers -> wrong-counter -2")
    with Cloud(tmp_path, *rules) as cloud:
        counts = cloud["openai"].ended(cloud["openai"].create())["request_counts"]
        assert counts == {"total": ROWS, "completed": ROWS, "failed": 0}
        counts = cloud["anthropic"].ended(cloud["anthropic"].create())["request_counts"]
        assert counts["succeeded"] == ROWS - 2


# The life of a batch


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("profile", ["instant", "demo"])
def test_an_expired_batch_keeps_what_was_done_where_the_dialect_keeps_it(
    tmp_path: Path, dialect: str, profile: str
) -> None:
    with Cloud(tmp_path, "* life -> expire after=0.25", profile=profile, time_scale=20) as cloud:
        account = cloud[dialect]
        batch = account.ended(account.create())
        if dialect == "gemini":
            assert account.status(batch) == "BATCH_STATE_EXPIRED"
            assert "response" not in batch
            return
        lines = [json.loads(line) for line in account.raw_lines(batch)]
        assert len(lines) == ROWS
        if dialect == "openai":
            assert batch["status"] == "expired"
            assert batch["request_counts"] == {"total": ROWS, "completed": 3, "failed": 0}
            assert [line["error"] and line["error"]["code"] for line in lines] == [None] * 3 + ["batch_expired"] * 9
            assert batch["expires_at"] == batch["created_at"] + 86_400
        else:
            counts = batch["request_counts"]
            assert (counts["succeeded"], counts["expired"], counts["processing"]) == (3, 9, 0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stuck_batch_does_nothing_until_its_window_ends(tmp_path: Path, dialect: str) -> None:
    waiting = {"openai": "in_progress", "anthropic": "in_progress", "gemini": "BATCH_STATE_PENDING"}
    with Cloud(tmp_path, "* life -> stuck", control=True) as cloud:
        account = cloud[dialect]
        made = account.create()
        until(lambda: account.status(account.get(made).json()) == waiting[dialect])
        cloud.jump(23 * 3600)
        assert account.status(account.get(made).json()) == waiting[dialect]
        cloud.jump(26 * 3600)
        batch = account.ended(made)
        if dialect == "openai":
            assert (batch["status"], batch["output_file_id"]) == ("expired", None)
        elif dialect == "anthropic":
            assert batch["request_counts"]["expired"] == ROWS
        else:
            assert account.status(batch) == "BATCH_STATE_EXPIRED"


def test_a_batch_stuck_for_a_while_goes_on_afterwards(tmp_path: Path) -> None:
    with Cloud(tmp_path, "openai life -> stuck 100", control=True) as cloud:
        made = cloud["openai"].create()
        cloud.jump(50)
        assert cloud["openai"].get(made).json()["status"] in ("validating", "in_progress")
        cloud.jump(51)
        assert cloud["openai"].ended(made)["status"] == "completed"


def test_a_failed_validation_is_told_as_each_dialect_tells_it(tmp_path: Path) -> None:
    with Cloud(tmp_path, "* life -> fail-validation url_mismatch") as cloud:
        batch = cloud["openai"].ended(cloud["openai"].create())
        assert batch["status"] == "failed"
        assert batch["errors"]["data"][0]["code"] == "url_mismatch"
        operation = cloud["gemini"].ended(cloud["gemini"].create())
        assert operation["metadata"]["state"] == "BATCH_STATE_FAILED"
        assert operation["error"]["code"] == 3
        assert cloud["anthropic"].post_create().status_code == 400
        assert cloud["anthropic"].listed() == []


def test_a_full_queue_is_refused_at_once_or_later_as_each_dialect_does(tmp_path: Path) -> None:
    with Cloud(tmp_path, "* life nth=1..3 -> token-limit") as cloud:
        check_full_queue(cloud)
        for dialect in DIALECTS:
            cloud[dialect].ended(cloud[dialect].create())


def check_full_queue(cloud: Cloud) -> None:
    refused = cloud["gemini"].post_create()
    assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert cloud["gemini"].listed() == []
    refused = cloud["anthropic"].post_create()
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_error")
    assert cloud["anthropic"].listed() == []
    batch = cloud["openai"].ended(cloud["openai"].create())
    assert batch["status"] == "failed"
    (problem,) = batch["errors"]["data"]
    assert (problem["code"], problem["line"]) == ("token_limit_exceeded", None)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_unknown_state_is_shown_for_a_while(tmp_path: Path, dialect: str) -> None:
    word = "BATCH_STATE_PAUSED" if dialect == "gemini" else "PAUSED"
    with Cloud(tmp_path, "* life -> unknown-state PAUSED for=60", control=True) as cloud:
        account = cloud[dialect]
        made = account.create()
        assert account.status(account.get(made).json()) == word
        cloud.jump(61)
        account.ended(made)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_cancel_may_come_when_all_rows_are_done(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, "* life nth=1 -> stuck 500", "* life -> outrun-cancel", control=True) as cloud:
        account = cloud[dialect]
        made = account.create()
        assert cloud.client.post(f"{account.batches}/{made}/cancel").status_code == 200
        batch = account.ended(made)
        assert [account.error(json.loads(line)) for line in account.raw_lines(batch)] == [None] * ROWS
        assert batch["cancelling_at" if dialect == "openai" else "cancel_initiated_at"]


def test_what_befalls_a_batch_is_kept_with_it_and_needs_no_rule_later(tmp_path: Path) -> None:
    with Cloud(tmp_path, "openai answers row=0 -> fail 500", "openai life -> stuck 1000") as cloud:
        made = cloud["openai"].create()
    with Cloud(tmp_path, control=True) as cloud:
        cloud.jump(1001)
        batch = cloud["openai"].ended(made)
        assert batch["request_counts"] == openai_counts(ROWS - 1, 1)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_answer_may_be_dropped_at_random_and_nothing_is_stored_twice_by_the_emulator(
    tmp_path: Path, dialect: str
) -> None:
    rule = "* batches.create p=0.5 seed=3 -> drop-after-store"
    with Cloud(tmp_path, rule) as cloud:
        account = cloud[dialect]
        told = lost = 0
        for number in range(12):
            try:
                account.create(1, f"job{number}x")
                told += 1
            except httpx2.TransportError:
                lost += 1
        entries = cloud.journal("batches.create")
        assert told and lost
        assert len({entry["stored"] for entry in entries}) == len(account.listed()) == 12
        assert [bool(entry["faults"]) for entry in entries].count(True) == lost


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rows_may_fail_in_the_first_attempt_only_where_labels_number_the_attempts(tmp_path: Path, dialect: str) -> None:
    with Cloud(tmp_path, "* answers label=*-1 row%5 -> fail 500") as cloud:
        account = cloud[dialect]
        errors = [
            [account.error(line) for line in account.lines(account.create(label=label))]
            for label in ("job-0-1", "job-0-2", "job-1-1")
        ]
        assert [sum(error is not None for error in one) for one in errors] == [3, 0, 3]


# Limits


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_small_number_of_batches_in_flight_can_be_asked_for(tmp_path: Path, dialect: str) -> None:
    limit = f"{dialect}.max_batches_in_flight=2"
    with Cloud(tmp_path, "* life nth=1..2 -> stuck 100", limits=(limit,), control=True) as cloud:
        account = cloud[dialect]
        waiting = [account.create(label=f"job-{number}-1") for number in range(2)]
        if dialect == "openai":
            assert account.status(account.ended(account.create())) == "failed"
        else:
            assert account.post_create().status_code == 429
        cloud.jump(101)
        for made in waiting:
            account.ended(made)
        last = account.ended(account.create())
        assert account.status(last) in ("completed", "ended", "BATCH_STATE_SUCCEEDED")
        labels = [entry["labels"] for entry in cloud.journal("batches.create") if entry["stored"]]
        first = "job-{}-1-0" if dialect == "anthropic" else "job-{}-1"
        assert labels[:2] == [[first.format(number)] for number in range(2)]
        assert cloud.journal("batches.cancel") == []


@pytest.mark.parametrize("limit", ["*.max_batches_in_flight=0", "*.queued_tokens=5"])
def test_a_create_beyond_a_limit_is_refused_as_each_dialect_refuses(tmp_path: Path, limit: str) -> None:
    limits = (limit, "anthropic.queued_requests=3")
    with Cloud(tmp_path, limits=limits) as cloud:
        check_full_queue(cloud)


def test_a_limit_counts_what_is_in_flight_and_lets_go_of_what_has_ended(tmp_path: Path) -> None:
    with Cloud(tmp_path, "gemini life -> stuck 100", limits=("gemini.concurrent_batches=2",), control=True) as cloud:
        account = cloud["gemini"]
        first, second = account.create(), account.create()
        assert account.post_create().status_code == 429
        cloud.jump(101)
        account.ended(first)
        account.ended(second)
        account.create()


def test_creates_at_the_same_moment_do_not_slip_past_a_limit(tmp_path: Path) -> None:
    with Cloud(tmp_path, "gemini life -> stuck", limits=("gemini.concurrent_batches=3",)) as cloud:
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: cloud["gemini"].post_create().status_code, range(16)))
        assert sorted(statuses) == [200] * 3 + [429] * 13
        assert len(cloud["gemini"].listed()) == 3


def test_sizes_beyond_a_limit_are_refused_with_the_real_bodies(tmp_path: Path) -> None:
    limits = ("*.max_rows=5", "openai.batches_per_hour=2")
    with Cloud(tmp_path, limits=limits, control=True) as cloud:
        batch = cloud["openai"].ended(cloud["openai"].create())
        assert batch["errors"]["data"][0]["code"] == "too_many_tasks"
        assert cloud["anthropic"].post_create().status_code == 400
        assert cloud["gemini"].post_create().status_code == 400
        cloud["openai"].create(5)
        assert cloud["openai"].post_create(5).json()["error"]["code"] == "rate_limit_exceeded"
        cloud.jump(3601)
        cloud["openai"].create(5)
    with Cloud(tmp_path, limits=("*.max_bytes=100",)) as cloud:
        assert cloud["anthropic"].post_create().status_code == 413
        files = {"file": ("in.jsonl", b"x" * 101)}
        assert cloud.client.post("/openai/v1/files", data={"purpose": "batch"}, files=files).status_code == 413


# What users reported, one by one


def openai_counts(completed: int, failed: int) -> dict[str, int]:
    return {"total": ROWS, "completed": completed, "failed": failed}


def check_empty_errors(cloud: Cloud) -> None:
    batch = cloud["openai"].ended(cloud["openai"].create())
    assert batch["request_counts"] == openai_counts(ROWS, 0)
    errors = cloud.client.get(f"/openai/v1/files/{batch['error_file_id']}/content").text.splitlines()
    hollow = {"status_code": 0, "request_id": "", "body": {}}
    assert [json.loads(line)["response"] for line in errors] == [hollow, hollow]


def check_lost_lines(cloud: Cloud) -> None:
    batch = cloud["openai"].ended(cloud["openai"].create())
    assert batch["request_counts"] == openai_counts(ROWS, 0)
    assert batch["error_file_id"] is None
    assert len(cloud["openai"].raw_lines(batch)) == ROWS - 2


def check_all_failed(cloud: Cloud) -> None:
    batch = cloud["openai"].ended(cloud["openai"].create())
    assert (batch["status"], batch["output_file_id"]) == ("completed", None)
    assert batch["error_file_id"].startswith("file-")
    assert batch["request_counts"] == openai_counts(0, ROWS)


def check_openai_expired(cloud: Cloud) -> None:
    batch = cloud["openai"].ended(cloud["openai"].create())
    assert batch["status"] == "expired"
    errors = cloud.client.get(f"/openai/v1/files/{batch['error_file_id']}/content").text.splitlines()
    said = [json.loads(line)["response"]["body"]["error"] for line in errors]
    assert {error["type"] for error in said} == {"server_error"}
    assert all(error["message"].startswith("An error occurred while processing your request.") for error in said)
    assert len(errors) == ROWS // 2


def check_empty_ids(cloud: Cloud) -> None:
    batch = cloud["openai"].ended(cloud["openai"].create())
    assert batch["error_file_id"] == ""
    assert batch["output_file_id"]


def check_openai_token_limit(cloud: Cloud) -> None:
    batch = cloud["openai"].ended(cloud["openai"].create())
    assert batch["errors"]["data"][0]["code"] == "token_limit_exceeded"
    assert "gpt-4o-mini" in batch["errors"]["data"][0]["message"]
    assert cloud["openai"].ended(cloud["openai"].create())["status"] == "completed"


def check_bad_input(cloud: Cloud) -> None:
    batch = cloud["openai"].ended(cloud["openai"].create())
    assert batch["status"] == "failed"
    assert (batch["errors"]["data"][0]["code"], batch["errors"]["data"][0]["line"]) == ("invalid_json_line", 1)


def check_row_errors(cloud: Cloud) -> None:
    lines = cloud["openai"].lines(cloud["openai"].create())
    failed = [line for line in lines if line["response"]["status_code"] == 400]
    assert len(failed) == 4
    assert all(line["error"] is None for line in failed)
    assert all(set(line["response"]["body"]["error"]) == {"message", "type", "param", "code"} for line in failed)


def check_long_finalizing(cloud: Cloud) -> None:
    made = cloud["openai"].create()
    until(lambda: cloud["openai"].get(made).json()["status"] == "finalizing")
    cloud.jump(500)
    batch = cloud["openai"].get(made).json()
    assert (batch["status"], batch["request_counts"]["completed"]) == ("finalizing", ROWS)
    cloud.jump(101)
    assert cloud["openai"].ended(made)["status"] == "completed"


def check_row_quota(cloud: Cloud) -> None:
    lines = cloud["openai"].lines(cloud["openai"].create())
    failed = [line["response"] for line in lines if line["response"]["status_code"] == 429]
    assert len(failed) == 4
    assert all(response["body"]["error"]["code"] == "insufficient_quota" for response in failed)


def check_reordered(cloud: Cloud) -> None:
    ids = cloud["gemini"].ids(cloud["gemini"].lines(cloud["gemini"].create()))
    assert ids != [f"job-{n}" for n in range(ROWS)]
    assert sorted(ids) == sorted(f"job-{n}" for n in range(ROWS))


def check_lost_keys(cloud: Cloud) -> None:
    lines = cloud["gemini"].lines(cloud["gemini"].create())
    assert [set(line) for line in lines] == [{"response"}] * ROWS


def check_failed_items(cloud: Cloud) -> None:
    batch = cloud["gemini"].ended(cloud["gemini"].create())
    assert batch["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"
    lines = [json.loads(line) for line in cloud["gemini"].raw_lines(batch)]
    assert [line["error"]["code"] for line in lines[1:3]] == [1, 9]
    assert "response" not in lines[1]
    assert batch["metadata"]["batchStats"]["failedRequestCount"] == "2"


def check_empty_list(cloud: Cloud) -> None:
    made = cloud["gemini"].create()
    assert cloud.client.get("/gemini/v1/batches").json() == {}
    assert cloud["gemini"].listed() == [made]


def check_exhausted(cloud: Cloud) -> None:
    refused = cloud["gemini"].post_create()
    assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    kinds = [detail["@type"].rsplit(".", 1)[1] for detail in refused.json()["error"]["details"]]
    assert kinds == ["Help", "RetryInfo"]
    cloud["gemini"].create()


def check_billing_stop(cloud: Cloud) -> None:
    made = cloud["gemini"].create()
    assert [cloud["gemini"].get(made).status_code for _ in range(4)] == [200, 403, 403, 200]


def check_held_quota(cloud: Cloud) -> None:
    account = cloud["gemini"]
    for _ in range(2):
        cloud.client.delete(f"{account.batches}/{account.create()}")
    assert account.listed() == []
    assert account.post_create().status_code == 429
    cloud.jump(172_801)
    account.create()


def check_gemini_stuck(cloud: Cloud) -> None:
    account = cloud["gemini"]
    made = account.create()
    cloud.jump(47 * 3600)
    assert account.get(made).json()["metadata"]["state"] == "BATCH_STATE_PENDING"
    cloud.jump(2 * 3600)
    batch = account.ended(made)
    assert batch["metadata"]["state"] == "BATCH_STATE_EXPIRED"
    assert "output" not in batch["metadata"]


def check_blocked(cloud: Cloud) -> None:
    lines = cloud["gemini"].lines(cloud["gemini"].create())
    blocked = [line["response"] for line in lines if "promptFeedback" in line["response"]]
    assert len(blocked) == 4
    assert all("candidates" not in response for response in blocked)


def check_404_races(cloud: Cloud) -> None:
    account = cloud["anthropic"]
    made = account.create()
    assert [account.get(made).status_code for _ in range(4)] == [404, 200, 404, 200]
    batch = account.ended(made)
    place = f"{account.batches}/{made}/results"
    refused = cloud.client.get(place)
    assert (refused.status_code, refused.json()["error"]["type"]) == (404, "not_found_error")
    assert len(account.raw_lines(batch)) == ROWS


def check_errored(cloud: Cloud) -> None:
    account = cloud["anthropic"]
    batch = account.ended(account.create())
    results = [json.loads(line)["result"] for line in account.raw_lines(batch)]
    assert batch["request_counts"]["errored"] == ROWS // 2
    assert [("message" in result) for result in results] == [result["type"] == "succeeded" for result in results]
    assert {result["error"]["error"]["message"] for result in results if result["type"] == "errored"} == {""}


def check_anthropic_expired(cloud: Cloud) -> None:
    batch = cloud["anthropic"].ended(cloud["anthropic"].create())
    counts = batch["request_counts"]
    assert (batch["processing_status"], counts["expired"], sum(counts.values())) == ("ended", ROWS // 2, ROWS)


CHECKS: dict[str, Callable[[Cloud], None]] = {
    "openai-empty-errors": check_empty_errors,
    "openai-lost-lines": check_lost_lines,
    "openai-all-failed": check_all_failed,
    "openai-expired": check_openai_expired,
    "openai-empty-ids": check_empty_ids,
    "openai-token-limit": check_openai_token_limit,
    "openai-bad-input": check_bad_input,
    "openai-row-errors": check_row_errors,
    "openai-long-finalizing": check_long_finalizing,
    "openai-row-quota": check_row_quota,
    "gemini-reordered": check_reordered,
    "gemini-lost-keys": check_lost_keys,
    "gemini-failed-items": check_failed_items,
    "gemini-empty-list": check_empty_list,
    "gemini-exhausted": check_exhausted,
    "gemini-billing-stop": check_billing_stop,
    "gemini-held-quota": check_held_quota,
    "gemini-stuck": check_gemini_stuck,
    "gemini-blocked": check_blocked,
    "anthropic-404-races": check_404_races,
    "anthropic-errored": check_errored,
    "anthropic-expired": check_anthropic_expired,
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_produces_what_its_users_reported(tmp_path: Path, name: str) -> None:
    with Cloud(tmp_path, f"preset:{name}", control=True, limits=("gemini.concurrent_batches=2",)) as cloud:
        CHECKS[name](cloud)


# Control


@pytest.mark.parametrize("page", ["faults", "clock", "reset"])
def test_nothing_can_be_steered_unless_it_was_allowed(tmp_path: Path, page: str) -> None:
    with Cloud(tmp_path) as cloud:
        answer = cloud.client.post(f"/_emulator/{page}", json={"rules": [], "jump_s": 10})
        assert answer.status_code == 404


def test_rules_can_be_replaced_while_it_runs(tmp_path: Path) -> None:
    with Cloud(tmp_path, "openai batches.list -> status 500", control=True) as cloud:
        place = "/openai/v1/batches"
        assert cloud.client.get(place).status_code == 500
        refused = cloud.client.post("/_emulator/faults", json={"rules": ["openai batches.list -> explode"]})
        assert refused.status_code == 400
        assert "explode" in refused.json()["error"]
        assert cloud.client.get(place).status_code == 500
        rule = "openai batches.list nth=1 -> status 503"
        for _ in range(2):
            assert cloud.client.post("/_emulator/faults", json={"rules": [rule]}).json()["rules"] == [rule]
            assert [cloud.client.get(place).status_code for _ in range(2)] == [503, 200]
        assert cloud.client.get("/_emulator/status").json()["faults"] == [rule]


def test_a_reset_forgets_everything_but_the_time(tmp_path: Path) -> None:
    with Cloud(tmp_path, control=True) as cloud:
        account = cloud["openai"]
        made = account.ended(account.create())
        assert cloud.client.post("/_emulator/reset").status_code == 200
        assert account.listed() == []
        assert cloud.client.get(f"/openai/v1/files/{made['output_file_id']}").status_code == 404
        entries = cloud.client.get("/_emulator/journal").json()["entries"]
        assert {entry["operation"] for entry in entries} == {"batches.list", "files.retrieve"}
        account.ended(account.create())


def test_a_reset_in_the_middle_of_work_leaves_a_working_service(tmp_path: Path) -> None:
    with Cloud(tmp_path, control=True, profile="demo", time_scale=20) as cloud:
        account = cloud["openai"]
        for _ in range(3):
            made = account.create()
            cloud.client.post("/_emulator/reset")
            assert account.get(made).status_code == 404
        assert account.ended(account.create())["status"] == "completed"


def test_the_clock_only_jumps_forward(tmp_path: Path) -> None:
    with Cloud(tmp_path, control=True) as cloud:
        for bad in (-1, "soon", None, True):
            assert cloud.client.post("/_emulator/clock", json={"jump_s": bad}).status_code == 400
        before = cloud.client.get("/_emulator/status").json()["now"]
        cloud.jump(86_400)
        after = cloud.client.get("/_emulator/status").json()["now"]
        assert after[:10] > before[:10]


def test_a_fault_meets_the_official_sdk_as_it_would_in_life(tmp_path: Path) -> None:
    import openai

    rules = ("openai batches.retrieve nth=1 -> status 429 retry-after=0", "openai batches.list -> drop-after-store")
    with Cloud(tmp_path, *rules) as cloud:
        made = cloud["openai"].create()
        base = f"{cloud.emulator.base_url}/openai/v1"
        with openai.OpenAI(base_url=base, api_key="any", max_retries=0) as strict:
            with pytest.raises(openai.RateLimitError) as caught:
                strict.batches.retrieve(made)
            assert caught.value.code == "rate_limit_exceeded"
            assert strict.batches.retrieve(made).id == made
            with pytest.raises(openai.APIConnectionError):
                strict.batches.list()
