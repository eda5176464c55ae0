"""A process that has imported everything and forks one child per command, so that hundreds of real processes can be killed in seconds.

Reads one JSON document a line and answers with one: {"argv", "environment", "folder", "out", "err", "patches"} starts a command and is
answered with its process id ("patches" are values of ours that differ in it, by `module:name`); {"wait", "timeout_s"} is answered with
the wait status of a child, or null where it still runs after that time.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import ssl
import sys
import time
from typing import Any


def main() -> None:
    for name in (
        "batchmark.cli.main",
        "batchmark.cli.create_command",
        "batchmark.cli.batch_commands",
        "batchmark.cli.running",
        "batchmark.cli.showing",
        # this one imports DBOS, whose threads and connections begin only in the child that launches it
        "batchmark.engine.durable",
        "batchmark.providers.openai.client",
        "batchmark.providers.google.client",
        "batchmark.providers.anthropic.client",
        "genai_prices",
        "zstandard",
    ):
        importlib.import_module(name)
    from batchmark.prices.book import PriceBook

    PriceBook().price("openai", "gpt-5-nano")
    # every client reads all root certificates, 30 ms each time, and no test speaks TLS
    ssl.create_default_context = functools.cache(ssl.create_default_context)  # type: ignore[assignment]
    ssl.create_default_context()
    # no child has to copy what all of them share
    gc.freeze()
    print('"ready"', flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_wait(**order) if "wait" in order else _start(order)), flush=True)


def _start(order: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        _become(order)
    return child


def _wait(wait: int, timeout_s: float) -> int | None:
    deadline = time.monotonic() + timeout_s
    while True:
        ended, status = os.waitpid(wait, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.002)


def _become(order: dict[str, Any]) -> None:
    """The child: a command in a fresh environment, its output in files."""
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    from batchmark.cli.main import run
    from batchmark.ledger import points

    for place, value in order["patches"].items():
        module, _, path = place.partition(":")
        *way, name = path.split(".")
        thing: object = importlib.import_module(module)
        for each in way:
            thing = getattr(thing, each)
        # also where a dataclass is frozen
        (setattr if thing is sys.modules[module] else object.__setattr__)(thing, name, value)
    points.arm(os.environ)
    code = 70
    try:
        code = run(order["argv"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
