"""A target, `provider:model`, as users write it."""

from __future__ import annotations

from dataclasses import dataclass

from batchmark.errors import BadInput

__all__ = ["Target", "parse_target"]


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Who answers: one model at one provider."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


def parse_target(text: str, default_models: dict[str, str]) -> Target:
    """Read `provider:model`; a bare `provider` takes its default model. `default_models` names the known providers.

    Raises BadInput for an unknown provider or an empty model.
    """
    provider, colon, model = text.partition(":")
    provider, model = provider.strip(), model.strip()
    if provider not in default_models:
        raise BadInput(
            f"unknown provider {provider!r} in {text!r}",
            hint=f"known providers: {', '.join(sorted(default_models))}",
        )
    if colon and not model:
        raise BadInput(
            f"no model after the colon in {text!r}", hint=f"for example {provider}:{default_models[provider]}"
        )
    return Target(provider, model or default_models[provider])
