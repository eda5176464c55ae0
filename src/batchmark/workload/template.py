"""Prompts made from the columns of a row, and what a row gets that does not say otherwise."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from batchmark.domain.request import JsonObject
from batchmark.errors import BadInput
from batchmark.workload.problems import BadColumn

__all__ = ["Template", "template_of"]

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_HINT = "a column stands in braces, such as '{question}'; write {{ and }} for braces of your own"

_to_json = msgspec.json.Encoder().encode


class Template:
    """How rows become requests: a prompt with columns in braces, and defaults.

    In `prompt`, `{name}` is the value of the row's column of that name, and `{{` and `}}` are braces. Nothing else is special: there are
    no formats, attributes or expressions, so a file from a stranger runs nothing. Without a prompt, rows are read as they are and
    only get the defaults. Raises BadInput for a prompt that cannot be read.
    """

    def __init__(self, prompt: str | None, system: str | None = None, max_tokens: int | None = None) -> None:
        if max_tokens is not None and (isinstance(max_tokens, bool) or max_tokens < 1):
            raise BadInput(f"max_tokens must be a whole number above 0, not {max_tokens!r}")
        self.prompt = prompt
        self.system = system
        self.max_tokens = max_tokens
        self._pieces = () if prompt is None else _pieces(prompt)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the prompt names, in the order of their first mention."""
        return tuple(dict.fromkeys(name for _, name in self._pieces if name is not None))

    def canonical(self) -> bytes:
        """What tells this template from any other, for the digest of a workload."""
        return _to_json({"prompt": self.prompt, "system": self.system, "max_tokens": self.max_tokens})

    def fill(self, row: JsonObject) -> str:
        """The prompt of one row. Raises BadColumn where a column is missing or null."""
        parts: list[str] = []
        for text, name in self._pieces:
            parts.append(text)
            if name is not None:
                value = row.get(name)
                parts.append(value if type(value) is str else _as_text(row, name))
        return "".join(parts)


def _as_text(row: JsonObject, name: str) -> str:
    if name not in row:
        raise BadColumn(f"the row has no column {name}, which the prompt names; it has {', '.join(row) or 'none'}")
    value: Any = row[name]
    if value is None:
        raise BadColumn(f"the column {name}, which the prompt names, is null")
    return _to_json(value).decode()


def _pieces(prompt: str) -> tuple[tuple[str, str | None], ...]:
    """Literal text and the column after it, by turns; the last text has no column."""
    pieces: list[tuple[str, str | None]] = []
    text, at = "", 0
    for brace in _BRACES.finditer(prompt):
        text += prompt[at : brace.start()]
        at = brace.end()
        if brace[0] in ("{{", "}}"):
            text += brace[0][0]
            continue
        if brace[0] in ("{", "}"):
            what = "opens and is not closed" if brace[0] == "{" else "closes what was not opened"
            raise BadInput(f"the prompt has a brace at character {brace.start() + 1} that {what}", hint=_HINT)
        name = brace[1].strip()
        if not name:
            raise BadInput(f"the prompt has braces without a column at character {brace.start() + 1}", hint=_HINT)
        pieces.append((text, name))
        text = ""
    return (*pieces, (text + prompt[at:], None))


def template_of(prompt: str | None, system: str | None, max_tokens: int | None) -> Template | None:
    """The template that a user's options ask for; None where they ask for none. Raises BadInput like `Template`."""
    if prompt is None and system is None and max_tokens is None:
        return None
    return Template(prompt, system, max_tokens)
