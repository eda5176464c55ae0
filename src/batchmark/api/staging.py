"""The use case before anything is sent: from a workload and its targets to a recorded run with its shard files."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchmark.api.workspace import Workspace
from batchmark.domain.limits import Limits
from batchmark.domain.request import EmbeddingRequest
from batchmark.domain.target import Target
from batchmark.engine.account import stamp_of
from batchmark.engine.estimate import Estimate, total
from batchmark.engine.events import JobStaged, Listener, Staging
from batchmark.engine.options import DriveOptions
from batchmark.engine.stage import shard_path, stage
from batchmark.errors import BadInput, BatchmarkError
from batchmark.ledger.points import reach
from batchmark.ledger.records import JobRecord, RunRecord, ShardRecord
from batchmark.providers import registry
from batchmark.providers.seam import ProviderSpec
from batchmark.workload.rows import Workload
from batchmark.workload.template import Template

__all__ = [
    "StagedRun",
    "choose_model",
    "discard",
    "input_of",
    "limits_of",
    "new_run",
    "record",
    "restage",
    "stage_jobs",
    "stage_run",
    "workload_of",
]


def new_id() -> str:
    """A short id for a run or job: 40 random bits, without look-alike characters."""
    return "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(8))


def choose_model(spec: ProviderSpec, workload: Workload, model: str | None) -> str:
    """The model to ask: the user's, else the one that the first row names, else the provider's default."""
    if model is not None:
        if not model.strip() or any(character.isspace() for character in model.strip()):
            raise BadInput(f"{model!r} is no model name")
        return model.strip()
    first = next(workload.rows())
    if first.model is None and isinstance(first.request, EmbeddingRequest):
        raise BadInput(
            f"{workload.name} holds texts to embed, and {spec.default_model}, the default model, answers questions",
            hint="name an embedding model with --model",
        )
    return first.model or spec.default_model


def new_run(workspace: Workspace, kind: str, workload: Workload, options: DriveOptions | None = None) -> RunRecord:
    """A run that is about to begin; it is recorded with its jobs."""
    return RunRecord(
        id=new_id(),
        kind=kind,
        source=workload.name,
        emulated=workspace.emulate,
        created_at=datetime.now(UTC),
        options=(options or DriveOptions()).document,
    )


class StagedRun:
    """A run whose shard files are written and of which nothing is recorded or sent yet."""

    def __init__(self, run: RunRecord, staged: list[tuple[JobRecord, list[ShardRecord]]]) -> None:
        self.run = run
        self.staged = staged

    @property
    def jobs(self) -> list[JobRecord]:
        return [job for job, _ in self.staged]

    @property
    def shards(self) -> int:
        return sum(len(shards) for _, shards in self.staged)

    @property
    def rows(self) -> int:
        return sum(job.rows for job in self.jobs)

    @property
    def estimate(self) -> Estimate:
        """Tokens and cost of all jobs together."""
        return total(Estimate(**shard.estimate) for _, shards in self.staged for shard in shards if shard.estimate)


def _told_from(tell: Listener, before: int) -> Callable[[int], None]:
    return lambda rows: tell(Staging(before + rows))


def input_of(workload: Workload) -> dict[str, Any]:
    """What is kept of the user's file, to tell later whether it has changed and to read it again."""
    template = workload.template
    return workload.stamp() | {
        "limit": workload.limit,
        "template": None
        if template is None
        else {"prompt": template.prompt, "system": template.system, "max_tokens": template.max_tokens},
    }


def workload_of(kept: dict[str, Any]) -> Workload:
    """The user's file again, read in the way that the run was made of. Raises BadInput where it is gone."""
    template = Template(**kept["template"]) if kept.get("template") else None
    return Workload(Path(kept["path"]), limit=kept.get("limit"), template=template)


