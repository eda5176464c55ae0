"""A local Batch API cloud: OpenAI's, Anthropic's and Google's protocols on one loopback port, for unmodified SDKs.

Importing this package is cheap; the server's own packages load when it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchmark.emulator.server import Emulator, EmulatorError, EmulatorOptions

if TYPE_CHECKING:
    from batchmark.emulator.testing import BatchCloud

__all__ = ["BatchCloud", "Emulator", "EmulatorError", "EmulatorOptions"]


def __getattr__(name: str) -> object:
    """What only tests need is imported when it is asked for."""
    if name == "BatchCloud":
        from batchmark.emulator.testing import BatchCloud

        return BatchCloud
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
