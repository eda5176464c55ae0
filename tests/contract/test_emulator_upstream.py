"""An OpenAI-compatible server of one's own gains a Batch API: rows are passed on, answered word for word, and never lost."""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from batchmark.emulator import Emulator, EmulatorOptions
from tests.support import until

CHAT = "/v1/chat/completions"


class Server:
    """A small model server: what it answers to a row is decided by a function of the row's text and how often it came."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self.behave: Callable[[str, int], tuple[int, dict[str, str]]] = lambda text, time: (200, {})
        self._at_once = 0
        self._permits: int | None = None
        self._changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None: ...

            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": "llama-tiny"}, {"id": "bge"}]}, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, headers = outer._answer(body, dict(self.headers))
                self._send(status, outer._said(self.path, body, status), headers)

            def _send(self, status: int, value: Any, headers: dict[str, str]) -> None:
                raw = json.dumps(value, indent=1).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                for name, text in headers.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(raw)

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hangs up is no news here."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def hold_after(self, count: int | None) -> None:
        """Answer so many more and let the others wait; None: all."""
        with self._changed:
            self._permits = count
            self._changed.notify_all()

    def times(self) -> Counter[str]:
        return Counter(text_of(body) for body in self.asked)

    def close(self) -> None:
        self.hold_after(None)
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _answer(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        with self._changed:
            self.asked.append(body)
            self.headers.append({name.lower(): value for name, value in headers.items()})
            count = self.times()[text_of(body)]
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()
            while self._permits == 0:
                self._changed.wait()
            if self._permits is not None:
                self._permits -= 1
            self._at_once -= 1
        return self.behave(text_of(body), count)

    @staticmethod
    def _said(path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
        if status != 200:
            return {"error": {"message": f"no: {text_of(body)}", "type": "x", "param": None, "code": "odd"}}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        if path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
            return {"object": "list", "data": data, "model": "bge", "usage": {"prompt_tokens": 7, "total_tokens": 7}}
        message = {"role": "assistant", "content": f"heard {text_of(body)}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "own-1", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}


def text_of(body: dict[str, Any]) -> str:
    return str(body["input"] if "input" in body else body["messages"][-1]["content"])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def start(home: Path, server: Server | str, **more: Any) -> Emulator:
    url = server if isinstance(server, str) else f"{server.url}/v1"
    return Emulator(EmulatorOptions(home=home, profile="instant", answers=f"upstream {url}", **more))


def sdk(cloud: Emulator) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{cloud.base_url}/openai/v1", api_key="any", max_retries=0)


def submit(client: openai.OpenAI, bodies: list[dict[str, Any]], endpoint: str = CHAT) -> str:
    lines = [
        json.dumps({"custom_id": f"row-{number}", "method": "POST", "url": endpoint, "body": body})
        for number, body in enumerate(bodies)
    ]
    file = client.files.create(file=io.BytesIO("\n".join(lines).encode()), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")  # type: ignore[arg-type]
    return made.id


def chats(*texts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"model": "llama-tiny", "messages": [{"role": "user", "content": text}], **more} for text in texts]


def ended(client: openai.OpenAI, batch_id: str) -> Any:
    until(lambda: client.batches.retrieve(batch_id).status in ("completed", "failed", "expired", "cancelled"))
    return client.batches.retrieve(batch_id)


def lines_of(client: openai.OpenAI, file_id: str | None) -> dict[str, Any]:
    if file_id is None:
        return {}
    found = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    return {line["custom_id"]: line["response"] for line in found}


def test_rows_are_passed_on_as_they_are_and_answered_word_for_word(tmp_path: Path, server: Server) -> None:
    with start(tmp_path, server) as cloud:
        client = sdk(cloud)
        odd = {"tools": [], "x_unknown": {"deep": [1, None]}, "temperature": 0.3}
        batch = ended(client, submit(client, chats("one", "two", **odd)))
        answers = lines_of(client, batch.output_file_id)
        models = [model.id for model in client.models.list()]
    assert {json.dumps(body, sort_keys=True) for body in server.asked} == {
        json.dumps(body, sort_keys=True) for body in chats("one", "two", **odd)
    }
    assert answers["row-1"]["body"]["choices"][0]["message"]["content"] == "heard two"
    assert answers["row-1"]["body"]["id"] == "own-1"
    assert batch.usage.input_tokens == 14
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 0)
    assert models == ["llama-tiny", "bge"]


def test_other_endpoints_and_dialects_reach_it_too(tmp_path: Path, server: Server) -> None:
    with start(tmp_path, server) as cloud:
        client = sdk(cloud)
        batch = ended(client, submit(client, [{"model": "bge", "input": "a text"}], "/v1/embeddings"))
        vector = lines_of(client, batch.output_file_id)["row-0"]["body"]["data"][0]["embedding"]
        claude = anthropic.Anthropic(base_url=f"{cloud.base_url}/anthropic", api_key="any")
        params: Any = {
            "model": "llama-tiny",
            "max_tokens": 9,
            "system": "be brief",
            "messages": [{"role": "user", "content": "from claude's side"}],
        }
        made = claude.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
        until(lambda: claude.messages.batches.retrieve(made.id).processing_status == "ended")
        (line,) = claude.messages.batches.results(made.id)
        google = genai.Client(api_key="any", http_options={"base_url": f"{cloud.base_url}/gemini"})
        asked: Any = [{"contents": [{"parts": [{"text": "from gemini's side"}], "role": "user"}]}]
        job = google.batches.create(model="llama-tiny", src=asked)
        until(lambda: google.batches.get(name=job.name or "").done or False)
        dest = google.batches.get(name=job.name or "").dest
    assert vector == [0.25, 0.5]
    assert line.result.type == "succeeded"
    assert line.result.message.content[0].to_dict()["text"] == "heard from claude's side"
    assert server.asked[1]["messages"][0] == {"role": "system", "content": "be brief"}
    assert server.asked[1]["max_tokens"] == 9
    assert dest is not None and dest.inlined_responses is not None
    reply = dest.inlined_responses[0].response
    assert reply is not None and reply.text == "heard from gemini's side"


def test_nothing_is_made_up_beside_the_answers_of_a_server(tmp_path: Path, server: Server) -> None:
    with start(tmp_path, server) as cloud:
        claude = anthropic.Anthropic(base_url=f"{cloud.base_url}/anthropic", api_key="any")
        params: Any = {
            "model": "llama-tiny",
            "max_tokens": 2_000,
            "messages": [{"role": "user", "content": "think"}],
            "thinking": {"type": "enabled", "budget_tokens": 1_024},
        }
        made = claude.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
        until(lambda: claude.messages.batches.retrieve(made.id).processing_status == "ended")
        (line,) = claude.messages.batches.results(made.id)
        assert line.result.type == "succeeded"
        assert [block.type for block in line.result.message.content] == ["text"]


def test_a_model_of_ones_own_choice_answers_whatever_the_rows_ask_for(tmp_path: Path, server: Server) -> None:
    with start(tmp_path, server, upstream_model="llama-tiny") as cloud:
        client = sdk(cloud)
        ended(client, submit(client, [{**chats("hi")[0], "model": "gpt-5-nano"}]))
    assert [body["model"] for body in server.asked] == ["llama-tiny"]


def test_the_key_goes_to_the_server_and_the_clients_own_does_not(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHMARK_UPSTREAM_KEY", "for-the-server")
    with start(tmp_path, server) as cloud:
        client = sdk(cloud)
        ended(client, submit(client, chats("hi")))
    assert server.headers[-1]["authorization"] == "Bearer for-the-server"


def test_rows_that_the_server_refuses_fail_alone_with_its_own_words(tmp_path: Path, server: Server) -> None:
    server.behave = lambda text, time: (422 if text == "bad" else 200, {})
    with start(tmp_path, server) as cloud:
        client = sdk(cloud)
        batch = ended(client, submit(client, chats("good", "bad")))
        failed = lines_of(client, batch.error_file_id)
        good = lines_of(client, batch.output_file_id)
    assert (batch.status, batch.request_counts.failed) == ("completed", 1)
    assert (failed["row-1"]["status_code"], failed["row-1"]["body"]["error"]["message"]) == (422, "no: bad")
    assert list(good) == ["row-0"]
    assert server.times()["bad"] == 1


def test_an_overloaded_server_is_asked_again_and_fewer_things_at_a_time(tmp_path: Path, server: Server) -> None:
    server.behave = lambda text, time: (429, {"retry-after": "0"}) if time <= 2 else (200, {})
    with start(tmp_path, server, upstream_concurrency=4) as cloud:
        client = sdk(cloud)
        texts = [f"question {number}" for number in range(8)]
        batch = ended(client, submit(client, chats(*texts)))
    assert (batch.request_counts.completed, batch.request_counts.failed) == (8, 0)
    assert set(server.times().values()) == {3}
    assert server.most_at_once <= 4


def test_a_row_that_breaks_the_server_fails_after_a_few_tries(tmp_path: Path, server: Server) -> None:
    server.behave = lambda text, time: (500 if text == "poison" else 200, {})
    with start(tmp_path, server) as cloud:
        client = sdk(cloud)
        batch = ended(client, submit(client, chats("fine", "poison")))
        failed = lines_of(client, batch.error_file_id)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    assert failed["row-1"]["status_code"] == 500
    assert 2 <= server.times()["poison"] <= 6


def test_a_batch_cut_by_a_restart_goes_on_where_it_stood_and_asks_nothing_twice(tmp_path: Path, server: Server) -> None:
    texts = [f"question {number}" for number in range(12)]
    server.hold_after(5)
    with start(tmp_path, server, upstream_concurrency=2) as cloud:
        client = sdk(cloud)
        batch_id = submit(client, chats(*texts))
        until(lambda: client.batches.retrieve(batch_id).request_counts.completed == 5)  # type: ignore[union-attr]
        until(lambda: len(server.asked) == 7)
    before = server.times()
    server.hold_after(None)
    with start(tmp_path, server, upstream_concurrency=2) as cloud:
        client = sdk(cloud)
        batch = ended(client, batch_id)
        answers = lines_of(client, batch.output_file_id)
    assert {name: line["body"]["choices"][0]["message"]["content"] for name, line in answers.items()} == {
        f"row-{number}": f"heard {text}" for number, text in enumerate(texts)
    }
    # Only the two whose answers had not come yet were asked again.
    assert len(before) == 7
    assert sorted(server.times().values()) == [1] * 10 + [2] * 2


def test_a_server_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    late = Server()
    url = late.url
    late.close()
    with start(tmp_path, url) as cloud:
        client = sdk(cloud)
        batch_id = submit(client, chats("patience"))
        until(lambda: client.batches.retrieve(batch_id).status == "in_progress")
        waiting = client.batches.retrieve(batch_id)
        client.batches.cancel(batch_id)
        cut = ended(client, batch_id)
    assert waiting.status == "in_progress"
    assert cut.status == "cancelled"
