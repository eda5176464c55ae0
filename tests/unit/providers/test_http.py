"""Below the SDKs: what an error means for us, how long to wait, and where a key may go."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import pytest

from batchmark.errors import (
    Ambiguous,
    BadCredentials,
    BatchmarkError,
    LocalTrouble,
    NotFound,
    RateLimited,
    Refused,
    Retryable,
)
from batchmark.providers.http import Link, from_reply, from_transport, parse_retry_after
from tests.loopback import DROP, Asked, Reply, loopback

# how long to wait


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "x"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_the_wait_that_a_provider_asks_for(headers: dict[str, str], wait_s: float | None) -> None:
    assert parse_retry_after(headers) == wait_s


def test_the_wait_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    wait = parse_retry_after({"retry-after": date})
    assert wait is not None and 95 < wait <= 100


# what an answer means


@pytest.mark.parametrize(
    ("status", "code", "creating", "kind"),
    [
        (400, "invalid_request_error", False, Refused),
        (400, "invalid_request_error", True, Refused),
        (401, "invalid_api_key", False, BadCredentials),
        (401, "invalid_api_key", True, BadCredentials),
        (402, "billing_error", True, Refused),
        (403, None, False, BadCredentials),
        (403, "PERMISSION_DENIED", True, Refused),
        (404, None, False, NotFound),
        (404, "NOT_FOUND", True, NotFound),
        (408, None, False, Retryable),
        (408, None, True, Ambiguous),
        (409, None, False, Refused),
        (409, None, True, Ambiguous),
        (413, "request_too_large", True, Refused),
        (429, "rate_limit_exceeded", False, RateLimited),
        (429, "rate_limit_exceeded", True, RateLimited),
        (429, "insufficient_quota", True, Refused),
        (429, "billing_hard_limit_reached", True, Refused),
        (500, "server_error", False, Retryable),
        (500, "server_error", True, Ambiguous),
        (503, None, True, Ambiguous),
        (529, "overloaded_error", False, Retryable),
        (529, "overloaded_error", True, Ambiguous),
    ],
)
def test_the_status_decides_what_to_do_next(
    status: int, code: str | None, creating: bool, kind: type[BatchmarkError]
) -> None:
    error = from_reply("openai", "create it", status=status, code=code, message="Because.", creating=creating)
    assert type(error) is kind
    assert "openai" in error.message and "Because" in error.message and str(status) in error.message
    assert not error.message.endswith(".")


def test_a_bad_key_may_come_as_a_400() -> None:
    error = from_reply("google", "list", status=400, code="INVALID_ARGUMENT", message="API key not valid", bad_key=True)
    assert isinstance(error, BadCredentials)


def test_the_wait_and_the_providers_word_are_kept() -> None:
    limited = from_reply("openai", "list", status=429, code="rate", message="m", retry_after_s=9)
    assert isinstance(limited, RateLimited) and limited.retry_after_s == 9
    refused = from_reply("openai", "list", status=422, code="bad_thing", message="m")
    assert isinstance(refused, Refused) and (refused.status, refused.code) == (422, "bad_thing")


def test_the_providers_text_is_one_short_line_without_the_key() -> None:
    message = "Incorrect key my-secret-key-1\nsk-proj-abcdef123\n" + "x" * 5000
    said = from_reply("openai", "list", status=400, code=None, message=message, secret="my-secret-key-1").message
    assert "my-secret" not in said and "abcdef123" not in said
    assert "\n" not in said and len(said) < 700


# what a broken connection means


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx2.ConnectError("refused"), False),
        (httpx2.ConnectTimeout("slow"), False),
        (httpx2.PoolTimeout("full"), False),
        (httpx2.ReadTimeout("slow"), True),
        (httpx2.WriteError("reset"), True),
        (httpx2.ReadError("reset"), True),
        (httpx2.RemoteProtocolError("cut"), True),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_only_a_create_that_may_have_been_sent_is_ambiguous(error: Exception, sent: bool, wrapped: bool) -> None:
    raised: BaseException = error
    if wrapped:  # as the SDKs do
        raised = RuntimeError("Connection error.")
        raised.__cause__ = error
    creating = from_transport("openai", "create it", raised, "http://here/v1", creating=True)
    assert type(creating) is (Ambiguous if sent else Retryable)
    reading = from_transport("openai", "list", raised, "http://here/v1")
    assert type(reading) is Retryable
    assert str(error) in creating.message and str(error) in reading.message
    assert "http://here/v1" in reading.message


# the link


def test_the_key_goes_to_no_other_host_even_where_a_redirect_points_there() -> None:
    keys = {"authorization": "Bearer secret", "x-api-key": "secret", "x-goog-api-key": "secret"}

    with (
        loopback(lambda _: Reply(body=b"away")) as elsewhere,
        loopback(
            lambda asked: Reply(302, headers={"location": f"{elsewhere.url}/taken"}) if asked.path == "/go" else Reply()
        ) as home,
    ):

        async def go() -> None:
            link = Link("openai", home.url)
            try:
                await link.http.get(f"{home.url}/go", headers=keys)
                await link.http.get(f"{elsewhere.url}/direct", headers=keys)
                await link.http.get(f"{home.url}/stay", headers=keys)
            finally:
                await link.close()

        asyncio.run(go())
        assert [each.path for each in elsewhere.asked] == ["/taken", "/direct"]
        assert not any(name in each.headers for each in elsewhere.asked for name in keys)
        assert all(each.headers.items() >= keys.items() for each in home.asked)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://api.example.com/x", True),
        ("https://api.example.com:443/x", True),
        ("https://API.example.com/x", True),
        ("http://api.example.com/x", False),
        ("https://api.example.com:444/x", False),
        ("https://example.com/x", False),
        ("https://api.example.com.evil.org/x", False),
        ("https://api.example.com@evil.org/x", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, same: bool) -> None:
    link = Link("openai", "https://api.example.com/v1")
    try:
        assert link.same_origin(httpx2.URL(url)) is same
    finally:
        asyncio.run(link.close())


def save(answer: Reply, path: Path) -> Link:
    with loopback(lambda _: answer) as server:

        async def go() -> Link:
            link = Link("openai", server.url)
            try:
                await link.save(f"{server.url}/file", {"authorization": "Bearer x"}, path)
            finally:
                await link.close()
            return link

        return asyncio.run(go())


def test_a_download_is_on_disk_byte_for_byte_and_tells_the_providers_clock(home: Path) -> None:
    body = bytes(range(256)) * 10_000
    link = save(Reply(body=body, headers={"date": "Wed, 19 Aug 2026 14:44:51 GMT"}), home / "out")
    assert (home / "out").read_bytes() == body
    assert link.server_time == datetime(2026, 8, 19, 14, 44, 51, tzinfo=UTC)


@pytest.mark.parametrize("answer", [Reply(body=b"x" * 1000, cut=500), Reply(404, b"no"), DROP])
def test_a_download_that_breaks_leaves_no_file_under_its_name(home: Path, answer: Reply) -> None:
    with pytest.raises(httpx2.HTTPError):
        save(answer, home / "out")
    assert not (home / "out").exists()


def test_a_disk_that_refuses_is_this_machines_trouble(home: Path) -> None:
    with pytest.raises(LocalTrouble, match="what was saved before is safe"):
        save(Reply(), home / "no such folder" / "out")


def test_a_broken_download_leaves_nothing_behind_at_all(home: Path) -> None:
    with pytest.raises(httpx2.HTTPError):
        save(Reply(body=b"x" * 1000, cut=500), home / "out")
    assert list(home.iterdir()) == []


def test_an_answer_without_a_readable_date_leaves_the_clock_alone(home: Path) -> None:
    assert save(Reply(headers={"date": "yesterday"}), home / "out").server_time is None


def test_the_loopback_server_sees_what_was_sent(home: Path) -> None:
    seen: list[Asked] = []

    def answer(asked: Asked) -> Reply:
        seen.append(asked)
        return Reply()

    with loopback(answer) as server, httpx2.Client() as client:
        client.post(f"{server.url}/a", content=b"abc")
        assert (server.count("POST"), server.count("GET")) == (1, 0)
    assert (seen[0].method, seen[0].path, seen[0].body) == ("POST", "/a", b"abc")
