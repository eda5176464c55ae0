"""A comparison for programs: every raw value of a report as one JSON object.

The object's `schema` is `batchmark.comparison/1`. Names carry their units (`_s`, `_usd`, `_tokens`, `_at`, `_per_s`); times are
ISO 8601 in UTC; a target is `provider:model`; null stands for what is not known, never 0.

- `run_id, title, created_at, version, emulated, answered_by, workload, rows, rounds, caveats, conclusion`: the report itself
- `targets[]`: `target, jobs, rows` (given to all its jobs, those that are not over included), `states{state: n}`, then `requests`,
  `result_lines`, `usage`, `cost_usd`, `price_note`, `errors[]` over all its jobs, `cost_per_1000_succeeded_usd`, and as spreads
  `turnaround_s, completion_s, requests_per_s, output_tokens_per_s`, each `{n, low, high, median, values[], without}`: `median` is null
  below six values, `without` counts jobs that gave none
- `jobs[]`: `id, target, round, rows, emulated, state, problem, created_at, ended_at` (our clock), the durations and rates of the one
  job, its `requests`, `result_lines`, `usage`, `cost_usd`, `price_note`, `errors[]`, and `batches[]` with times on the provider's clock
- `samples[]`: `row, custom_id, prompt, expected, answers[]`, each answer `target, outcome, text, error, matches`
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from batchmark.compare.measures import BatchFacts, JobMeasures, Spread, TargetSummary
from batchmark.domain.totals import Totals
from batchmark.report.content import Report, SampleRow
from batchmark.report.statements import conclusion
from batchmark.report.table import requests_of

__all__ = ["SCHEMA", "render_json", "to_dict"]

SCHEMA = "batchmark.comparison/1"


def render_json(report: Report) -> str:
    """The report as indented JSON text, ASCII only so that any stream can carry it, ending in a newline."""
    return json.dumps(to_dict(report), indent=2, allow_nan=False) + "\n"


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain values, in the documented shape."""
    return {
        "schema": SCHEMA,
        "run_id": report.run_id,
        "title": report.title,
        "created_at": _iso(report.created_at),
        "version": report.version,
        "emulated": report.emulated,
        "answered_by": report.answered_by,
        "workload": report.workload,
        "rows": report.rows,
        "rounds": report.rounds,
        "caveats": list(report.caveats),
        "conclusion": conclusion(report),
        "targets": [_target(each, requests_of(report, each)) for each in report.summaries],
        "jobs": [_job(each) for each in report.jobs],
        "samples": [_sample(each) for each in report.samples],
    }


def _target(summary: TargetSummary, rows: int) -> dict[str, Any]:
    return {
        "target": str(summary.target),
        "jobs": summary.jobs,
        "rows": rows,
        "states": dict(summary.states),
        **_totals(summary.totals),
        "cost_usd": summary.cost_usd,
        "price_note": summary.price_note,
        "cost_per_1000_succeeded_usd": summary.cost_per_1000_usd,
        "turnaround_s": _spread(summary.turnaround_s),
        "completion_s": _spread(summary.completion_s),
        "requests_per_s": _spread(summary.requests_per_s),
        "output_tokens_per_s": _spread(summary.output_tokens_per_s),
    }


def _job(measures: JobMeasures) -> dict[str, Any]:
    job = measures.job
    return {
        "id": job.id,
        "target": str(job.target),
        "round": job.round,
        "rows": job.rows,
        "emulated": job.emulated,
        "state": measures.state.value,
        "problem": job.problem,
        "created_at": _iso(job.created_at),
        "ended_at": _iso(job.ended_at),
        "queue_s": measures.queue_s,
        "run_s": measures.run_s,
        "finalize_s": measures.finalize_s,
        "turnaround_s": measures.turnaround_s,
        "completion_s": measures.completion_s,
        "requests_per_s": measures.requests_per_s,
        "output_tokens_per_s": measures.output_tokens_per_s,
        **_totals(job.totals),
        "batches": [_batch(each) for each in job.batches],
    }


def _batch(batch: BatchFacts) -> dict[str, Any]:
    return {
        "id": batch.id,
        "state": batch.state.value,
        "raw_status": batch.raw_status,
        "rows": batch.rows,
        "created_at": _iso(batch.created_at),
        "started_at": _iso(batch.started_at),
        "finalizing_at": _iso(batch.finalizing_at),
        "ended_at": _iso(batch.ended_at),
    }


def _totals(totals: Totals) -> dict[str, Any]:
    usage = totals.usage
    return {
        "requests": {
            "submitted": totals.submitted,
            "succeeded": totals.succeeded,
            "errored": totals.errored,
            "expired": totals.expired,
            "cancelled": totals.cancelled,
            "missing": totals.missing,
        },
        "result_lines": {
            "duplicates": totals.duplicates,
            "unknown": totals.unknown,
            "unreadable": totals.unreadable,
        },
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        },
        "cost_usd": totals.cost_usd,
        "price_note": totals.price_note,
        "errors": [
            {"code": code, "count": group.count, "message": group.message, "retryable": group.retryable}
            for code, group in totals.errors.items()
        ],
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "n": spread.n,
        "low": spread.low,
        "high": spread.high,
        "median": spread.median,
        "values": list(spread.values),
        "without": spread.without,
    }


def _sample(sample: SampleRow) -> dict[str, Any]:
    return {
        "row": sample.row,
        "custom_id": sample.custom_id,
        "prompt": sample.prompt,
        "expected": sample.expected,
        "answers": [
            {
                "target": str(each.target),
                "outcome": each.outcome,
                "text": each.text,
                "error": each.error,
                "matches": each.matches,
            }
            for each in sample.answers
        ],
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