def stage_run(
    workspace: Workspace,
    run: RunRecord,
    workload: Workload,
    targets: Sequence[Target],
    *,
    jobs: int = 1,
    shard_rows: int | None = None,
    tell: Listener,
    one_model: bool = False,
) -> StagedRun:
    """Read the workload and write every job's shard files. Nothing is recorded and nothing sent.

    Raises BadInput, with nothing left behind, where a row cannot be used for one of the targets.
    """
    before = workload.stamp()
    staged: list[tuple[JobRecord, list[ShardRecord]]] = []
    done = 0
    try:
        for number in range(1, jobs + 1):
            for target in targets:
                one = _stage_one(
                    workspace, run, workload, target, number, one_model, shard_rows, _told_from(tell, done)
                )
                staged.append(one)
                done += one[0].rows
        if workload.stamp() != before:
            raise BadInput(f"{workload.name} was changed while it was read; nothing was sent", hint="try again")
    except BaseException:
        for job, _ in staged:
            shutil.rmtree(workspace.home / job.folder, ignore_errors=True)
        _remove_empty(workspace.home / "runs" / run.id)
        raise
    described = {
        **before,
        **input_of(workload),
        "rows": staged[0][0].rows,
        "shard_rows": shard_rows,
        "one_model": one_model,
        "answered_by": workspace.answered_by,
        "time_scale": workspace.time_scale,
    }
    return StagedRun(replace(run, digest=workload.digest, input=described), staged)


def record(workspace: Workspace, staged: StagedRun, tell: Listener) -> list[JobRecord]:
    """Make a staged run known to the ledger: from here on it can be resumed."""
    workspace.ledger.record_staged(staged.run, staged.staged)
    for job, shards in staged.staged:
        tell(JobStaged(job, len(shards)))
    reach("staged")
    return staged.jobs


def discard(workspace: Workspace, staged: StagedRun) -> None:
    """Take back what staging wrote."""
    shutil.rmtree(workspace.home / "runs" / staged.run.id, ignore_errors=True)


def stage_jobs(
    workspace: Workspace,
    run: RunRecord,
    workload: Workload,
    targets: Sequence[Target],
    *,
    jobs: int,
    tell: Listener,
    one_model: bool = False,
) -> list[JobRecord]:
    """Stage and record a run in one."""
    return record(
        workspace, stage_run(workspace, run, workload, targets, jobs=jobs, tell=tell, one_model=one_model), tell
    )


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def limits_of(spec: ProviderSpec, shard_rows: int | None) -> Limits:
    """The provider's limits, with smaller shards where the user wants them."""
    limits = spec.limits
    return limits if shard_rows is None else replace(limits, max_rows=min(shard_rows, limits.max_rows))


def _stage_one(
    workspace: Workspace,
    run: RunRecord,
    workload: Workload,
    target: Target,
    number: int,
    one_model: bool,
    shard_rows: int | None,
    tell: Callable[[int], None],
) -> tuple[JobRecord, list[ShardRecord]]:
    spec = registry.find(target.provider)
    job_id = new_id()
    folder = Path("runs") / run.id / job_id
    with workspace.meter.stage("stage", int(workload.stamp()["bytes"])):
        shards = stage(
            workload.rows(),
            registry.wire_of(spec),
            limits_of(spec, shard_rows),
            source=workload.name,
            model=target.model,
            job_id=job_id,
            folder=workspace.home / folder,
            one_model=one_model,
            price=workspace.prices.price(target.provider, target.model),
            tell=tell,
        )
    for shard in shards:
        workspace.staged_here[shard.label] = stamp_of(shard_path(workspace.home / folder, shard.label))
    job = JobRecord(
        id=job_id,
        run_id=run.id,
        provider=target.provider,
        model=target.model,
        round=number,
        rows=sum(shard.rows for shard in shards),
        folder=str(folder),
        emulated=workspace.emulate,
        created_at=datetime.now(UTC),
    )
    return job, shards


def restage(workspace: Workspace, run: RunRecord, job: JobRecord, folder: Path) -> bool:
    """Write a job's shard files once more, into another folder, from the user's file. False where that is gone or no longer the same."""
    kept = run.input
    if kept is None:
        return False
    try:
        workload = workload_of(kept)
        spec = registry.find(job.provider)
        stage(
            workload.rows(),
            registry.wire_of(spec),
            limits_of(spec, kept.get("shard_rows")),
            source=workload.name,
            model=job.model,
            job_id=job.id,
            folder=folder,
            one_model=bool(kept.get("one_model")),
        )
    except BatchmarkError:
        return False
    return workload.digest == run.digest
