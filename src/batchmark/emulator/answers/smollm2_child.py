"""The process that holds the model: it reads asks on its stdin, one JSON object a line, and answers on its stdout.

llama.cpp has a process of its own because inside ours it would take over SIGINT and SIGTERM, print where it likes, open
a port, keep 500 MB, and could neither be stopped in the middle of an answer nor crash alone. Its parent ends it with a
kill; where the parent dies first, the end of stdin ends it.

Run by file path with the model's file, the number of slots, tokens of context per slot and the number of threads. It
imports nothing of the package, so it needs no `batchmark` on its path.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["main"]

_BATCH_TOKENS = 512  # how many prompt tokens are read at a time, shared by all slots


def _load(model: str, *, slots: int, context_tokens: int, threads: int) -> Any:
    """Load the model behind llama.cpp's server, and leave no door to that server but the object itself."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_parallel = slots
    params.n_ctx = slots * context_tokens
    params.n_batch = params.n_ubatch = _BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0  # by default old prompts are kept in up to 8 GB of memory
    params.n_ctx_checkpoints = 0
    params.warmup = False
    params.fit_params = False
    params.ui = False
    params.endpoint_slots = False
    params.n_threads_http = 1
    params.verbosity = 0
    # The server insists on listening. Where there are Unix sockets it gets one in a folder that is removed at once, so
    # nothing can connect; elsewhere a loopback port that wants a key which nobody knows.
    params.api_keys = [os.urandom(16).hex()]
    if os.name != "posix":
        return xllamacpp.Server(params)
    folder = tempfile.mkdtemp(prefix="batchmark-")
    try:
        params.hostnames = [os.path.join(folder, "s.sock")]  # noqa: PTH118 - text is what the server takes
        return xllamacpp.Server(params)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> None:
    """Answer until stdin ends, then leave at once, whatever is still being generated."""
    model, slots, context_tokens, threads = arguments[0], *map(int, arguments[1:4])
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints must not end up between our lines
    writing = threading.Lock()

    def say(message: dict[str, Any]) -> None:
        line = memoryview(json.dumps(message).encode() + b"\n")
        with writing:
            while line:
                line = line[replies.write(line) or 0 :]

    try:
        server = _load(model, slots=slots, context_tokens=context_tokens, threads=threads)
    except Exception as error:  # noqa: BLE001 - the parent tells the user
        say({"failed": f"{type(error).__name__}: {error}"})
        return

    def answer(ask: dict[str, Any]) -> None:
        try:
            result = server.handle_chat_completions(ask["body"])
        except Exception as error:  # noqa: BLE001 - a schema it cannot compile, a template it cannot fill: one ask's matter
            result = {"error": {"code": 400, "type": type(error).__name__, "message": str(error)}}
        say({"id": ask["id"], "result": result})

    workers = ThreadPoolExecutor(slots)
    for line in sys.stdin.buffer:
        workers.submit(answer, json.loads(line))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        os._exit(0)
