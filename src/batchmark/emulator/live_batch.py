"""One batch as the live page shows it: its course so far and as planned, its rows, and its state in two languages.

A view tells moments, not lengths, so it changes only when the batch does: the page lets its bars grow by itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from batchmark.emulator.clock import ns
from batchmark.emulator.dialects.words import shown_word
from batchmark.emulator.life import Facts, Phase, Standing, standing
from batchmark.emulator.stored import Batch, Outcome

__all__ = ["BatchView", "Leg", "clip", "course", "milliseconds", "view"]

_LABELS = 8  # a client may give sixteen of 512 letters
_TEXT = 200


class Leg(msgspec.Struct, frozen=True, array_like=True):
    """One part of a batch's course, in milliseconds since 1970 on the emulator's clock."""

    phase: str
    start: int
    end: int  # in the future: as planned


class BatchView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All that the page knows of a batch."""

    seq: int
    id: str
    dialect: str
    model: str
    endpoint: str
    phase: str
    word: str  # the provider's own
    created: int
    expires: int
    legs: list[Leg]
    ended: int | None = None
    cancel: int | None = None
    hidden: int | None = None  # a fault keeps it from its client until then
    rows: int | None = None  # None: not read yet
    begun: int | None = None
    run: int = 0  # the planned length of the run, and
    stop: int | None = None  # when it was cut: they tell how many rows are done
    answered: int | None = None  # answers on disk, where these take time
    succeeded: int = 0
    errored: int = 0
    expired: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    problem: str = ""
    problems: int = 0
    labels: list[str] = []
    faults: list[str] = []
    about: list[str] = []  # how the journal calls it and its files


def view(batch: Batch, now: int, *, free: bool, hidden_until: int = 0) -> BatchView:
    """A batch at the moment `now`; `free`: its answers cost no time, so rows are done as the plan says."""
    facts, names = batch.facts, _NAMES[batch.dialect]
    stand = standing(facts, now)
    over = stand.phase.terminal
    outcome = batch.outcome if over and batch.outcome is not None else Outcome()
    stop = facts.cancel_at if facts.cancel_at is not None else facts.expires_at if facts.expired else None
    files = [one for one in (_input_file(batch), outcome.output_file, outcome.error_file) if one]
    return BatchView(
        seq=batch.seq,
        id=clip(batch.id),
        dialect=batch.dialect,
        model=clip(batch.model),
        endpoint=clip(batch.endpoint),
        phase=stand.phase.value,
        word=clip(shown_word(batch, stand, now)),
        created=milliseconds(facts.created_at),
        expires=milliseconds(facts.expires_at),
        legs=course(facts, stand),
        ended=_maybe(stand.ended_at),
        cancel=_maybe(facts.cancel_at),
        hidden=milliseconds(hidden_until) if hidden_until > now else None,
        rows=batch.total if batch.total or (facts.checked_at is not None and not facts.refused) else None,
        begun=_maybe(facts.begun_at),
        run=round(facts.schedule.run_s * 1000),
        stop=_maybe(stop),
        answered=None if free or over else batch.answered,
        succeeded=outcome.succeeded,
        errored=outcome.errored,
        expired=outcome.expired,
        cancelled=outcome.cancelled,
        input_tokens=outcome.input_tokens,
        output_tokens=outcome.output_tokens,
        problem=_problem(batch) if stand.phase is Phase.FAILED else "",
        problems=len(batch.problems) if stand.phase is Phase.FAILED else 0,
        labels=[clip(label) for label in batch.labels[:_LABELS]],
        faults=[clip(text) for text in batch.faults],
        about=[names.batch_prefix + batch.id, *(_prefixed(names.file_prefix, name) for name in files)],
    )


def course(facts: Facts, stand: Standing) -> list[Leg]:
    """The parts of a batch's life, done and planned, one after the other; those without length are left out."""
    plan = facts.schedule
    validated = facts.validated_due if facts.validated_at is None else facts.validated_at
    if facts.refused:
        return _legs([(Phase.VALIDATING, facts.created_at, validated)])
    begun = validated + ns(plan.queue_s)
    finish = max(begun + ns(plan.run_s), facts.answered_at or 0)
    parts = [
        (Phase.VALIDATING, facts.created_at, validated),
        (Phase.QUEUED, validated, begun),
        (Phase.RUNNING, begun, finish),
        (Phase.FINALIZING, finish, finish + ns(plan.finalize_s)),
    ]
    if facts.expired or (facts.answered_at is None and finish >= facts.expires_at):
        closed = max(facts.expires_at, validated)
        parts = [*_until(parts, closed), (Phase.FINALIZING, closed, closed + ns(plan.drain_s))]
    if facts.cancel_at is not None:
        asked = facts.cancel_at
        parts = [*_until(parts, asked), (Phase.CANCELLING, asked, asked + ns(plan.cancel_s))]
    if stand.ended_at is not None:
        phase, start, _ = parts[-1]
        parts[-1] = (phase, start, stand.ended_at)
    return _legs(parts)


_Part = tuple[Phase, int, int]


def _until(parts: list[_Part], moment: int) -> list[_Part]:
    return [(phase, start, min(end, moment)) for phase, start, end in parts if start < moment]


def _legs(parts: list[_Part]) -> list[Leg]:
    return [
        Leg(phase.value, milliseconds(start), milliseconds(end))
        for phase, start, end in parts
        if milliseconds(end) > milliseconds(start)
    ]


def milliseconds(at_ns: int) -> int:
    return at_ns // 1_000_000


def _maybe(at_ns: int | None) -> int | None:
    return None if at_ns is None else milliseconds(at_ns)


def clip(text: str, most: int = _TEXT) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _problem(batch: Batch) -> str:
    """What its client is told of why it failed."""
    first: dict[str, Any] = batch.problems[0] if batch.problems else {}
    code, message, line = first.get("code"), first.get("message"), first.get("line")
    text = f"{code}: {message}" if isinstance(code, str) else str(message)
    return clip(text if line is None else f"{text} (line {line})")


def _input_file(batch: Batch) -> str | None:
    name = batch.spec.get("input_file_id") or batch.spec.get("file")
    return name if isinstance(name, str) else None


def _prefixed(prefix: str, name: str) -> str:
    return prefix + name.removeprefix(prefix)


class _Names(msgspec.Struct, frozen=True, kw_only=True):
    """How the journal calls a provider's batches and files."""

    batch_prefix: str = ""
    file_prefix: str = ""


_NAMES = {"openai": _Names(), "anthropic": _Names(), "gemini": _Names(batch_prefix="batches/", file_prefix="files/")}
