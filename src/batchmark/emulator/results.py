"""Writes the results of a batch that has ended: which of its rows were answered, which have failed, which were never run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from batchmark.emulator import fault_life
from batchmark.emulator.answers import AnswerSource, never
from batchmark.emulator.bench import AnswerLog
from batchmark.emulator.life import Facts, Phase, progress
from batchmark.emulator.rows import Unrun, Writer
from batchmark.emulator.stored import Batch

__all__ = ["write_results"]

_ALL = 1 << 60  # rows: more than there are, empty lines included


def write_results(batch: Batch, sheet: Writer, end: Phase, source: AnswerSource, lines: Iterable[bytes]) -> None:
    """Put each of the lines on the sheet, with the answers from the batch's log, or made now where they cost nothing.

    Raises AnswersClosed where the source is closed on the way.
    """
    logged = AnswerLog(batch.log_path)
    try:
        _write_from(logged, batch, sheet, end, source, lines)
    finally:
        logged.close()


def _write_from(
    logged: AnswerLog, batch: Batch, sheet: Writer, end: Phase, source: AnswerSource, lines: Iterable[bytes]
) -> None:
    facts = batch.facts
    why: Unrun = "cancelled" if end is Phase.CANCELLED else "expired"
    kept = _ALL  # the rows whose logged answers count
    cut = facts.schedule.cut if end is Phase.EXPIRED else None
    if end is Phase.SUCCEEDED:
        allowed = _ALL
    elif cut is not None:
        allowed = int(batch.total * cut)
        kept = allowed
        allowed = allowed if source.free else -1
    elif source.free:
        outrun = end is Phase.CANCELLED and fault_life.outruns_cancel(batch)
        allowed = _ALL if outrun else int(batch.total * _progress_at_cut(facts))
    else:
        allowed = -1
    answer, read, answered = source.answer, sheet.read, sheet.answered
    for number, line in enumerate(lines):
        row = read(line)
        if number < kept and number in logged:
            reply = logged.reply(number)
            if reply is None:
                sheet.broken(row)
            else:
                answered(row, reply)
        elif row.ask is None:
            if allowed < 0 or number < allowed:
                answered(row, None)
            else:
                sheet.unrun(row, why)
        elif number < allowed:
            answered(row, answer(row.ask, never))
        else:
            sheet.unrun(row, why)


def _progress_at_cut(facts: Facts) -> float:
    moment = facts.expires_at if facts.cancel_at is None else facts.cancel_at
    return progress(replace(facts, cancel_at=None), moment)
