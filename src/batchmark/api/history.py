"""What accounts did in the past, as the facts of jobs: read by list calls alone, so nothing is sent and nothing costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from batchmark.api.workspace import Workspace
from batchmark.compare.measures import BatchFacts, JobFacts
from batchmark.compare.records import Rejected, Rejections
from batchmark.compare.rounds import rounds_of
from batchmark.domain.lifecycle import Snapshot, State
from batchmark.domain.target import Target
from batchmark.domain.totals import Totals
from batchmark.engine.calls import repeat
from batchmark.engine.events import Listener, Trouble
from batchmark.errors import BatchmarkError
from batchmark.ledger.records import JobRecord
from batchmark.providers import registry
from batchmark.providers.seam import ProviderSpec

__all__ = ["UNTOLD_MODEL", "History", "read_history"]

UNTOLD_MODEL = "model not told"
_LONGEST_HOURS = 50 * 366 * 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Past batches as jobs, those that are kept out, what a round is, and sentences that a reader must see before the figures.

    `failures` are the accounts that could not be read.
    """

    jobs: tuple[JobFacts, ...]
    kept_out: tuple[Rejected, ...]
    round_is: str
    notes: tuple[str, ...]
    failures: dict[str, BatchmarkError]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """The batches of one account, and its clock when they were listed."""

    spec: ProviderSpec
    snapshots: tuple[Snapshot, ...]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """A batch's job of ours. `totals` are those of the whole job, where this batch is all that there is of it."""

    job: JobRecord
    totals: Totals | None


async def read_history(workspace: Workspace, provider_names: Sequence[str], *, hours: float, tell: Listener) -> History:
    """The batches that accounts made in the last `hours`, ours among them.

    An account that cannot be read is told of, and the others go on. Raises BadInput for an unknown provider, and the first error where no
    account can be read.
    """
    specs = [registry.find(name) for name in dict.fromkeys(provider_names)]
    found = await asyncio.gather(*(_listed(workspace, spec, hours, tell) for spec in specs))
    failures = {spec.name: each for spec, each in zip(specs, found, strict=True) if isinstance(each, BatchmarkError)}
    if failures and len(failures) == len(specs):
        raise next(iter(failures.values()))
    for name, error in failures.items():
        tell(Trouble(None, f"the account on {name} cannot be read: {error.message}"))
    rejections = Rejections()
    drafts: list[tuple[_Listed, Snapshot, _Ours | None, datetime]] = []
    notes = [f"The account on {name} could not be read: {error.message}" for name, error in failures.items()]
    for listed in found:
        if isinstance(listed, BatchmarkError):
            continue
        ours = _ours(workspace, listed)
        for snapshot in listed.snapshots:
            if snapshot.created_at is None:
                rejections.add("no time of creation", f"{listed.spec.name} {snapshot.ref.id}")
            else:
                drafts.append((listed, snapshot, ours.get(snapshot.ref.id), snapshot.created_at))
        notes += _silences(listed, ours)
    rounds = rounds_of([created for *_, created in drafts])
    jobs = [
        _facts(workspace, listed, snapshot, ours, created, number)
        for (listed, snapshot, ours, created), number in zip(drafts, rounds.numbers, strict=True)
    ]
    if jobs:
        notes.append(
            "Counts are the providers' own, and no list tells tokens: both are known only of jobs run from here"
        )
    return History(
        jobs=tuple(jobs),
        kept_out=rejections.all(),
        round_is=rounds.round_is,
        notes=tuple(notes),
        failures=failures,
    )


async def _listed(workspace: Workspace, spec: ProviderSpec, hours: float, tell: Listener) -> _Listed | BatchmarkError:
    """The batches of one account, oldest first; or why they cannot be read."""

    def warn(message: str) -> None:
        tell(Trouble(None, message))

    try:
        async with workspace.provider(spec) as provider:
            now = await repeat(provider.now, workspace.pace, warn=warn)
            since = now - timedelta(hours=min(hours, _LONGEST_HOURS))

            async def read() -> dict[str, Snapshot]:
                return {each.ref.id: each async for each in provider.list_batches(since)}

            seen = await repeat(read, workspace.pace, warn=warn)
            return _Listed(
                spec=spec,
                snapshots=tuple(
                    each for each in reversed(seen.values()) if each.created_at is None or each.created_at >= since
                ),
                now=provider.server_time or now,
            )
    except BatchmarkError as error:
        return error


