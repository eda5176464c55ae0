"""What the rules kept with a batch make of its life: its schedule, its validation, the state it shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from batchmark.emulator.clock import ns
from batchmark.emulator.faults import Rule, parse
from batchmark.emulator.profiles import Schedule

__all__ = [
    "bend",
    "empty_ids",
    "hold_s",
    "outruns_cancel",
    "problem",
    "queue_tokens",
    "rules_of",
    "strange_state",
]

_STRANGE_S = 10.0
_CUT = 0.5
_USUAL_QUEUE = 2_000_000  # tokens, as reported of gpt-4o-mini (openai/openai-python#2084)


class Faulty(Protocol):
    """A batch, as far as its faults go."""

    @property
    def faults(self) -> tuple[str, ...]: ...

    @property
    def facts(self) -> Any: ...


def rules_of(batch: Faulty) -> tuple[Rule, ...]:
    """The rules that befall a batch."""
    return tuple(parse(text) for text in batch.faults)


def bend(plan: Schedule, rules: Iterable[Rule]) -> Schedule:
    """The schedule of a batch with its faults."""
    for rule in rules:
        number = rule.number or 0.0
        if rule.action == "stuck":
            wait = plan.window_s + 1 if rule.number is None else plan.queue_s + number
            plan = msgspec.structs.replace(plan, queue_s=wait)
        elif rule.action == "slow-finalizing":
            plan = msgspec.structs.replace(plan, finalize_s=plan.finalize_s + number)
        elif rule.action == "unknown-state":
            plan = msgspec.structs.replace(plan, queue_s=plan.queue_s + _strange_s(rule))
        elif rule.action == "expire":
            plan = _expired(plan, rule)
    return plan


def _expired(plan: Schedule, rule: Rule) -> Schedule:
    """A window that closes in the middle of the run; the run is stretched, so that it is where it should be by then."""
    after, within = rule.option("after"), rule.option("in")
    cut = _CUT if after is None else after
    before = plan.validate_s + plan.queue_s
    window = before + plan.run_s if within is None else within
    run = max(0.0, window - before) / cut if cut > 0 else window + 1
    return msgspec.structs.replace(plan, window_s=window, run_s=run, cut=cut)


def hold_s(rules: Iterable[Rule]) -> float:
    """How long the batch counts as in flight, whatever becomes of it."""
    return max((rule.number or 0.0 for rule in rules if rule.action == "hold-quota"), default=0.0)


def problem(batch: Faulty) -> str | None:
    """The code of the failure that its validation ends in."""
    for rule in rules_of(batch):
        if rule.action == "token-limit":
            return "token_limit_exceeded"
        if rule.action == "fail-validation":
            return rule.word
    return None


def queue_tokens(batch: Faulty) -> int:
    """How many tokens the queue takes that such a batch found full."""
    found = next((rule.number for rule in rules_of(batch) if rule.action == "token-limit"), None)
    return _USUAL_QUEUE if found is None else int(found)


def strange_state(batch: Faulty, now: int) -> str | None:
    """The word that stands for the state of a batch that has not ended."""
    for rule in rules_of(batch):
        if rule.action == "unknown-state" and now < batch.facts.created_at + ns(_strange_s(rule)):
            return rule.word
    return None


def empty_ids(batch: Faulty) -> bool:
    return any(rule.action == "empty-ids" for rule in rules_of(batch))


def outruns_cancel(batch: Faulty) -> bool:
    return any(rule.action == "outrun-cancel" for rule in rules_of(batch))


def _strange_s(rule: Rule) -> float:
    lasts = rule.option("for")
    return _STRANGE_S if lasts is None else lasts
