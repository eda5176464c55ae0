"""Fixtures for tests that speak to the emulator as users do: through the official SDKs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchmark.emulator import Emulator, EmulatorOptions


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator of its own for each test, where everything happens at once."""
    with Emulator(EmulatorOptions(home=tmp_path / "cloud", profile="instant", answers="synthetic")) as running:
        yield running


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded traffic of the real services; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("BATCHMARK_RECORDINGS", Path(__file__).parents[3] / "shared" / "recordings"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}: set BATCHMARK_RECORDINGS")
    return folder
