"""`batchmark doctor`: what is configured, which keys work, which limits apply."""

from __future__ import annotations

from batchmark.cli.options import Emulate, Json, Quiet

__all__ = ["doctor"]


def doctor(emulate: Emulate = False, json: Json = False, quiet: Quiet = False) -> int:
    """Show what is configured, which keys work, and which limits apply. Sends one list call per key."""
    from batchmark.cli import examining

    return examining.doctor(emulate=emulate, json=json, quiet=quiet)
