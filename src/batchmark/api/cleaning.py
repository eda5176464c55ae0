"""The use case `clean`: what ended runs left behind, here and at the providers, and only what is provably ours."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batchmark.api.jobs import report_job
from batchmark.api.workspace import Workspace
from batchmark.domain.ids import job_of_label
from batchmark.domain.lifecycle import BatchRef, FileRef
from batchmark.engine.account import Account
from batchmark.engine.stage import answers_part, carried_path, raw_folder, shard_path
from batchmark.engine.tidy import delete_input
from batchmark.errors import BadInput, NotFound, Refused
from batchmark.ledger.lock import holder
from batchmark.ledger.records import JobRecord, RunRecord
from batchmark.providers import registry

__all__ = ["Leftover", "clean_there", "find_here", "find_unborn", "providers_of", "remove_here", "runs_to_clean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that may go: `what` it is, how large, and why it is ours. `where` is a provider's name, or `here`."""

    where: str
    what: str
    name: str
    bytes: int | None
    job_id: str | None


def find_here(workspace: Workspace, runs: Sequence[RunRecord]) -> list[Leftover]:
    """Files of ended runs whose answers are whole."""
    found = []
    for run in runs:
        for job in workspace.ledger.jobs(run.id):
            if job.ended_at is None or report_job(workspace, job.id).answers is None:
                continue
            size = sum(path.stat().st_size for path in _intermediate(workspace, job) if path.is_file())
            if size:
                found.append(
                    Leftover(
                        where="here", what="shard files and raw results", name=job.folder, bytes=size, job_id=job.id
                    )
                )
    return found


def find_unborn(workspace: Workspace) -> list[Leftover]:
    """Folders of runs that a killed process was still staging: the ledger knows nothing of them, so nothing of them was ever sent.

    A day is longer than any staging takes, so what another process is at is not among them.
    """
    long_ago = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    folder = workspace.home / "runs"
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and workspace.ledger.run(path.name) is None and path.stat().st_mtime < long_ago:
            size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
            name = str(path.relative_to(workspace.home))
            found.append(Leftover(where="here", what="a run that never began", name=name, bytes=size, job_id=None))
    return found


def _intermediate(workspace: Workspace, job: JobRecord) -> list[Path]:
    folder = workspace.home / job.folder
    found: list[Path] = []
    for shard in workspace.ledger.shards(job.id):
        for path in (
            shard_path(folder, shard.label),
            carried_path(folder, shard.label),
            answers_part(folder, shard.label),
        ):
            found.extend(each for each in (path, path.with_name(path.name + ".zst")) if each.exists())
        raw = raw_folder(folder, shard.label)
        if raw.is_dir():
            found.extend(raw.iterdir())
    found.extend(folder.glob(".*.part"))
    return found


def remove_here(workspace: Workspace, leftover: Leftover) -> None:
    """Delete the files of one job, but for its answers, or all of a run that never began."""
    if leftover.job_id is None:
        shutil.rmtree(workspace.home / leftover.name, ignore_errors=True)
        return
    job = workspace.ledger.job(leftover.job_id)
    if job is None or holder(workspace.home / job.folder / "lock") is not None:
        return
    for path in _intermediate(workspace, job):
        path.unlink(missing_ok=True)
    shutil.rmtree(workspace.home / job.folder / "raw", ignore_errors=True)


async def find_there(
    workspace: Workspace, account: Account, runs: Sequence[RunRecord], *, batches: bool
) -> list[Leftover]:
    """Uploaded inputs of ended runs: those that the ledger knows, and those of which a killed process left no record but their name.

    With `batches`, ended batches too, where the API can delete them.
    """
    spec = account.provider.spec
    jobs = {
        job.id: job
        for run in runs
        for job in workspace.ledger.jobs(run.id)
        if job.provider == spec.name and job.ended_at is not None
    }
    found = []
    known: set[str] = set()
    for job in jobs.values():
        for shard in workspace.ledger.shards(job.id):
            if shard.file_id is not None:
                known.add(shard.file_id)
                if shard.file_deleted_at is None and shard.account in (None, account.identity):
                    found.append(
                        Leftover(
                            where=spec.name, what="input file", name=shard.file_id, bytes=shard.bytes, job_id=job.id
                        )
                    )
        if batches and spec.can_delete:
            found.extend(
                Leftover(where=spec.name, what="batch", name=batch.id, bytes=None, job_id=job.id)
                for batch in workspace.ledger.batches(job.id).values()
                if batch.standing == "confirmed"
            )
    async for file in account.provider.files():
        job_id = job_of_label((file.name or "").removesuffix(".jsonl"))
        if job_id in jobs and file.ref.id not in known:
            found.append(
                Leftover(
                    where=spec.name,
                    what="input file without a record",
                    name=file.ref.id,
                    bytes=file.bytes,
                    job_id=job_id,
                )
            )
    return found


async def remove_there(workspace: Workspace, account: Account, leftover: Leftover) -> bool:
    """Delete one thing from the account. False where it was gone already, or is refused."""
    provider = account.provider
    if leftover.what == "batch":
        with suppress(NotFound, Refused):
            await provider.delete(BatchRef(provider.spec.name, leftover.name))
            return True
        return False
    assert leftover.job_id is not None
    for shard in workspace.ledger.shards(leftover.job_id):
        if shard.file_id == leftover.name:
            return await delete_input(account, shard)
    with suppress(NotFound):
        await provider.delete_file(FileRef(provider.spec.name, leftover.name))
        return True
    return False


def runs_to_clean(workspace: Workspace, ids: Sequence[str], *, older_than_days: float) -> list[RunRecord]:
    """The ended runs that are meant, of this world. Raises BadInput for one that has not ended."""
    latest = datetime.now(UTC) - timedelta(days=older_than_days)
    if ids:
        chosen = []
        for run_id in ids:
            run = workspace.ledger.run(run_id)
            if run is None:
                raise NotFound(f"there is no run {run_id[:80]!r}", hint="see: batchmark runs")
            if run.ended_at is None:
                raise BadInput(
                    f"run {run_id} has not ended, so nothing of it is deleted",
                    hint=f"finish it with: batchmark resume {run_id}, or stop it with: batchmark cancel {run_id}",
                )
            chosen.append(run)
    else:
        lines = [line for line in workspace.ledger.runs() if line.ended_at is not None]
        chosen = [run for line in lines if (run := workspace.ledger.run(line.id)) is not None]
    return [
        run
        for run in chosen
        if run.emulated == workspace.emulate and run.ended_at is not None and run.ended_at <= latest
    ]


def providers_of(workspace: Workspace, runs: Sequence[RunRecord]) -> list[str]:
    """The providers that runs were on."""
    return list(dict.fromkeys(job.provider for run in runs for job in workspace.ledger.jobs(run.id)))


async def clean_there(
    workspace: Workspace, name: str, runs: Sequence[RunRecord], *, batches: bool, delete: bool
) -> tuple[list[Leftover], int]:
    """Find, and with `delete` remove, what runs left at one provider: what there was, and how much of it was deleted."""
    async with workspace.account(registry.find(name)) as account:
        found = await find_there(workspace, account, runs, batches=batches)
        gone = 0
        for leftover in found if delete else ():
            gone += await remove_there(workspace, account, leftover)
    return found, gone
