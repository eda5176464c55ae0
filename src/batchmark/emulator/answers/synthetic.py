"""Answers made from a seed: no model, no cost, always the same for the same question; for tests and for scale.

Nobody should take one for a model's: every text begins with `synthetic answer`. A token here is a word.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any, Literal
from zlib import crc32

import msgspec

from batchmark.emulator.answers import Ask, Reply, never
from batchmark.emulator.answers.free import CHARACTERS, FreeSource, count_tokens

__all__ = ["Synthetic"]

_PROSE = (
    "the batch was read in order and each row kept its own name so that a later reader could find it again "
    "while the queue moved on at its own pace and nothing was lost between one step and the next because every "
    "answer went to disk before the next began which made the work slow at first but plain to follow and easy to "
    "resume after a break whenever the lights went out or the line fell silent for an hour and a clerk came back"
)
_WORDS = _PROSE.split()
_SHORTEST, _LONGEST = 4, 40
_DEEPEST = 32  # beyond it any value will do: a schema may name itself
_MOST_VALUES = 10_000  # in one example
_LONGEST_KEPT = 4_096  # characters of a schema whose examples are kept
_EXAMPLES = 256  # different values for one schema
_SPREAD = 0x9E3779B97F4A7C15  # makes 64 bits of 32 that all depend on the question
# Every text is a slice of this ring, joined beforehand: one slice a reply costs less than a hundred joins.
_RING = _WORDS * 2
_SLICES = [[" ".join(_RING[start : start + length]) for length in range(_LONGEST + 1)] for start in range(len(_WORDS))]


class Synthetic(FreeSource):
    """The seeded source of answers."""

    name = "synthetic"

    def answer(self, ask: Ask, dropped: Callable[[], bool] = never) -> Reply:
        self.check_open()
        mark = crc32(ask.model.encode("utf-8", "surrogatepass"))
        input_tokens = 3 + ask.beside  # `count_prompt` in the same pass: this is done for every row
        for role, text in ask.messages:
            mark = crc32(text.encode("utf-8", "surrogatepass"), mark + len(role))
            input_tokens += 4 + (len(text) + 3) // 4
        seed = mark * _SPREAD & 0xFFFFFFFFFFFFFFFF
        if ask.json_schema is not None:
            return _structured(ask, seed, input_tokens)
        length = _SHORTEST + (seed >> 32) % (_LONGEST - _SHORTEST)
        limit = ask.max_tokens
        body = _SLICES[seed % len(_WORDS)]
        finish: Literal["stop", "length"] = "stop"
        words = length + 3  # those of the label
        if limit is not None and limit < words:
            finish = "length"
            words = max(limit, 0)
            if words < 4:
                text = " ".join(("synthetic", "answer", f"{seed & 0xFFFF:04x}:")[:words])
                return Reply(text=text, finish=finish, input_tokens=input_tokens, output_tokens=words)
            length = words - 3
        text = f"synthetic answer {seed & 0xFFFF:04x}: {body[length]}"
        return Reply(text=text, finish=finish, input_tokens=input_tokens, output_tokens=words)


def _structured(ask: Ask, seed: int, input_tokens: int) -> Reply:
    """JSON that fits the schema, cut where the token limit falls as a model's would be."""
    assert ask.json_schema is not None
    make = _kept_example if len(ask.json_schema) <= _LONGEST_KEPT else _example
    text = make(ask.json_schema, (seed >> 32) % _EXAMPLES)
    tokens = count_tokens(text)
    if ask.max_tokens is not None and tokens > ask.max_tokens:
        kept = max(ask.max_tokens, 0)
        return Reply(text=text[: kept * CHARACTERS], finish="length", input_tokens=input_tokens, output_tokens=kept)
    return Reply(text=text, finish="stop", input_tokens=input_tokens, output_tokens=tokens)


def _example(schema_text: str, number: int) -> str:
    """One of the values that fit a schema: a batch asks for one schema many times, and going through it is slow."""
    try:
        schema = msgspec.json.decode(schema_text)
    except (msgspec.DecodeError, RecursionError):
        schema = {}
    root = schema if isinstance(schema, dict) else {}
    value = _value(root, root, random.Random(f"{number} {schema_text}"), 0, [_MOST_VALUES])
    return msgspec.json.encode(value).decode()


_kept_example = functools.lru_cache(maxsize=16 * _EXAMPLES)(_example)


def _resolved(schema: object, root: dict[str, Any]) -> dict[str, Any]:
    """Follow local references, a bounded number of times: schemas may point at themselves."""
    for _ in range(8):
        if not isinstance(schema, dict):
            return {}
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            return schema
        found: object = root
        for part in ref.removeprefix("#").strip("/").split("/"):
            if part:
                found = found.get(part) if isinstance(found, dict) else None
        schema = found
    return {}


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one not in ("null", "NULL")), "null")
    if isinstance(kind, str):
        return kind.lower()  # Gemini writes its types in capitals
    return "object" if isinstance(schema.get("properties"), dict) else "string"


def _value(schema: object, root: dict[str, Any], rng: random.Random, depth: int, left: list[int]) -> object:
    left[0] -= 1
    here = _resolved(schema, root) if depth <= _DEEPEST and left[0] > 0 else {}
    if "const" in here:
        return here["const"]
    choices = here.get("enum")
    if isinstance(choices, list) and choices:
        return rng.choice(choices)
    for several in ("anyOf", "oneOf", "allOf"):
        options = here.get(several)
        if isinstance(options, list) and options:
            return _value(options[0], root, rng, depth + 1, left)
    kind = _kind(here)
    if kind == "object":
        members = here.get("properties")
        if not isinstance(members, dict) or depth > 6:
            return {}
        return {str(name): _value(member, root, rng, depth + 1, left) for name, member in members.items()}
    if kind == "array":
        least = _whole(here.get("minItems"), 1)
        most = _whole(here.get("maxItems"), max(least, 3))
        count = 0 if depth > 6 else rng.randint(min(least, most), max(least, most))
        return [_value(here.get("items"), root, rng, depth + 1, left) for _ in range(min(count, 64))]
    if kind in ("integer", "number"):
        low = _number(here.get("minimum"), 0)
        high = _number(here.get("maximum"), low + 100)
        if kind == "integer":
            return rng.randint(int(low), max(int(low), int(high)))
        return round(rng.uniform(low, max(low, high)), 2)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "null":
        return None
    return f"synthetic {rng.choice(_WORDS)}"


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 64 else default


def _number(value: object, default: float) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if usable and isinstance(value, int | float) else default
