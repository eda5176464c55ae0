"""The use case `compare`: the same rows on several targets at once, then one report."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import msgspec

from batchmark.api.jobs import job_facts, run_jobs, warm_up
from batchmark.api.staging import new_run, stage_jobs
from batchmark.api.workspace import Workspace
from batchmark.compare.measures import measure
from batchmark.domain.request import ChatRequest, EmbeddingRequest, Text
from batchmark.domain.target import Target
from batchmark.engine.account import answers_path
from batchmark.engine.events import Listener, Trouble
from batchmark.errors import BatchmarkError
from batchmark.ledger.records import JobRecord, RunRecord
from batchmark.providers import registry
from batchmark.report.content import AnswerCell, Report, SampleRow, build_report
from batchmark.version import __version__
from batchmark.workload.rows import Workload

__all__ = ["Plan", "compare", "plan_comparison"]

# Rows whose answers stand side by side in the report; the bundled sample fits whole.
_SAMPLES = 60
# What an answer of the small model takes at the speed of writing: 22 tokens were written per answer of the bundled
# sample (at most 48), and reading its prompt takes about as long as writing 8 more.
_TOKENS_PER_ANSWER = 30.0
_FEWEST = 5
# What the emulator's sources of answers are called in a report.
_MAKERS = {
    "smollm2": "SmolLM2-135M-Instruct, a small model on this machine",
    "synthetic": "a generator of synthetic text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large a comparison will be. `notes` are sentences for the user and the report."""

    workload: Workload
    rows: int | None
    notes: tuple[str, ...]


def plan_comparison(
    workspace: Workspace, workload: Workload, targets: Sequence[Target], *, jobs: int, time_budget_s: float | None
) -> Plan:
    """Fit the emulator's real model into a time budget by taking fewer rows; real providers and synthetic answers take all.

    Both the number of rows and the reason are told: a slower machine gives a smaller comparison, not a longer one.
    """
    speed = workspace.answer_speed() if time_budget_s is not None else None
    if speed is None or time_budget_s is None:
        return Plan(workload=workload, rows=workload.limit, notes=())
    rows = workload.limit or sum(1 for _ in workload.rows())
    room = int(time_budget_s * speed / _TOKENS_PER_ANSWER / (len(targets) * jobs))
    note = f"the emulator's model writes {speed:.0f} tokens/s on this machine"
    if room >= rows:
        return Plan(workload=workload, rows=rows, notes=(note,))
    taken = min(rows, max(_FEWEST, room))
    note = f"{note}, so {taken} of {rows} questions were taken to stay within about {time_budget_s:.0f} s"
    return Plan(workload=Workload(workload.path, limit=taken), rows=taken, notes=(note,))


async def compare(
    workspace: Workspace, plan: Plan, targets: Sequence[Target], *, jobs: int, tell: Listener
) -> tuple[RunRecord, Report]:
    """Run the workload on every target, `jobs` times each, and report.

    A target that cannot go on (bad key, refusal, unreachable) is told of and stands in the report with what it has; the others finish.
    Raises the first such error where no target could do anything at all.
    """
    specs = {target.provider: registry.find(target.provider) for target in targets}
    for spec in specs.values():
        workspace.require_key(spec)
    warm_up(list(specs.values()))  # a job's time must not hold the import of an SDK
    run = new_run(workspace, "compare", plan.workload)
    records = stage_jobs(workspace, run, plan.workload, targets, jobs=jobs, tell=tell)

    async def one_account(provider: str) -> BatchmarkError | None:
        mine = [job for job in records if job.provider == provider]
        try:
            await run_jobs(workspace, specs[provider], mine, tell)
        except BatchmarkError as error:
            tell(Trouble(mine[0], f"{error.message}. {error.hint}" if error.hint else error.message))
            return error
        return None

    errors = [error for error in await asyncio.gather(*map(one_account, specs)) if error is not None]
    facts = [job_facts(workspace, job.id) for job in records]
    if errors and not any(each.batches for each in facts):
        raise errors[0]
    if all(each.ended_at is not None for each in facts):
        workspace.ledger.record_run_end(run.id)
    report = build_report(
        run_id=run.id,
        created_at=datetime.now(UTC),
        emulated=workspace.emulate,
        answered_by=_MAKERS.get(workspace.answered_by or "", workspace.answered_by),
        workload=plan.workload.name,
        rows=records[0].rows,
        jobs=[measure(each) for each in facts],
        samples=_samples(workspace, plan.workload, [job for job in records if job.round == 1]),
        caveats=[*(error.message for error in errors), *plan.notes, *_scale_note(workspace)],
        version=__version__,
    )
    return run, report


