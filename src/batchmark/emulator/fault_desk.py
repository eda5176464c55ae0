"""Decides which rules strike a call or a new batch: keeps the rules in force and, with the world, what they have counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from batchmark.emulator.clock import ns
from batchmark.emulator.faults import Rule
from batchmark.emulator.http import Call
from batchmark.emulator.world import World

__all__ = ["Deeds", "FaultDesk"]


@dataclass(slots=True, kw_only=True)
class Deeds:
    """What happens to one call. Seconds are the machine's unless said otherwise."""

    texts: list[str] = field(default_factory=list)
    delay_s: float = 0
    status: int | None = None
    retry_after: str | None = None
    code: str | None = None
    message: str | None = None
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    revoked: bool = False
    drop_before: bool = False
    drop_after: bool = False
    late_s: float = 0
    hide_s: float = 0  # emulated
    lag_s: float = 0  # emulated
    truncate: float | None = None
    stall_s: float = 0
    bytes_per_s: float | None = None

    def add(self, rule: Rule) -> None:
        """Take up one more rule; of two that answer in the service's place the first stands."""
        number = rule.number or 0
        if rule.action == "status":
            if self.status is None:
                self.status, self.retry_after = int(number), rule.options.get("retry-after")
                self.code, self.message = rule.options.get("code"), rule.options.get("message")
                self.body, self.headers = rule.options.get("body"), rule.headers
        elif rule.action == "delay":
            self.delay_s += number
        elif rule.action == "drop-before-store":
            self.drop_before = True
        elif rule.action == "drop-after-store":
            self.drop_after = True
        elif rule.action == "answer-late":
            self.late_s += number
        elif rule.action == "visible-late":
            self.hide_s = max(self.hide_s, number)
        elif rule.action == "lag":
            self.lag_s = max(self.lag_s, number)
        elif rule.action == "truncate":
            self.truncate = number
        elif rule.action == "stall":
            self.stall_s += number
        elif rule.action == "throttle":
            self.bytes_per_s = number
        elif rule.action == "revoke-key":
            self.revoked = True
        self.texts.append(rule.text)


class FaultDesk:
    """The rules in force. Counts are kept in the world under the text of their rule."""

    def __init__(self, world: World, rules: tuple[Rule, ...] = ()) -> None:
        self._world = world
        self._lock = threading.Lock()
        self.rules: tuple[Rule, ...] = ()
        self._names: dict[int, str] = {}
        self._revoking: tuple[str, ...] = ()
        self.replace(rules)

    def replace(self, rules: tuple[Rule, ...]) -> None:
        """Other rules from here on; one that was there before goes on counting where it stood."""
        names: dict[int, str] = {}
        times: dict[str, int] = {}
        for place, rule in enumerate(rules):
            times[rule.text] = times.get(rule.text, 0) + 1
            names[place] = rule.text if times[rule.text] == 1 else f"{rule.text} #{times[rule.text]}"
        with self._lock:
            self.rules, self._names = rules, names
            self._revoking = tuple(
                {rule.dialect for rule in rules if rule.action == "revoke-key" and rule.scope == "life"}
            )

    def counts(self) -> dict[str, int]:
        """How many matches each rule that counts has had, by its text; a second one of the same text has a number."""
        with self._lock:
            named = [self._names[place] for place, rule in enumerate(self.rules) if rule.counted]
        return {name: self._world.fault_count(name) for name in named}

    def may_strike(self, dialect: str, operation: str) -> bool:
        """Whether any rule speaks of such calls: one look at a short list, and nothing more where there is none."""
        if self._revoking:
            return True
        return any(rule.scope == "call" and rule.concerns(dialect, operation) for rule in self.rules)

    def on_call(self, dialect: Any, operation: str, call: Call) -> Deeds:
        """What happens to this call; counts it for the rules that speak of it."""
        deeds = Deeds()
        subject: tuple[str, list[str]] | None = None
        with self._lock:
            rules, names = self.rules, self._names
        for place, rule in enumerate(rules):
            if rule.scope != "call" or not rule.concerns(dialect.name, operation):
                continue
            if rule.choosy:
                subject = dialect.subject(call) if subject is None else subject
                if not rule.fits(dialect.name, *subject):
                    continue
            if rule.counted and not rule.strikes(self._world.count_fault(names[place])):
                continue
            deeds.add(rule)
        if self._revoking and self._world.fault_count(f"revoked {dialect.name}"):
            deeds.revoked = True
        call.hide_ns, call.lag_ns = ns(deeds.hide_s), ns(deeds.lag_s)
        return deeds

    def for_batch(self, dialect: str, model: str, names: list[str]) -> tuple[Rule, ...]:
        """The rules for a batch that is being made, to be kept with it; counts it."""
        chosen: list[Rule] = []
        with self._lock:
            rules, counters = self.rules, self._names
        for place, rule in enumerate(rules):
            if rule.scope == "call" or not rule.concerns(dialect, rule.scope) or not rule.fits(dialect, model, names):
                continue
            if rule.counted and not rule.strikes(self._world.count_fault(counters[place])):
                continue
            chosen.append(rule)
        return tuple(chosen)

    def revoke(self, dialect: str) -> None:
        """From here on no key of this dialect is good, until the rules are replaced by some without such a rule."""
        self._world.count_fault(f"revoked {dialect}")
