"""The providers there are, as rows. Adding one is one folder and one row; others come by the entry-point group `batchmark.providers`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import cast

from batchmark.errors import BadInput, Configuration
from batchmark.providers.anthropic.limits import SPEC as ANTHROPIC
from batchmark.providers.google.limits import SPEC as GOOGLE
from batchmark.providers.openai.limits import SPEC as OPENAI
from batchmark.providers.seam import Provider, ProviderSpec, Wire

__all__ = ["BUILT_IN", "connect", "default_models", "find", "load_client", "wire_of"]

BUILT_IN: dict[str, ProviderSpec] = {spec.name: spec for spec in (OPENAI, GOOGLE, ANTHROPIC)}


@cache
def _plugins() -> dict[str, ProviderSpec]:
    from importlib.metadata import entry_points

    found: dict[str, ProviderSpec] = {}
    for point in entry_points(group="batchmark.providers"):
        spec = point.load()
        if not isinstance(spec, ProviderSpec):
            raise Configuration(f"the plug-in {point.name!r} ({point.value}) is no ProviderSpec")
        found[spec.name] = spec
    return found


def find(name: str) -> ProviderSpec:
    """The provider called `name`. Plug-ins are looked for only where no built-in has the name: that takes 50 ms.

    Raises BadInput for an unknown name.
    """
    spec = BUILT_IN.get(name) or _plugins().get(name)
    if spec is None:
        known = ", ".join(sorted({*BUILT_IN, *_plugins()}))
        raise BadInput(f"unknown provider {name!r}", hint=f"known providers: {known}")
    return spec


def default_models(*names: str) -> dict[str, str]:
    """Provider name to default model, for the built-in providers and any of `names`."""
    return {spec.name: spec.default_model for spec in (*BUILT_IN.values(), *(find(name) for name in names))}


def wire_of(spec: ProviderSpec) -> Wire:
    """The provider's pure wire rules."""
    return cast(Wire, importlib.import_module(spec.wire))


def load_client(spec: ProviderSpec) -> Callable[..., Provider]:
    """Import the provider's client and with it its SDK, which takes up to 1.5 s the first time."""
    module, _, name = spec.client.partition(":")
    return cast(Callable[..., Provider], getattr(importlib.import_module(module), name))


def connect(spec: ProviderSpec, *, key: str, base_url: str) -> Provider:
    """Open the provider's client. The caller closes it."""
    return load_client(spec)(spec, key=key, base_url=base_url)
