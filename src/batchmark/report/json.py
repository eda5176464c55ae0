"""A comparison for programs: every raw value of a report as one JSON object.

The object's `schema` is `batchmark.comparison/2`. Names carry their units (`_s`, `_usd`, `_tokens`, `_at`, `_per_s`); times are
ISO 8601 in UTC; a target is `provider:model`; shares are from 0 to 1; null stands for what is not known, never 0.

- the report itself: `kind` (`runs`, `history` or `timings`), `run_ids[]`, `title, created_at, version, emulated, answered_by, workload`,
  `rows` (of one job; null where jobs differ), `rounds, round_is` (what a round is), `seed, spread_s, prices_as_of, caveats[], conclusion`
- `targets[]`: `target, jobs, rows` (given to all its jobs, those that are not over included), `states{state: n}`, `counted` and `priced`
  (false where its records do not tell what became of the requests, or their tokens), then `requests`, `result_lines`, `usage`, `cost_usd,
  wasted_usd, price_note, errors[]` over all its jobs, `cost_per_1000_succeeded_usd, cost_per_million_tokens_usd, standard_usd,
  tokens_per_answer`, and as spreads `submit_s, turnaround_s, download_s, completion_s, requests_per_s, output_tokens_per_s`, each
  `{n, low, high, median, values[], without}`: `median` is null below six values, `without` counts jobs that gave none
- `analysis`: `rounds, span_s, one_mood` (all rounds were sent close together) and
  - `targets[]`: `target, jobs` (in the curve), `finished, unfinished{state: n}, left_out{reason: n}, rounds`; `curve{times_s[], done[],
    at_risk[], finished[], last_s}`, P(done by t) from each of the times on; `band{times_s[], low[], high[]}`, its 95 % interval, or null;
    `median, p90, p99`, each `{part, value_s, low_s, high_s, open_ended, finished, needed}`; `success{hits, n, value, low, high, clusters}`
  - `differences[]`, of turnaround: `left, right, rounds, direction` (negative: left is smaller), `p_value, p_adjusted` (Holm's), `alike`
    and `ratio{value, low, high}` of medians; a bound of null is not known
  - `verdicts[]`: `question, winner, reason, leaders[], rounds, differences[]` and the sentences `headline, evidence[]`, null and empty
    where only one target is there
  - `hints[]`: `left, right, factor, rounds` (needed in all), `more` (than there are)
  - `breakdowns[]`: `by` and `parts[]` of `name` and `groups[]`: `target, jobs, finished, median, p90`
- `scores`: `match`, `accuracies[]` of `target` and `share`, `agreements[]` of `left, right` and `share`
- `kept_out[]`: records that are in no figure: `reason, count, places[]`
- `jobs[]`: `id, target, round, rows, emulated, origin, state, problem, counted, priced`, on our clock `created_at, begun_at, submitted_at,
  ended_at` and `arrivals[]` of `at` and `rows`; `accepted_at` (the provider's clock where it tells), `told_s` (a turnaround told without
  an end), `standard_cost_usd`, the durations and rates of the one job, `unfinished_s` (it took longer than this), `polled, uncertain_s`,
  its `requests`, `result_lines`, `usage`, `cost_usd, wasted_usd, price_note, errors[]`, and `batches[]`: `id, shard, attempt, state,
  raw_status, rows`, on the provider's clock `created_at, started_at, finalizing_at, ended_at, cancelling_at, last_seen_at`, on ours
  `seen_ended_at, collected_at`, and `unseen_s`
- `samples[]`: `row, custom_id, prompt, expected, answers[]`, each answer `target, outcome, text, error, matches`
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from batchmark.compare.analysis import Analysis, Breakdown, TargetAnalysis
from batchmark.compare.difference import Difference
from batchmark.compare.intervals import Quantile, Share
from batchmark.compare.measures import BatchFacts, JobMeasures, Spread, TargetSummary
from batchmark.domain.totals import Totals
from batchmark.report.content import Report, SampleRow, Scores
from batchmark.report.statements import conclusion
from batchmark.report.table import requests_of
from batchmark.report.verdicts import sayings

__all__ = ["SCHEMA", "render_json", "to_dict"]

SCHEMA = "batchmark.comparison/2"


def render_json(report: Report) -> str:
    """The report as indented JSON text, ASCII only so that any stream can carry it, ending in a newline."""
    return json.dumps(to_dict(report), indent=2, allow_nan=False) + "\n"


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain values, in the documented shape."""
    return {
        "schema": SCHEMA,
        "kind": report.kind.value,
        "run_ids": list(report.run_ids),
        "title": report.title,
        "created_at": _iso(report.created_at),
        "version": report.version,
        "emulated": report.emulated,
        "answered_by": report.answered_by,
        "workload": report.workload,
        "rows": report.rows,
        "rounds": report.rounds,
        "round_is": report.round_is,
        "seed": report.seed,
        "spread_s": report.spread_s,
        "prices_as_of": report.prices_as_of,
        "caveats": list(report.caveats),
        "conclusion": conclusion(report),
        "targets": [_target(each, requests_of(report, each)) for each in report.summaries],
        "analysis": _analysis(report.analysis, report),
        "scores": _scores(report.scores),
        "kept_out": [
            {"reason": each.reason, "count": each.count, "places": list(each.places)} for each in report.kept_out
        ],
        "jobs": [_job(each) for each in report.jobs],
        "samples": [_sample(each) for each in report.samples],
    }


