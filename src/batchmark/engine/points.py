"""Named points where a test may kill the process, so that a crash is a test input like any other.

`BATCHMARK_KILL_AT=created` makes the process end itself with SIGKILL when it first gets to that point: no handler runs, no buffer is
written, as when the machine stops. Without the variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

__all__ = ["POINTS", "reach"]

POINTS = (
    "staged",
    "uploaded",
    "upload-recorded",
    "intent-recorded",
    "created",
    "submission-recorded",
    "looked",
    "fetched",
    "collection-recorded",
    "merging",
    "merged",
    "end-recorded",
)

_kill_at = os.environ.get("BATCHMARK_KILL_AT")


def reach(point: str) -> None:
    """Say that the process has got to a point of POINTS."""
    if _kill_at == point:
        os.kill(os.getpid(), signal.SIGKILL)
