"""How a run is driven is kept with it, also by older and newer versions."""

from __future__ import annotations

import json

import pytest

from batchmark.engine.options import DriveOptions
from batchmark.engine.stall import Policy


@pytest.mark.parametrize(
    "options",
    [
        DriveOptions(),
        DriveOptions(attempts=9, stall=Policy.CANCEL_AND_RETRY, max_cost_usd=1.5, in_flight=3, keep_files=True),
    ],
)
def test_options_come_back_as_they_were_written(options: DriveOptions) -> None:
    assert DriveOptions.read(json.loads(json.dumps(options.document))) == options


def test_what_an_older_version_did_not_write_has_its_default() -> None:
    assert DriveOptions.read(None) == DriveOptions()
    assert DriveOptions.read({"attempts": 2}) == DriveOptions(attempts=2)


def test_what_a_newer_version_wrote_beside_is_left_aside() -> None:
    assert DriveOptions.read({"attempts": 2, "colour": "red"}) == DriveOptions(attempts=2)
