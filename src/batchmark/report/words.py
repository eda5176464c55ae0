"""Figures as words: what a reader sees of a duration, a price, a rate or a spread. Pure, and the same in every rendering.

No figure may mislead: a spread always says its n, a small price is never rounded to nothing, a share is `100 %` only when it is all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from batchmark.compare.measures import Spread
from batchmark.domain.lifecycle import State

__all__ = [
    "ascii_safe",
    "clip",
    "count",
    "duration",
    "in_words",
    "moment",
    "money",
    "number",
    "percent",
    "plural",
    "rate",
    "round_time",
    "share",
    "spread_text",
    "state_words",
    "visible",
    "without_text",
]

_SMALLEST_USD = 1e-6
_ASCII = str.maketrans({"–": "-", "—": "-", "·": "|", "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"', "×": "x"})
_OPEN_STATES = frozenset({State.QUEUED, State.RUNNING, State.FINALIZING, State.CANCELLING})
# C0 and C1 controls other than tab and newline, lone surrogates, and the marks that reorder the text around them
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def count(value: int) -> str:
    """A whole number with thousands separators."""
    return f"{value:,}"


def plural(value: int, word: str) -> str:
    """A count with its noun: `1 job`, `3 jobs`."""
    return f"{count(value)} {word}{'' if value == 1 else 's'}"


def in_words(names: Sequence[str]) -> str:
    """Several things in a sentence: `a, b and c`."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def number(value: float) -> str:
    """A measured number with three significant digits, in plain notation."""
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    if abs(value) >= 0.9995:
        return f"{value:.2f}"
    return _significant(value, least_decimals=1)


def rate(value: float | None, unit: str = "") -> str:
    """Something per second: `12.3/s`, or `12.3 tokens/s` with a unit."""
    if value is None:
        return "unknown"
    return f"{number(value)} {unit}/s" if unit else f"{number(value)}/s"


def duration(seconds: float | None) -> str:
    """A duration in the unit that fits it: `82 ms`, `8.2 s`, `2 min 05 s`, `3.1 h`, `4.2 days`."""
    if seconds is None:
        return "unknown"
    if seconds == 0:
        return "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "< 1 ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def money(usd: float | None) -> str:
    """US dollars: cents from one dollar on, three significant digits below, `unknown` where no price is known."""
    if usd is None:
        return "unknown"
    if usd == 0:
        return "$0"
    if usd < _SMALLEST_USD:
        return "< $0.000001"
    if usd >= 0.9995:
        return f"${usd:,.2f}"
    return f"${_significant(usd, least_decimals=2)}"


def _significant(value: float, *, least_decimals: int) -> str:
    """Three significant digits without an exponent; trailing zeros go, down to `least_decimals`."""
    exponent = int(f"{abs(value):.2e}".partition("e")[2])
    whole, _, decimals = f"{value:.{2 - exponent}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(least_decimals, '0')}"


def share(part: int, whole: int) -> str:
    """A part of a whole with its denominator: `47 of 48 (97.9 %)`. `100 %` and `0 %` are said only when they are exact."""
    if whole == 0:
        return "0 of 0"
    return f"{count(part)} of {count(whole)} ({percent(part / whole)})"


def percent(value: float, *, decimals: int = 1) -> str:
    """A share from 0 to 1: `97.9 %`. Only what is exactly none or all is said to be `0 %` or `100 %`."""
    least = 10.0**-decimals
    if value <= 0 or value >= 1:
        return f"{100 * value:.0f} %"
    figure = f"{min(100 - least, max(least, 100 * value)):.{decimals}f}"
    return f"{figure.removesuffix('.0')} %"


def round_time(seconds: float) -> str:
    """A time that was chosen to be a round one, without idle decimals: `30 s`, `5 min`, `24 h`, `3 days`."""
    for size, unit in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= (2 * size if unit == "days" else size):
            return f"{seconds / size:g} {unit}"
    return f"{seconds * 1000:g} ms"


def moment(at: datetime | None) -> str:
    """A time in UTC to the second."""
    return "unknown" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def state_words(state: str) -> str:
    """A state as it reads in a sentence about a job that gave no figure: `expired`, `still running`."""
    if state in _OPEN_STATES:
        return f"still {state}"
    if state == "unsent":
        return "not sent yet"
    return "in an unknown state" if state == State.UNKNOWN else state


def spread_text(spread: Spread, form: Callable[[float], str], *, reasons: Mapping[str, int] | None = None) -> str:
    """Values as their number allows: one as a point, two to five as a range, more as median and range; always with n.

    Jobs that gave no value are counted behind it; `reasons` says how many for which reason.
    """
    if spread.low is None or spread.high is None:
        text = "none (n=0)"
    else:
        text = _range(form(spread.low), form(spread.high))
        if spread.median is not None:
            middle = form(spread.median)
            text = f"median {middle}" if text == middle else f"median {middle}, {text}"
        text = f"{text} (n={spread.n})"
    if spread.without:
        text = f"{text}; {without_text(spread.without, spread.n + spread.without, reasons)}"
    return text


def without_text(without: int, total: int, reasons: Mapping[str, int] | None = None) -> str:
    """How many jobs gave no value, and why where that is known: `1 of 3 jobs expired`."""
    known = {reason: n for reason, n in (reasons or {}).items() if n}
    jobs = f"{without} of {plural(total, 'job')}"
    if sum(known.values()) != without:
        return f"{jobs} without a figure"
    if len(known) == 1:
        return f"{jobs} {next(iter(known))}"
    return f"{jobs} without a figure ({', '.join(f'{n} {reason}' for reason, n in known.items())})"


def _range(low: str, high: str) -> str:
    """`7.1–9.4 s` where both ends share a one-word unit, else both in full."""
    if low == high:
        return low
    value, _, unit = low.partition(" ")
    if unit and " " not in unit and high.endswith(f" {unit}") and high.count(" ") == 1 and not low.startswith("<"):
        return f"{value}–{high}"
    if low.endswith("/s") and high.endswith("/s") and " " not in low + high:
        return f"{low.removesuffix('/s')}–{high}"
    return f"{low} – {high}" if " " in low or " " in high else f"{low}–{high}"


def clip(text: str, limit: int) -> str:
    """A long text cut at `limit` characters, saying how many are left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()}… ({count(len(text) - len(text[:limit].rstrip()))} characters more)"


def visible(text: str) -> str:
    """Foreign text made safe to show: what would steer a terminal, break a page or reorder its line is spelled out instead."""
    text = text.replace("\r\n", "\n")
    return _UNPRINTABLE.sub(lambda found: _spelled(ord(found.group())), text)


def _spelled(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def ascii_safe(text: str) -> str:
    """The same text for a terminal that can show only ASCII; other letters are spelled as escapes."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")
