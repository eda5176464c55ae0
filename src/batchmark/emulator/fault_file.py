"""Fault rules as tables: in a TOML file, or as objects over the control pages. They become the lines of `faults.py`.

[[fault]]
preset = "gemini-reordered"

[[fault]]
dialect = "openai"          # default: every one
on = "batches.create"       # an operation as the journal names it, or answers, or life
nth = "2..4"                # and p, seed, model, batch, label, row, every (of rows)
do = "status"
value = 503
retry-after = 1             # the options of the action

[[fault]]
rule = "* answers row=3 -> fail 400"
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchmark.emulator.faults import Rule, RuleError, parse_all

__all__ = ["read_fault_file", "rules_of_tables"]

_CONDITIONS = ("nth", "p", "seed", "model", "batch", "label", "row")
_TO_QUOTE = re.compile(r"[\s'\"\\#]")
_NAMED = ("dialect", "on", "do", "value", "every", *_CONDITIONS)


def read_fault_file(path: Path) -> tuple[str, ...]:
    """The rules of a TOML file as lines. Raises RuleError."""
    try:
        with path.open("rb") as opened:
            document = tomllib.load(opened)
    except OSError as error:
        raise RuleError(f"the fault file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RuleError(f"the fault file {path} is no TOML: {error}") from error
    other = next((name for name in document if name != "fault"), None)
    tables = document.get("fault")
    if other is not None or not isinstance(tables, list):
        what = f"holds {other!r}" if other is not None else "holds none"
        raise RuleError(f"the fault file {path} {what}: write tables [[fault]] and nothing else")
    return tuple(rule.text for rule in rules_of_tables(tables, where=f"the fault file {path}, fault "))


def rules_of_tables(items: Iterable[object], *, where: str = "fault ") -> tuple[Rule, ...]:
    """The rules that lines and tables, mixed, stand for. Raises RuleError naming the one that is wrong, from 1."""
    rules: list[Rule] = []
    for number, item in enumerate(items, start=1):
        try:
            rules += parse_all([item if isinstance(item, str) else _line(item)])
        except RuleError as error:
            raise RuleError(f"{where}{number}: {error}") from error
    return tuple(rules)


def _line(table: object) -> str:
    if not isinstance(table, dict):
        raise RuleError("it is neither a line nor a table")
    for alone in ("preset", "rule"):
        if alone in table:
            if len(table) > 1 or not isinstance(table[alone], str):
                raise RuleError(f"{alone} is a text and stands alone")
            return f"preset:{table[alone]}" if alone == "preset" else str(table[alone])
    for name in ("on", "do"):
        if not isinstance(table.get(name), str):
            raise RuleError(f"{name} is missing, or no text")
    words = [_word(table.get("dialect", "*"), "dialect"), _word(table["on"], "on")]
    words += [f"{name}={_word(table[name], name)}" for name in _CONDITIONS if name in table]
    if "every" in table:
        words.append(f"row%{_word(table['every'], 'every')}")
    words += ["->", _word(table["do"], "do")]
    if "value" in table:
        words.append(_word(table["value"], "value"))
    words += [f"{name}={_word(value, name)}" for name, value in table.items() if name not in _NAMED]
    return " ".join(words)


def _word(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RuleError(f"{name} is neither a text nor a number")
    text = str(value)
    return shlex.quote(text) if _TO_QUOTE.search(text) or not text else text
