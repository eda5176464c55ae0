"""What `batchmark estimate` does once it is called; apart from its declaration, so that `--help` stays quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from batchmark.api.staging import limits_of
from batchmark.cli.output import Output
from batchmark.domain.target import Target, parse_target
from batchmark.engine.estimate import METHOD, Estimate
from batchmark.engine.estimate import estimate as estimate_one
from batchmark.errors import RowError
from batchmark.prices.lookup import Price, resolve
from batchmark.providers import registry
from batchmark.report.words import money
from batchmark.workload.rows import Workload
from batchmark.workload.template import template_of

__all__ = ["estimate"]


def estimate(
    path: Path,
    on: Sequence[str],
    *,
    prompt: str | None,
    system: str | None,
    max_tokens: int | None,
    shard_rows: int | None,
    json: bool,
    quiet: bool,
) -> int:
    """Estimate every target; a target that cannot take a row is said so, and the code is 2 where none can."""
    out = Output(json=json, quiet=quiet)
    models = registry.default_models(*(text.partition(":")[0] for text in on))
    targets = [parse_target(text, models) for text in on or registry.BUILT_IN]
    workload = Workload(path, template=template_of(prompt, system, max_tokens))
    found: list[tuple[Target, Price | None, Estimate | RowError]] = []
    for target in dict.fromkeys(targets):
        spec = registry.find(target.provider)
        price = resolve(target.provider, target.model)
        try:
            one: Estimate | RowError = estimate_one(
                workload.rows(),
                registry.wire_of(spec),
                limits_of(spec, shard_rows),
                source=workload.name,
                model=target.model,
                price=price,
            )
        except RowError as error:
            one = error
        found.append((target, price, one))
    failed = [one for _, _, one in found if isinstance(one, RowError)]
    if len(failed) == len(found):
        raise failed[0]
    if json:
        out.document({"workload": workload.name, "method": METHOD, "targets": [_document(*each) for each in found]})
    else:
        _show(out, workload, found)
    return 0


def _document(target: Target, price: Price | None, one: Estimate | RowError) -> dict[str, object]:
    if isinstance(one, RowError):
        return {"target": str(target), "problem": one.message}
    return {"target": str(target), **asdict(one), "price": price.note if price else None, "warnings": one.warnings}


def _show(out: Output, workload: Workload, found: list[tuple[Target, Price | None, Estimate | RowError]]) -> None:
    rows = []
    for target, price, one in found:
        if isinstance(one, RowError):
            rows.append([str(target), "cannot take this file", "", "", "", "", ""])
            continue
        rows.append(
            [
                str(target),
                f"{one.rows:,}",
                f"{one.shards:,}",
                f"{one.wire_bytes / 1e6:,.1f} MB",
                f"about {one.input_tokens:,}",
                f"at most {one.max_output_tokens:,}" if not one.rows_without_limit else "no limit",
                _cost(one, price),
            ]
        )
    columns = ["target", "requests", "batches", "size", "input tokens", "output tokens", "cost"]
    out.table(f"Estimate for {workload.name}; nothing was sent", columns, rows, right=columns[1:])
    out.note(METHOD)
    for target, price, one in found:
        if isinstance(one, RowError):
            out.line(f"{target}: {one.reason} (line {one.line})")
            continue
        for warning in one.warnings:
            out.line(f"{target}: {warning}")
        out.note(f"{target}: {price.note if price else 'no price is known for this model'}")


def _cost(one: Estimate, price: Price | None) -> str:
    if price is None:
        return "unknown"
    if one.most_cost_usd is None:
        return f"from {money(one.input_cost_usd)}"
    return f"{money(one.input_cost_usd)} to {money(one.most_cost_usd)}"
