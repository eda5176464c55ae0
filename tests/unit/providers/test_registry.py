"""The rows of the registry, and where keys and addresses come from."""

from __future__ import annotations

import subprocess
import sys

import pytest

from batchmark.errors import BadInput, Configuration
from batchmark.providers import registry
from batchmark.providers.credentials import base_url_of, has_key, key_of
from batchmark.providers.seam import ProviderSpec

SPECS = list(registry.BUILT_IN.values())
NAMES = [spec.name for spec in SPECS]


def test_the_three_providers_are_built_in() -> None:
    assert set(NAMES) == {"openai", "google", "anthropic"}
    assert all(registry.find(name).name == name for name in NAMES)


def test_an_unknown_provider_is_bad_input_and_the_known_ones_are_named() -> None:
    with pytest.raises(BadInput, match="unknown provider 'mistrall'") as caught:
        registry.find("mistrall")
    assert caught.value.hint == "known providers: anthropic, google, openai"


def test_every_provider_has_a_default_model() -> None:
    assert registry.default_models() == {spec.name: spec.default_model for spec in SPECS}


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_every_limit_says_where_and_when_it_was_read(spec: ProviderSpec) -> None:
    limits = spec.limits
    assert limits.source and limits.as_of.year >= 2026
    assert 0 < limits.max_row_bytes <= limits.max_bytes
    assert limits.inline_max_bytes < limits.max_bytes
    assert 0 < limits.window_s <= limits.expires_s


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_every_provider_has_wire_rules_with_the_names_of_the_seam(spec: ProviderSpec) -> None:
    wire = registry.wire_of(spec)
    for name in ("FRAME", "endpoint", "encode", "wire_id_of", "decode", "split", "matches"):
        assert hasattr(wire, name)


def test_knowing_the_providers_imports_no_sdk() -> None:
    script = (
        "import sys; from batchmark.providers import registry\n"
        "[registry.wire_of(spec) for spec in registry.BUILT_IN.values()]\n"
        "print([name for name in ('openai', 'anthropic', 'google.genai', 'httpx2', 'genai_prices') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_a_key_comes_from_the_environment(spec: ProviderSpec) -> None:
    for name in spec.key_variables:
        assert key_of(spec, {name: "  secret \n"}) == "secret"
        assert has_key(spec, {name: "secret"})
    assert not has_key(spec, {})
    assert not has_key(spec, {spec.key_variables[0]: "  "})


def test_the_first_of_two_names_wins_as_in_the_sdk() -> None:
    google = registry.find("google")
    assert key_of(google, {"GEMINI_API_KEY": "second", "GOOGLE_API_KEY": "first"}) == "first"
    assert key_of(google, {"GEMINI_API_KEY": "second", "GOOGLE_API_KEY": ""}) == "second"


def test_no_key_is_said_with_the_variables_to_set() -> None:
    with pytest.raises(Configuration, match="no API key for google") as caught:
        key_of(registry.find("google"), {})
    assert caught.value.hint is not None
    assert "GOOGLE_API_KEY or GEMINI_API_KEY" in caught.value.hint and "--emulate" in caught.value.hint


@pytest.mark.parametrize("key", ["schlüssel", "a\x00b", "two\nlines"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(Configuration, match="OPENAI_API_KEY") as caught:
        key_of(registry.find("openai"), {"OPENAI_API_KEY": key})
    assert key not in caught.value.message


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_the_address_is_the_official_one_unless_the_sdks_variable_says_otherwise(spec: ProviderSpec) -> None:
    assert base_url_of(spec, {}) == spec.base_url
    assert base_url_of(spec, {spec.base_url_variable: " http://127.0.0.1:9/x "}) == "http://127.0.0.1:9/x"
    with pytest.raises(Configuration, match=spec.base_url_variable):
        base_url_of(spec, {spec.base_url_variable: "api.example.com"})
