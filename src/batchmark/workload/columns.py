"""The names on an answer line: ours, and the user's columns beside them."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ANSWER_FIELDS", "column_names"]

# What an answer line is made of; a user's column of the same name comes out with `input_` before it.
ANSWER_FIELDS = frozenset(
    {
        "custom_id",
        "row",
        "outcome",
        "text",
        "embedding",
        "embeddings",
        "parsed",
        "tool_calls",
        "finish_reason",
        "usage",
        "cost_usd",
        "provider",
        "model",
        "batch_id",
        "attempt",
        "error",
    }
)


def column_names(columns: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Each column with the name that it has in the answer: its own where that is free, else one with `input_` before it."""
    names = tuple(columns)
    taken = {*ANSWER_FIELDS, *names}
    return tuple((name, _free_name(name, taken)) for name in names)


def _free_name(name: str, taken: set[str]) -> str:
    if name not in ANSWER_FIELDS:
        return name
    while name in taken:
        name = f"input_{name}"
    taken.add(name)
    return name
