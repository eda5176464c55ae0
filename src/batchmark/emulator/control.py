"""The emulator's own pages under `/_emulator`: what it is, what it was asked, and, where allowed, how tests steer it.

Whether the one who asks may see them at all is for the caller to decide: only clients on this machine may.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from batchmark.emulator.clock import LAST_NS, SECOND, nanoseconds, ns
from batchmark.emulator.fault_file import rules_of_tables
from batchmark.emulator.faults import RuleError
from batchmark.emulator.http import Answer, Call, decode_object, json_answer
from batchmark.emulator.service import Service

__all__ = ["CONTROL_LIMIT", "Control"]

CONTROL_LIMIT = 1_000_000
_LONGEST_JUMP_S = 10 * 366 * 86_400
_LAST_S = LAST_NS // SECOND
_FASTEST = 1_000_000


class Control:
    """Answers the emulator's own pages; what changes anything exists only with `allowed`."""

    def __init__(self, service: Service, *, about: dict[str, Any], prefixes: list[str], allowed: bool) -> None:
        self._service = service
        self._world = service.world
        self.about = about  # what stays the same as long as it runs
        self._prefixes = prefixes
        self._allowed = allowed
        self._pages: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("GET", "journal"): self._journal,
            ("GET", "status"): lambda call: json_answer(self.status()),
            ("GET", "faults"): lambda call: json_answer(self._rules()),
            ("GET", "clock"): lambda call: json_answer(self._clock()),
        }
        if allowed:
            self._pages |= {
                ("POST", "faults"): self._set_faults,
                ("POST", "clock"): self._set_clock,
                ("POST", "reset"): self._reset,
            }

    def answer(self, call: Call) -> Answer:
        page = call.path.removeprefix("/_emulator/")
        if page == call.path:
            return self._nothing(call)
        if call.method == "GET" and page.startswith("openapi/"):
            return self._description(call, page.removeprefix("openapi/"))
        found = self._pages.get((call.method, page))
        if found is None:
            return self._nothing(call)
        return found(call)

    def status(self) -> dict[str, Any]:
        """What this emulator is, at the moment."""
        return {
            **self.about,
            "time_scale": self._world.clock().scale,
            "now": nanoseconds(self._world.now()),
            "faults": [rule.text for rule in self._service.faults.rules],
            "limits": {dialect: dict(limits) for dialect, limits in self._service.limits.items()},
        }

    def _nothing(self, call: Call) -> Answer:
        return json_answer(
            {
                "error": f"nothing is served at {call.path}" + self._why(call),
                "prefixes": self._prefixes,
                "status": "/_emulator/status",
                "control": self._allowed,
            },
            status=404,
        )

    def _why(self, call: Call) -> str:
        steering = call.method == "POST" and call.path.startswith("/_emulator/") and not self._allowed
        return ": it can be steered only if it is started with --control" if steering else ""

    def _description(self, call: Call, name: str) -> Answer:
        dialect = name.removesuffix(".json")
        if dialect not in self._service.limits:
            return self._nothing(call)
        return Answer(body=(importlib.resources.files("batchmark.emulator") / f"openapi/{dialect}.json").read_bytes())

    def _journal(self, call: Call) -> Answer:
        entries = self._world.journal(
            after=_whole(call.query.get("after"), 0),
            limit=_whole(call.query.get("limit"), 10_000),
            dialect=call.query.get("dialect"),
            operation=call.query.get("operation"),
        )
        return json_answer({"entries": entries})

    # Faults

    def _rules(self) -> dict[str, Any]:
        """The rules in force, and of those that count, how many calls or batches each was met by."""
        return {"rules": [rule.text for rule in self._service.faults.rules], "met": self._service.faults.counts()}

    def _set_faults(self, call: Call) -> Answer:
        body = decode_object(call.body)
        if body is None or len(body) != 1 or not isinstance(items := body.get("rules", body.get("add")), list):
            return _wrong('send {"rules": ["MATCH -> DO", …]} to replace them all, or {"add": […]}')
        try:
            rules = rules_of_tables(items, where="rule ")
        except RuleError as error:
            return _wrong(str(error))
        if "rules" in body:
            self._world.forget_fault_counts()
            self._service.faults.replace(rules)
        else:
            self._service.faults.replace((*self._service.faults.rules, *rules))
        return json_answer(self._rules())

    # The clock

    def _clock(self) -> dict[str, Any]:
        scale = self._world.clock().scale
        return {"now": nanoseconds(self._world.now()), "time_scale": scale, "frozen": scale == 0}

    def _set_clock(self, call: Call) -> Answer:
        """One of: a jump forward, another moment, another pace, standing still or going on."""
        body = decode_object(call.body)
        how = 'send one of {"jump_s": SECONDS}, {"now": RFC3339}, {"time_scale": K}, {"frozen": true or false}'
        if body is None or len(body) != 1:
            return _wrong(how)
        ((name, value),) = body.items()
        if name == "frozen" and isinstance(value, bool):
            if not value and self._world.pace == 0:
                return _wrong('this clock has stood still from the start: send {"time_scale": K} to let it run')
            self._world.set_pace(0 if value else self._world.pace)
        elif name == "time_scale" and _is_number(value, 0, _FASTEST):
            if value:
                self._world.pace = float(value)
            self._world.set_pace(float(value))
        elif name == "jump_s" and _is_number(value, 0, _LONGEST_JUMP_S):
            if self._world.now() + ns(value) > _LAST_S * SECOND:
                return _wrong("the clock goes no further than the year 2200")
            self._world.jump(ns(value))
        elif name == "now" and (at := _moment(value)) is not None:
            if not self._world.set_clock(at):
                return _wrong("the clock goes back only where nothing has happened yet: reset the world first")
        else:
            return _wrong(how)
        self._service.clock_moved()
        return json_answer(self._clock())

    def _reset(self, call: Call) -> Answer:
        self._world.reset()
        self._service.forget_calls()
        return json_answer({})


def _wrong(message: str) -> Answer:
    return json_answer({"error": message}, status=400)


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else default


def _is_number(value: object, least: float, most: float) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return least <= value <= most  # NaN is in no range


def _moment(value: object) -> int | None:
    """A moment in nanoseconds since 1970, from RFC 3339 or seconds since then."""
    if _is_number(value, 0, _LAST_S):
        return ns(float(value))  # type: ignore[arg-type]
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if at is None or at.tzinfo is None:
        return None
    seconds = (at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return ns(seconds) if 0 <= seconds <= _LAST_S else None
