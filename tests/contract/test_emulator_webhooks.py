"""Webhooks as the official SDKs register and check them, on a receiver of this machine."""

from __future__ import annotations

import http.server
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import jwt
import openai
import pytest
from google import genai

from batchmark.emulator import BatchCloud
from tests.support import until

GEMINI = "gemini-2.5-flash"
HELLO: Any = [{"contents": [{"parts": [{"text": "hi"}], "role": "user"}]}]
ROW = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
}


@dataclass
class Receiver:
    """What came, and what it answers: the statuses in turn, 200 when they are used up."""

    url: str
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.came]

    def signed(self, number: int) -> tuple[bytes, dict[str, str]]:
        headers, body = self.came[number]
        return body, headers


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(made.statuses.pop(0) if made.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Receiver(url=f"http://127.0.0.1:{server.server_port}/news")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def submit(client: openai.OpenAI, *lines: object) -> str:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines or (ROW,))
    file = client.files.create(file=io.BytesIO(text.encode()), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    return made.id


def endpoint(client: openai.OpenAI, url: str, *types: Any) -> str:
    """Register it and remember its secret in the client; its id."""
    made = client.webhooks.create(
        name="tests", url=url, event_types=list(types or ("batch.completed", "batch.failed", "batch.cancelled"))
    )
    client.webhook_secret = made.signing_secret
    return made.id


@pytest.mark.batch_cloud(profile="instant")
def test_the_end_of_an_openai_batch_is_told_in_a_form_that_the_sdk_trusts(
    batch_cloud: BatchCloud, receiver: Receiver
) -> None:
    client = openai.OpenAI()
    endpoint(client, receiver.url)
    batch_id = submit(client)
    until(lambda: len(receiver.came) == 1)
    headers, body = receiver.came[0]
    event = client.webhooks.unwrap(body, headers)
    assert event.type == "batch.completed"
    assert event.data.id == batch_id
    assert event.created_at == client.batches.retrieve(batch_id).completed_at
    assert headers["webhook-id"].startswith("wh_")
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body.replace(b"completed", b"expired"), headers)
    (entry,) = batch_cloud.journal("openai", "webhooks.deliver")
    assert (entry.status, entry.subject, entry.path) == (200, batch_id, "/news")


@pytest.mark.batch_cloud(profile="demo", time_scale=0)
def test_a_failure_and_a_cancellation_are_told_when_they_show_and_not_before(
    batch_cloud: BatchCloud, receiver: Receiver
) -> None:
    client = openai.OpenAI()
    endpoint(client, receiver.url)
    bad, good = submit(client, "no JSON"), submit(client)
    client.batches.cancel(good)
    assert client.batches.retrieve(bad).status == "validating"
    assert receiver.came == []
    batch_cloud.clock.advance(minutes=30)
    until(lambda: len(receiver.came) == 2)
    assert {event["data"]["id"]: event["type"] for event in receiver.events} == {
        bad: "batch.failed",
        good: "batch.cancelled",
    }
    assert client.batches.retrieve(bad).status == "failed"


@pytest.mark.batch_cloud(profile="instant")
def test_an_endpoint_hears_only_what_it_asked_for_and_nothing_once_it_is_deleted(
    batch_cloud: BatchCloud, receiver: Receiver
) -> None:
    client = openai.OpenAI()
    deaf = endpoint(client, receiver.url + "/deaf", "batch.expired")
    heard = endpoint(client, receiver.url, "batch.completed")
    submit(client)
    until(lambda: len(receiver.came) == 1)
    assert client.webhooks.delete(heard).deleted
    client.webhooks.update(deaf, event_types=["batch.completed"], url=receiver.url)
    batch_id = submit(client)
    until(lambda: len(receiver.came) == 2)
    assert receiver.events[1]["data"]["id"] == batch_id
    assert [each.id for each in client.webhooks.list().data] == [deaf]


