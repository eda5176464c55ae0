"""Answers from a real small model on the CPU: SmolLM2-135M-Instruct through llama.cpp.

It is small enough for a laptop and wrong often enough to be interesting: facts mostly right, sums mostly not. That is
what it is for: real text, real token counts and real waiting behind the emulated Batch APIs, with no account and no key.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from batchmark.emulator.answers import AnswersClosed, Ask, Reply, never
from batchmark.emulator.answers.install import MODEL_BYTES, model_path
from batchmark.emulator.answers.smollm2_cache import AnswerCache
from batchmark.emulator.answers.smollm2_process import ModelProcess, ModelStopped

__all__ = ["ModelFailed", "Smollm2", "is_installed"]

_log = logging.getLogger(__name__)

MAX_NEW_TOKENS = 48
SLOT_TOKENS = 1792  # prompt and answer of one slot; 8 slots of it take 330 MB
ROOM_TOKENS = SLOT_TOKENS - MAX_NEW_TOKENS - 16
COUNTED_CHARACTERS = 32_000  # what lies beyond is counted by extrapolation, see Smollm2
RECIPE = "SmolLM2-135M-Instruct.Q4_1 1"  # changes with anything that changes answers
STARTS = 3  # in a row without an answer; then it is not started again
SPEED_KEEPS = timedelta(days=1)

Messages = list[tuple[str, str]]


class ModelFailed(Exception):
    """The model gave no answer to this ask: it could not be loaded, it died, or it refused the ask."""


def is_installed(home: Path) -> bool:
    """Whether the model's file lies under `home` and the library that runs it is there; cheap, imports nothing."""
    try:
        whole = model_path(home).stat().st_size == MODEL_BYTES
    except OSError:
        return False
    return whole and importlib.util.find_spec("xllamacpp") is not None


