"""What a report says, before it has a form. Every rendering shows these values and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from batchmark.compare.analysis import Analysis, analyze
from batchmark.compare.measures import JobMeasures, TargetSummary, summarize
from batchmark.compare.scoring import Accuracy, Agreement
from batchmark.domain.target import Target

__all__ = ["AnswerCell", "KeptOut", "Kind", "Report", "SampleRow", "Scores", "build_report"]


class Kind(StrEnum):
    """Where a report's jobs come from: runs of ours, an account's own past batches, or somebody's records."""

    RUNS = "runs"
    HISTORY = "history"
    TIMINGS = "timings"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCell:
    """One target's answer to one row. `matches` says whether it is the expected answer; None where none is expected."""

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
class Scores:
    """What the answers came to, over all rows of one round: `match` is the way of matching, None where nothing was expected."""

    match: str | None
    accuracies: tuple[Accuracy, ...] = ()
    agreements: tuple[Agreement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOut:
    """Records that are in no figure: why, how many, and the places of the first of them."""

    reason: str
    count: int
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report.

    `emulated` is said wherever a figure is shown; `answered_by` names what produced the answers where no provider did. `caveats` are
    sentences that a reader must see before the figures. `run_ids` are the runs that the jobs are of; none in a history. `round_is` says
    what a round is where nobody sent jobs together: jobs of the same day, or of the same hour. `rows` are those of one job, None where
    jobs differ.
    """

    kind: Kind
    title: str
    run_ids: tuple[str, ...]
    created_at: datetime
    emulated: bool
    answered_by: str | None
    workload: str
    rows: int | None
    rounds: int
    round_is: str
    seed: int | None
    spread_s: float | None
    summaries: tuple[TargetSummary, ...]
    jobs: tuple[JobMeasures, ...]
    analysis: Analysis
    samples: tuple[SampleRow, ...]
    scores: Scores
    kept_out: tuple[KeptOut, ...]
    caveats: tuple[str, ...]
    prices_as_of: str | None
    version: str

    @property
    def targets(self) -> tuple[Target, ...]:
        """In the order of every table."""
        return tuple(each.target for each in self.summaries)


ONE_ROUND = "one job per target, sent close together in random order"


def build_report(
    *,
    jobs: Sequence[JobMeasures],
    created_at: datetime,
    emulated: bool,
    workload: str,
    version: str,
    kind: Kind = Kind.RUNS,
    run_ids: Sequence[str] = (),
    answered_by: str | None = None,
    round_is: str = ONE_ROUND,
    seed: int | None = None,
    spread_s: float | None = None,
    samples: Sequence[SampleRow] = (),
    scores: Scores | None = None,
    kept_out: Sequence[KeptOut] = (),
    caveats: Sequence[str] = (),
    prices_as_of: str | None = None,
) -> Report:
    """Put a report together; summaries and analysis follow from the jobs."""
    names = " vs ".join(str(target) for target in dict.fromkeys(each.job.target for each in jobs))
    sizes = {each.job.rows for each in jobs}
    return Report(
        kind=kind,
        title=f"{names or workload}{' (emulated)' if emulated else ''}",
        run_ids=tuple(run_ids),
        created_at=created_at,
        emulated=emulated,
        answered_by=answered_by,
        workload=workload,
        rows=sizes.pop() if len(sizes) == 1 else None,
        rounds=len({each.job.round for each in jobs if each.job.batches}),
        round_is=round_is,
        seed=seed,
        spread_s=spread_s,
        summaries=tuple(summarize(jobs)),
        jobs=tuple(jobs),
        analysis=analyze(jobs),
        samples=tuple(samples),
        scores=scores or Scores(match=None),
        kept_out=tuple(kept_out),
        caveats=tuple(caveats),
        prices_as_of=prices_as_of,
        version=version,
    )
