"""The raw values inside a page: every job's figures once, as columns, small enough for 10,000 jobs.

The page's charts and its job explorer are drawn from this object, the element with the id `data`. Its `schema` is
`batchmark.page/1`:

- `base_ms`: what `submitted_ms` counts from, in milliseconds since 1970 (UTC)
- `targets[]`: `name`, `emulated` (where others are real), and the marks of its lane: `quantiles[]` of `part, value_ms, low_ms, high_ms`
  as far as they may be said
- `jobs`: `count` and `columns`, each one value per job in the report's order:
  `id, target` (its place in `targets`), `round, state, emulated, origin, problem`; `submitted_ms` (accepted by the provider);
  `queue_ms, run_ms, finalize_ms, turnaround_ms` by the provider's clock; `submit_ms, download_ms, completion_ms` by ours;
  `unfinished_ms` (a job without a turnaround certainly took longer), `polled` (the turnaround is from our polls);
  `rows, submitted, succeeded, errored, expired, cancelled, missing`; `input_tokens, output_tokens, cost_nano_usd` (null: not known);
  `batches` (the provider's ids, by spaces)
- `curve`: `times_ms` and for each target the columns `done`, `low`, `high` of P(done by t) in 1/10,000; null where nothing is known.
  Where there are more steps than a screen has pixels it is sampled on that many times
- `hours`: for each target and hour (UTC) the turnaround's `part: [value_ms, low_ms, high_ms, finished]`
- `left_out[]`: names of columns that are not here, so that the page stays small; `comparison.json` has them

Durations are whole milliseconds and costs whole billionths of a dollar; sums over jobs stand in the page's tables and are exact. A column
is written in the shortest of these ways: a list; `{"all": v}`, the same everywhere; `{"words": [...], "at": [...]}`, places in a list of
words; `{"steps": [...]}`, the difference to the value before; `{"few": {place: v}, "else": v}`, exceptions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from batchmark.compare.analysis import TargetAnalysis
from batchmark.compare.intervals import Quantile
from batchmark.compare.measures import JobMeasures
from batchmark.compare.survival import Floats
from batchmark.report.content import Report
from batchmark.report.table import marked_targets
from batchmark.report.words import visible

__all__ = ["SCHEMA", "column", "page_data"]

SCHEMA = "batchmark.page/1"
# What is left out first where a page would be too large. The times and states that the charts are drawn from always stay.
_LEFT_OUT_FIRST = (
    ("batches",),
    ("origin", "problem"),
    ("submit_ms", "download_ms", "queue_ms", "run_ms", "finalize_ms"),
    ("input_tokens", "output_tokens", "cost_nano_usd"),
)
_CURVE_TIMES = 1_000
_PER_ONE = 10_000

Column = list[Any] | dict[str, Any]


def page_data(report: Report, *, save_bytes: int = 0) -> dict[str, Any]:
    """The object that is embedded in the page, without as many columns as it takes to save so many bytes."""
    base = min((at for each in report.jobs if (at := each.submitted_at) is not None), default=report.created_at)
    columns = {name: column(values) for name, values in _columns(report, base).items()}
    mixed = marked_targets(report)
    left_out: list[str] = []
    for names in _LEFT_OUT_FIRST:
        if save_bytes <= 0:
            break
        # what is the same for every job takes no room
        large = [name for name in names if isinstance(columns[name], list) or "all" not in columns[name]]
        left_out += large
        save_bytes -= sum(len(_text(columns[name])) for name in large)
    return {
        "schema": SCHEMA,
        "base_ms": round(base.timestamp() * 1000),
        "targets": [
            {
                "name": visible(str(each.target)),
                "emulated": each.target in mixed,
                "quantiles": _quantiles((each.median, each.p90, each.p99)),
            }
            for each in report.analysis.targets
        ],
        "jobs": {
            "count": len(report.jobs),
            "columns": {name: each for name, each in columns.items() if name not in left_out},
        },
        "curve": _curves(report.analysis.targets),
        "hours": _hours(report),
        "left_out": left_out,
    }


def _columns(report: Report, base: datetime) -> dict[str, list[Any]]:
    places = {target: place for place, target in enumerate(report.targets)}
    jobs = report.jobs

    def of(pick: Callable[[JobMeasures], Any]) -> list[Any]:
        return [pick(each) for each in jobs]

    def rows(name: str) -> list[Any]:
        return of(lambda each: getattr(each.job.totals, name) if each.job.counted else None)

    def tokens(name: str) -> list[Any]:
        return of(lambda each: getattr(each.job.totals.usage, name) if each.job.priced else None)

    return {
        "id": of(lambda each: visible(each.job.id)),
        "target": of(lambda each: places[each.job.target]),
        "round": of(lambda each: each.job.round),
        "state": of(lambda each: each.state.value),
        "emulated": of(lambda each: each.job.emulated),
        "submitted_ms": of(
            lambda each: None if each.submitted_at is None else _ms((each.submitted_at - base).total_seconds())
        ),
        "submit_ms": of(lambda each: _ms(each.submit_s)),
        "queue_ms": of(lambda each: _ms(each.queue_s)),
        "run_ms": of(lambda each: _ms(each.run_s)),
        "finalize_ms": of(lambda each: _ms(each.finalize_s)),
        "turnaround_ms": of(lambda each: _ms(each.turnaround_s)),
        "unfinished_ms": of(lambda each: _ms(each.unfinished_s)),
        "polled": of(lambda each: each.polled),
        "download_ms": of(lambda each: _ms(each.download_s)),
        "completion_ms": of(lambda each: _ms(each.completion_s)),
        "rows": of(lambda each: each.job.rows),
        **{name: rows(name) for name in ("submitted", "succeeded", "errored", "expired", "cancelled", "missing")},
        "input_tokens": tokens("input_tokens"),
        "output_tokens": tokens("output_tokens"),
        "cost_nano_usd": of(
            lambda each: None if each.job.totals.cost_usd is None else round(each.job.totals.cost_usd * 1e9)
        ),
        "origin": of(lambda each: visible(each.job.origin)),
        "problem": of(lambda each: None if each.job.problem is None else visible(each.job.problem)),
        "batches": of(lambda each: visible(" ".join(batch.id for batch in each.job.batches))),
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def column(values: list[Any]) -> Column:
    """The same values in whichever of the documented ways is shortest."""
    if not values:
        return []
    # a bool is no number here, although Python has it so
    common, times = Counter((type(each), each) for each in values).most_common(1)[0]
    if times == len(values):
        return {"all": common[1]}
    ways: list[Column] = [values]
    others = {str(place): each for place, each in enumerate(values) if (type(each), each) != common}
    if len(others) < len(values) / 2:
        ways.append({"few": others, "else": common[1]})
    if all(isinstance(each, str) for each in values):
        words = list(dict.fromkeys(values))
        at = {word: place for place, word in enumerate(words)}
        ways.append({"words": words, "at": [at[each] for each in values]})
    if all(type(each) is int for each in values):
        ways.append({"steps": [each - before for before, each in zip([0, *values], values, strict=False)]})
    return min(ways, key=lambda way: len(_text(way)))


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _quantiles(quantiles: Sequence[Quantile]) -> list[dict[str, Any]]:
    return [
        {"part": each.part, "value_ms": _ms(each.value_s), "low_ms": _ms(each.low_s), "high_ms": _ms(each.high_s)}
        for each in quantiles
        if each.value_s is not None
    ]


def _curves(targets: Sequence[TargetAnalysis]) -> dict[str, Any] | None:
    """Every curve and band at the same times, which is what a chart wants."""
    moments = [each.curve.times_s[each.curve.times_s > 0] for each in targets]
    end = max((each.curve.last_s for each in targets), default=0.0)
    if end <= 0:
        return None
    every = np.unique(np.append(np.concatenate(moments), end))
    times = every
    if len(times) > _CURVE_TIMES:
        # each sample stands at the right end of its pixel, so no step is drawn before it happened
        times = np.geomspace(every[0], end, _CURVE_TIMES)
        times[-1] = end
    return {
        "times_ms": column([round(float(each) * 1000, 1) for each in times]),
        "targets": [{name: column(values) for name, values in _curve(each, times).items()} for each in targets],
    }


def _curve(each: TargetAnalysis, times: Floats) -> dict[str, list[int | None]]:
    curve, band = each.curve, each.band
    known = np.full(len(times), curve.events > 0)
    if curve.events and curve.done[-1] < 1.0:
        known &= times <= curve.last_s
    found = {"done": _steps(curve.times_s, curve.done, times, known)}
    if band is not None:
        later = known & (times >= band.times_s[0])
        found["low"] = _steps(band.times_s, band.low, times, later)
        found["high"] = _steps(band.times_s, band.high, times, later)
    return found


def _steps(at: Floats, values: Floats, times: Floats, known: Any) -> list[int | None]:
    places = np.searchsorted(at, times, side="right") - 1
    return [
        (0 if place < 0 else round(float(values[place]) * _PER_ONE)) if told else None
        for place, told in zip(places, known, strict=True)
    ]


def _hours(report: Report) -> list[dict[str, Any]] | None:
    """Median and p90 by hour of the day, one object per target: `{hour: {part: [value, low, high, finished]}}`."""
    found = next((each for each in report.analysis.breakdowns if each.by == "hour"), None)
    if found is None:
        return None
    by_target: dict[Any, dict[str, Any]] = {target: {} for target in report.targets}
    for name, groups in found.parts:
        for group in groups:
            by_target[group.target][str(int(name[:2]))] = {
                str(each.part): [_ms(each.value_s), _ms(each.low_s), _ms(each.high_s), each.finished]
                for each in (group.median, group.p90)
            }
    return list(by_target.values())