class Smollm2:
    """The model as an answer source. It is loaded, in a process of its own, at the first ask.

    The name in an ask seeds the sampling and sets its temperature (0.1 to 0.3), so that two targets differ while each
    stays true to itself. An answer has at most 48 tokens, fewer where the ask says so. A prompt too long for a slot
    (about 1,700 tokens) loses its middle: the longest messages are cut there first, then the oldest are left out;
    `input_tokens` still counts the whole prompt, as a provider that read it all would bill it. Beyond 32,000
    characters that count is extrapolated from what was counted. A JSON schema constrains the answer where llama.cpp can
    compile it, else the answer is plain text; 48 tokens may cut JSON short, and then `finish` says `length`.
    """

    name = "smollm2"
    slots = 8
    free = False
    verbatim = False

    def __init__(self, home: Path) -> None:
        self._home = home
        self._cores = _cores()
        self._closed = False
        self._lock = threading.Lock()
        self._process: ModelProcess | None = None
        self._starts = 0
        self._measuring = threading.Lock()
        self._speed: float | None = None
        self._cache = AnswerCache(home / "answers-smollm2", recipe=RECIPE)
        # Before the interpreter freezes its threads, none of ours may wait for the model any more.
        atexit.register(self.close)

    @property
    def pid(self) -> int | None:
        """The process that holds the model, None before the first ask; for whoever measures its memory."""
        return None if self._process is None else self._process.pid

    def answer(self, ask: Ask, dropped: Callable[[], bool] = never) -> Reply:
        """Answer from the cache or by generating; blocks. Raises AnswersClosed once closed, ModelFailed for no answer."""
        if self._closed:
            raise AnswersClosed
        if (reply := self._cache.find(ask)) is None:
            reply = self._generate(ask)
            self._cache.keep(ask, reply)
        return reply

    def tokens_per_s(self) -> float:
        """Answer tokens per second with all slots busy, reading the prompts included.

        Measured once (about three seconds, plus loading) and kept on disk for a day or until the number of cores changes.
        Raises AnswersClosed and ModelFailed as `answer` does.
        """
        with self._measuring:
            if self._speed is None:
                self._speed = self._recall_speed()
            if self._speed is None:
                self._speed = self._measure_speed()
                self._record_speed(self._speed)
            return self._speed

    def close(self) -> None:
        """Kill the model's process; whoever waits for an answer gets AnswersClosed. May be called again."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        atexit.unregister(self.close)
        if process is not None:
            process.stop()
        self._cache.close()

    # -- generating

    def _generate(self, ask: Ask) -> Reply:
        messages: Messages = [(role, _sound(text)) for role, text in ask.messages] or [("user", "")]
        scale = 1.0  # from tokens counted to tokens asked
        if (characters := _characters(messages)) > COUNTED_CHARACTERS:
            messages = _shortened(messages, COUNTED_CHARACTERS)
            scale = characters / _characters(messages)
        whole: int | None = None  # tokens of the prompt before anything was cut, once it proved too long
        body = self._body(ask)
        while True:
            body["messages"] = [{"role": role, "content": text} for role, text in messages]
            result = self._chat(body)
            error = result.get("error")
            if error is None:
                break
            tokens = error.get("n_prompt_tokens")
            if tokens is not None and _characters(messages) > 0:
                whole = whole or tokens
                messages = _shortened(messages, int(_characters(messages) * min(0.9, 0.95 * ROOM_TOKENS / tokens)))
            elif "response_format" in body:
                _log.info("answering without its JSON schema: %s", error.get("message"))
                del body["response_format"]
            elif len(messages) > 1:  # roles in an order that the chat template refuses
                messages = [("user", "\n\n".join(text for _, text in messages))]
            else:
                raise ModelFailed(f"the model refused an ask: {error.get('message')}")
        choice, usage = result["choices"][0], result["usage"]
        return Reply(
            text=choice["message"].get("content") or "",
            finish="length" if choice["finish_reason"] == "length" else "stop",
            input_tokens=round((whole or usage["prompt_tokens"]) * scale),
            output_tokens=usage["completion_tokens"],
        )

    def _body(self, ask: Ask) -> dict[str, Any]:
        seed = hashlib.sha256(ask.model.encode(errors="replace")).digest()
        wanted = MAX_NEW_TOKENS if ask.max_tokens is None else ask.max_tokens
        body: dict[str, Any] = {
            "max_tokens": max(1, min(wanted, MAX_NEW_TOKENS)),
            "seed": int.from_bytes(seed[:4]) >> 1,
            "temperature": 0.1 + 0.2 * seed[4] / 255,
            "top_p": 0.9,
        }
        if ask.json_schema is not None:
            try:
                schema = json.loads(ask.json_schema)
            except ValueError:
                _log.info("answering without its JSON schema, which is not JSON")
            else:
                body["response_format"] = {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": schema},
                }
        return body

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the process; an ask that was under way when the process died is put to the next one once."""
        reason = ""
        for _ in range(2):
            process = self._running()
            try:
                result = process.chat(body)
            except ModelStopped as stopped:
                if self._closed:
                    raise AnswersClosed from None
                reason = str(stopped)
            else:
                self._starts = 0
                return result
        raise ModelFailed(f"the model smollm2 cannot answer: {reason}")

    def _running(self) -> ModelProcess:
        with self._lock:
            if self._closed:
                raise AnswersClosed
            if self._process is None or self._process.gone:
                if self._process is not None:
                    self._process.stop()
                if self._starts >= STARTS:
                    raise ModelFailed(f"the model smollm2 ended {STARTS} times and is not started again")
                self._starts += 1
                try:
                    # One core is left to whoever asks: with as many threads as cores, one busy neighbour
                    # halves the speed, as each thread waits for the slowest.
                    self._process = ModelProcess(
                        model_path(self._home),
                        slots=self.slots,
                        context_tokens=SLOT_TOKENS,
                        threads=max(1, self._cores - 1),
                    )
                except OSError as error:
                    raise ModelFailed(f"the model smollm2 cannot be started: {error}") from error
            return self._process

    # -- speed

    def _measure_speed(self) -> float:
        self._generate(Ask(model="speed", messages=(("user", "Hi"),), max_tokens=1))  # the wait for loading ends here
        replies: list[Reply] = []
        errors: list[Exception] = []

        def work(number: int) -> None:
            try:
                text = f"{number + 2} friends meet on a hill. Tell their story."
                replies.append(self._generate(Ask(model="speed", messages=(("user", text),), max_tokens=16)))
            except (AnswersClosed, ModelFailed) as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(self.slots)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took_s = time.perf_counter() - began
        if errors:
            raise errors[0]
        return sum(reply.output_tokens for reply in replies) / took_s

    @property
    def _speed_path(self) -> Path:
        return model_path(self._home).with_name("speed.json")

    def _recall_speed(self) -> float | None:
        try:
            kept = json.loads(self._speed_path.read_text(encoding="utf-8"))
            age = datetime.now(UTC) - datetime.fromisoformat(kept["measured_at"])
            speed = float(kept["tokens_per_s"])
            fresh = timedelta(0) <= age < SPEED_KEEPS and kept["cores"] == self._cores and speed > 0
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return speed if fresh else None

    def _record_speed(self, speed: float) -> None:
        kept = {"tokens_per_s": round(speed, 2), "cores": self._cores, "measured_at": datetime.now(UTC).isoformat()}
        part = self._speed_path.with_name(f"speed.json.{os.getpid()}.part")
        try:
            part.write_text(json.dumps(kept) + "\n", encoding="utf-8")
            part.replace(self._speed_path)
        except OSError as error:
            _log.info("the measured speed is not kept: %s", error)


def _cores() -> int:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _sound(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON from a client may hold and llama.cpp does not take."""
    return text.encode("utf-8", "replace").decode()


def _characters(messages: Sequence[tuple[str, str]]) -> int:
    return sum(len(text) for _, text in messages)


def _shortened(messages: Messages, characters: int) -> Messages:
    """The messages in at most so many characters: middles go first, then whole messages, oldest first."""
    kept = list(messages)
    while (over := _characters(kept) - characters) > 0:
        longest = max(range(len(kept)), key=lambda index: len(kept[index][1]))
        role, text = kept[longest]
        fair = max(200, characters // len(kept))
        if len(text) > fair:
            size = max(fair, len(text) - over)
            kept[longest] = (role, text[: size // 3] + text[len(text) - (size - size // 3) :])
        elif len(kept) > 1:
            oldest = next((index for index, (role, _) in enumerate(kept[:-1]) if role != "system"), 0)
            del kept[oldest]
        else:
            kept[longest] = (role, text[:characters])
    return kept