@pytest.mark.batch_cloud(profile="instant")
def test_what_was_not_taken_is_sent_again_under_the_same_id(batch_cloud: BatchCloud, receiver: Receiver) -> None:
    client = openai.OpenAI()
    endpoint(client, receiver.url)
    receiver.statuses += [500, 302]
    submit(client)
    until(lambda: len(receiver.came) == 3)
    assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 1
    assert len({body for _, body in receiver.came}) == 1
    until(lambda: len(batch_cloud.journal("openai", "webhooks.deliver")) == 3)


def test_an_event_that_found_nobody_is_delivered_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    receiver.statuses += [503] * 2
    with BatchCloud(home=tmp_path, profile="instant") as cloud:
        client = openai.OpenAI(base_url=cloud.openai_url, api_key="k")
        endpoint(client, receiver.url)
        batch_id = submit(client)
        until(lambda: len(receiver.came) == 2)
    with BatchCloud(home=tmp_path, profile="instant"):
        until(lambda: len(receiver.came) == 3)
    headers, body = receiver.came[2]
    assert client.webhooks.unwrap(body, headers).type == "batch.completed"
    assert receiver.events[2]["data"]["id"] == batch_id


def test_a_receiver_that_hangs_holds_up_no_end_and_is_called_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with BatchCloud(home=tmp_path, profile="instant") as cloud:
            client = openai.OpenAI(base_url=cloud.openai_url, api_key="k")
            endpoint(client, f"http://127.0.0.1:{listener.getsockname()[1]}/")
            submit(client)
            hanging, _ = listener.accept()
            began = time.monotonic()
        assert time.monotonic() - began < 5
        hanging.close()
        with BatchCloud(home=tmp_path, profile="instant"):
            listener.settimeout(20)
            listener.accept()[0].close()


@pytest.mark.batch_cloud(profile="instant")
def test_a_rotated_secret_ends_the_old_one_or_signs_beside_it_for_a_day(
    batch_cloud: BatchCloud, receiver: Receiver
) -> None:
    client, old = openai.OpenAI(), openai.OpenAI()
    hook = endpoint(client, receiver.url)
    old.webhook_secret = client.webhook_secret
    client.webhook_secret = client.webhooks.rotate_secret(hook, keep_old_secret_active_for_24_hours=True).signing_secret
    submit(client)
    until(lambda: len(receiver.came) == 1)
    assert client.webhooks.unwrap(*receiver.signed(0)).type == "batch.completed"
    assert old.webhooks.unwrap(*receiver.signed(0)).type == "batch.completed"
    batch_cloud.clock.advance(hours=24)
    submit(client)
    until(lambda: len(receiver.came) == 2)
    assert client.webhooks.unwrap(*receiver.signed(1)).type == "batch.completed"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        old.webhooks.unwrap(*receiver.signed(1))


@pytest.mark.batch_cloud(profile="instant")
def test_an_endpoint_can_be_tested_and_shows_its_secret_only_once(batch_cloud: BatchCloud, receiver: Receiver) -> None:
    client = openai.OpenAI(max_retries=0)
    hook = endpoint(client, receiver.url)
    receiver.statuses += [418]
    tested = client.webhooks.test(hook, event_type="response.completed")
    assert (tested.status_code, tested.success, tested.event_type) == (418, True, "response.completed")
    assert client.webhooks.unwrap(*receiver.signed(0)).type == "response.completed"
    shown = client.webhooks.retrieve(hook)
    assert shown.signing_secret_hint is not None
    assert (client.webhook_secret or "").endswith(shown.signing_secret_hint[-4:])
    assert "signing_secret" not in shown.to_dict()
    assert "batch.expired" in client.webhooks.event_types.list().data
    wrong: Any
    for wrong in ({"url": "ftp://here"}, {"event_types": ["batch.done"]}, {"event_types": []}):
        with pytest.raises(openai.BadRequestError):
            client.webhooks.update(hook, **wrong)
    with pytest.raises(openai.NotFoundError):
        client.webhooks.retrieve("webhook_endpoint_none")


