"""Result lines that go wrong: between the rows as they were answered and the lines as they are written.

Nothing of this is in the way of a batch that no such rule was chosen for.
"""

from __future__ import annotations

import json
import random
import secrets
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchmark.emulator.answers import Reply
from batchmark.emulator.faults import Rule
from batchmark.emulator.rows import Row, Sheet, Unrun
from batchmark.emulator.world import Batch, Outcome

__all__ = ["FaultySheet", "failing_rows", "shuffle_lines"]

# What the error file of such a batch said, in place of batch_expired.
_WITHOUT_A_WORD = (
    "An error occurred while processing your request. You can retry your request, or contact us through our help center "
    "if you keep seeing this error."
)
_SPOILING = ("fail", "empty-error", "block")  # the last two pass for successes
_ID_KEYS = ("custom_id", "key", "metadata")


class FaultySheet:
    """A dialect's sheet with the rules of one batch in between; it is the sheet's twist as well."""

    def __init__(self, sheet: Sheet, batch: Batch, rules: tuple[Rule, ...]) -> None:
        self._sheet = sheet
        self._batch = batch
        self._rules = [rule for rule in rules if rule.scope == "answers"]
        self._as_failures = any(rule.options.get("lines") == "server-error" for rule in rules)
        self._number = -1
        self._due: list[Rule] = []
        sheet.twist = self

    def read(self, line: bytes) -> Row:
        self._number += 1
        self._due = [rule for rule in self._rules if rule.picks(self._batch.seed, self._number)]
        return self._sheet.read(line)

    def answered(self, row: Row, reply: Reply | None) -> None:
        rule = None if row.id is None else _spoiler(self._due)
        if rule is None:
            self._sheet.answered(row, reply)
        elif rule.action == "fail":
            self._sheet.fail(row, int(rule.number or 500), rule.options.get("code"), rule.options.get("message"))
        else:
            self._sheet.hollow(row)

    def broken(self, row: Row) -> None:
        self._sheet.broken(row)

    def unrun(self, row: Row, why: Unrun) -> None:
        if self._as_failures and row.id is not None:
            self._sheet.fail(row, 500, None, _WITHOUT_A_WORD if self._batch.dialect == "openai" else None)
        else:
            self._sheet.unrun(row, why)

    def finish(self) -> Outcome:
        outcome = self._sheet.finish()
        for rule in self._rules:
            if rule.action == "wrong-counter":
                if rule.number is None:
                    outcome.succeeded, outcome.errored = outcome.succeeded + outcome.errored, 0
                else:
                    outcome.succeeded = max(0, outcome.succeeded + int(rule.number))
        return outcome

    def abandon(self) -> None:
        self._sheet.abandon()

    # The twist

    def lines(self, line: bytes) -> Iterator[bytes]:
        actions = {rule.action for rule in self._due}
        if "drop-line" in actions:
            return
        if "drop-key" in actions:
            value = json.loads(line)
            line = json.dumps({key: item for key, item in value.items() if key not in _ID_KEYS}).encode() + b"\n"
        whole = line
        if "corrupt-line" in actions:
            line = line[: len(line) // 2].rstrip() + b"\n"
        yield line
        if "duplicate-line" in actions:
            yield line
        if "foreign-line" in actions:
            yield _foreign(whole)

    def file(self, path: Path) -> None:
        if any(rule.action == "reorder" for rule in self._rules):
            shuffle_lines(path, self._batch.seed)


def failing_rows(batch: Batch, rules: Iterable[Rule], rows: Iterable[Row]) -> int:
    """How many of a batch's rows will count as failures by its rules: those that are struck, and of the others those refused."""
    spoiling = [rule for rule in rules if rule.action in _SPOILING]
    failing = 0
    for number, row in enumerate(rows):
        if row.id is not None:
            rule = _spoiler([rule for rule in spoiling if rule.picks(batch.seed, number)])
            failing += row.refusal is not None if rule is None else rule.action == "fail"
    return failing


def _spoiler(due: Iterable[Rule]) -> Rule | None:
    """The rule that takes the place of a row's answer, of those due for it: the first one stands."""
    return next((rule for rule in due if rule.action in _SPOILING), None)


def _foreign(line: bytes) -> bytes:
    """The same line under an id that no request had."""
    value = json.loads(line)
    stranger = f"stranger-{secrets.token_hex(4)}"
    for key in _ID_KEYS:
        if key in value:
            value[key] = {"key": stranger} if isinstance(value[key], dict) else stranger
    return json.dumps(value).encode() + b"\n"


def shuffle_lines(path: Path, seed: int) -> None:
    """Bring the lines into another order, always the same for a seed; more than one line never stays as it was."""
    starts = array("Q", [0])
    with path.open("rb") as source:
        for line in source:
            starts.append(starts[-1] + len(line))
    order = list(range(len(starts) - 1))
    random.Random(seed).shuffle(order)
    if len(order) > 1 and order == sorted(order):
        order.reverse()
    other = path.with_name(path.name + ".shuffled")
    with path.open("rb") as source, other.open("wb", buffering=1 << 18) as out:
        for index in order:
            source.seek(starts[index])
            out.write(source.read(starts[index + 1] - starts[index]))
    other.replace(path)
