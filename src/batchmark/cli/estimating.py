"""What `batchmark estimate` does once it is called; apart from its declaration, so that `--help` stays quick.

The document that `--json` prints:

- `workload`, `emulated`, `cost_means` (what the ends of a range are), `sample` (`rows`, `seed`; null without --exact-sample),
  `cheapest` (the target whose range lies below all others; null where ranges overlap or a cost is unknown);
- `targets[]`, cheapest first, each with `target` and either `problem` (why it cannot take the file) or
  `rows`, `shards` (batches), `wire_bytes`, `largest_row_bytes`;
  `input_tokens` (the middle figure), `input_tokens_low`, `input_tokens_high`, `max_output_tokens`, `rows_without_limit`,
  `rows_uncounted`; `tokens` (`method`, `words`, `spread`, `ratio` to that method's plain count, `sampled` rows, `fallback`: why there is
  no sample);
  `least_cost_usd`, `input_cost_usd` (the middle input alone), `most_cost_usd`, `standard_least_usd`, `standard_most_usd`: dollars, null
  where unknown or without bound; `price` (where it comes from, null without one), `price_note` (that, or why there is none),
  `price_as_of` (a day), `price_assumed`;
  `limits_met[]` and `warnings[]` in words;
  `turnaround` (`n` finished batches here, `median_s`, `p90_s`: null below 6 and 36 of them).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from batchmark.api.forecast import Forecast, Sample, cheapest, forecast
from batchmark.api.workspace import Workspace
from batchmark.cli.output import Output
from batchmark.compare.measures import MIN_FINISHED
from batchmark.domain.target import parse_target
from batchmark.engine.estimate import RANGE
from batchmark.providers import registry
from batchmark.report.words import duration, money, plural
from batchmark.workload.rows import Workload, sample_path
from batchmark.workload.template import template_of

__all__ = ["estimate"]

# Below so many finished batches a quantile is no statistic.
_FEWEST = {50: MIN_FINISHED[0.5], 90: MIN_FINISHED[0.9]}


def estimate(
    path: Path | None,
    on: Sequence[str],
    *,
    requests: int | None,
    exact_sample: int | None,
    seed: int,
    prompt: str | None,
    system: str | None,
    max_tokens: int | None,
    shard_rows: int | None,
    emulate: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Estimate every target; a target that cannot take a row is said so, and the code is 2 where none can."""
    models = registry.default_models(*(text.partition(":")[0] for text in on))
    targets = [parse_target(text, models) for text in on or registry.BUILT_IN]
    workload = Workload(path or sample_path(), limit=requests, template=template_of(prompt, system, max_tokens))
    sample = None if exact_sample is None else Sample(rows=exact_sample, seed=seed)
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        made = asyncio.run(forecast(workspace, workload, targets, shard_rows=shard_rows, sample=sample))
    if json:
        best = cheapest(made)
        out.document(
            {
                "workload": workload.name,
                "emulated": out.emulated,
                "cost_means": RANGE,
                "sample": None if sample is None else asdict(sample),
                "cheapest": None if best is None else str(best.target),
                "targets": [_document(each) for each in made],
            }
        )
    else:
        _show(out, workload, made, sample)
    return 0


def _document(each: Forecast) -> dict[str, object]:
    if each.found is None:
        return {"target": str(each.target), "problem": each.problem.message if each.problem else None}
    low, high = each.input_range
    return {
        "target": str(each.target),
        **asdict(each.found),
        "input_tokens_low": low,
        "input_tokens_high": high,
        "tokens": {
            "method": each.counter.name,
            "words": each.counter.words,
            "spread": each.counter.spread,
            "ratio": each.counter.ratio,
            "sampled": each.counter.sampled,
            "fallback": each.fallback,
        },
        "price": each.price.note if each.price else None,
        "price_note": each.price_note,
        "price_as_of": each.price.as_of.isoformat() if each.price and each.price.as_of else None,
        "price_assumed": each.price.assumed if each.price else None,
        "limits_met": list(each.met),
        "warnings": each.found.warnings,
        "turnaround": {
            "n": len(each.turnarounds_s),
            "median_s": _quantile(each.turnarounds_s, 50),
            "p90_s": _quantile(each.turnarounds_s, 90),
        },
    }


