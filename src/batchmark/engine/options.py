"""How a run is to be driven. Kept with the run, so that whoever goes on with it does so in the same way."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from batchmark.engine.stall import Policy

__all__ = ["DriveOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveOptions:
    """`attempts` is how often a row is asked at most; `max_cost_usd` what the run may cost at most, in US dollars; `in_flight` how many
    batches may be under way at once (None: as many as the provider takes); with `keep_files` uploaded inputs stay on the account.
    In a comparison `seed` draws the order of the targets in each round, and its rounds begin evenly over `spread_s` (the service's clock).
    """

    attempts: int = 1
    stall: Policy = Policy.WARN
    max_cost_usd: float | None = None
    in_flight: int | None = None
    keep_files: bool = False
    seed: int | None = None
    spread_s: float = 0.0

    @property
    def document(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"stall": self.stall.value}

    @classmethod
    def read(cls, document: dict[str, Any] | None) -> DriveOptions:
        """From the ledger; what an older version did not write has its default."""
        known = {field.name for field in fields(cls)}
        found = {name: value for name, value in (document or {}).items() if name in known}
        return cls(**{**found, "stall": Policy(found.get("stall", Policy.WARN))})