def _target(summary: TargetSummary, rows: int) -> dict[str, Any]:
    return {
        "target": str(summary.target),
        "jobs": summary.jobs,
        "rows": rows,
        "states": dict(summary.states),
        "counted": summary.counted,
        "priced": summary.priced,
        **_totals(summary.totals, counted=summary.counted, priced=summary.priced),
        "cost_per_1000_succeeded_usd": summary.cost_per_1000_usd,
        "cost_per_million_tokens_usd": summary.cost_per_million_tokens_usd,
        "standard_usd": summary.standard_usd,
        "tokens_per_answer": summary.tokens_per_answer,
        "submit_s": _spread(summary.submit_s),
        "turnaround_s": _spread(summary.turnaround_s),
        "download_s": _spread(summary.download_s),
        "completion_s": _spread(summary.completion_s),
        "requests_per_s": _spread(summary.requests_per_s),
        "output_tokens_per_s": _spread(summary.output_tokens_per_s),
    }


def _analysis(analysis: Analysis, report: Report) -> dict[str, Any]:
    said = {each.question: each for each in sayings(report)}
    return {
        "rounds": analysis.rounds,
        "span_s": analysis.span_s,
        "one_mood": analysis.one_mood,
        "targets": [_target_analysis(each) for each in analysis.targets],
        "differences": [_difference(each) for each in analysis.differences],
        "verdicts": [
            {
                "question": each.question.value,
                "winner": None if each.winner is None else str(each.winner),
                "reason": each.reason.value,
                "leaders": [str(target) for target in each.leaders],
                "rounds": each.rounds,
                "differences": [_difference(pair) for pair in each.differences],
                "headline": said[each.question].headline if each.question in said else None,
                "evidence": list(said[each.question].evidence) if each.question in said else [],
            }
            for each in analysis.verdicts
        ],
        "hints": [
            {
                "left": str(each.left),
                "right": str(each.right),
                "factor": each.factor,
                "rounds": each.rounds,
                "more": each.more,
            }
            for each in analysis.hints
        ],
        "breakdowns": [_breakdown(each) for each in analysis.breakdowns],
    }


def _target_analysis(each: TargetAnalysis) -> dict[str, Any]:
    curve, band = each.curve, each.band
    return {
        "target": str(each.target),
        "jobs": each.jobs,
        "finished": each.finished,
        "unfinished": dict(each.unfinished),
        "left_out": {reason.value: n for reason, n in each.left_out.items()},
        "rounds": each.rounds,
        "curve": {
            "times_s": curve.times_s.tolist(),
            "done": curve.done.tolist(),
            "at_risk": curve.at_risk.tolist(),
            "finished": curve.finished.tolist(),
            "last_s": curve.last_s if curve.jobs else None,
        },
        "band": None
        if band is None
        else {"times_s": band.times_s.tolist(), "low": band.low.tolist(), "high": band.high.tolist()},
        "median": _quantile(each.median),
        "p90": _quantile(each.p90),
        "p99": _quantile(each.p99),
        "success": None if each.success is None else _share(each.success),
    }


def _quantile(each: Quantile) -> dict[str, Any]:
    return {
        "part": each.part,
        "value_s": each.value_s,
        "low_s": each.low_s,
        "high_s": each.high_s,
        "open_ended": each.open_ended,
        "finished": each.finished,
        "needed": each.needed,
    }


def _share(each: Share) -> dict[str, Any]:
    return {
        "hits": each.hits,
        "n": each.n,
        "value": each.value,
        "low": each.low,
        "high": each.high,
        "clusters": each.clusters,
    }


