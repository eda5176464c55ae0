"""Whether an answer is the expected one, and how far targets agree where nothing is expected.

Accuracy is over the rows of one round: the same rows asked again would only seem to be more evidence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from batchmark.compare.intervals import Share, wilson
from batchmark.domain.target import Target
from batchmark.errors import BadInput

__all__ = ["MATCHES", "Accuracy", "Agreement", "Matcher", "Scorecard", "parse_match", "share_of"]

Matcher = Callable[[str, str], bool]
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
MATCHES = ("contains", "exact", "numeric", "regex", "json:FIELD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How many of the rows with an expected answer a target answered as expected. A row without an answer is a wrong one."""

    target: Target
    share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many rows two targets answered alike, of those that both answered. Spaces, case and a final full stop do not count."""

    left: Target
    right: Target
    share: Share


def share_of(hits: int, n: int) -> Share:
    """A share of independent rows with Wilson's interval."""
    bounds = wilson(hits, n)
    low, high = bounds if bounds else (None, None)
    return Share(hits=hits, n=n, low=low, high=high)


def parse_match(text: str) -> Matcher:
    """The way of matching that a user names: contains, exact, numeric, regex, or json:FIELD. Raises BadInput for anything else.

    - contains: the expected text as whole words, whatever the case; where it is a number, the last number of the answer
    - exact: the same text but for spaces around it
    - numeric: the last number of the answer equals the expected number, thousands separators aside
    - regex: the expected text is a pattern that is found in the answer
    - json:FIELD: the answer is JSON, and its FIELD (with dots into objects) equals the expected value
    """
    name, colon, field = text.partition(":")
    match name:
        case "contains" if not colon:
            return _contains
        case "exact" if not colon:
            return lambda expected, answer: expected.strip() == answer.strip()
        case "numeric" if not colon:
            return _numeric
        case "regex" if not colon:
            return _found
        case "json" if field:
            path = field.split(".")
            return lambda expected, answer: _field_is(path, expected, answer)
    raise BadInput(f"no way of matching is called {text!r}", hint=f"one of: {', '.join(MATCHES)}")


def _plain(text: str) -> str:
    return _THOUSANDS.sub("", text).strip()


def _last_number(text: str) -> float | None:
    numbers = _NUMBER.findall(_plain(text))
    return float(numbers[-1]) if numbers else None


def _numeric(expected: str, answer: str) -> bool:
    wanted, found = _last_number(expected), _last_number(answer)
    return wanted is not None and found is not None and abs(wanted - found) <= 1e-9 * max(1.0, abs(wanted))


def _contains(expected: str, answer: str) -> bool:
    wanted = _plain(expected).casefold()
    if re.fullmatch(r"-?\d+(\.\d+)?", wanted):
        return _numeric(wanted, answer)
    return re.search(rf"(?<![\w.]){re.escape(wanted)}(?![\w]|\.\d)", _plain(answer).casefold()) is not None


def _found(expected: str, answer: str) -> bool:
    try:
        return re.search(expected, answer) is not None
    except re.error as error:
        raise BadInput(f"the expected pattern {expected!r} cannot be used: {error}") from None


def _field_is(path: Sequence[str], expected: str, answer: str) -> bool:
    begin, end = answer.find("{"), answer.rfind("}")
    try:
        value: Any = json.loads(answer[begin : end + 1])
        for name in path:
            value = value[int(name)] if isinstance(value, list) else value[name]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return False
    if isinstance(value, bool) or value is None:
        return json.dumps(value) == expected.strip().casefold()
    if isinstance(value, int | float):
        try:
            return float(expected) == float(value)
        except ValueError:
            return False
    return (value if isinstance(value, str) else json.dumps(value)).strip() == expected.strip()


def _alike(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


class Scorecard:
    """Counts rows as they pass by: none is kept."""

    def __init__(self, targets: Sequence[Target], matcher: Matcher) -> None:
        self._targets = tuple(targets)
        self._matcher = matcher
        self._hits = dict.fromkeys(targets, 0)
        self._expected = dict.fromkeys(targets, 0)
        self._alike = dict.fromkeys(combinations(targets, 2), 0)
        self._both = dict.fromkeys(combinations(targets, 2), 0)

    def is_right(self, expected: str, answer: str | None) -> bool:
        """Whether one answer is the expected one."""
        return answer is not None and self._matcher(expected, answer)

    def count(self, expected: str | None, answers: Iterable[tuple[Target, str | None]]) -> None:
        """Count one row: the answer of every target that was asked, None where it gave none."""
        given = dict(answers)
        if expected is not None:
            for target, text in given.items():
                self._expected[target] += 1
                self._hits[target] += self.is_right(expected, text)
        plain = {target: _alike(text) for target, text in given.items() if text is not None}
        for pair in self._both:
            if pair[0] in plain and pair[1] in plain:
                self._both[pair] += 1
                self._alike[pair] += plain[pair[0]] == plain[pair[1]]

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        """One per target; none where no row has an expected answer."""
        return tuple(
            Accuracy(target=target, share=share_of(self._hits[target], self._expected[target]))
            for target in self._targets
            if self._expected[target]
        )

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """One per pair of targets that both answered a row."""
        return tuple(
            Agreement(left=pair[0], right=pair[1], share=share_of(self._alike[pair], n))
            for pair, n in self._both.items()
            if n
        )
