"""The models that the emulated services list: real names, so that prices and limits known elsewhere apply to them.

Names and context sizes: genai-prices 0.2.3 data. A model's release day is the one in its dated name where it has one,
else a round one: only the order of the list depends on it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["ANTHROPIC", "CLOSED", "GEMINI", "GEMINI_LATEST", "OPENAI", "Catalog", "Model", "open_catalogs"]

Kind = Literal["text", "embedding", "moderation", "image", "video", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model. `dated` is the full name that answers carry; `batch`: whether it takes part in batches."""

    name: str
    dated: str
    title: str
    released: str
    kind: Kind = "text"
    batch: bool = True
    context: int = 128_000
    output: int = 64_000
    dimensions: int = 0
    reasoning: bool = False  # can reason; OpenAI's o series and all from gpt-5 on, which refuse max_tokens
    thinks: bool = False  # and does so unasked
    aliases: tuple[str, ...] = ()
    default_sampling: bool = False  # refuses any temperature but the default one


def _openai(name: str, day: str, *, context: int, reasoning: bool = False, fixed: bool = False) -> Model:
    """`fixed`: up to gpt-5, which reason unless told otherwise and take only the default sampling."""
    return Model(
        name=name,
        dated=f"{name}-{day}",
        title=name,
        released=day,
        context=context,
        reasoning=reasoning,
        thinks=fixed,
        default_sampling=fixed,
    )


def _vectors(name: str, day: str, dimensions: int) -> Model:
    return Model(
        name=name, dated=name, title=name, released=day, kind="embedding", context=8_192, dimensions=dimensions
    )


def _claude(
    name: str, title: str, day: str, *, context: int = 1_000_000, old: bool = False, batch: bool = True
) -> Model:
    """`old`: from the time of dated names and 200,000 tokens. Models from 4.7 on take only the default sampling."""
    return Model(
        name=name,
        dated=f"{name}-{day.replace('-', '')}" if old else name,
        title=title,
        released=day,
        context=200_000 if old else context,
        batch=batch,
        default_sampling=day >= "2026-04-01",
        reasoning=not old,
    )


def _gemini(name: str, title: str, day: str, *, batch: bool = True, kind: Kind = "text") -> Model:
    text = kind == "text"
    return Model(
        name=name,
        dated=name,
        title=title,
        released=day,
        context=1_048_576,
        output=65_536,
        batch=batch,
        kind=kind,
        reasoning=text,
        thinks=text and "lite" not in name,
    )


def _older(title: str, day: str, dated: str, *aliases: str, reasoning: bool = False, output: int = 64_000) -> Model:
    """A model that is gone or nearly so: in no list any more, but in code and in recordings, so it is answered for."""
    return Model(
        name=dated,
        dated=dated,
        title=title,
        released=day,
        context=200_000,
        output=output,
        reasoning=reasoning,
        thinks=reasoning,
        default_sampling=reasoning,
        aliases=aliases,
    )


OPENAI: tuple[Model, ...] = (
    _openai("gpt-4o", "2024-08-06", context=128_000),
    _openai("gpt-4o-mini", "2024-07-18", context=128_000),
    _openai("gpt-4.1", "2025-04-14", context=1_000_000),
    _openai("gpt-4.1-mini", "2025-04-14", context=1_000_000),
    _openai("gpt-4.1-nano", "2025-04-14", context=1_000_000),
    _openai("o3", "2025-04-16", context=200_000, reasoning=True, fixed=True),
    _openai("o4-mini", "2025-04-16", context=200_000, reasoning=True, fixed=True),
    _openai("gpt-5", "2025-08-07", context=400_000, reasoning=True, fixed=True),
    _openai("gpt-5-mini", "2025-08-07", context=400_000, reasoning=True, fixed=True),
    _openai("gpt-5-nano", "2025-08-07", context=400_000, reasoning=True, fixed=True),
    _openai("gpt-5.1", "2025-11-13", context=400_000, reasoning=True),
    _openai("gpt-5.2", "2025-12-11", context=400_000, reasoning=True),
    _openai("gpt-5.4", "2026-03-05", context=1_050_000, reasoning=True),
    _openai("gpt-5.4-mini", "2026-03-17", context=400_000, reasoning=True),
    _openai("gpt-5.4-nano", "2026-03-17", context=400_000, reasoning=True),
    _openai("gpt-5.5", "2026-04-23", context=1_000_000, reasoning=True),
    _openai("gpt-5.6-luna", "2026-07-01", context=1_050_000, reasoning=True),
    _openai("gpt-5.6-sol", "2026-07-01", context=1_050_000, reasoning=True),
    _openai("gpt-5.6-terra", "2026-07-01", context=1_050_000, reasoning=True),
    _openai("gpt-6-luna", "2026-09-01", context=1_050_000, reasoning=True),
    _openai("gpt-6-sol", "2026-09-01", context=1_050_000, reasoning=True),
    _openai("gpt-6-astra", "2026-09-01", context=1_050_000, reasoning=True),
    _openai("gpt-6.1-sol", "2026-11-01", context=1_050_000, reasoning=True),
    _openai("gpt-6.1-terra", "2026-11-01", context=1_050_000, reasoning=True),
    _vectors("text-embedding-3-small", "2024-01-22", 1536),
    _vectors("text-embedding-3-large", "2024-01-22", 3072),
    _vectors("text-embedding-ada-002", "2022-12-16", 1536),
    Model(
        name="gpt-3.5-turbo-instruct", dated="gpt-3.5-turbo-instruct", title="", released="2023-08-24", context=4_096
    ),
    Model(
        name="omni-moderation-latest",
        dated="omni-moderation-2024-09-26",
        title="",
        released="2024-09-26",
        kind="moderation",
    ),
    Model(name="gpt-image-1", dated="gpt-image-1", title="", released="2025-04-23", kind="image"),
    Model(name="gpt-image-1-mini", dated="gpt-image-1-mini", title="", released="2025-10-06", kind="image"),
    Model(name="sora-2", dated="sora-2", title="", released="2025-09-30", kind="video"),
    Model(name="sora-2-pro", dated="sora-2-pro", title="", released="2025-09-30", kind="video"),
    Model(name="whisper-1", dated="whisper-1", title="", released="2023-02-27", kind="other", batch=False),
    Model(name="tts-1", dated="tts-1", title="", released="2023-04-19", kind="other", batch=False),
)

