"""Named points where a test may kill or stop the process, so that a crash is a test input like any other.

`BATCHMARK_KILL_AT=created` makes the process end itself with SIGKILL when it first gets to that point (`created:3`: the third time): no
handler runs, no buffer is written, as when the machine stops. `BATCHMARK_STOP_AT` does the same with SIGSTOP, as when a machine sleeps.
Without the variables a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

__all__ = ["MIGRATION_POINTS", "POINTS", "arm", "reach"]

# The way of a run, in order. Those of a retry are reached only where rows are asked again.
POINTS = (
    "staged",
    "uploaded",
    "upload-recorded",
    "intent-recorded",
    "created",
    "submission-recorded",
    "looked",
    "fetched",
    "fetch-recorded",
    "answers-written",
    "retry-staged",
    "collection-recorded",
    "merging",
    "merged",
    "end-recorded",
    "inputs-deleted",
)

# Where an older ledger becomes one of today's.
MIGRATION_POINTS = ("migration-copied", "migration-done-uncommitted", "migrated")

_armed: dict[str, tuple[int, int]] = {}


def arm(environment: Mapping[str, str]) -> None:
    """Set the points that the environment names."""
    _armed.clear()
    for variable, name in (("BATCHMARK_KILL_AT", "SIGKILL"), ("BATCHMARK_STOP_AT", "SIGSTOP")):
        point, _, times = environment.get(variable, "").partition(":")
        if point:
            _armed[point] = (int(times or 1), int(getattr(signal, name)))


def reach(point: str) -> None:
    """Say that the process has got to a point of POINTS or MIGRATION_POINTS."""
    if _armed and point in _armed:
        left, number = _armed[point]
        _armed[point] = (left - 1, number)
        if left == 1:
            os.kill(os.getpid(), number)


arm(os.environ)
