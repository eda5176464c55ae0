"""The user's own price file: prices of a contract, or of models that no list knows yet. TOML, or JSON of the same shape.

    [[price]]
    target = "openai:gpt-5-nano"
    input = 0.025
    output = 0.2

Dollars per million tokens. Whatever is wrong with a file is one sentence with its name and the number of the entry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn

from batchmark.errors import Configuration
from batchmark.prices.lookup import Price, Rate

__all__ = ["OwnPrice", "OwnPrices", "read_own_prices"]

_NAMES = frozenset({"target", "provider", "model", "from", "note"})
_USD = ("input", "output", "cached", "cache_write", "standard_input", "standard_output")
_PER = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPrice:
    """One entry: the price of a model, or of all whose names begin with `model` where that ended in `*`, from a day on."""

    provider: str
    model: str
    is_prefix: bool
    since: date | None
    note: str | None
    rate: Rate
    standard: Rate | None

    def covers(self, provider: str, model: str, day: date) -> bool:
        """Whether the entry is about this model on this day."""
        named = model.startswith(self.model) if self.is_prefix else model == self.model
        return named and provider == self.provider and (self.since is None or self.since <= day)

    @property
    def weight(self) -> tuple[bool, int, date]:
        """The closer name counts for more, then the later day."""
        return (not self.is_prefix, len(self.model), self.since or date.min)


@dataclass(frozen=True, slots=True)
class OwnPrices:
    """All entries of a file."""

    path: Path
    entries: tuple[OwnPrice, ...]

    def price(self, provider: str, model: str, day: date) -> Price | None:
        """The entry that counts for a model on a day, or None where the file says nothing of it."""
        found = max(
            (each for each in self.entries if each.covers(provider, model, day)),
            key=lambda each: each.weight,
            default=None,
        )
        if found is None:
            return None
        note = f" ({found.note})" if found.note else ""
        return Price(
            provider=provider,
            model=model,
            rates=(found.rate,),
            assumed=False,
            source=f"own price file {self.path.name}{note}",
            as_of=found.since,
            basis="",
            standard=() if found.standard is None else (found.standard,),
        )


def read_own_prices(path: Path) -> OwnPrices:
    """Read a price file. Raises Configuration, with what to do, where it cannot be used."""
    content = _content(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("price"), list):
        _no(path, "it holds no list of prices", "begin each entry with a line [[price]]")
    if odd := sorted(set(content) - {"price"}):
        _no(
            path,
            f"it has an unknown part {odd[0]!r}",
            "entries begin with a line [[price]]; nothing stands beside them",
        )
    entries: list[OwnPrice] = []
    seen: dict[tuple[str, str, bool, date | None], int] = {}
    for number, given in enumerate(content["price"], 1):
        entry = _entry(path, number, given)
        name = (entry.provider, entry.model, entry.is_prefix, entry.since)
        if name in seen:
            _no(
                path,
                f"entry {number} is about the same model and day as entry {seen[name]}",
                "keep one of them, or give each its own from = a day",
            )
        seen[name] = number
        entries.append(entry)
    return OwnPrices(path, tuple(entries))


def _content(path: Path) -> Any:
    import json
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        _no(path, f"it cannot be read: {why}", "check the path in BATCHMARK_PRICES")
    is_json = path.suffix.lower() == ".json"
    try:
        return json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        _no(path, f"it is no {'JSON' if is_json else 'TOML'}: {error}", "correct the file at that place")


def _entry(path: Path, number: int, given: Any) -> OwnPrice:
    def no(reason: str, remedy: str) -> NoReturn:
        _no(path, f"entry {number} {reason}", remedy)

    if not isinstance(given, Mapping):
        no("is no table of keys and values", "begin it with a line [[price]]")
    if odd := sorted(set(given) - _NAMES - set(_USD)):
        no(f"has an unknown key {odd[0]!r}", f"known keys: {', '.join(sorted(_NAMES | set(_USD)))}")
    for name in _NAMES - {"from"}:
        if name in given and (not isinstance(given[name], str) or not given[name].strip()):
            no(f"has no text for {name!r}", f"write it between quotes, such as {name} = {_example(name)!r}")
    provider, model = _named(given, no)
    usd = {name: _dollars(name, given[name], no) for name in _USD if name in given}
    for name in ("input", "output"):
        if name not in usd:
            no(f"has no {name!r} price", f"add {name} = dollars per million tokens in batches (0 where it is free)")
    if ("standard_input" in usd) != ("standard_output" in usd):
        no("has one standard price of two", "give both standard_input and standard_output, or none")
    rate = _rate(usd["input"], usd["output"], usd.get("cached"), usd.get("cache_write"))
    standard = None
    if "standard_input" in usd:
        # what is read from or written to a cache keeps its share of the input price
        plain = usd["standard_input"]
        shares = [
            usd[name] / usd["input"] * plain if name in usd and usd["input"] else None
            for name in ("cached", "cache_write")
        ]
        standard = _rate(plain, usd["standard_output"], *shares)
    since = given.get("from")
    if isinstance(since, str):
        try:
            since = date.fromisoformat(since)
        except ValueError:
            no(f"has no day in from: {since!r}", "write it as 2026-10-01")
    if since is not None and (not isinstance(since, date) or isinstance(since, datetime)):
        no("has no day in from", "write it as 2026-10-01")
    return OwnPrice(
        provider=provider,
        model=model.removesuffix("*"),
        is_prefix=model.endswith("*"),
        since=since,
        note=given.get("note"),
        rate=rate,
        standard=standard,
    )


def _named(given: Mapping[str, Any], no: Any) -> tuple[str, str]:
    """Provider and model, of `target` or of their own keys."""
    if "target" in given:
        if "provider" in given or "model" in given:
            no("names its model twice", "give target, or provider and model")
        provider, _, model = (part.strip() for part in given["target"].partition(":"))
    else:
        provider, model = given.get("provider", "").strip(), given.get("model", "").strip()
    if not provider or not model:
        no("names no model", 'add target = "provider:model"')
    if "*" in model[:-1]:
        no(f"has a * within the model {model!r}", "a * may only be the last character")
    return provider, model


def _dollars(name: str, value: Any, no: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        no(f"has no number for {name!r}", f"write dollars per million tokens, such as {name} = 0.25")
    if value < 0:
        no(f"has a price below 0 for {name!r}", "write dollars per million tokens, 0 where it is free")
    return float(value)


def _rate(plain: float, output: float, cached: float | None, cache_write: float | None) -> Rate:
    return Rate(
        0,
        plain / _PER,
        output / _PER,
        (plain if cached is None else cached) / _PER,
        (plain if cache_write is None else cache_write) / _PER,
    )


def _example(name: str) -> str:
    return {"target": "openai:gpt-5-nano", "provider": "openai", "model": "gpt-5-nano"}.get(name, "our contract")


def _no(path: Path, reason: str, remedy: str) -> NoReturn:
    raise Configuration(f"the price file {path} cannot be used: {reason}", hint=remedy)
