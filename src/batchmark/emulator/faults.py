"""Fault rules: which calls, rows and batches go wrong, and how. Pure: text in, decisions out.

A rule is one line, `MATCH -> DO`:

    openai batches.create nth=1 -> drop-after-store
    * batches.create p=0.2 seed=7 -> status 503 retry-after=1
    gemini batches.list -> lag 4
    * answers row=3 -> fail 400
    anthropic life nth=2 -> expire after=0.5

MATCH is a dialect (`openai`, `anthropic`, `gemini`, `google` for the same, or `*`), then an operation as the journal
names it (wildcards allowed), or `answers` for the lines of results, or `life` for what becomes of a batch; then any of

    nth=N, nth=N..M, nth=N..   which of the matching calls (of the matching batches, for `answers` and `life`)
    p=0.2 seed=7               each with this probability, the same ones for the same seed
    model=GLOB                 the model asked for
    batch=GLOB                 the batch's id or label (metadata, display name, first custom_id), or its beginning
    label=GLOB                 its whole label; of a first custom_id without the `-NUMBER` at its end, which is a row's
    row=N, row=N..M, row%K     rows of a batch, from 0; only for `answers`

DO is an action with its value and options; `fault_actions.py` lists them. A text with spaces is put in quotes.
`preset:NAME` stands for the rules of that name in `presets.py`. Waits in the middle of a call are in seconds of the
machine's clock, what concerns batches in seconds of the emulator's.

What befalls a batch is decided when it is created and kept with it, so a restart changes nothing.
"""

from __future__ import annotations

import functools
import random
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from batchmark.emulator.fault_actions import ACTIONS, ALIASES, DIALECTS, OPERATIONS, Scope

__all__ = ["Rule", "RuleError", "parse", "parse_all"]

_HEADER = re.compile(r"\s*[A-Za-z0-9-]+\s*:[\x20-\x7e]*")


class RuleError(ValueError):
    """A rule that cannot be read; the message is one sentence with the rule and the place."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A range of whole numbers; `last` None: no end. `step` picks the multiples instead."""

    first: int = 0
    last: int | None = None
    step: int = 1

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int) or number < self.first or number % self.step:
            return False
        return self.last is None or number <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, read and checked."""

    text: str
    dialect: str
    operation: str
    scope: Scope
    action: str
    nth: Whole | None = None
    p: float | None = None
    seed: int = 0
    model: str | None = None
    batch: str | None = None
    label: str | None = None
    row: Whole | None = None
    number: float | None = None
    word: str = ""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def counted(self) -> bool:
        """Whether it matters how many matches came before."""
        return self.nth is not None or (self.p is not None and self.scope != "answers")

    @property
    def choosy(self) -> bool:
        """Whether one must know the batch that a call is about."""
        return self.model is not None or self.batch is not None or self.label is not None

    @property
    def headers(self) -> dict[str, str]:
        """What a failed call is answered with beside the usual headers: `header="NAME: VALUE"`, several with a bar between."""
        pairs = (one.partition(":") for one in self.options.get("header", "").split("|") if one.strip())
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def option(self, name: str) -> float | None:
        text = self.options.get(name)
        return None if text is None else float(text)

    def concerns(self, dialect: str, operation: str) -> bool:
        """Whether a call of this operation is one that the rule speaks of."""
        if self.dialect not in ("*", dialect) or dialect not in ACTIONS[self.action].dialects:
            return False
        if self.scope != "call":
            return operation == self.scope
        return _operation_fits(self.operation, operation) and _operation_fits(
            ACTIONS[self.action].operations, operation
        )

    def fits(self, dialect: str, model: str, names: Sequence[str]) -> bool:
        """Whether the batch is one that the rule speaks of; `names` are its id and its labels."""
        if self.model is not None and not fnmatchcase(model, self.model):
            return False
        batch, label = self.batch, self.label
        if batch is not None and not any(name.startswith(batch) or fnmatchcase(name, batch) for name in names):
            return False
        return label is None or any(fnmatchcase(_label(dialect, name), label) for name in names)

    def strikes(self, count: int) -> bool:
        """Whether the match number `count`, from 1, is one to act on."""
        if self.nth is not None and count not in self.nth:
            return False
        if self.p is None or self.scope == "answers":
            return True
        return random.Random(f"{self.seed}/{count}").random() < self.p

    def picks(self, batch_seed: int, row: int) -> bool:
        """Whether a row of a batch is one to act on."""
        if self.row is not None and row not in self.row:
            return False
        return self.p is None or random.Random(f"{self.seed}/{batch_seed}/{row}").random() < self.p


def parse_all(texts: Sequence[str]) -> tuple[Rule, ...]:
    """The rules in the texts, presets replaced by theirs. Raises RuleError."""
    from batchmark.emulator.presets import PRESETS

    rules: list[Rule] = []
    for text in texts:
        name = text.strip().removeprefix("preset:")
        if name == text.strip():
            rules.append(parse(text))
        elif name in PRESETS:
            rules += [parse(one) for one in PRESETS[name].rules]
        else:
            raise RuleError(f"no fault preset is called {name!r}: choose {_listed(PRESETS)}")
    return tuple(rules)


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Rule:
    """One rule. Raises RuleError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RuleError(f"fault rule {text!r} cannot be read: {error}") from error
    reader = _Reader(text, words)
    return reader.rule()


