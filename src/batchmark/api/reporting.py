"""The use case `report`: what runs, an account's own history, or somebody's records say, as one report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from batchmark.api.facts import facts_of
from batchmark.api.history import read_history
from batchmark.api.runs import find_run
from batchmark.api.scoring import DEFAULT_EXPECT, Expect, score
from batchmark.api.staging import workload_of
from batchmark.api.workspace import Workspace
from batchmark.compare.measures import JobFacts, measure
from batchmark.compare.records import Rejected
from batchmark.compare.timings import read_timings
from batchmark.domain.target import Target
from batchmark.engine.events import Listener
from batchmark.engine.options import DriveOptions
from batchmark.errors import BadInput, BatchmarkError, LocalTrouble
from batchmark.ledger.records import JobRecord, RunRecord
from batchmark.providers import registry
from batchmark.report.content import KeptOut, Kind, Report, SampleRow, Scores, build_report
from batchmark.report.words import duration, in_words
from batchmark.version import __version__
from batchmark.workload.rows import Workload

__all__ = ["Source", "expected_in", "report_history", "report_runs", "report_timings", "target_of_records"]

# Every pair of targets is compared, and a page has colours for so many.
_MOST_TARGETS = 8
# What was accepted within this time of each other met the queues in one mood, as far as anybody knows.
_TOGETHER_S = 1800.0
# What the emulator's sources of answers are called in a report.
_MAKERS = {
    "smollm2": "SmolLM2-135M-Instruct, a small model on this machine",
    "synthetic": "a generator of synthetic text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A run that a report is made of, with its jobs."""

    run: RunRecord
    jobs: tuple[JobRecord, ...]

    @property
    def time_scale(self) -> float:
        return float((self.run.input or {}).get("time_scale") or 1.0)


def expected_in(run: RunRecord) -> Expect:
    """How the run's answers are to be scored, as it was asked for when the run began."""
    kept = (run.input or {}).get("expect")
    return Expect(**kept) if kept else DEFAULT_EXPECT


def report_runs(
    workspace: Workspace,
    run_ids: Sequence[str],
    *,
    force: bool = False,
    expect: Expect | None = None,
    caveats: Sequence[str] = (),
) -> Report:
    """The report of runs, from what is known here; no provider is asked. Without ids the newest run.

    Raises NotFound for a run that is not there, and BadInput where runs are not to be compared: they are of different workloads, or some
    are emulated and others real. With `force` they are, and the report says so before all else.
    """
    runs = {run.id: run for run in (find_run(workspace, run_id) for run_id in run_ids or (None,))}
    sources = [Source(run=run, jobs=tuple(workspace.ledger.jobs(run.id))) for run in runs.values()]
    remarks = _why_not(sources)
    if remarks and not force:
        raise BadInput(
            f"these runs are not to be compared: {'; '.join(remarks)}",
            hint="compare them all the same with --force; the report then says so",
        )
    facts, starts = _facts(workspace, sources)
    facts, apart = _apart(facts, {source.run.id: source.time_scale for source in sources})
    first = sources[0]
    same_rows = len({source.run.digest for source in sources}) == 1
    samples: list[SampleRow] = []
    scores = Scores(match=None)
    notes: list[str] = []
    if same_rows:
        try:
            samples, scores = score(
                workspace, _first_of_each(sources), _workload(first.run), expect or expected_in(first.run)
            )
        except LocalTrouble as error:
            notes.append(f"The answers are not shown: {error.message}")
        if expect is not None and not scores.accuracies:
            notes.append(f"No row of these runs has a column {expect.field!r}, so no answer is scored")
    scales = sorted({source.time_scale for source in sources if source.run.emulated})
    notes += [
        f"The emulator's clock ran {scale:g} times as fast as ours: its durations are not seconds of ours"
        for scale in scales
        if scale != 1.0
    ]
    options = DriveOptions.read(first.run.options)
    makers = {(source.run.input or {}).get("answered_by") for source in sources if source.run.emulated} - {None}
    return build_report(
        jobs=[measure(each) for each in facts],
        created_at=datetime.now(UTC),
        emulated=all(source.run.emulated for source in sources),
        workload=first.run.source if same_rows else ", ".join(dict.fromkeys(source.run.source for source in sources)),
        version=__version__,
        run_ids=list(runs),
        answered_by=" and ".join(_MAKERS.get(str(maker), str(maker)) for maker in sorted(map(str, makers))) or None,
        seed=options.seed if len(sources) == 1 else None,
        spread_s=options.spread_s if len(sources) == 1 and options.spread_s else None,
        samples=samples,
        scores=scores,
        caveats=[
            *(f"Not a fair comparison: {remark}." for remark in remarks),
            *caveats,
            *apart,
            *_unfinished(sources),
            *notes,
        ],
        prices_as_of=_prices_as_of(workspace, facts, starts),
    )


