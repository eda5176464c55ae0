"""Reports made by hand for the tests of their renderings: one job, three targets with trouble, many rounds, and hostile texts."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from batchmark.compare.measures import BatchFacts, JobFacts, measure
from batchmark.compare.scoring import Scorecard, parse_match
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.domain.totals import ErrorGroup, Totals
from batchmark.domain.usage import Usage
from batchmark.report.content import AnswerCell, Report, SampleRow, Scores, build_report

START = datetime(2026, 11, 20, 9, 30, 0, tzinfo=UTC)
OPENAI = Target("openai", "gpt-5-nano")
GOOGLE = Target("google", "gemini-3.1-flash-lite")
ANTHROPIC = Target("anthropic", "claude-haiku-4-5")
HOSTILE = '</script><script>alert("pwned")</script><img src=https://evil.example/x.png onerror=alert(1)>'
NOTE = "genai-prices 0.2.3, batch price"


def after(seconds: float | None) -> datetime | None:
    """A time so many seconds after the start, None for None."""
    return None if seconds is None else START + timedelta(seconds=seconds)


def batch(
    *,
    id: str = "batch_1",
    state: State = State.SUCCEEDED,
    raw_status: str = "completed",
    rows: int = 48,
    created: float | None = 0.0,
    started: float | None = None,
    finalizing: float | None = None,
    ended: float | None = 126.0,
) -> BatchFacts:
    """A batch with times in seconds after the start."""
    return BatchFacts(
        id=id,
        state=state,
        raw_status=raw_status,
        rows=rows,
        created_at=after(created),
        started_at=after(started),
        finalizing_at=after(finalizing),
        ended_at=after(ended),
    )


def job(
    target: Target = OPENAI,
    *batches: BatchFacts,
    id: str = "7f3a",
    round: int = 1,
    rows: int = 48,
    ended: float | None = 131.4,
    problem: str | None = None,
    totals: Totals | None = None,
    emulated: bool = True,
) -> JobFacts:
    """A job; unless told otherwise every row of it succeeded."""
    return JobFacts(
        id=id,
        target=target,
        round=round,
        rows=rows,
        emulated=emulated,
        created_at=START,
        ended_at=after(ended),
        problem=problem,
        totals=totals if totals is not None else all_succeeded(rows),
        batches=tuple(replace(each, shard=number) for number, each in enumerate(batches)),
        begun_at=START,
        submitted_at=after(2.5),
        arrivals=() if ended is None else ((START + timedelta(seconds=ended), rows),),
        standard_cost_usd=0.002684,
    )


def all_succeeded(rows: int = 48, *, cost_usd: float | None = 0.001342) -> Totals:
    """Totals of a job in which nothing went wrong."""
    usage = Usage(input_tokens=rows * 31, output_tokens=rows * 12, cached_tokens=0, reasoning_tokens=rows * 4)
    return Totals(submitted=rows, succeeded=rows, usage=usage, cost_usd=cost_usd, price_note=NOTE if cost_usd else None)


def answer(target: Target, text: str | None, *, matches: bool | None = None) -> AnswerCell:
    """A target's answer to one row."""
    return AnswerCell(target=target, outcome="succeeded", text=text, error=None, matches=matches)


def report_of(
    jobs: Sequence[JobFacts],
    samples: Sequence[SampleRow] = (),
    *,
    emulated: bool = True,
    caveats: Sequence[str] = (),
    workload: str = "bundled questions",
) -> Report:
    """A report of some jobs."""
    return build_report(
        run_ids=["run-20261120-7f3a"],
        created_at=START,
        emulated=emulated,
        answered_by="SmolLM2-135M-Instruct on this machine" if emulated else None,
        workload=workload,
        jobs=[measure(each) for each in jobs],
        samples=samples,
        scores=scores_of(samples),
        caveats=caveats,
        seed=42,
        prices_as_of="2026-11-20",
        version="0.3.0",
    )


def scores_of(samples: Sequence[SampleRow]) -> Scores:
    """What the answers of the samples come to."""
    targets = list(dict.fromkeys(cell.target for row in samples for cell in row.answers))
    card = Scorecard(targets, parse_match("contains"))
    for row in samples:
        card.count(row.expected, [(cell.target, cell.text) for cell in row.answers])
    return Scores(match="contains", accuracies=card.accuracies, agreements=card.agreements)