@pytest.mark.batch_cloud(profile="instant")
def test_no_other_machine_is_ever_called(batch_cloud: BatchCloud, receiver: Receiver) -> None:
    client = openai.OpenAI(max_retries=0)
    elsewhere = endpoint(client, "https://example.com/news")
    batch_id = submit(client)
    until(lambda: len(batch_cloud.journal("openai", "webhooks.deliver")) == 1)
    (entry,) = batch_cloud.journal("openai", "webhooks.deliver")
    assert (entry.status, entry.subject) == (0, batch_id)
    with pytest.raises(openai.BadRequestError, match="could not be reached"):
        client.webhooks.test(elsewhere, event_type="batch.completed")


@pytest.mark.batch_cloud(profile="instant")
def test_a_gemini_job_names_its_own_endpoint_and_signs_with_a_published_key(
    batch_cloud: BatchCloud, receiver: Receiver
) -> None:
    client = genai.Client()
    job = client.batches.create(
        model=GEMINI,
        src=HELLO,
        config={"webhook_config": {"uris": [receiver.url], "user_metadata": {"night": "1"}}},
    )
    until(lambda: len(receiver.came) == 1)
    headers, body = receiver.came[0]
    event = json.loads(body)
    assert (event["type"], event["version"], event["data"]["id"]) == ("batch.succeeded", "v1", job.name)
    assert event["user_metadata"] == {"night": "1"}
    token = headers["webhook-signature"]
    key_id = jwt.get_unverified_header(token)["kid"]
    keys = httpx2.get(f"{batch_cloud.gemini_url}/.well-known/jwks.json").json()
    key = jwt.PyJWKSet.from_dict(keys)[key_id].key
    assert jwt.decode(token, key, algorithms=["RS256"], audience=receiver.url)["jti"] == headers["webhook-id"]


@pytest.mark.batch_cloud(profile="instant")
def test_registered_gemini_webhooks_are_signed_with_their_secret(batch_cloud: BatchCloud, receiver: Receiver) -> None:
    client = genai.Client()
    made = client.webhooks.create(name="tests", uri=receiver.url, subscribed_events=["batch.succeeded"])
    assert made.id is not None
    assert made.new_signing_secret is not None
    client.webhooks.ping(made.id)
    until(lambda: len(receiver.came) == 1)
    job = client.batches.create(model=GEMINI, src=HELLO)
    until(lambda: len(receiver.came) == 2)
    headers, body = receiver.came[1]
    assert json.loads(body)["data"]["id"] == job.name
    trusting = openai.OpenAI(api_key="k")  # its check is that of Standard Webhooks, which both follow
    trusting.webhooks.verify_signature(body, headers, secret=made.new_signing_secret)
    shown = client.webhooks.get(made.id)
    assert (shown.uri, shown.state, shown.new_signing_secret) == (receiver.url, "enabled", None)
    assert client.webhooks.update(made.id, state="disabled").state == "disabled"
    client.batches.create(model=GEMINI, src=HELLO)
    assert client.webhooks.rotate_signing_secret(made.id).secret != made.new_signing_secret
    assert [each.id for each in client.webhooks.list().webhooks or []] == [made.id]
    client.webhooks.delete(made.id)
    assert not client.webhooks.list().webhooks
    assert len(receiver.came) == 2


@pytest.mark.batch_cloud(profile="instant")
def test_a_reset_forgets_endpoints_and_what_was_on_its_way(batch_cloud: BatchCloud, receiver: Receiver) -> None:
    client = openai.OpenAI()
    endpoint(client, receiver.url)
    receiver.statuses += [500] * 50
    submit(client)
    until(lambda: len(receiver.came) == 1)
    batch_cloud.reset()
    assert client.webhooks.list().data == []
