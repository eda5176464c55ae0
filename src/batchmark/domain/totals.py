"""What a job's answers add up to: the figures that the ledger keeps instead of rows."""

from __future__ import annotations

import msgspec

from batchmark.domain.lifecycle import State
from batchmark.domain.result import Failure, Outcome
from batchmark.domain.usage import NO_USAGE, Usage

__all__ = ["ErrorGroup", "Totals"]


_ROWS = ("submitted", "succeeded", "errored", "expired", "cancelled", "missing")


class ErrorGroup(msgspec.Struct):
    """Rows that failed with one code: how many, the words of the first, and whether asking again may help."""

    count: int
    message: str
    retryable: bool


class Totals(msgspec.Struct):
    """Sums over a job's rows. `submitted` is the denominator of every rate.

    `cost_usd` is the sum over rows whose price is known, None where it is not; `wasted_usd` is the part of it that was paid for answers
    that cannot be used, of any attempt. `duplicates`, `unknown` and `unreadable` count result
    lines, not rows: lines for a row that already had one, lines whose id is not ours, and lines that are no answer.
    """

    submitted: int = 0
    succeeded: int = 0
    errored: int = 0
    expired: int = 0
    cancelled: int = 0
    missing: int = 0
    usage: Usage = NO_USAGE
    cost_usd: float | None = None
    price_note: str | None = None
    errors: dict[str, ErrorGroup] = {}
    duplicates: int = 0
    unknown: int = 0
    unreadable: int = 0
    wasted_usd: float = 0.0

    @property
    def failed(self) -> int:
        """Rows without a usable answer, however that came about."""
        return self.submitted - self.succeeded

    def count(self, outcome: Outcome, error: Failure | None) -> None:
        """Add one row's ending."""
        self.submitted += 1
        setattr(self, outcome.value, getattr(self, outcome.value) + 1)
        if error is not None:
            group = self.errors.get(error.code)
            if group is None:
                self.errors[error.code] = ErrorGroup(1, error.message, error.retryable)
            else:
                group.count += 1

    def add_rest(self, rows: int, state: State) -> None:
        """Count rows of which nothing else is told by how their batch ended."""
        match state:
            case State.EXPIRED:
                self.expired += rows
            case State.CANCELLED:
                self.cancelled += rows
            case State.FAILED:
                self.errored += rows
            case _:
                self.missing += rows

    def take_out(self, other: Totals) -> None:
        """Take rows out again that are counted elsewhere, by a later attempt. What they used and cost stays: it is paid."""
        for name in _ROWS:
            setattr(self, name, getattr(self, name) - getattr(other, name))
        for code, group in other.errors.items():
            mine = self.errors.get(code)
            if mine is not None:
                mine.count -= group.count
                if mine.count <= 0:
                    del self.errors[code]

    def add(self, other: Totals) -> None:
        """Add another job's totals. A cost is known only where every part's is; a part without rows says nothing about it."""
        if other.submitted == 0:
            return
        first = self.submitted == 0
        for name in (*_ROWS, "duplicates", "unknown", "unreadable"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.usage += other.usage
        known = other.cost_usd is not None and (first or self.cost_usd is not None)
        self.cost_usd = (self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None
        self.wasted_usd += other.wasted_usd
        self.price_note = self.price_note or other.price_note
        for code, group in other.errors.items():
            mine = self.errors.get(code)
            if mine is None:
                self.errors[code] = ErrorGroup(group.count, group.message, group.retryable)
            else:
                mine.count += group.count