def simulated_report(*, targets: int, rounds: int, seed: int = 1, emulated: bool = True) -> Report:
    """Many jobs, as a spread comparison would bring them: log-normal turnarounds, each round in a mood of its own, a few jobs that expire,
    fail, are cancelled or still run, errors here and there."""
    names = [
        OPENAI,
        GOOGLE,
        ANTHROPIC,
        Target("openai", "gpt-6-luna"),
        Target("google", "gemini-3.5-flash-lite-preview-11-2026"),
        Target("anthropic", "claude-haiku-5-5"),
        Target("openai", "gpt-4o-mini"),
        Target("google", "gemini-2.5-flash-lite"),
    ][:targets]
    rng = random.Random(seed)
    jobs = []
    for number in range(1, rounds + 1):
        mood = rng.gauss(0, 1)
        for place, target in enumerate(names):
            sent = START + timedelta(hours=24 * (number - 1) / rounds, seconds=rng.uniform(0, 60))
            seconds = math.exp(4.5 + 0.35 * place + 0.9 * mood + 0.9 * rng.gauss(0, 1))
            dice = rng.random()
            state = (
                State.EXPIRED
                if seconds > 86_400
                else State.FAILED
                if dice < 0.004
                else State.CANCELLED
                if dice < 0.008
                else State.RUNNING
                if dice < 0.015
                else State.SUCCEEDED
            )
            seconds = min(seconds, 86_400.0)
            over = state is not State.RUNNING
            queue, finalize = seconds * rng.uniform(0.05, 0.6), min(seconds * 0.1, rng.uniform(0.5, 8))
            rows = 48
            errored = rng.choice((0, 0, 0, 0, 0, 0, 1, 3)) if state is State.SUCCEEDED else 0
            good = rows - errored if state is State.SUCCEEDED else 0
            totals = Totals(
                submitted=rows if over else 0,
                succeeded=good,
                errored=errored + (rows if state is State.FAILED else 0),
                expired=rows if state is State.EXPIRED else 0,
                cancelled=rows if state is State.CANCELLED else 0,
                usage=Usage(input_tokens=good * 31, output_tokens=round(good * rng.uniform(10, 14))),
                cost_usd=good * 0.00003 * (1 + 0.2 * place) * rng.uniform(0.95, 1.05),
                price_note=NOTE,
                errors={"overloaded_error": ErrorGroup(errored, "Overloaded", True)} if errored else {},
            )
            ended = sent + timedelta(seconds=seconds)
            done = ended + timedelta(seconds=rng.uniform(1, 9))
            jobs.append(
                JobFacts(
                    id=f"{number:04x}{place}",
                    target=target,
                    round=number,
                    rows=rows,
                    emulated=emulated,
                    created_at=START,
                    begun_at=sent - timedelta(seconds=2),
                    submitted_at=sent,
                    ended_at=done if over else None,
                    problem="the provider refused the whole batch" if state is State.FAILED else None,
                    totals=totals,
                    arrivals=((done, rows),) if state is State.SUCCEEDED else (),
                    standard_cost_usd=None if totals.cost_usd is None else 2 * totals.cost_usd,
                    batches=(
                        BatchFacts(
                            id=f"batch_{number:04x}{place:02x}9be1f0",
                            state=state,
                            raw_status="completed" if state is State.SUCCEEDED else state.value,
                            rows=rows,
                            created_at=sent,
                            started_at=sent + timedelta(seconds=queue) if over else None,
                            finalizing_at=ended - timedelta(seconds=finalize) if state is State.SUCCEEDED else None,
                            ended_at=ended if over else None,
                            last_seen_at=ended,
                            seen_ended_at=ended + timedelta(seconds=1) if over else None,
                            collected_at=done if over else None,
                        ),
                    ),
                )
            )
    return report_of(jobs, emulated=emulated)


def small_report() -> Report:
    """One real job on one target, all well."""
    samples = [
        SampleRow(
            row=0,
            custom_id="fact-01",
            prompt="What is the capital of Japan? Answer with the name only.",
            expected="Tokyo",
            answers=(answer(OPENAI, "Tokyo", matches=True),),
        )
    ]
    only = job(OPENAI, batch(id="batch_68f0a1", started=1, finalizing=122, ended=126), emulated=False)
    return report_of([only], samples, emulated=False)