def _scale_note(workspace: Workspace) -> list[str]:
    scale = workspace.time_scale
    return (
        []
        if scale == 1.0
        else [f"The emulator's clock ran {scale:g} times as fast as ours: its durations are not seconds of ours"]
    )


class _AnswerLine(msgspec.Struct, frozen=True):
    row: int
    outcome: str
    text: str | None = None
    error: dict[str, object] | None = None
    embedding: list[float] | None = None
    embeddings: list[list[float]] | None = None


_decode_answer = msgspec.json.Decoder(_AnswerLine).decode


def _samples(workspace: Workspace, workload: Workload, jobs: Sequence[JobRecord]) -> list[SampleRow]:
    answers: list[tuple[Target, list[_AnswerLine]]] = []
    for job in jobs:
        path = answers_path(workspace.home, job)
        if path.exists():
            with path.open("rb") as file:
                answers.append(
                    (Target(job.provider, job.model), [_decode_answer(line) for line in islice(file, _SAMPLES)])
                )
    samples = []
    for row in islice(workload.rows(), _SAMPLES if answers else 0):
        expected = _expected(row.columns)
        cells = [_cell(target, lines[row.number], expected) for target, lines in answers if row.number < len(lines)]
        samples.append(
            SampleRow(
                row=row.number,
                custom_id=None if row.custom_id is None else str(row.custom_id),
                prompt=_prompt(row.request),
                expected=expected,
                answers=tuple(cells),
            )
        )
    return samples


def _cell(target: Target, line: _AnswerLine, expected: str | None) -> AnswerCell:
    vectors = line.embeddings or ([line.embedding] if line.embedding is not None else [])
    text = ", ".join(f"a vector of {len(vector)} numbers" for vector in vectors) or line.text
    error = None if line.error is None else f"{line.error.get('code')}: {line.error.get('message')}"
    matches = None if expected is None else text is not None and holds(expected, text)
    return AnswerCell(target=target, outcome=line.outcome, text=text, error=error, matches=matches)


def _expected(columns: bytes | None) -> str | None:
    value = msgspec.json.decode(columns).get("expected") if columns else None
    return None if value is None else str(value)


def holds(expected: str, text: str) -> bool:
    """Whether an answer contains the expected one as whole words, whatever the case and thousands separators.

    Where a number is expected, it must be the last one in the answer: earlier ones repeat the question.
    """
    plain = [re.sub(r"(?<=\d),(?=\d{3})", "", each).casefold().strip() for each in (expected, text)]
    if re.fullmatch(r"-?\d+(\.\d+)?", plain[0]):
        numbers = re.findall(r"-?\d+(?:\.\d+)?", plain[1])
        return bool(numbers) and float(numbers[-1]) == float(plain[0])
    return re.search(rf"(?<![\w.]){re.escape(plain[0])}(?![\w]|\.\d)", plain[1]) is not None


def _prompt(request: object) -> str:
    if isinstance(request, ChatRequest):
        for message in reversed(request.messages):
            if message.role == "user":
                if isinstance(message.content, str):
                    return message.content
                return " ".join(
                    part.text if isinstance(part, Text) else f"[{type(part).__name__.lower()}]"
                    for part in message.content
                )
    if isinstance(request, EmbeddingRequest):
        return " | ".join(request.texts)
    return ""
