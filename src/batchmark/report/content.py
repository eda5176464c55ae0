"""What a comparison report says, before it has a form. Every rendering shows these values and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from batchmark.compare.measures import JobMeasures, TargetSummary, summarize
from batchmark.domain.target import Target

__all__ = ["AnswerCell", "Report", "SampleRow", "build_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCell:
    """One target's answer to one row. `matches` says whether it holds the expected answer; None where none is expected."""

    target: Target
    outcome: str
    text: str | None
    error: str | None
    matches: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRow:
    """A row of the workload with every target's answer of the first round side by side."""

    row: int
    custom_id: str | None
    prompt: str
    expected: str | None
    answers: tuple[AnswerCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole comparison.

    `emulated` is said wherever a figure is shown; `answered_by` names what produced the answers where no provider did. `caveats` are
    sentences that a reader must see before the figures.
    """

    title: str
    run_id: str
    created_at: datetime
    emulated: bool
    answered_by: str | None
    workload: str
    rows: int
    rounds: int
    summaries: tuple[TargetSummary, ...]
    jobs: tuple[JobMeasures, ...]
    samples: tuple[SampleRow, ...]
    caveats: tuple[str, ...]
    version: str


def build_report(
    *,
    run_id: str,
    created_at: datetime,
    emulated: bool,
    answered_by: str | None,
    workload: str,
    rows: int,
    jobs: Sequence[JobMeasures],
    samples: Sequence[SampleRow],
    caveats: Sequence[str],
    version: str,
) -> Report:
    """Put a report together; summaries follow from the jobs."""
    rounds = max((each.job.round for each in jobs), default=0)
    names = " vs ".join(str(target) for target in dict.fromkeys(each.job.target for each in jobs))
    return Report(
        title=f"{names}{' (emulated)' if emulated else ''}",
        run_id=run_id,
        created_at=created_at,
        emulated=emulated,
        answered_by=answered_by,
        workload=workload,
        rows=rows,
        rounds=rounds,
        summaries=tuple(summarize(jobs)),
        jobs=tuple(jobs),
        samples=tuple(samples),
        caveats=tuple(caveats),
        version=version,
    )
