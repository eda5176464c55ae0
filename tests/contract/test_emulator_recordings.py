"""The emulator is held to recorded traffic: the same requests, and answers of the same shape.

A recording is replayed against an emulator slow enough to show every state. Each recorded answer is compared with ours in
the same state: the same keys in the same order, the same types, null where it was null, absent where it was absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from batchmark.emulator import Emulator, EmulatorOptions

PREFIXES = {
    "https://api.openai.com": "/openai",
    "https://api.anthropic.com": "/anthropic",
    "https://generativelanguage.googleapis.com": "/gemini",
}
KEYS = {"authorization": "Bearer any", "x-goog-api-key": "any"}

# Where ours differs, and why.
DIFFERENCES: dict[str, str] = {}
# Headers of the networks in front of the services, and how the body was framed for them.
FOREIGN = re.compile(
    "cf-.*|server|server-timing|connection|transfer-encoding|content-length|vary|x-robots-tag|access-control-.*|alt-svc"
    "|x-openai-proxy-wasm|content-security-policy|x-xss-protection|x-frame-options|x-content-type-options"
)
STATES = ("status", "processing_status")


def exchanges(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Emulator]:
    options = EmulatorOptions(home=tmp_path, profile="demo", answers="synthetic", time_scale=5)
    with Emulator(options) as running:
        yield running


def local(uri: str, names: dict[str, str]) -> str:
    for origin, prefix in PREFIXES.items():
        if uri.startswith(origin):
            uri = prefix + uri.removeprefix(origin)
    for recorded, ours in names.items():
        uri = uri.replace(recorded, ours)
    return uri


def send(client: httpx2.Client, request: dict[str, Any], names: dict[str, str]) -> httpx2.Response:
    headers = {
        name: value for name, value in request["headers"].items() if name in ("content-type", "anthropic-version")
    }
    body = request["body"]
    for recorded, ours in names.items():
        body = body.replace(recorded, ours)
    return client.request(request["method"], local(request["uri"], names), headers=headers, content=body.encode())


def decoded(text: str) -> Any:
    """One JSON document, or the list of those on the lines of a result file."""
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


def state(body: Any) -> str | None:
    if not isinstance(body, dict):
        return None
    if isinstance(body.get("metadata"), dict) and "state" in body["metadata"]:
        return str(body["metadata"]["state"])
    found = next((str(body[name]) for name in STATES if name in body), None)
    if found == "validating":  # OpenAI names the model late in validation
        return f"{found}, model {'unknown' if body['model'] is None else 'known'}"
    return found


def learn(names: dict[str, str], recorded: Any, ours: Any) -> None:
    """Remember which of our ids stands for which recorded one."""
    for name in ("id", "name", "output_file_id"):
        if isinstance(recorded, dict) and isinstance(recorded.get(name), str) and isinstance(ours.get(name), str):
            names[recorded[name]] = ours[name]


def differences(recorded: Any, ours: Any, where: str = "") -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in recorded.keys() - ours.keys():
            yield f"{where}.{key}: missing"
        for key in ours.keys() - recorded.keys():
            yield f"{where}.{key}: not in the recording"
        if not recorded.keys() ^ ours.keys() and list(recorded) != list(ours):
            yield f"{where}: keys in the order {list(ours)}"
        for key in recorded.keys() & ours.keys():
            yield from differences(recorded[key], ours[key], f"{where}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list):
        if len(recorded) != len(ours):
            yield f"{where}: {len(ours)} items for {len(recorded)}"
        for one, other in zip(recorded, ours, strict=False):
            yield from differences(one, other, f"{where}[]")
    elif type(recorded) is not type(ours):
        yield f"{where}: {type(ours).__name__} for {type(recorded).__name__}"
    elif isinstance(recorded, str) and style(recorded) != style(ours):
        yield f"{where}: {ours!r} for {recorded!r}"


def style(text: str) -> str | None:
    """What kind of a time a string is: digits, separators and zone have to agree."""
    return re.sub(r"\d", "0", text) if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", text) else None


def unexplained(recorded: Any, ours: Any) -> list[str]:
    return [each for each in differences(recorded, ours) if not each.endswith(tuple(DIFFERENCES))]


def compare(recorded: dict[str, Any], ours: httpx2.Response) -> list[str]:
    found = unexplained(decoded(recorded["body"]), decoded(ours.text))
    wanted = {name for name in recorded["headers"] if not FOREIGN.fullmatch(name)}
    found += [f"header {name}: missing" for name in wanted - set(ours.headers)]
    if ours.status_code != recorded["status"]:
        found.append(f"status {ours.status_code} for {recorded['status']}")
    if recorded["headers"].get("content-type") not in (None, ours.headers["content-type"]):
        found.append(f"content type {ours.headers['content-type']}")
    return found


RECORDINGS = (
    "openai/ruby_llm__openai_gpt-5-nano__chat",
    "openai/ruby_llm__openai_text-embedding-3-small__embeddings",
    "anthropic/ruby_llm__anthropic_claude-haiku-4-5__chat",
    "anthropic/ruby_llm__anthropic_claude-haiku-4-5__reload",
    "anthropic/ruby_llm__anthropic_claude-haiku-4-5__cancel",
    "gemini/ruby_llm__gemini_gemini-2_5-flash__chat",
)


@pytest.mark.parametrize("name", RECORDINGS)
def test_answers_have_the_recorded_shape_in_every_state(slow: Emulator, recordings: Path, name: str) -> None:
    names: dict[str, str] = {}
    seen: dict[str, httpx2.Response] = {}  # our answers to the polling request, by state
    with httpx2.Client(base_url=slow.base_url, headers=KEYS, timeout=30) as client:
        for exchange in exchanges(recordings / f"{name}.http.jsonl"):
            request, recorded = exchange["request"], exchange["response"]
            body = decoded(recorded["body"])
            wanted = state(body)
            if request["method"] == "GET" and wanted is not None:
                for _ in range(100_000):
                    if wanted in seen:
                        break
                    ours = send(client, request, names)
                    seen.setdefault(str(state(ours.json())), ours)
                ours = seen[wanted]
            else:
                ours = send(client, request, names)
            learn(names, body, decoded(ours.text) if ours.status_code == 200 else {})
            assert compare(recorded, ours) == [], f"{request['method']} {request['uri']}"