_OPENAI_OLDER: tuple[Model, ...] = (
    _older("gpt-4o", "2024-05-13", "gpt-4o-2024-05-13"),
    _older("gpt-4o", "2024-11-20", "gpt-4o-2024-11-20"),
    _older("gpt-4-turbo", "2024-04-09", "gpt-4-turbo-2024-04-09", "gpt-4-turbo"),
    _older("gpt-4", "2023-06-13", "gpt-4-0613", "gpt-4"),
    _older("gpt-3.5-turbo", "2024-01-25", "gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
    _older("gpt-3.5-turbo", "2023-11-06", "gpt-3.5-turbo-1106"),
    _older("chatgpt-4o-latest", "2024-08-15", "chatgpt-4o-latest"),
    _older("o1", "2024-12-17", "o1-2024-12-17", "o1", reasoning=True),
    _older("o1-mini", "2024-09-12", "o1-mini-2024-09-12", "o1-mini", reasoning=True),
    _older("o3-mini", "2025-01-31", "o3-mini-2025-01-31", "o3-mini", reasoning=True),
    _older("gpt-5-pro", "2025-10-06", "gpt-5-pro-2025-10-06", "gpt-5-pro", reasoning=True),
    _older("gpt-5.1-codex", "2025-11-13", "gpt-5.1-codex", reasoning=True),
    _older("gpt-5.4-pro", "2026-03-05", "gpt-5.4-pro-2026-03-05", "gpt-5.4-pro", reasoning=True),
)

ANTHROPIC: tuple[Model, ...] = (
    _claude("claude-opus-5-5", "Claude Opus 5.5", "2026-10-21"),
    _claude("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-10-21"),
    _claude("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-21"),
    _claude("claude-fable-5-2", "Claude Fable 5.2", "2026-09-15"),
    _claude("claude-mythos-5-2", "Claude Mythos 5.2", "2026-09-15", batch=False),
    _claude("claude-opus-5", "Claude Opus 5", "2026-07-01"),
    _claude("claude-sonnet-5", "Claude Sonnet 5", "2026-06-15"),
    _claude("claude-opus-4-8", "Claude Opus 4.8", "2026-05-01"),
    _claude("claude-opus-4-7", "Claude Opus 4.7", "2026-04-01"),
    _claude("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-15"),
    _claude("claude-opus-4-6", "Claude Opus 4.6", "2026-02-01"),
    _claude("claude-opus-4-5", "Claude Opus 4.5", "2025-11-01", old=True),
    _claude("claude-haiku-4-5", "Claude Haiku 4.5", "2025-10-01", old=True),
    _claude("claude-sonnet-4-5", "Claude Sonnet 4.5", "2025-09-29", old=True),
)

_ANTHROPIC_OLDER: tuple[Model, ...] = (
    _older("claude-opus-4-1", "2025-08-05", "claude-opus-4-1-20250805", "claude-opus-4-1", output=32_000),
    _older("claude-opus-4", "2025-05-14", "claude-opus-4-20250514", "claude-opus-4-0", output=32_000),
    _older("claude-sonnet-4", "2025-05-14", "claude-sonnet-4-20250514", "claude-sonnet-4-0"),
    _older("claude-3-7-sonnet", "2025-02-19", "claude-3-7-sonnet-20250219", "claude-3-7-sonnet-latest"),
    _older("claude-3-5-sonnet", "2024-10-22", "claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest", output=8_192),
    _older("claude-3-5-sonnet", "2024-06-20", "claude-3-5-sonnet-20240620", output=8_192),
    _older("claude-3-5-haiku", "2024-10-22", "claude-3-5-haiku-20241022", "claude-3-5-haiku-latest", output=8_192),
    _older("claude-3-opus", "2024-02-29", "claude-3-opus-20240229", "claude-3-opus-latest", output=4_096),
    _older("claude-3-haiku", "2024-03-07", "claude-3-haiku-20240307", output=4_096),
)

GEMINI: tuple[Model, ...] = (
    _gemini("gemini-2.5-pro", "Gemini 2.5 Pro", "2025-06-17"),
    _gemini("gemini-2.5-flash", "Gemini 2.5 Flash", "2025-06-17"),
    _gemini("gemini-2.5-flash-lite", "Gemini 2.5 Flash-Lite", "2025-07-22"),
    _gemini("gemini-2.5-flash-image", "Gemini 2.5 Flash Image", "2025-10-02", kind="image"),
    _gemini("gemini-3-pro-image-preview", "Gemini 3 Pro Image Preview", "2025-11-20", kind="image"),
    _gemini("gemini-2.5-flash-preview-tts", "Gemini 2.5 Flash Preview TTS", "2025-05-20", batch=False, kind="other"),
    _gemini("gemini-3-flash-preview", "Gemini 3 Flash Preview", "2025-12-17"),
    _gemini("gemini-3.1-pro-preview", "Gemini 3.1 Pro Preview", "2026-02-19"),
    _gemini("gemini-3.1-flash-lite", "Gemini 3.1 Flash-Lite", "2026-03-03"),
    _gemini("gemini-3.1-flash-live-preview", "Gemini 3.1 Flash Live Preview", "2026-03-26", batch=False, kind="other"),
    _gemini("gemini-3.5-flash", "Gemini 3.5 Flash", "2026-05-19"),
    _gemini("gemini-3.5-flash-lite", "Gemini 3.5 Flash-Lite", "2026-05-19"),
    _gemini("gemini-3.6-flash", "Gemini 3.6 Flash", "2026-07-15"),
    _gemini("gemini-3.7-flash", "Gemini 3.7 Flash", "2026-08-15"),
    _gemini("gemini-3.8-flash", "Gemini 3.8 Flash", "2026-10-15"),
    _gemini("gemini-4-argon", "Gemini 4 Argon", "2026-11-10"),
    _vectors("gemini-embedding-001", "2025-07-14", 3072),
    _vectors("gemini-embedding-2", "2026-03-10", 3072),
)


_GEMINI_OLDER: tuple[Model, ...] = (
    _older("gemini-1.5-flash", "2024-09-24", "gemini-1.5-flash-002", "gemini-1.5-flash"),
    _older("gemini-1.5-pro", "2024-09-24", "gemini-1.5-pro-002", "gemini-1.5-pro"),
    _older("gemini-2.0-flash", "2025-02-05", "gemini-2.0-flash", "gemini-2.0-flash-001"),
    _older("gemini-2.0-flash-lite", "2025-02-25", "gemini-2.0-flash-lite", "gemini-2.0-flash-lite-001"),
    _older("gemini-2.5-flash-preview", "2025-09-25", "gemini-2.5-flash-preview-09-2025"),
    _older("gemini-3-pro-preview", "2025-11-18", "gemini-3-pro-preview", reasoning=True),
    _older("gemini-3.1-flash-lite-preview", "2026-03-03", "gemini-3.1-flash-lite-preview"),
)
# Names that change their meaning; only the beta version of the service knows them.
GEMINI_LATEST: Mapping[str, str] = {
    "gemini-flash-latest": "gemini-3.8-flash",
    "gemini-flash-lite-latest": "gemini-3.5-flash-lite",
    "gemini-pro-latest": "gemini-3.1-pro-preview",
}


class Catalog:
    """The models that one dialect lists and knows."""

    def __init__(self, models: tuple[Model, ...], older: tuple[Model, ...] = (), *, any_name: bool = False) -> None:
        """`older` are known and not listed."""
        self.models = models
        self._named = {name: model for model in older for name in (model.dated, *model.aliases)}
        self._named |= {name: model for model in reversed(models) for name in (model.dated, model.name)}
        self._any_name = any_name

    def find(self, name: object) -> Model | None:
        """The model of this name, short or dated; where any name is good, one made for it."""
        if not isinstance(name, str):
            return None
        found = self._named.get(name)
        return _foreign(name) if found is None and self._any_name and name else found

    def named(self, name: str) -> Model:
        """The model of this name, or one of which nothing else is known."""
        return self.find(name) or _foreign(name)


@functools.lru_cache(maxsize=1024)
def _foreign(name: str) -> Model:
    """A model that is known by its name only; whoever answers for it has the limits, not we."""
    return Model(name=name, dated=name, title=name, released="2024-01-01", context=1_000_000, output=1_000_000)


# The models of the real services, and no others.
CLOSED: Mapping[str, Catalog] = {
    "openai": Catalog(OPENAI, _OPENAI_OLDER),
    "anthropic": Catalog(ANTHROPIC, _ANTHROPIC_OLDER),
    "gemini": Catalog(GEMINI, _GEMINI_OLDER),
}


def open_catalogs(names: Iterable[str]) -> Mapping[str, Catalog]:
    """Catalogs that list these models and take any name: what stands behind them knows which are good."""
    models = tuple(_foreign(name) for name in names if name)
    return {dialect: Catalog(models, any_name=True) for dialect in CLOSED}