def _ours(workspace: Workspace, listed: _Listed) -> dict[str, _Ours]:
    """What the ledger knows of listed batches. No ledger is made where there is none."""
    if not (workspace.home / "ledger.sqlite3").exists():
        return {}
    ledger = workspace.ledger
    jobs_of = ledger.jobs_by_batch(listed.spec.name, emulated=workspace.emulate)
    found: dict[str, _Ours] = {}
    jobs: dict[str, _Ours] = {}
    for snapshot in listed.snapshots:
        job_id = jobs_of.get(snapshot.ref.id)
        if job_id is None:
            continue
        if job_id not in jobs:
            job = ledger.job(job_id)
            if job is None:
                continue
            whole = job.totals if job.totals is not None and len(ledger.shards(job_id)) == 1 else None
            jobs[job_id] = _Ours(job=job, totals=None if whole is None else msgspec.convert(whole, Totals))
        found[snapshot.ref.id] = jobs[job_id]
    return found


def _facts(
    workspace: Workspace, listed: _Listed, snapshot: Snapshot, ours: _Ours | None, created: datetime, number: int
) -> JobFacts:
    model = snapshot.model or (ours.job.model if ours else None) or UNTOLD_MODEL
    totals = ours.totals if ours else None
    priced = totals is not None
    if totals is None:
        totals = _totals(listed.spec, snapshot)
    rows = snapshot.counts.total or totals.submitted
    return JobFacts(
        id=snapshot.ref.id,
        target=Target(listed.spec.name, model),
        round=number,
        rows=rows,
        emulated=workspace.emulate,
        created_at=created,
        ended_at=None,
        problem=snapshot.problems[0] if snapshot.problems else None,
        totals=totals,
        batches=(
            BatchFacts(
                id=snapshot.ref.id,
                state=snapshot.state,
                raw_status=snapshot.raw_status,
                rows=rows,
                created_at=created,
                started_at=snapshot.started_at,
                finalizing_at=snapshot.finalizing_at,
                ended_at=snapshot.ended_at,
                cancelling_at=snapshot.cancelling_at,
                last_seen_at=_last_seen(listed, snapshot, created),
            ),
        ),
        counted=totals.submitted > 0,
        priced=priced,
        origin=f"{listed.spec.name} list",
    )


def _last_seen(listed: _Listed, snapshot: Snapshot, created: datetime) -> datetime | None:
    """Until when a batch had certainly not ended: the list itself, or for an expired one without an end the close of its window."""
    if snapshot.state is State.EXPIRED and snapshot.ended_at is None:
        return snapshot.expires_at or created + timedelta(seconds=listed.spec.limits.expires_s)
    return None if snapshot.state.terminal else listed.now


def _totals(spec: ProviderSpec, snapshot: Snapshot) -> Totals:
    """What became of the requests of a batch that is over, as far as the list tells."""
    counts, state = snapshot.counts, snapshot.state
    if not state.terminal or not counts.total or counts.succeeded is None:
        return Totals()
    # what a provider throws away was no answer, even if it counts as a success there
    thrown_away = (state is State.EXPIRED and not spec.expiry_keeps_finished) or (
        state is State.CANCELLED and not spec.cancel_keeps_finished
    )
    succeeded = 0 if thrown_away else min(counts.succeeded, counts.total)
    failed = min(counts.failed or 0, counts.total - succeeded)
    left = counts.total - succeeded - failed
    totals = Totals(submitted=counts.total, succeeded=succeeded, errored=failed)
    totals.add_rest(left, state)
    return totals


def _silences(listed: _Listed, ours: dict[str, _Ours]) -> list[str]:
    """What the list of an account does not tell, as far as a figure would need it."""
    name, all_ = listed.spec.name, listed.snapshots
    if not all_:
        return [f"{name}: no batch in this time"]
    notes = []
    nameless = sum(each.model is None and each.ref.id not in ours for each in all_)
    if nameless:
        notes.append(
            f"{name}: {_of(nameless, len(all_))} named with no model, so those of different models are together as “{UNTOLD_MODEL}”"
        )
    if all(each.started_at is None for each in all_):
        notes.append(
            f"{name}: the list does not tell when work on a batch began, so waiting and running are not told apart"
        )
    finished = [each for each in all_ if each.state is State.SUCCEEDED]
    endless = sum(each.ended_at is None for each in finished)
    if endless:
        notes.append(f"{name}: {_of(endless, len(finished))} finished without a time of their end")
    cancelled = [each for each in all_ if each.state is State.CANCELLED]
    silent = sum(each.cancelling_at is None for each in cancelled)
    if silent:
        notes.append(
            f"{name}: {_of(silent, len(cancelled))} cancelled without a time of the request to, so they count as not done up to their end"
        )
    over = [each for each in all_ if each.state.terminal and each.ref.id not in ours]
    uncounted = sum(not _totals(listed.spec, each).submitted for each in over)
    if uncounted:
        notes.append(f"{name}: {_of(uncounted, len(over))} over without counts of their requests")
    return notes


def _of(some: int, all_: int) -> str:
    return f"{some:,} of {all_:,} batches {'is' if some == 1 else 'are'}"
