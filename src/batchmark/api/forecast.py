"""The use case `estimate`: what a workload would take on each of several targets. Sends no request; only with a sample it talks to a
provider at all, to its free count of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchmark.api.staging import limits_of
from batchmark.api.workspace import Workspace
from batchmark.domain.limits import Limits
from batchmark.domain.request import Request
from batchmark.domain.target import Target
from batchmark.domain.tokens import BY_LENGTH, Counter
from batchmark.engine.estimate import Estimate, estimate, limits_met
from batchmark.engine.sampling import calibrate, draw
from batchmark.engine.tokenizers import Modules, find_tokenizer
from batchmark.errors import BatchmarkError, Configuration, RowError
from batchmark.prices.lookup import Price
from batchmark.providers import registry
from batchmark.workload.rows import Workload

__all__ = ["Forecast", "Sample", "cheapest", "forecast", "in_order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How many random rows the provider is to count, drawn with which seed."""

    rows: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one target would take.

    `found` is None where the target cannot take the file, and `problem` says why. `fallback` says why the provider's count of a sample
    was not to be had. `turnarounds_s` are those of earlier batches here, on the provider's clock.
    """

    target: Target
    price: Price | None
    price_note: str
    counter: Counter
    found: Estimate | None
    limits: Limits
    met: tuple[str, ...]
    turnarounds_s: tuple[float, ...]
    fallback: str | None = None
    problem: RowError | None = None

    @property
    def input_range(self) -> tuple[int, int]:
        """The low and the high end of the input tokens."""
        tokens = 0 if self.found is None else self.found.input_tokens
        return round(tokens * (1 - self.counter.spread)), round(tokens * (1 + self.counter.spread))

    @property
    def middle_usd(self) -> float | None:
        """The middle of the range of costs; None where it has no upper end."""
        found = self.found
        if found is None or found.least_cost_usd is None or found.most_cost_usd is None:
            return None
        return (found.least_cost_usd + found.most_cost_usd) / 2


async def forecast(
    workspace: Workspace,
    workload: Workload,
    targets: Sequence[Target],
    *,
    shard_rows: int | None = None,
    sample: Sample | None = None,
    modules: Modules | None = None,
) -> list[Forecast]:
    """Every target's forecast, cheapest first. A target that cannot take a row is said so; raises RowError where none can.

    Raises Configuration where a sample is to be counted and no target has a key for that.
    """
    prices = workspace.prices
    drawn, rows = draw(workload.rows(), sample.rows, sample.seed) if sample is not None else ([], 0)
    made: list[Forecast] = []
    failures: list[BatchmarkError | ValueError] = []
    for target in dict.fromkeys(targets):
        spec = registry.find(target.provider)
        own = find_tokenizer(spec.tokenizer, workspace.environment, modules) if spec.tokenizer else None
        counter = own or BY_LENGTH
        fallback = None
        if sample is not None:
            try:
                counter = await _counted(workspace, target, counter, drawn, rows)
            except (BatchmarkError, ValueError) as error:  # of which Unsupported is one
                failures.append(error)
                fallback = str(error)
        price = prices.price(target.provider, target.model)
        limits = limits_of(spec, shard_rows)
        found: Estimate | None = None
        problem: RowError | None = None
        try:
            found = estimate(
                workload.rows(),
                registry.wire_of(spec),
                limits,
                source=workload.name,
                model=target.model,
                price=price,
                counter=counter,
                standard=True,
            )
        except RowError as error:
            problem = error
        made.append(
            Forecast(
                target=target,
                price=price,
                price_note=prices.note(target.provider, target.model),
                counter=counter,
                found=found,
                limits=limits,
                met=tuple(limits_met(found, limits)) if found is not None else (),
                turnarounds_s=tuple(workspace.turnarounds_s(target.provider, target.model)),
                fallback=fallback,
                problem=problem,
            )
        )
    keyless = [error for error in failures if isinstance(error, Configuration)]
    if len(keyless) == len(made):
        raise keyless[0]
    problems = [each.problem for each in made if each.problem is not None]
    if len(problems) == len(made):
        raise problems[0]
    return in_order(made)


async def _counted(
    workspace: Workspace, target: Target, counter: Counter, sample: Sequence[Request], rows: int
) -> Counter:
    async with workspace.provider(registry.find(target.provider)) as provider:
        return await calibrate(counter, provider, target.model, sample, of_rows=rows)


def in_order(made: Sequence[Forecast]) -> list[Forecast]:
    """By the middle of the cost; then those without an upper end, those without a price, and those that cannot take the file."""

    def place(each: Forecast) -> tuple[int, float]:
        if each.found is None:
            return 3, 0.0
        if each.middle_usd is not None:
            return 0, each.middle_usd
        return (2, 0.0) if each.found.least_cost_usd is None else (1, each.found.least_cost_usd)

    return sorted(made, key=place)


def cheapest(made: Sequence[Forecast]) -> Forecast | None:
    """The target whose whole range of costs lies below every other's, or None where ranges overlap or costs are unknown."""
    able = [each for each in made if each.found is not None]
    for each in able:
        most = each.found.most_cost_usd if each.found is not None else None
        others = [other.found.least_cost_usd for other in able if other is not each and other.found is not None]
        if most is not None and others and all(least is not None and most < least for least in others):
            return each
    return None
