"""Our end of the model's process: start it, ask it from many threads at once, kill it."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

__all__ = ["ModelProcess", "ModelStopped"]

_log = logging.getLogger(__name__)
_CHILD = Path(__file__).with_name("smollm2_child.py")


class ModelStopped(Exception):
    """The model's process is gone: stopped by us, or for the reason it gave."""


class ModelProcess:
    """One running model. `chat` may be called while it is still loading; the call then waits for it."""

    def __init__(self, model: Path, *, slots: int, context_tokens: int, threads: int) -> None:
        self._asks: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._reason = ""
        self._gone = False
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        # It has no use for keys, and in a session of its own Ctrl-C at the terminal reaches only us.
        environment = {k: v for k, v in os.environ.items() if "KEY" not in k.upper() and "TOKEN" not in k.upper()}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD), str(model), str(slots), str(context_tokens), str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                bufsize=0,
                start_new_session=True,
            )
        except OSError:
            self._stderr.close()
            raise
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._reader = threading.Thread(target=self._read, name="smollm2-replies", daemon=True)
        self._reader.start()

    @property
    def gone(self) -> bool:
        """True once no further ask can be answered."""
        return self._gone

    @property
    def pid(self) -> int:
        """The process itself, for whoever measures it."""
        return self._process.pid

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Send one chat-completion body and wait for its result; raises ModelStopped when none will come."""
        number = next(self._numbers)
        reply: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with self._lock:
            if self._gone:
                raise ModelStopped(self._reason)
            self._asks[number] = reply
        line = memoryview(json.dumps({"id": number, "body": body}).encode() + b"\n")
        with contextlib.suppress(OSError, ValueError), self._writing:
            # Where the process has just gone, the reader notices too and wakes us below.
            while line:
                line = line[self._to.write(line) or 0 :]
        result = reply.get()
        if result is None:
            raise ModelStopped(self._reason)
        return result

    def stop(self) -> None:
        """Kill the process, in the middle of a word if need be, and wake everyone who waits for it."""
        self._process.kill()
        self._process.wait()
        self._wake("it was stopped")
        self._reader.join(timeout=1.0)
        with self._writing:
            self._to.close()
        if not self._reader.is_alive():
            self._from.close()
        self._stderr.close()

    def _read(self) -> None:
        rest = b""
        reason = ""
        with contextlib.suppress(OSError, ValueError):
            while chunk := self._from.read(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    message = json.loads(line)
                    if "failed" in message:
                        reason = str(message["failed"])
                        continue
                    with self._lock:
                        reply = self._asks.pop(message["id"], None)
                    if reply is not None:
                        reply.put(message["result"])
        self._wake(reason or f"its process ended{self._last_words()}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            size = os.fstat(self._stderr.fileno()).st_size
            lines = os.pread(self._stderr.fileno(), 2000, max(0, size - 2000)).decode(errors="replace").split("\n")
            if words := " ".join(line.strip() for line in lines[-4:] if line.strip()):
                return f", saying: {words}"
        return ""

    def _wake(self, reason: str) -> None:
        with self._lock:
            if not self._gone:
                self._gone, self._reason = True, reason
                _log.debug("the model's process %d is gone: %s", self._process.pid, reason)
            waiting = list(self._asks.values())
            self._asks.clear()
        for reply in waiting:
            reply.put(None)
