"""pytest finds this by itself once batchmark is installed: the fixture `batch_cloud`, a batch cloud for each test.

Nothing but pytest is imported before a test asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from batchmark.emulator.testing import BatchCloud

__all__ = ["batch_cloud"]

# They would send google-genai to Vertex AI, and another token to Anthropic's.
_ELSEWHERE = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE", "GEMINI_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "batch_cloud(profile, answers, faults, limits, time_scale, seed, key): how the fixture batch_cloud is to behave",
    )


@pytest.fixture
def batch_cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchCloud]:
    """A local cloud that speaks OpenAI's, Anthropic's and Gemini's Batch APIs, new for each test.

    While the test runs, the environment points the official SDKs at it, with a made-up key, so that nothing reaches a real
    service. `@pytest.mark.batch_cloud(profile="real", faults=[...])` sets its options, those of `BatchCloud`.
    """
    from batchmark.emulator.testing import BatchCloud

    marker = request.node.get_closest_marker("batch_cloud")
    if marker is not None and marker.args:
        raise TypeError("the options of batch_cloud have names: @pytest.mark.batch_cloud(profile='real')")
    options = {} if marker is None else dict(marker.kwargs)
    with BatchCloud(**options) as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        for name in _ELSEWHERE:
            monkeypatch.delenv(name, raising=False)
        for name in ("NO_PROXY", "no_proxy"):
            others = os.environ.get(name)
            monkeypatch.setenv(name, f"{others},127.0.0.1" if others else "127.0.0.1")
        yield cloud
