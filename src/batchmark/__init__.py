"""batchmark: run LLM workloads through any provider's Batch API, and compare providers honestly.

The library's face is `run`, `resume`, `run_comparison` (and their `_async` forms), `stream` and `open_report`; the command `batchmark` does
the same and more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchmark.version import __version__

if TYPE_CHECKING:
    from batchmark.api.comparisons import Comparison, open_report, run_comparison, run_comparison_async
    from batchmark.api.library import Answer, Run, resume, resume_async, run, run_async, stream
    from batchmark.errors import BatchmarkError

__all__ = [
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

_OF_COMPARISONS = ("Comparison", "open_report", "run_comparison", "run_comparison_async")


def __getattr__(name: str) -> Any:
    """Load the library when it is first asked for: the command's `--help` must not pay for it."""
    if name == "BatchmarkError":
        from batchmark.errors import BatchmarkError

        return BatchmarkError
    if name in _OF_COMPARISONS:
        from batchmark.api import comparisons

        return getattr(comparisons, name)
    if name in __all__:
        from batchmark.api import library

        return getattr(library, name)
    raise AttributeError(f"module 'batchmark' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