def _show(out: Output, workload: Workload, made: Sequence[Forecast], sample: Sample | None) -> None:
    sent = "nothing was sent" if sample is None else "no request was sent, but tokens were asked for"
    names = [
        "requests",
        "batches",
        "upload",
        "input tokens",
        "",
        "output tokens",
        "cost in batches",
        "at standard price",
    ]
    columns = [_column(each) for each in made]
    rows = [[name, *(column[at] for column in columns)] for at, name in enumerate(names)]
    heads = [str(each.target) for each in made]
    out.table(f"Estimate for {workload.name}{out.mark}; {sent}", ["", *heads], rows, right=heads)
    for each in made:
        out.line(str(each.target))
        for name, words in _lines(each, out.emulated):
            out.line(f"  {name:<11}{words}")
    if len(made) > 1:
        out.line(_verdict(made))
    out.note(RANGE)
    if sample is not None:
        out.note(f"the sample: {plural(sample.rows, 'random row')}, seed {sample.seed}")


def _column(each: Forecast) -> list[str]:
    found = each.found
    if found is None:
        return ["cannot take this file", *[""] * 7]
    low, high = each.input_range
    return [
        f"{found.rows:,}",
        f"{found.shards:,}",
        _size(found.wire_bytes),
        f"about {found.input_tokens:,}",
        f"{low:,} to {high:,}",
        f"at most {found.max_output_tokens:,}" if not found.rows_without_limit else "no limit",
        _range(found.least_cost_usd, found.most_cost_usd),
        _range(found.standard_least_usd, found.standard_most_usd),
    ]


def _lines(each: Forecast, emulated: bool) -> list[tuple[str, str]]:
    if each.found is None:
        problem = each.problem
        return [("problem", f"{problem.reason} (line {problem.line})" if problem else "")]
    lines = [("tokens", each.counter.words.removeprefix("tokens: ").removeprefix("tokens "))]
    if each.fallback is not None:
        lines.append(("", f"the provider counted no sample: {each.fallback}"))
    elif each.counter.sampled and emulated:
        lines.append(("", "counted by the emulator, which is not what the provider would count"))
    lines.append(("price", each.price_note))
    if (saved := _saving(each)) is not None:
        lines.append(("saving", saved))
    lines.append(("limits", "fits one batch" if not each.met else each.met[0]))
    lines += [("", words) for words in each.met[1:]]
    lines.append(("turnaround", _turnaround(each, emulated)))
    lines += [("note", warning) for warning in each.found.warnings]
    return lines


def _saving(each: Forecast) -> str | None:
    """What batches save against the standard price: the share is that of the input alone where answers have no limit."""
    found = each.found
    if found is None or found.least_cost_usd is None or not found.standard_least_usd:
        return None
    if found.most_cost_usd is not None and found.standard_most_usd:
        low, high = found.standard_least_usd - found.least_cost_usd, found.standard_most_usd - found.most_cost_usd
        share = 1 - found.most_cost_usd / found.standard_most_usd
        return f"{_dollars(low)} to {_dollars(high)}, {share * 100:.0f} % of the standard price"
    share = 1 - found.least_cost_usd / found.standard_least_usd
    return f"{share * 100:.0f} % of the standard price of the input"


def _turnaround(each: Forecast, emulated: bool) -> str:
    n = len(each.turnarounds_s)
    if not n:
        flag = " --emulate" if emulated else ""
        return (
            f"no history here: batchmark report --history {each.target.provider}{flag} reads the account's past batches"
        )
    words = []
    for percent, name in ((50, "half"), (90, "90 %")):
        found = _quantile(each.turnarounds_s, percent)
        words.append(f"{name}: too few ({n}) to say" if found is None else f"{name} within {duration(found)}")
    batches = plural(n, "finished batch") if n == 1 else f"{n:,} finished batches"
    return f"from {batches} here: {', '.join(words)}"


def _quantile(values: Sequence[float], percent: int) -> float | None:
    """The smallest value that so many percent of all do not exceed; None where there are too few to say."""
    if len(values) < _FEWEST[percent]:
        return None
    return sorted(values)[-(-len(values) * percent // 100) - 1]


def _verdict(made: Sequence[Forecast]) -> str:
    best = cheapest(made)
    if best is not None:
        return f"cheapest: {best.target}; its whole range lies below every other's"
    able = [each for each in made if each.found is not None]
    if len(able) < 2:
        return "cheapest: only one target can take this file"
    if any(each.found is not None and each.found.least_cost_usd is None for each in able):
        return "cheapest: cannot be told, a price is unknown"
    if any(each.middle_usd is None for each in able):
        return "cheapest: cannot be told while answers have no limit; set one with --max-tokens"
    return "cheapest: cannot be told, ranges overlap"


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "unknown"
    return f"from {money(least)}" if most is None else f"{money(least)} to {money(most)}"


def _dollars(usd: float) -> str:
    return money(usd) if usd >= 0 else f"-{money(-usd)}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