def _difference(each: Difference) -> dict[str, Any]:
    ratio = each.ratio
    return {
        "left": str(each.left),
        "right": str(each.right),
        "rounds": each.rounds,
        "direction": each.direction,
        "p_value": each.p_value,
        "p_adjusted": each.p_adjusted,
        "alike": each.alike,
        "ratio": None if ratio is None else {"value": ratio.value, "low": ratio.low, "high": ratio.high},
    }


def _breakdown(each: Breakdown) -> dict[str, Any]:
    return {
        "by": each.by,
        "parts": [
            {
                "name": name,
                "groups": [
                    {
                        "target": str(group.target),
                        "jobs": group.jobs,
                        "finished": group.finished,
                        "median": _quantile(group.median),
                        "p90": _quantile(group.p90),
                    }
                    for group in groups
                ],
            }
            for name, groups in each.parts
        ],
    }


def _scores(scores: Scores) -> dict[str, Any]:
    return {
        "match": scores.match,
        "accuracies": [{"target": str(each.target), "share": _share(each.share)} for each in scores.accuracies],
        "agreements": [
            {"left": str(each.left), "right": str(each.right), "share": _share(each.share)}
            for each in scores.agreements
        ],
    }


def _job(measures: JobMeasures) -> dict[str, Any]:
    job = measures.job
    return {
        "id": job.id,
        "target": str(job.target),
        "round": job.round,
        "rows": job.rows,
        "emulated": job.emulated,
        "origin": job.origin,
        "state": measures.state.value,
        "problem": job.problem,
        "counted": job.counted,
        "priced": job.priced,
        "created_at": _iso(job.created_at),
        "begun_at": _iso(job.begun_at),
        "submitted_at": _iso(job.submitted_at),
        "ended_at": _iso(job.ended_at),
        "arrivals": [{"at": _iso(at), "rows": rows} for at, rows in job.arrivals],
        "accepted_at": _iso(measures.submitted_at),
        "told_s": job.told_s,
        "standard_cost_usd": job.standard_cost_usd,
        "submit_s": measures.submit_s,
        "queue_s": measures.queue_s,
        "run_s": measures.run_s,
        "finalize_s": measures.finalize_s,
        "turnaround_s": measures.turnaround_s,
        "unfinished_s": measures.unfinished_s,
        "polled": measures.polled,
        "uncertain_s": measures.uncertain_s,
        "download_s": measures.download_s,
        "completion_s": measures.completion_s,
        "rows_50_s": measures.rows_50_s,
        "rows_90_s": measures.rows_90_s,
        "rows_100_s": measures.rows_100_s,
        "requests_per_s": measures.requests_per_s,
        "output_tokens_per_s": measures.output_tokens_per_s,
        **_totals(job.totals, counted=job.counted, priced=job.priced),
        "batches": [_batch(each) for each in job.batches],
    }


def _batch(batch: BatchFacts) -> dict[str, Any]:
    return {
        "id": batch.id,
        "shard": batch.shard,
        "attempt": batch.attempt,
        "state": batch.state.value,
        "raw_status": batch.raw_status,
        "rows": batch.rows,
        "created_at": _iso(batch.created_at),
        "started_at": _iso(batch.started_at),
        "finalizing_at": _iso(batch.finalizing_at),
        "ended_at": _iso(batch.ended_at),
        "cancelling_at": _iso(batch.cancelling_at),
        "last_seen_at": _iso(batch.last_seen_at),
        "seen_ended_at": _iso(batch.seen_ended_at),
        "collected_at": _iso(batch.collected_at),
        "unseen_s": batch.unseen_s,
    }


def _totals(totals: Totals, *, counted: bool, priced: bool) -> dict[str, Any]:
    """What became of the requests, their tokens and their cost; null as a whole where the records do not tell."""
    usage = totals.usage
    requests = {
        "submitted": totals.submitted,
        "succeeded": totals.succeeded,
        "errored": totals.errored,
        "expired": totals.expired,
        "cancelled": totals.cancelled,
        "missing": totals.missing,
    }
    lines = {"duplicates": totals.duplicates, "unknown": totals.unknown, "unreadable": totals.unreadable}
    tokens = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    return {
        "requests": requests if counted else None,
        "result_lines": lines if counted else None,
        "usage": tokens if priced else None,
        "cost_usd": totals.cost_usd,
        "wasted_usd": totals.wasted_usd if totals.cost_usd is not None else None,
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
