"""The emulator's own pages under `/_emulator`: what it is, what it was asked, and, where allowed, how tests steer it."""

from __future__ import annotations

import ipaddress
from typing import Any

from batchmark.emulator.clock import nanoseconds, ns
from batchmark.emulator.faults import RuleError, parse_all
from batchmark.emulator.http import Answer, Call, decode_object, json_answer
from batchmark.emulator.service import Service

__all__ = ["CONTROL_LIMIT", "Control"]

CONTROL_LIMIT = 1_000_000
_LONGEST_JUMP_S = 10 * 366 * 86_400


class Control:
    """Answers the emulator's own pages; the POSTs exist only with `allowed`, and only for clients on this machine."""

    def __init__(self, service: Service, *, status: dict[str, Any], prefixes: list[str], allowed: bool) -> None:
        self._service = service
        self._world = service.world
        self._status = status
        self._prefixes = prefixes
        self._allowed = allowed

    def answer(self, call: Call, client: str | None) -> Answer:
        now = self._world.now()
        if call.method == "GET" and call.path == "/_emulator/journal":
            entries = self._world.journal(
                after=_whole(call.query.get("after"), 0),
                limit=_whole(call.query.get("limit"), 10_000),
                dialect=call.query.get("dialect"),
                operation=call.query.get("operation"),
            )
            return json_answer({"entries": entries})
        if call.method == "GET" and call.path == "/_emulator/status":
            scale = self._world.clock().scale
            faults = [rule.text for rule in self._service.faults.rules]
            return json_answer({**self._status, "time_scale": scale, "now": nanoseconds(now), "faults": faults})
        steer = {
            "/_emulator/faults": self._faults,
            "/_emulator/clock": self._clock,
            "/_emulator/reset": self._reset,
        }.get(call.path)
        if steer is not None and call.method == "POST" and self._allowed and _is_loopback(client):
            return steer(call)
        return json_answer(
            {
                "error": f"nothing is served at {call.path}",
                "prefixes": self._prefixes,
                "status": "/_emulator/status",
            },
            status=404,
        )

    def _faults(self, call: Call) -> Answer:
        body = decode_object(call.body) or {}
        texts = body.get("rules")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return json_answer({"error": 'send {"rules": ["MATCH -> DO", …]}'}, status=400)
        try:
            rules = parse_all(texts)
        except RuleError as error:
            return json_answer({"error": str(error)}, status=400)
        self._world.forget_fault_counts()
        self._service.faults.replace(rules)
        return json_answer({"rules": [rule.text for rule in rules]})

    def _clock(self, call: Call) -> Answer:
        jump_s = (decode_object(call.body) or {}).get("jump_s")
        number = isinstance(jump_s, int | float) and not isinstance(jump_s, bool)
        if not number or not 0 <= float(jump_s or 0) <= _LONGEST_JUMP_S:
            return json_answer({"error": 'send {"jump_s": SECONDS}, forward only'}, status=400)
        self._world.jump(ns(float(jump_s or 0)))
        self._service.nudge()
        return json_answer({"now": nanoseconds(self._world.now())})

    def _reset(self, call: Call) -> Answer:
        self._world.reset()
        return json_answer({})


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else default


def _is_loopback(host: str | None) -> bool:
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