class _Reader:
    """Reads the words of one rule from left to right."""

    def __init__(self, text: str, words: list[str]) -> None:
        self._text = text
        self._words = words
        self._at = 0
        self._keys: dict[str, str] = {}

    def rule(self) -> Rule:
        if "->" not in self._words:
            raise RuleError(f"fault rule {self._text!r} has no arrow: write MATCH -> DO")
        dialect = self._next("a dialect")
        dialect = "gemini" if dialect == "google" else dialect
        if dialect not in ("*", *DIALECTS):
            raise self._wrong(f"{dialect!r} is no dialect: choose {_listed(DIALECTS)} or *")
        operation = self._next("an operation")
        scope: Scope = "answers" if operation == "answers" else "life" if operation == "life" else "call"
        known = [name for one in (DIALECTS if dialect == "*" else (dialect,)) for name in OPERATIONS[one]]
        if scope == "call" and not any(_operation_fits(operation, name) for name in known):
            raise self._wrong(f"no operation is called {operation!r}: choose {_listed(sorted(set(known)))}")
        nth: Whole | None = None
        row: Whole | None = None
        p: float | None = None
        seed, model, batch, label = 0, None, None, None
        while (word := self._next("an arrow")) != "->":
            key, sign, value = word.partition("%" if word.startswith("row%") else "=")
            if key in self._keys or not sign or not value:
                raise self._wrong(f"{word!r} is no condition, or is there twice")
            self._keys[key] = value
            if key == "nth":
                nth = self._range(value, least=1)
            elif key == "row" and scope == "answers":
                row = Whole(step=int(self._number(value, 1, 1e9))) if sign == "%" else self._range(value, least=0)
            elif key == "p":
                p = self._number(value, 0, 1)
            elif key == "seed":
                seed = int(self._number(value, 0, 1e18))
            elif key == "model":
                model = value
            elif key == "batch":
                batch = value
            elif key == "label":
                label = value
            else:
                choices = "nth, p, seed, model, batch, label, row (for answers)"
                raise self._wrong(f"{key!r} is no condition here: choose {choices}")
        action = self._next("an action")
        spec = ACTIONS.get(action)
        if spec is None or spec.scope != scope:
            if not (action == "revoke-key" and scope == "life"):
                fitting = [name for name, one in ACTIONS.items() if one.scope == scope]
                raise self._wrong(f"{action!r} is no action for {operation}: choose {_listed(fitting)}")
            spec = ACTIONS[action]
        if dialect != "*" and dialect not in spec.dialects:
            raise self._wrong(f"{action} is only for {_listed(spec.dialects)}")
        if scope == "call" and not any(
            _operation_fits(operation, name) and _operation_fits(spec.operations, name) for name in known
        ):
            raise self._wrong(f"{action} has no meaning for {operation}")
        number: float | None = None
        text = ""
        if spec.takes == "word":
            text = self._next(f"a word for {action}")
        elif spec.takes == "number" or (spec.takes == "maybe a number" and self._more() and "=" not in self._peek()):
            number = self._number(self._next(f"a number for {action}"), spec.least, spec.most)
        options: dict[str, str] = {}
        while self._more():
            key, sign, value = self._next("an option").partition("=")
            empty = not value and key != "message"  # a message without a word is one that users have met
            if not sign or empty or key not in spec.options or key in options:
                allowed = f"its options are {_listed(spec.options)}" if spec.options else "it has no options"
                raise self._wrong(f"{key!r} says nothing to {action}: {allowed}")
            if key in spec.numbers:
                self._number(value, 0, 1 if key == "after" else 1e9)
            if key == "header" and not all(_HEADER.fullmatch(one) for one in value.split("|")):
                raise self._wrong(f"{value!r} is no header such as 'x-should-retry: true'")
            options[key] = value
        return Rule(
            text=self._text.strip(),
            dialect=dialect,
            operation=operation,
            scope=scope,
            action=action,
            nth=nth,
            p=p,
            seed=seed,
            model=model,
            batch=batch,
            label=label,
            row=row,
            number=number,
            word=text,
            options=options,
        )

    def _more(self) -> bool:
        return self._at < len(self._words)

    def _peek(self) -> str:
        return self._words[self._at]

    def _next(self, wanted: str) -> str:
        if not self._more():
            raise RuleError(f"fault rule {self._text!r} ends where {wanted} is expected")
        self._at += 1
        return self._words[self._at - 1]

    def _wrong(self, why: str) -> RuleError:
        return RuleError(f"fault rule {self._text!r}, word {self._at}: {why}")

    def _number(self, text: str, least: float, most: float) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise self._wrong(f"{text!r} is no number from {least:g} to {most:g}")
        return value

    def _range(self, text: str, *, least: int) -> Whole:
        first, dots, last = text.partition("..")
        try:
            begin = int(first)
            end = begin if not dots else int(last) if last else None
        except ValueError:
            raise self._wrong(f"{text!r} is no whole number and no range such as 2..4") from None
        if begin < least or (end is not None and end < begin):
            raise self._wrong(f"{text!r} is no range of numbers from {least}")
        return Whole(begin, end)


def _operation_fits(glob: str, operation: str) -> bool:
    return fnmatchcase(operation, glob) or fnmatchcase(ALIASES.get(operation, operation), glob)


def _label(dialect: str, name: str) -> str:
    """A name as a label: where a batch is known by its first request only, without that request's number."""
    stem, dash, number = name.rpartition("-")
    return stem if dialect == "anthropic" and dash and number.isdigit() else name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