def target_of_records(text: str) -> Target:
    """What records are of, as users write it: `provider:model`, both named. Any provider may be named. Raises BadInput."""
    provider, _, model = (part.strip() for part in text.partition(":"))
    if not provider or not model:
        raise BadInput(f"{text!r} does not name a provider and a model", hint="write for example openai:gpt-4o-mini")
    return Target(provider, model)


def report_timings(path: Path, target: Target | None) -> Report:
    """The report of a file of records, CSV or JSONL. `target` is what they are of where they do not say.

    Raises BadInput for a file without the columns it needs, or without a single record that can be used.
    """
    windows = {name: spec.limits.expires_s for name, spec in registry.BUILT_IN.items()}
    with _opened(path) as file:
        found = read_timings(
            file, name=path.name, format="jsonl" if _is_jsonl(path) else "csv", target=target, windows_s=windows
        )
    return _of_records(Kind.TIMINGS, path.name, found.jobs, found.kept_out, found.round_is, found.notes, emulated=False)


async def report_history(workspace: Workspace, providers: Sequence[str], *, hours: float, tell: Listener) -> Report:
    """The report of what accounts did in the last `hours`, read by list calls alone: nothing is sent and nothing costs.

    Raises BadInput for an unknown provider or where there is no batch at all, and the first error where no account can be read.
    """
    for name in providers:
        workspace.require_key(registry.find(name))
    found = await read_history(workspace, providers, hours=hours, tell=tell)
    names = ", ".join(dict.fromkeys(providers))
    if not found.jobs:
        raise BadInput(
            f"no batch of the last {duration(hours * 3600)} on {names}, so there is nothing to report",
            hint="look further back with --hours",
        )
    about = f"batches of the last {duration(hours * 3600)} on {names}"
    return _of_records(
        Kind.HISTORY, about, found.jobs, found.kept_out, found.round_is, found.notes, emulated=workspace.emulate
    )


def _is_jsonl(path: Path) -> bool:
    if path.suffix.lower() in (".csv", ".tsv"):
        return False
    with _opened(path) as file:
        return file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}", hint="check the path; records are CSV or JSONL") from None
    except (IsADirectoryError, PermissionError) as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None


def _of_records(
    kind: Kind,
    about: str,
    jobs: Sequence[JobFacts],
    kept_out: Sequence[Rejected],
    round_is: str,
    notes: Sequence[str],
    *,
    emulated: bool,
) -> Report:
    """The report of jobs that nobody sent to be compared. Of very many targets those with the most jobs are taken."""
    counts = Counter(each.target for each in jobs)
    shown = {target for target, _ in counts.most_common(_MOST_TARGETS)}
    out = [KeptOut(reason=each.reason, count=each.count, places=each.places) for each in kept_out]
    if len(counts) > len(shown):
        left = [target for target in counts if target not in shown]
        out.append(
            KeptOut(
                reason=f"of a target with fewer jobs than the {_MOST_TARGETS} that are shown",
                count=sum(counts[target] for target in left),
                places=tuple(str(target) for target in left[:3]),
            )
        )
    return build_report(
        kind=kind,
        jobs=[measure(each) for each in jobs if each.target in shown],
        created_at=datetime.now(UTC),
        emulated=emulated,
        workload=about,
        version=__version__,
        round_is=round_is,
        kept_out=out,
        caveats=notes,
    )


