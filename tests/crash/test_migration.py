"""Killed at any moment while an old ledger is brought up to date, the next one to open it finds every row, and today's shape."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batchmark.ledger.points import MIGRATION_POINTS
from batchmark.ledger.schema import HEAD, copy_path
from tests.cli.conftest import clean_environment
from tests.unit.ledger.test_schema import ROWS, first_ledger, names_in, revision_of, rows_in, shape_of

OPEN = (
    "import sys; from pathlib import Path; from batchmark.ledger.store import Ledger; Ledger(Path(sys.argv[1])).close()"
)


def open_in_a_process(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(path)],
        env=clean_environment(path.parent, **environment),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("point", MIGRATION_POINTS)
def test_a_process_killed_while_it_migrates_loses_nothing(home: Path, point: str) -> None:
    path = first_ledger(home / "ledger.sqlite3")
    killed = open_in_a_process(path, BATCHMARK_KILL_AT=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert ("schema_version" in shape_of(path)) == (point != "migrated")
    assert rows_in(path) == ROWS
    again = open_in_a_process(path)
    assert again.returncode == 0, again.stderr
    assert rows_in(path) == ROWS
    assert revision_of(path) == HEAD
    assert rows_in(copy_path(path)) == ROWS
    assert "schema_version" in shape_of(copy_path(path))
    assert names_in(home) - {"ledger.sqlite3-wal", "ledger.sqlite3-shm"} == {
        "ledger.sqlite3",
        "ledger.sqlite3.lock",
        copy_path(path).name,
    }


def test_killed_again_and_again_it_gets_there_in_the_end(home: Path) -> None:
    path = first_ledger(home / "ledger.sqlite3")
    for point in ("migration-copied", "migration-done-uncommitted", "migration-copied", "migrated"):
        assert open_in_a_process(path, BATCHMARK_KILL_AT=point).returncode == -signal.SIGKILL
    assert open_in_a_process(path, BATCHMARK_KILL_AT="migrated").returncode == 0
    assert (rows_in(path), revision_of(path)) == (ROWS, HEAD)


def test_two_processes_may_migrate_at_once(home: Path) -> None:
    path = first_ledger(home / "ledger.sqlite3")
    both = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(path)], env=clean_environment(home), stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for each in both:
        _, err = each.communicate(timeout=60)
        assert each.returncode == 0, err
    assert (rows_in(path), revision_of(path)) == (ROWS, HEAD)
