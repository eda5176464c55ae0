"""Where keys and base URLs come from: the environment, under the names that the official SDKs use. Nothing here stores or shows a key."""

from __future__ import annotations

from collections.abc import Mapping

from batchmark.errors import Configuration
from batchmark.providers.seam import ProviderSpec

__all__ = ["base_url_of", "has_key", "key_of"]


def key_of(spec: ProviderSpec, environment: Mapping[str, str]) -> str:
    """The API key for a provider. Raises Configuration where there is none, or one that no header can carry."""
    for name in spec.key_variables:
        key = environment.get(name, "").strip()
        if key:
            if not key.isascii() or not key.isprintable():
                raise Configuration(
                    f"the key in {name} holds characters that no HTTP header can carry", hint="copy it again"
                )
            return key
    names = " or ".join(spec.key_variables)
    raise Configuration(
        f"no API key for {spec.name}",
        hint=f"set {names} (in the environment or in .env), or add --emulate to work offline",
    )


def has_key(spec: ProviderSpec, environment: Mapping[str, str]) -> bool:
    """Whether there is a key at all."""
    return any(environment.get(name, "").strip() for name in spec.key_variables)


def base_url_of(spec: ProviderSpec, environment: Mapping[str, str]) -> str:
    """Where the provider is: the SDK's own variable, else the official address. Raises Configuration where it is no URL."""
    url = environment.get(spec.base_url_variable, "").strip() or spec.base_url
    if not url.startswith(("https://", "http://")):
        raise Configuration(f"{spec.base_url_variable} is no http(s) URL: {url!r}")
    return url
