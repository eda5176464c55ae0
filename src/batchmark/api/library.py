"""What `import batchmark` offers: run a workload, go on with a run, take answers as they land.

    import batchmark

    run = batchmark.run("questions.jsonl", on="openai:gpt-5-nano", prompt="{question}")
    texts = [answer["text"] for answer in run]

Everything durable is under `home` (default: BATCHMARK_HOME, as for the command), so a program that was killed goes on with
`batchmark.resume(run_id)`, here or on the command line. Errors are those of `batchmark.errors`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from batchmark.api import runs as use
from batchmark.api.jobs import warm_up
from batchmark.api.runs import RunOptions, RunReport
from batchmark.api.staging import StagedRun, choose_model, discard
from batchmark.api.workspace import Workspace, read_environment
from batchmark.domain.target import Target, parse_target
from batchmark.domain.totals import Totals
from batchmark.engine.events import Event, ShardClosed
from batchmark.engine.options import DriveOptions
from batchmark.engine.stage import carried_path
from batchmark.engine.stall import Policy
from batchmark.errors import BadInput
from batchmark.ledger.artifacts import ensure_writable, make_folder, open_artifact
from batchmark.ledger.records import RunRecord, ShardRecord
from batchmark.providers.registry import default_models, find
from batchmark.workload.answers import decode_carried
from batchmark.workload.rows import Workload
from batchmark.workload.template import template_of

__all__ = [
    "Answer",
    "Input",
    "Run",
    "as_file",
    "ignore",
    "open_workspace",
    "resume",
    "resume_async",
    "run",
    "run_async",
    "stream",
]

# One line of an answers file as a dict: `row`, `custom_id`, `outcome`, `text`, `usage`, `cost_usd`, `error`, … and the user's own columns.
Answer: TypeAlias = dict[str, Any]
Stall: TypeAlias = Literal["warn", "cancel-and-retry", "stop"]
# A file of rows, or the rows themselves: each a mapping such as {"prompt": "What is 2 + 2?"}.
Input: TypeAlias = str | os.PathLike[str] | Iterable[Mapping[str, Any]]

_decode = msgspec.json.decode
_encode = msgspec.json.Encoder().encode


class Run:
    """A run that has come to its end. Iterate it for its answers in the order of the input; they are read from the disk one by one."""

    def __init__(self, report: RunReport) -> None:
        self._report = report

    @property
    def id(self) -> str:
        """What `resume` and the command line know it by."""
        return self._report.run.id

    @property
    def path(self) -> Path:
        """The file of answers, one JSON object a line. Raises BadInput where there is none."""
        answers = [each.answers for each in self._report.jobs if each.answers is not None]
        if not answers:
            raise BadInput(f"run {self.id} has no answers")
        return answers[0]

    @property
    def totals(self) -> Totals:
        """Rows by outcome, tokens, cost in US dollars of all attempts (None: unknown), and errors by code."""
        return self._report.totals

    def __iter__(self) -> Iterator[Answer]:
        with self.path.open("rb") as file:
            for line in file:
                yield _decode(line)

    def __len__(self) -> int:
        return self._report.rows

    def __repr__(self) -> str:
        totals = self.totals
        return f"<Run {self.id}: {totals.succeeded:,} of {totals.submitted:,} rows answered>"


def run(input: Input, on: str, **options: Any) -> Run:
    """Run a workload on one target and return once every row has its outcome. The same as `run_async`, for programs without a loop.

    Raises what `run_async` raises, and RuntimeError inside a running event loop.
    """
    return asyncio.run(run_async(input, on, **options))


async def run_async(
    input: Input,
    on: str,
    *,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    prompt: str | None = None,
    system: str | None = None,
    max_tokens: int | None = None,
    requests: int | None = None,
    attempts: int = 3,
    shard_rows: int | None = None,
    in_flight: int | None = None,
    max_cost_usd: float | None = None,
    stall: Stall = "warn",
    keep_files: bool = False,
    emulate: bool = False,
    home: str | os.PathLike[str] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Run:
    """Run a workload on one target (`provider:model`, or a provider for its default model) and return once every row has its outcome.

    `input` is a file (JSONL, CSV, Parquet) or an iterable of rows, which is written to a file under `home` first. `output` is where the
    answers go, if not into the run's own folder. The other options are those of the command `run`; money is in US dollars. `on_event`
    hears what happens, on the event loop, and must not block.

    Raises BadInput (nothing was sent), Configuration, Refused, Ambiguous, Retryable or LocalTrouble; after any of them, and after a
    crash, `resume_async` goes on.
    """
    with open_workspace(home, emulate=emulate) as workspace:
        staged = await asyncio.to_thread(
            _plan, workspace, input, on,
            output=output, force=force, prompt=prompt, system=system, max_tokens=max_tokens, requests=requests,
            drive=_drive_options(attempts, stall, max_cost_usd, in_flight, keep_files), shard_rows=shard_rows,
            tell=on_event or ignore,
        )  # fmt: skip
        return Run(await use.start_run(workspace, staged, on_event or ignore))


def resume(run_id: str | None = None, **options: Any) -> Run:
    """Go on with a run and return once every row has its outcome. The same as `resume_async`, for programs without a loop."""
    return asyncio.run(resume_async(run_id, **options))


async def resume_async(
    run_id: str | None = None,
    *,
    attempts: int | None = None,
    in_flight: int | None = None,
    max_cost_usd: float | None = None,
    stall: Stall | None = None,
    as_sent: bool = False,
    home: str | os.PathLike[str] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Run:
    """Go on with a run (default: the newest that has not ended) from wherever it was left, in the world, real or emulated, where it began.

    Raises NotFound where there is none, BadInput where its input file has changed (unless `as_sent`), LocalTrouble where another process
    drives it, and else what `run_async` raises.
    """
    run = _peek(home, run_id)
    with open_workspace(home, emulate=run.emulated) as workspace:
        if not as_sent:
            await asyncio.to_thread(use.ensure_same_input, run)
        changes = {"attempts": attempts, "in_flight": in_flight, "max_cost_usd": max_cost_usd, "stall": stall}
        if any(value is not None for value in changes.values()):
            workspace.ledger.record_options(run.id, use.options_from(run, changes).document, run.output)
        return Run(await use.resume_run(workspace, run, on_event or ignore))


async def stream(input: Input, on: str, **options: Any) -> AsyncIterator[Answer]:
    """Run a workload like `run_async` and yield its answers as they land: each row once, as soon as its last word is here.

    Batches end in any order, so the answers come shard by shard and not in the order of the input. Leaving the loop early stops the
    run where it is, and `resume` goes on with it. Takes the options of `run_async`.
    """
    news: asyncio.Queue[ShardClosed | None] = asyncio.Queue()
    hear = options.pop("on_event", None) or ignore

    def listen(event: Event) -> None:
        if isinstance(event, ShardClosed):
            news.put_nowait(event)
        hear(event)

    task = asyncio.ensure_future(run_async(input, on, on_event=listen, **options))
    task.add_done_callback(lambda _: news.put_nowait(None))
    try:
        while (event := await news.get()) is not None:
            for answer in _final(event):
                yield answer
        await task
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _final(event: ShardClosed) -> Iterator[Answer]:
    """The answers of a closed shard attempt, but for the rows that are asked again."""
    folder = event.answers.parent
    again = iter(_row_numbers(folder, event.following)) if event.following is not None else iter(())
    skip = next(again, None)
    with open_artifact(event.answers) as lines:
        for line in lines:
            answer: Answer = _decode(line)
            if answer["row"] == skip:
                skip = next(again, None)
                continue
            yield answer


def _row_numbers(folder: Path, shard: ShardRecord) -> Iterator[int]:
    with open_artifact(carried_path(folder, shard.label)) as carried:
        for line in carried:
            yield decode_carried(line).row


def ignore(event: Event) -> None:
    """For programs that do not listen."""


def _environment(home: str | os.PathLike[str] | None) -> dict[str, str]:
    environment = read_environment()
    return environment if home is None else {**environment, "BATCHMARK_HOME": os.fspath(home)}


def open_workspace(home: str | os.PathLike[str] | None, *, emulate: bool) -> Workspace:
    """Where a call of the library works."""
    return Workspace(emulate=emulate, environment=_environment(home), heed_environment=False)


def _peek(home: str | os.PathLike[str] | None, run_id: str | None) -> RunRecord:
    workspace = Workspace(environment=_environment(home), heed_environment=False)
    try:
        return use.find_run(workspace, run_id, unfinished=run_id is None)
    finally:
        workspace.ledger.close()


def _drive_options(
    attempts: int, stall: str, max_cost_usd: float | None, in_flight: int | None, keep_files: bool
) -> DriveOptions:
    if not 1 <= attempts <= 9:
        raise BadInput(f"attempts must be from 1 to 9, not {attempts}")
    try:
        policy = Policy(stall)
    except ValueError:
        raise BadInput(f"stall must be one of {', '.join(Policy)}, not {stall!r}") from None
    return DriveOptions(
        attempts=attempts, stall=policy, max_cost_usd=max_cost_usd, in_flight=in_flight, keep_files=keep_files
    )


def _plan(
    workspace: Workspace,
    input: Input,
    on: str,
    *,
    output: str | os.PathLike[str] | None,
    force: bool,
    prompt: str | None,
    system: str | None,
    max_tokens: int | None,
    requests: int | None,
    drive: DriveOptions,
    shard_rows: int | None,
    tell: Callable[[Event], None],
) -> StagedRun:
    place = None if output is None else Path(output)
    if place is not None:
        ensure_writable(place, replace=force)
    spec = find(on.partition(":")[0])
    workspace.require_key(spec)
    target = parse_target(on, default_models(spec.name))
    template = template_of(prompt, system, max_tokens)
    path = as_file(workspace, input)
    workload = Workload(path, limit=requests, template=template)
    if ":" not in on:
        target = Target(spec.name, choose_model(spec, workload, None))
    options = RunOptions(drive=drive, shard_rows=shard_rows, output=place)
    staged = use.plan_run(workspace, workload, target, options, tell)
    try:
        warm_up([spec])
    except BaseException:
        discard(workspace, staged)
        raise
    return staged


def as_file(workspace: Workspace, input: Input) -> Path:
    """The file of rows; rows given as values are written to one, which stays with the run's home."""
    if isinstance(input, str | os.PathLike):
        return Path(input)
    folder = make_folder(workspace.home / "inputs")
    with tempfile.NamedTemporaryFile(dir=folder, prefix="rows-", suffix=".jsonl", delete=False) as file:
        for row in input:
            file.write(_encode(row) + b"\n")
    return Path(file.name)
