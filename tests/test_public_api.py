"""The library's face is small, and stays as it is."""

from __future__ import annotations

import subprocess
import sys

import batchmark

NAMES = [
    "Answer",
    "BatchmarkError",
    "Comparison",
    "Run",
    "__version__",
    "open_report",
    "resume",
    "resume_async",
    "run",
    "run_async",
    "run_comparison",
    "run_comparison_async",
    "stream",
]


def test_the_public_names_are_these_and_each_is_there_and_documented() -> None:
    assert sorted(batchmark.__all__) == NAMES
    for name in NAMES:
        assert getattr(batchmark, name) is not None
    for name in sorted(set(NAMES) - {"Answer", "__version__"}):
        assert getattr(batchmark, name).__doc__


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    assert not hasattr(batchmark, "runs")
    assert set(NAMES) <= set(dir(batchmark))


def test_importing_the_package_loads_neither_an_sdk_nor_the_engine() -> None:
    heavy = ("openai", "anthropic", "google.genai", "dbos", "sqlalchemy", "numpy", "scipy")
    words = f"import sys, batchmark; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
