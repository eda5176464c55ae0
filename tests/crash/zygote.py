"""A process that has imported everything and forks one child per command, so that hundreds of real processes can be killed in seconds.

Reads one JSON document a line: {"argv", "environment", "folder", "out", "err"}; answers with the child's wait status.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    for name in (
        "batchmark.cli.main",
        "batchmark.cli.create_command",
        "batchmark.cli.batch_commands",
        "batchmark.providers.openai.client",
        "batchmark.providers.google.client",
        "batchmark.providers.anthropic.client",
        "genai_prices",
    ):
        importlib.import_module(name)
    from batchmark.prices.lookup import resolve

    resolve("openai", "gpt-5-nano")
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order)
        print(os.waitpid(child, 0)[1], flush=True)


def _become(order: dict[str, object]) -> None:
    """The child: a command in a fresh environment, its output in files."""
    os.environ.clear()
    os.environ.update({str(name): str(value) for name, value in dict(order["environment"]).items()})  # type: ignore[call-overload]
    os.chdir(str(order["folder"]))
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(str(order[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    from batchmark.cli.main import run
    from batchmark.engine import points

    points._kill_at = os.environ.get("BATCHMARK_KILL_AT")
    code = 70
    try:
        code = run([str(word) for word in order["argv"]])  # type: ignore[attr-defined]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
