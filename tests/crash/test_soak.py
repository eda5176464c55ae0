"""The short form of `make soak`: a run at each misbehaving provider, killed at random moments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.conftest import PROVIDERS, Zygote
from tests.crash.soak import soak


@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_at_random_moments_nothing_is_lost_or_bought_twice(
    tmp_path: Path, zygote: Zygote, provider: str
) -> None:
    seed = int(os.environ.get("SOAK_SEED") or 7)
    done = soak(tmp_path, zygote, provider=provider, seed=seed, rows=800, shards=6, kills=5)
    assert done.asked_again > 0