def troubled_report() -> Report:
    """Three targets and two rounds with failures of every kind, long and foreign texts, and hostile answers."""
    failing = Totals(
        submitted=48,
        succeeded=41,
        errored=5,
        expired=0,
        missing=2,
        usage=Usage(input_tokens=1_402, output_tokens=611, cached_tokens=320),
        cost_usd=0.0000871,
        price_note="genai-prices 0.2.3, assumed half of the standard price",
        errors={
            "invalid_request_error": ErrorGroup(2, f"messages.0: content must be non-empty {HOSTILE}", False),
            "overloaded_error": ErrorGroup(3, "Overloaded", True),
        },
        duplicates=1,
        unknown=2,
    )
    cut_off = Totals(
        submitted=48,
        succeeded=11,
        expired=37,
        usage=Usage(input_tokens=340, output_tokens=128),
        cost_usd=None,
        errors={"batch_expired": ErrorGroup(37, "This request could not be executed before the window ended.", True)},
    )
    jobs = [
        job(
            OPENAI,
            batch(id="batch_68f0a1c2d4e48190b7", started=62, finalizing=122, ended=126),
            id="7f3a",
            totals=all_succeeded(),
        ),
        job(
            GOOGLE,
            batch(id="batches/9x2kq0s7d1c4", raw_status="BATCH_STATE_SUCCEEDED", ended=378),
            id="7f3b",
            ended=391.2,
            totals=all_succeeded(cost_usd=None),
        ),
        job(
            ANTHROPIC,
            batch(id="msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d", raw_status="ended", ended=44.9),
            id="7f3c",
            ended=52.0,
            totals=failing,
        ),
        job(
            OPENAI,
            batch(id="batch_68f0b9", started=2, finalizing=70, ended=71),
            id="8a01",
            round=2,
            ended=77.5,
            totals=all_succeeded(),
        ),
        job(
            GOOGLE,
            batch(id="batches/c0ffee", state=State.RUNNING, raw_status="BATCH_STATE_RUNNING", ended=None),
            id="8a02",
            round=2,
            ended=None,
            problem="no news for 2 h; still polling every 60 s",
            totals=Totals(),
        ),
        job(
            ANTHROPIC,
            batch(id="msgbatch_02", state=State.EXPIRED, raw_status="ended", ended=86_400),
            id="8a03",
            round=2,
            ended=86_460,
            totals=cut_off,
        ),
    ]
    long_text = "The quick brown fox jumps over the lazy dog, again and again. " * 14
    samples = [
        SampleRow(
            row=0,
            custom_id="fact-01",
            prompt="What is the capital of Japan? Answer with the name only.",
            expected="Tokyo",
            answers=(
                answer(OPENAI, "Tokyo", matches=True),
                answer(GOOGLE, "The capital of Japan is Tokyo.", matches=True),
                answer(ANTHROPIC, "Kyoto", matches=False),
            ),
        ),
        SampleRow(
            row=1,
            custom_id="hostile <b>id</b>",
            prompt="Answer with [bold red]markup[/] and <b>tags</b>.",
            expected=None,
            answers=(
                answer(OPENAI, HOSTILE),
                answer(GOOGLE, "\x1b[31mred\x1b[0m \u202egnirts desrever\u202c and a bell\x07"),
                AnswerCell(target=ANTHROPIC, outcome="errored", text=None, error="overloaded_error: Overloaded"),
            ),
        ),
        SampleRow(
            row=2,
            custom_id=None,
            prompt="日本の首都はどこですか。名前だけで答えてください。",
            expected="東京",
            answers=(
                answer(OPENAI, "東京", matches=True),
                answer(GOOGLE, "東京都（とうきょうと）🗼", matches=True),
                AnswerCell(target=ANTHROPIC, outcome="missing", text=None, error=None),
            ),
        ),
        SampleRow(
            row=3,
            custom_id="rewrite-" + "long" * 24,
            prompt="Rewrite this message in one formal sentence.\n\n" + long_text,
            expected=None,
            answers=(
                answer(OPENAI, long_text * 2),
                answer(GOOGLE, "W" * 400),
                answer(ANTHROPIC, ""),
            ),
        ),
    ]
    caveats = [
        "google:gemini-3.1-flash-lite has no batch price in the data used here, so its cost is unknown.",
        "Job 8a02 was still running when this report was made.",
    ]
    return report_of(jobs, samples, caveats=caveats, workload="questions & <answers>.jsonl")


def many_rounds_report(rounds: int = 8) -> Report:
    """Two targets over enough rounds for medians."""
    jobs = []
    for n in range(1, rounds + 1):
        jobs.append(job(OPENAI, batch(started=1, finalizing=60 + n, ended=62 + n), id=f"a{n}", round=n, ended=70 + n))
        jobs.append(
            job(ANTHROPIC, batch(raw_status="ended", ended=30.5 + 3 * n), id=f"b{n}", round=n, ended=40 + 3 * n)
        )
    samples = [
        SampleRow(
            row=n,
            custom_id=f"sum-{n:02}",
            prompt=f"What is 17 + {n}? Answer with the number only.",
            expected=str(17 + n),
            answers=(answer(OPENAI, str(17 + n), matches=True), answer(ANTHROPIC, str(18 + n), matches=False)),
        )
        for n in range(20)
    ]
    return report_of(jobs, samples)


# One of every kind, for what must hold of any report.
REPORTS = {
    "small": small_report(),
    "troubled": troubled_report(),
    "many": many_rounds_report(),
    "simulated": simulated_report(targets=3, rounds=20),
    "empty": report_of([]),
}
