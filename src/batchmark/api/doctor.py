"""The use case `doctor`: what is configured, which keys work, which limits apply. Sends one cheap list call per key and no request."""

from __future__ import annotations

from dataclasses import dataclass

from batchmark.api.workspace import Workspace
from batchmark.errors import BatchmarkError, redact
from batchmark.providers import registry
from batchmark.providers.credentials import base_url_of, has_key
from batchmark.providers.seam import ProviderSpec

__all__ = ["ProviderHealth", "examine", "examine_all", "price_sources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderHealth:
    """One provider: `works` is None where there is no key to try; `problem` says what is wrong, with its remedy in `hint`."""

    spec: ProviderSpec
    base_url: str
    key: str | None
    works: bool | None
    problem: str | None
    hint: str | None
    clock_skew_s: float | None
    price_note: str | None


async def examine(workspace: Workspace, spec: ProviderSpec) -> ProviderHealth:
    """Try one provider."""
    variable = (
        "the emulator, made up"
        if workspace.emulate
        else next((name for name in spec.key_variables if workspace.environment.get(name, "").strip()), None)
    )
    problem = hint = None
    works = skew = None
    base_url = workspace.environment.get(spec.base_url_variable) or spec.base_url
    if has_key(spec, workspace.environment):
        from datetime import UTC, datetime

        try:
            base_url = base_url_of(spec, workspace.environment)
            async with workspace.provider(spec) as provider:
                skew = (await provider.now() - datetime.now(UTC)).total_seconds()
            works = True
        except BatchmarkError as error:
            works, problem, hint = False, error.message, error.hint
    return ProviderHealth(
        spec=spec,
        base_url=redact(base_url),
        key=variable,
        works=works,
        problem=problem,
        hint=hint,
        clock_skew_s=skew,
        price_note=_price_note(workspace, spec),
    )


def _price_note(workspace: Workspace, spec: ProviderSpec) -> str | None:
    try:
        price = workspace.prices.price(spec.name, spec.default_model)
    except BatchmarkError:
        return None  # `price_sources` says why
    return price.note if price else None


def price_sources(workspace: Workspace) -> tuple[str, bool]:
    """Which prices are used, or what is wrong with the user's own file; and whether they can be."""
    try:
        return workspace.prices.sources, True
    except BatchmarkError as error:
        return f"{error.message}; {error.hint}", False


async def examine_all(workspace: Workspace) -> list[ProviderHealth]:
    """Try every built-in provider, one after the other."""
    return [await examine(workspace, spec) for spec in registry.BUILT_IN.values()]
