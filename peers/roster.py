"""The peers: what they are called, what runs, and what their users would set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["PEERS", "Peer"]

OPENAI = {"OPENAI_BASE_URL": "{url}/openai/v1", "OPENAI_API_KEY": "any"}
ANTHROPIC = {"ANTHROPIC_BASE_URL": "{url}/anthropic", "ANTHROPIC_API_KEY": "any"}
GEMINI = {"GOOGLE_GEMINI_BASE_URL": "{url}/gemini", "GEMINI_API_KEY": "any"}

# Batches that are labelled so never begin, for there must be time to cancel them.
SLOW = ("--fault", "* life label=slow* -> stuck 600")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One client in one version; `name` is also its folder, which has the pins."""

    name: str
    kind: Literal["python", "node"] = "python"
    scripts: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    emulator: tuple[str, ...] = SLOW
    deadline_s: int = 180
    heavy: bool = False  # minutes to install, so only run by its name or with `all`


PEERS: tuple[Peer, ...] = (
    Peer(name="openai-python", scripts=("openai-python/life.py",), environment=OPENAI),
    Peer(name="openai-python-1", scripts=("openai-python/life.py",), environment=OPENAI),
    Peer(name="anthropic-python", scripts=("anthropic-python/life.py",), environment=ANTHROPIC),
    Peer(name="anthropic-python-0", scripts=("anthropic-python/life.py",), environment=ANTHROPIC),
    Peer(name="google-genai-python", scripts=("google-genai-python/life.py",), environment=GEMINI),
    Peer(name="google-genai-python-1", scripts=("google-genai-python/life.py",), environment=GEMINI),
    Peer(name="openai-node", kind="node", scripts=("openai-node/life.mjs",), environment=OPENAI),
    Peer(name="openai-node-4", kind="node", scripts=("openai-node/life.mjs",), environment=OPENAI),
    Peer(name="anthropic-node", kind="node", scripts=("anthropic-node/life.mjs",), environment=ANTHROPIC),
    Peer(name="anthropic-node-0", kind="node", scripts=("anthropic-node/life.mjs",), environment=ANTHROPIC),
    Peer(name="google-genai-node", kind="node", scripts=("google-genai-node/life.mjs",), environment=GEMINI),
    Peer(name="batchwizard", scripts=("batchwizard/life.py",), environment=OPENAI | ANTHROPIC),
    Peer(
        name="steadybatch",
        scripts=("steadybatch/life.py",),
        environment=OPENAI | ANTHROPIC | GEMINI,
        emulator=tuple(
            word
            for dialect in ("openai", "anthropic", "gemini")
            for word in ("--fault", f"{dialect} answers nth=1 row%5 -> drop-line")
        ),
    ),
    Peer(name="instructor", scripts=("instructor/life.py",), environment=OPENAI | ANTHROPIC | GEMINI),
    Peer(
        name="litellm",
        scripts=("litellm/life.py",),
        # the last one: the prices that come with it, instead of fetching a list
        environment=OPENAI
        | ANTHROPIC
        | {"GEMINI_API_BASE": "{url}/gemini", "GEMINI_API_KEY": "any", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ),
    Peer(name="openai-batch", scripts=("openai-batch/life.py",), environment=OPENAI),
    Peer(
        name="batchwork-ai",
        scripts=("batchwork-ai/life.py",),
        environment=OPENAI
        | ANTHROPIC
        | {"GOOGLE_GENERATIVE_AI_BASE_URL": "{url}/gemini/v1beta", "GOOGLE_GENERATIVE_AI_API_KEY": "any"},
    ),
    Peer(name="chatlas", scripts=("chatlas/life.py",), environment=OPENAI | ANTHROPIC | GEMINI),
    Peer(name="autobatcher", scripts=("autobatcher/life.py",), environment=OPENAI),
    Peer(name="groq", scripts=("groq/life.py",), environment={"GROQ_BASE_URL": "{url}", "GROQ_API_KEY": "any"}),
    Peer(name="any-llm", scripts=("any-llm/life.py",), environment=OPENAI | ANTHROPIC | GEMINI),
    Peer(name="inspect-ai", scripts=("inspect-ai/life.py",), environment=OPENAI | ANTHROPIC | GEMINI),
    Peer(
        name="curator",
        scripts=("curator/life.py",),
        environment=OPENAI | ANTHROPIC | {"TELEMETRY_ENABLED": "0", "CURATOR_DISABLE_RICH_DISPLAY": "1"},
        heavy=True,
    ),
)
