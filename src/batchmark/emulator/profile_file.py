"""A user's own profile: a TOML file that says how long the parts of a batch's life take.

about = "our gateway on a bad day"
like = "openai-real"                  # what is not said here is as there; without it every part takes no time
validate = 62                         # seconds, always
queue = { low = 1, high = 5 }         # seconds, equally likely between
run = { median = 60, sigma = 0.9, cap = 43200 }     # log-normal
finalize = { usual = 1, rare = 600, chance = 0.01 } # either may be any of these forms
cancel = 606
lag = 30                              # how old the counts are that a running batch shows
drain = 606                           # from the end of the window to the last word of an expired batch
turnaround = { quantiles = [[0, 2], [0.5, 126], [1, 75589]] }  # in place of queue and run: the time in all
waiting = { low = 0.5, high = 0.9 }   # the part of the turnaround before the first request is run
stuck = 0.05                          # the part of the batches that is never begun
moods = { month = 0.1, daytime = 0.15, hour = 0.25 }  # shares of the variance that batches of one time have in common

[gemini]                              # the same again for one dialect; like = "…" too
stuck = 0.2
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from pathlib import Path
from typing import Any

from batchmark.emulator.lengths import Either, Length, LogNormal, Moods, Quantiles, Span, always
from batchmark.emulator.profiles import PROFILE_NAMES, Profile, Profiles, Whole, named

__all__ = ["ProfileError", "open_profiles"]

_DIALECTS = ("openai", "anthropic", "gemini")
_PARTS = ("validate", "queue", "run", "finalize", "cancel", "drain", "lag")
_LONGEST_S = 1e9


class ProfileError(ValueError):
    """No profile can be had from what was given; the message is one sentence."""


def open_profiles(text: str) -> Profiles:
    """The profiles of this name, or those in this TOML file. Raises ProfileError."""
    if text in PROFILE_NAMES:
        return named(text)
    if not text.endswith(".toml"):
        choice = f"{', '.join(PROFILE_NAMES[:-1])} or {PROFILE_NAMES[-1]}"
        raise ProfileError(
            f"no emulator profile is called {text!r}: choose {choice}, or name a file that ends in .toml"
        )
    path = Path(text)
    try:
        with path.open("rb") as opened:
            table = tomllib.load(opened)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ProfileError(f"the profile {text} cannot be read: {why}") from error
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"the profile {text} is no TOML: {error}") from error
    own = {name: table.pop(name) for name in _DIALECTS if name in table}
    reader = _Reader(text)
    base = Profile(about=f"from {path.name}")
    inherited: Profiles | None = None
    if "like" in table:
        inherited = reader.like(table.pop("like"), "like")
    usual = reader.profile(table, base if inherited is None else inherited.usual, "")
    profiles = (
        {} if inherited is None else {name: reader.profile(table, one, "") for name, one in inherited.own.items()}
    )
    for name, changes in own.items():
        if not isinstance(changes, dict):
            raise reader.wrong(name, "is no table")
        known = reader.like(changes.pop("like"), f"{name}.like").of(name) if "like" in changes else None
        profiles[name] = reader.profile(changes, known or profiles.get(name, usual), f"{name}.")
    return Profiles(name=path.stem, usual=usual, own=profiles)


class _Reader:
    """Turns the values of one file into lengths, naming what is wrong by its key."""

    def __init__(self, file: str) -> None:
        self._file = file

    def wrong(self, key: str, why: str) -> ProfileError:
        return ProfileError(f"the profile {self._file} has a bad {key}: it {why}")

    def like(self, value: object, key: str) -> Profiles:
        if not isinstance(value, str) or value not in PROFILE_NAMES:
            raise self.wrong(key, f"is none of {', '.join(PROFILE_NAMES)}")
        return named(value)

    def profile(self, table: dict[str, Any], base: Profile, prefix: str) -> Profile:
        changes: dict[str, Any] = {}
        known = (*_PARTS, "about", "turnaround", "waiting", "stuck", "moods")
        for key in table:
            if key not in known:
                raise self.wrong(prefix + key, f"means nothing: choose {', '.join(known)}, like or a dialect")
        for part in _PARTS:
            if part in table:
                changes[part] = self.length(table[part], prefix + part)
        if "queue" in changes or "run" in changes:
            changes["whole"] = None
        if "turnaround" in table:
            if "queue" in table or "run" in table:
                raise self.wrong(f"{prefix}turnaround", "cannot stand beside queue or run, which it is made of")
            waiting = self.span(table["waiting"], f"{prefix}waiting", most=1) if "waiting" in table else _WAITING
            changes["whole"] = Whole(length=self.length(table["turnaround"], f"{prefix}turnaround"), waiting=waiting)
        elif "waiting" in table:
            if base.whole is None:
                raise self.wrong(f"{prefix}waiting", "is a part of a turnaround, which is missing")
            waiting = self.span(table["waiting"], f"{prefix}waiting", most=1)
            changes["whole"] = dataclasses.replace(base.whole, waiting=waiting)
        if "stuck" in table:
            changes["stuck"] = self.number(table["stuck"], f"{prefix}stuck", most=1)
        if "about" in table:
            if not isinstance(table["about"], str):
                raise self.wrong(f"{prefix}about", "is no text")
            changes["about"] = table["about"]
        if "moods" in table:
            changes["moods"] = self.moods(table["moods"], f"{prefix}moods")
        return dataclasses.replace(base, **changes)

    def length(self, value: object, key: str) -> Length:
        if isinstance(value, int | float):
            return always(self.number(value, key))
        if isinstance(value, dict):
            keys = set(value)
            if keys == {"low", "high"}:
                return self.span(value, key)
            if keys in ({"median", "sigma"}, {"median", "sigma", "cap"}):
                median = self.number(value["median"], f"{key}.median", least=1e-6)
                sigma = self.number(value["sigma"], f"{key}.sigma", most=20)
                cap = self.number(value["cap"], f"{key}.cap") if "cap" in value else math.inf
                return LogNormal(mu=math.log(median), sigma=sigma, cap_s=cap)
            if keys == {"quantiles"}:
                return self.quantiles(value["quantiles"], f"{key}.quantiles")
            if keys == {"usual", "rare", "chance"}:
                return Either(
                    usual=self.length(value["usual"], f"{key}.usual"),
                    rare=self.length(value["rare"], f"{key}.rare"),
                    chance=self.number(value["chance"], f"{key}.chance", most=1),
                )
        forms = "{low, high}, {median, sigma, cap}, {quantiles} or {usual, rare, chance}"
        raise self.wrong(key, f"is neither a number of seconds nor one of {forms}")

    def span(self, value: object, key: str, *, most: float = _LONGEST_S) -> Span:
        if not isinstance(value, dict) or set(value) != {"low", "high"}:
            raise self.wrong(key, "is no {low, high}")
        low = self.number(value["low"], f"{key}.low", most=most)
        high = self.number(value["high"], f"{key}.high", most=most)
        if high < low:
            raise self.wrong(key, "ends before it begins")
        return Span(low_s=low, high_s=high)

    def quantiles(self, value: object, key: str) -> Quantiles:
        points: list[tuple[float, float]] = []
        for number, point in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(point, list) or len(point) != 2:
                raise self.wrong(f"{key}[{number}]", "is no pair of a part from 0 to 1 and seconds")
            part = self.number(point[0], f"{key}[{number}]", most=1)
            seconds = self.number(point[1], f"{key}[{number}]", least=1e-6)
            if points and (part <= points[-1][0] or seconds < points[-1][1]):
                raise self.wrong(f"{key}[{number}]", "does not come after the one before it")
            points.append((part, seconds))
        if len(points) < 2 or points[0][0] != 0 or points[-1][0] != 1:
            raise self.wrong(key, "does not go from the part 0 to the part 1")
        return Quantiles(points=tuple(points))

    def moods(self, value: object, key: str) -> Moods:
        if not isinstance(value, dict) or not set(value) <= {"month", "daytime", "hour"}:
            raise self.wrong(key, "is no {month, daytime, hour}")
        found = Moods(**{name: self.number(share, f"{key}.{name}", most=1) for name, share in value.items()})
        if found.shared > 1:
            raise self.wrong(key, "adds up to more than 1")
        return found

    def number(self, value: object, key: str, *, least: float = 0, most: float = _LONGEST_S) -> float:
        usable = isinstance(value, int | float) and not isinstance(value, bool)
        if not usable or not least <= value <= most:  # type: ignore[operator]
            raise self.wrong(key, f"is no number from {least:g} to {most:g}")
        return float(value)  # type: ignore[arg-type]


_WAITING = Span(low_s=0.5, high_s=0.9)
