"""What each service calls the state of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from batchmark.emulator.fault_life import strange_state
from batchmark.emulator.life import Phase, Standing
from batchmark.emulator.stored import Batch

__all__ = ["shown_word", "word"]

_OPENAI = {
    Phase.QUEUED: "in_progress",
    Phase.RUNNING: "in_progress",
    Phase.SUCCEEDED: "completed",
}
_GEMINI = {
    Phase.VALIDATING: "PENDING",
    Phase.QUEUED: "PENDING",
    Phase.FINALIZING: "RUNNING",
}


def _openai(stand: Standing) -> str:
    return _OPENAI.get(stand.phase, stand.phase.value)


def _anthropic(stand: Standing) -> str:
    if stand.phase.terminal:
        return "ended"
    return "canceling" if stand.phase is Phase.CANCELLING else "in_progress"


def _gemini(stand: Standing) -> str:
    phase = stand.phase
    if phase is Phase.CANCELLING:  # there is no word for it on the wire
        phase = Phase.RUNNING if stand.begun_at is not None else Phase.QUEUED
    return _GEMINI.get(phase, phase.name)


_WORDS: Mapping[str, Callable[[Standing], str]] = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}
_BEFORE = {"gemini": "BATCH_STATE_"}


def word(dialect: str, stand: Standing) -> str:
    """The service's word for a state, without what Google puts before each."""
    return _WORDS[dialect](stand)


def shown_word(batch: Batch, stand: Standing, now: int) -> str:
    """The word that a client is shown at the moment `now`: for a while another one, where a fault has it so."""
    strange = strange_state(batch, now) if batch.faults and not stand.phase.terminal else None
    return _BEFORE.get(batch.dialect, "") + (strange or word(batch.dialect, stand))