def _why_not(sources: Sequence[Source]) -> list[str]:
    """Why runs are not to be compared with each other."""
    found = []
    digests: dict[str | None, list[Source]] = {}
    for source in sources:
        digests.setdefault(source.run.digest, []).append(source)
    if len(digests) > 1:
        named = " and ".join(
            f"{', '.join(each.run.id for each in group)} ({group[0].run.source})" for group in digests.values()
        )
        found.append(f"they are of different workloads: {named}")
    emulated = [source.run.id for source in sources if source.run.emulated]
    if emulated and len(emulated) < len(sources):
        found.append(f"{', '.join(emulated)} emulated, the others real")
    return found


def _facts(workspace: Workspace, sources: Sequence[Source]) -> tuple[list[JobFacts], dict[Target, datetime]]:
    """The facts of all jobs, with rounds that are the report's own: those of different runs were never sent together."""
    facts: list[JobFacts] = []
    starts: dict[Target, datetime] = {}
    before = 0
    for source in sources:
        for job in source.jobs:
            facts.append(facts_of(workspace, job, round_number=before + job.round, time_scale=source.time_scale))
            starts.setdefault(Target(job.provider, job.model), job.created_at)
        before += max((job.round for job in source.jobs), default=0)
    return facts, starts


def _apart(facts: Sequence[JobFacts], scales: Mapping[str, float]) -> tuple[list[JobFacts], list[str]]:
    """Rounds whose jobs were not sent together after all: an interruption, a refusal or a full queue came between.

    A job that was accepted much later than the first of its round met another mood, so it is in a round of its own and compared with none.
    """
    firsts: dict[int, datetime] = {}
    accepted = {each.id: min((b.created_at for b in each.batches if b.created_at), default=None) for each in facts}
    for each in facts:
        at = accepted[each.id]
        if at is not None:
            firsts[each.round] = min(at, firsts.get(each.round, at))
    spare = max((each.round for each in facts), default=0)
    kept: list[JobFacts] = []
    late: dict[int, float] = {}
    for each in facts:
        at = accepted[each.id]
        gap_s = (at - firsts[each.round]).total_seconds() if at is not None else 0.0
        if gap_s > _TOGETHER_S * scales.get(each.origin.removeprefix("run "), 1.0):
            late[each.round] = max(gap_s, late.get(each.round, 0.0))
            spare += 1
            kept.append(replace(each, round=spare))
        else:
            kept.append(each)
    if not late:
        return kept, []
    rounds = in_words([str(number) for number in sorted(late)])
    word = "round" if len(late) == 1 else "rounds"
    return kept, [
        f"In {word} {rounds} the targets were sent up to {duration(max(late.values()))} apart (an interruption, a refusal or a full queue "
        "came between), so the late jobs are compared with none; each is a round of its own"
    ]


def _first_of_each(sources: Sequence[Source]) -> list[JobRecord]:
    """Of every target the first job that has ended: its answers are shown and scored."""
    found: dict[Target, JobRecord] = {}
    for source in sources:
        for job in source.jobs:
            target = Target(job.provider, job.model)
            known = found.get(target)
            if known is None or (known.ended_at is None and job.ended_at is not None):
                found[target] = job
    return list(found.values())


def _workload(run: RunRecord) -> Workload | None:
    """What the rows were read from, if it is still as it was."""
    kept = run.input
    if not kept or not Path(kept["path"]).exists():
        return None
    try:
        workload = workload_of(kept)
        now = workload.stamp()
    except BatchmarkError:
        return None
    same = (now["bytes"], now["modified_ns"]) == (kept["bytes"], kept["modified_ns"])
    return workload if same else None


def _unfinished(sources: Sequence[Source]) -> list[str]:
    """What is not over yet, so that nobody takes the report for the last word."""
    found = []
    for source in sources:
        left = sum(job.ended_at is None for job in source.jobs)
        if left:
            found.append(
                f"{left} of {len(source.jobs)} jobs of run {source.run.id} are not over; go on with: batchmark resume {source.run.id}"
            )
    return found


def _prices_as_of(workspace: Workspace, facts: Sequence[JobFacts], starts: dict[Target, datetime]) -> str | None:
    """The oldest day that a price in the report is dated."""
    days = [
        price.as_of
        for target in dict.fromkeys(each.target for each in facts)
        if (price := workspace.prices.price(target.provider, target.model, starts.get(target))) is not None
        and price.as_of is not None
    ]
    return min(days).isoformat() if days else None
