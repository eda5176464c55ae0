"""What the world keeps: files, batches, and what came of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from batchmark.emulator.life import Facts

__all__ = ["UPLOAD_LASTS_S", "Batch", "Outcome", "StoredFile"]

UPLOAD_LASTS_S = 3_600  # an upload in parts must be complete within an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file that a client uploaded or a batch wrote."""

    seq: int
    id: str
    dialect: str
    name: str
    purpose: str
    mime: str
    bytes: int
    sha256: str
    created_at: int
    expires_at: int | None
    path: Path


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a batch: counts, token sums and the ids of its result files."""

    succeeded: int = 0
    errored: int = 0
    expired: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    output_file: str | None = None
    error_file: str | None = None
    results_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One row of the batches table, decoded."""

    seq: int
    id: str
    dialect: str
    endpoint: str
    model: str
    seed: int
    profile: str
    spec: dict[str, Any]
    root: Path
    input_bytes: int
    total: int
    answered: int
    failing: int  # of the rows: those that will fail where answers are free, those that have failed so far elsewhere
    problems: list[dict[str, Any]]
    seen_at: int
    outcome: Outcome | None
    deleted: bool
    step: str
    faults: tuple[str, ...]
    labels: list[str]
    facts: Facts

    @property
    def names(self) -> list[str]:
        """What a rule may call it by: its id and its labels."""
        return [self.id, *self.labels]

    @property
    def promised_s(self) -> float:
        """The completion window that its creation promised, in seconds: a fault may close the true one earlier."""
        return float(self.spec.get("window_s", 86_400))

    @property
    def folder(self) -> Path:
        """Holds its input, the log of its answers and, for some dialects, its results."""
        return self.root / f"{self.dialect}-{self.id}"

    @property
    def input_path(self) -> Path:
        return self.folder / "input.jsonl"

    @property
    def log_path(self) -> Path:
        return self.folder / "answers.jsonl"
