"""What the dialects share: the world, the profile and seed of new batches, limits and faults, and the work behind them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batchmark.emulator.catalog import CLOSED, Catalog
from batchmark.emulator.clock import SECOND, ns
from batchmark.emulator.dialects.failures import call_failure, rate_limited
from batchmark.emulator.fault_desk import FaultDesk
from batchmark.emulator.fault_life import bend, hold_s
from batchmark.emulator.faults import Rule, parse
from batchmark.emulator.hooks import Event, Hook, Hooks
from batchmark.emulator.http import Call, Refused
from batchmark.emulator.limits import Limits, parse_limits
from batchmark.emulator.profiles import Profiles, Schedule
from batchmark.emulator.world import Batch, World

if TYPE_CHECKING:
    from batchmark.emulator.works import Works

__all__ = ["Service", "good_key", "masked"]

_BYTES_PER_TOKEN = 4
_NEVER_S = 10 * 366 * 86_400  # a window without an end
_QUEUE_FULL = "* life -> token-limit"  # OpenAI makes the batch all the same, and lets it fail


@dataclass(slots=True, kw_only=True)
class Service:
    """Handed to every dialect; `works` is set once the dialects' books are known."""

    world: World
    profiles: Profiles
    seed: int
    limits: dict[str, Limits] = field(default_factory=lambda: dict(parse_limits(())))
    catalogs: Mapping[str, Catalog] = field(default_factory=lambda: CLOSED)
    verbatim: bool = False  # whether OpenAI's rows are answered by a server of its own, body for body
    digests: bool = False  # whether to note which batches have the same input: tests ask for that
    faults: FaultDesk = field(init=False)
    hooks: Hooks = field(init=False)
    works: Works | None = None
    _creating: threading.Lock = field(default_factory=threading.Lock)
    _counting: threading.Lock = field(default_factory=threading.Lock)
    _calls: dict[str, tuple[int, int]] = field(default_factory=dict)  # since when, and how many

    def __post_init__(self) -> None:
        self.faults = FaultDesk(self.world)
        self.hooks = Hooks(self.world)

    def most(self, dialect: str, name: str) -> int:
        """A limit as a number to compare with; one that does not exist is beyond all numbers met here."""
        limit = self.limits[dialect][name]
        return 1 << 60 if limit is None else limit

    def window_s(self, dialect: str) -> float:
        """The completion window that a new batch is promised."""
        return self.most(dialect, "window_s") if self.limits[dialect]["window_s"] is not None else _NEVER_S

    def admit_call(self, dialect: str) -> None:
        """Count a call against the limit of a minute. Raises Refused in the dialect's shape."""
        most = self.limits[dialect].get("calls_per_minute")
        if most is None:
            return
        now = self.world.now()
        with self._counting:
            begun, count = self._calls.get(dialect, (now, 0))
            if not begun <= now < begun + 60 * SECOND:
                begun, count = now, 0
            count += 1
            self._calls[dialect] = (begun, count)
        if count > most:
            raise Refused(rate_limited(dialect, limit=most, reset_ns=begun + 60 * SECOND, now_ns=now))

    def forget_calls(self) -> None:
        with self._counting:
            self._calls.clear()

    def add_batch(
        self,
        call: Call,
        *,
        id: str,
        dialect: str,
        endpoint: str,
        model: str,
        window_s: float,
        spec: dict[str, Any],
        source: Path,
        created_at: int,
        labels: list[str],
        keep_source: bool = False,
        total: int = 0,
    ) -> Batch:
        """Make a batch unless a limit or a fault forbids it. Raises Refused in the dialect's shape, nothing stored."""
        with self._creating:  # what counts against a limit must not change between the look and the deed
            full = self._queue_full(dialect, model, total, source.stat().st_size, created_at)
            tokens = self.limits[dialect].get("queued_tokens")
            rules = [parse(_QUEUE_FULL if tokens is None else f"{_QUEUE_FULL} {tokens}")] if full else []
            self._refuse(dialect, rules)  # by a limit, before any rule counts this batch
            rules += self.faults.for_batch(dialect, model, [id, *labels])
            self._refuse(dialect, rules)
            if self.digests:
                digest = hashlib.sha256(f"{endpoint} {model if dialect == 'gemini' else ''}\n".encode())
                with source.open("rb") as opened:
                    while piece := opened.read(1 << 20):
                        digest.update(piece)
                spec = {**spec, "digest": digest.hexdigest()}
            batch = self.world.add_batch(
                id=id,
                dialect=dialect,
                endpoint=endpoint,
                model=model,
                seed=self.seed,
                profiles=self.profiles,
                window_s=window_s,
                spec=spec,
                source=source,
                keep_source=keep_source,
                total=total,
                created_at=created_at,
                labels=labels,
                faults=[rule.text for rule in rules],
                bend=(lambda plan: bend(plan, rules)) if rules else _straight,
                hidden_ns=call.hide_ns,
                holds_ns=ns(hold_s(rules)),
            )
        if any(rule.action == "revoke-key" for rule in rules):
            self.faults.revoke(dialect)
        call.stored = batch.seq
        self.nudge()
        return batch

    def _queue_full(self, dialect: str, model: str, rows: int, size: int, now: int) -> bool:
        limits = self.limits[dialect]
        hourly = limits.get("batches_per_hour")
        if hourly is not None:
            first = now if hourly == 0 else self.world.made_since(dialect, hourly)
            if first is not None and first > now - 3600 * SECOND:
                message = f"Rate limit reached: {hourly} batches an hour."
                reset = now + 60 * SECOND if hourly == 0 else first + 3600 * SECOND
                raise Refused(rate_limited(dialect, limit=hourly, reset_ns=reset, now_ns=now, message=message))
        batches, requests = limits.get("max_batches_in_flight"), limits.get("queued_requests")
        if batches is not None or requests is not None:
            in_flight, queued, _ = self.world.in_flight(dialect)
            if (batches is not None and in_flight >= batches) or (requests is not None and queued + rows > requests):
                return True
        tokens = limits.get("queued_tokens")
        if tokens is None:
            return False
        _, _, queued_bytes = self.world.in_flight(dialect, model)
        return (queued_bytes + size) // _BYTES_PER_TOKEN > tokens

    def _refuse(self, dialect: str, rules: list[Rule]) -> None:
        """Refuse what the service would refuse at once; OpenAI refuses nothing here, its batches fail later."""
        for rule in rules:
            if rule.action == "token-limit" and dialect != "openai":
                wait = "30" if dialect == "anthropic" else None
                raise Refused(call_failure(dialect, 429, retry_after=wait, now_ns=self.world.now()))
            if rule.action == "fail-validation" and dialect == "anthropic":
                raise Refused(call_failure(dialect, 400, message=f"requests: {rule.word}"))

    def fresh(self, batches: list[Batch]) -> tuple[list[Batch], int]:
        """The batches as they may be shown, and the time of it."""
        if self.works is None:
            return batches, self.world.now()
        return self.works.fresh(batches)

    def done(self, batch: Batch, now: int) -> tuple[int, int]:
        """How many rows of a running batch count as answered, and how many as failed."""
        return (0, 0) if self.works is None else self.works.count(batch, now)

    def test_hook(self, hook: Hook, event: Event) -> int:
        """Send an event to an endpoint at once: the HTTP status of its answer, 0 or less for none."""
        return 0 if self.works is None else self.works.courier.test(hook, event)

    def nudge(self) -> None:
        """A batch may have something to be done now."""
        if self.works is not None:
            self.works.nudge()

    def clock_moved(self) -> None:
        """Anything may be due now, news that were to go out later too."""
        self.nudge()
        if self.works is not None:
            self.works.courier.nudge()


def _straight(plan: Schedule) -> Schedule:
    return plan


def good_key(given: str, admitted: str | None) -> Literal["good", "bad", "missing"]:
    """What to make of a key: `admitted` is the only good one, or None for all but those that begin with `bad-`."""
    if not given:
        return "missing"
    if admitted is not None:
        return "good" if given == admitted else "bad"
    return "bad" if given.startswith("bad-") else "good"


def masked(key: str) -> str:
    """A key as the services show it in a refusal: never whole."""
    return key[:4] + "*" * 8 if len(key) < 16 else f"{key[:7]}{'*' * 12}{key[-4:]}"
