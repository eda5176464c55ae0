"""What a fault rule may do, as data: each action, what it acts on, in which dialects, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ACTIONS", "ALIASES", "DIALECTS", "OPERATIONS", "Action", "Scope"]

Scope = Literal["call", "answers", "life"]
DIALECTS = ("openai", "anthropic", "gemini")

# The operations as the journal names them; a second name lets one rule speak of several dialects.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "openai": (
        "files.create",
        "files.list",
        "files.retrieve",
        "files.delete",
        "files.content",
        "uploads.create",
        "uploads.add_part",
        "uploads.complete",
        "uploads.cancel",
        "batches.create",
        "batches.list",
        "batches.retrieve",
        "batches.cancel",
        "webhooks.create",
        "webhooks.list",
        "webhooks.retrieve",
        "webhooks.update",
        "webhooks.delete",
        "webhooks.rotate_secret",
        "webhooks.test",
        "webhooks.event_types",
        "models.list",
        "models.retrieve",
        "responses.input_tokens",
    ),
    "anthropic": (
        "batches.create",
        "batches.list",
        "batches.retrieve",
        "batches.cancel",
        "batches.results",
        "batches.delete",
        "models.list",
        "models.retrieve",
        "messages.count_tokens",
    ),
    "gemini": (
        "files.upload",
        "files.list",
        "files.download",
        "files.get",
        "files.delete",
        "batches.create",
        "batches.create_embeddings",
        "models.count_tokens",
        "batches.list",
        "batches.cancel",
        "batches.get",
        "batches.delete",
        "webhooks.create",
        "webhooks.list",
        "webhooks.ping",
        "webhooks.rotate_secret",
        "webhooks.get",
        "webhooks.update",
        "webhooks.delete",
        "webhooks.keys",
        "models.list",
        "models.get",
        "tuned_models.list",
    ),
}
ALIASES = {
    "files.upload": "files.create",
    "files.get": "files.retrieve",
    "files.download": "files.content",
    "batches.get": "batches.retrieve",
    "models.get": "models.retrieve",
    "webhooks.get": "webhooks.retrieve",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that a rule may do. `takes` is how its value is read; `least` and `most` are the numbers allowed."""

    scope: Scope
    about: str
    takes: Literal["nothing", "number", "maybe a number", "word"] = "nothing"
    least: float = 0
    most: float = 1e9
    options: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()  # those of the options that are numbers
    dialects: tuple[str, ...] = DIALECTS
    operations: str = "*"  # the operations for which it has a meaning


def _call(about: str, takes: Literal["nothing", "number"] = "number", **more: object) -> Action:
    return Action(scope="call", about=about, takes=takes, **more)  # type: ignore[arg-type]


def _lines(about: str, **more: object) -> Action:
    return Action(scope="answers", about=about, **more)  # type: ignore[arg-type]


def _life(about: str, **more: object) -> Action:
    return Action(scope="life", about=about, **more)  # type: ignore[arg-type]


_CREATE = "batches.create*"

ACTIONS: dict[str, Action] = {
    # a call
    "status": _call(
        "answers with this HTTP status in the dialect's own shape, or with this `body`; nothing is done. `code`, `message`, "
        "`retry-after` in seconds, and any `header='NAME: VALUE'`, several with | between",
        least=400,
        most=599,
        options=("retry-after", "code", "message", "body", "header"),
        numbers=("retry-after",),
    ),
    "delay": _call("is looked at only after so many seconds"),
    "drop-before-store": _call("is thrown away and its connection closed", takes="nothing"),
    "drop-after-store": _call("is done, then its connection is closed without an answer", takes="nothing"),
    "answer-late": _call("is done at once and answered after so many seconds"),
    "visible-late": _call(
        "makes a batch that is in no list, and 404, for so many emulated seconds", operations=_CREATE
    ),
    "lag": _call("does not see batches younger than so many emulated seconds", operations="batches.[!c]*"),
    "truncate": _call("answers with this part of the body, then closes the connection", most=1),
    "stall": _call("pauses for so many seconds in the middle of the answer's body"),
    "throttle": _call("sends the body at so many bytes a second", least=1),
    "revoke-key": Action(scope="call", about="is refused as if its key were no good"),
    # the lines of results
    "drop-line": _lines("is not written, though counted"),
    "duplicate-line": _lines("is written twice"),
    "foreign-line": _lines("is followed by a line with an id that nobody asked about"),
    "corrupt-line": _lines("is cut in its middle"),
    "drop-key": _lines("does not say which request it answers"),
    "empty-error": _lines("becomes an error line that carries nothing, counted as a success", dialects=("openai",)),
    "block": _lines("is answered with a refused prompt and no candidate", dialects=("gemini",)),
    "fail": _lines(
        "fails with this status; Gemini takes google.rpc codes too",
        takes="number",
        most=599,
        options=("code", "message"),
    ),
    "reorder": _lines("come in another order"),
    "wrong-counter": _lines(
        "are counted wrong: failures as successes, or so many successes more", takes="maybe a number", least=-1e9
    ),
    # the life of a batch
    "expire": _life(
        "is cut off after this part of its rows, `in` seconds after its creation or else when it would have ended",
        options=("after", "in", "lines"),
        numbers=("after", "in"),
    ),
    "stuck": _life("does not begin for so many seconds, or until its window ends", takes="maybe a number"),
    "slow-finalizing": _life("takes so many seconds longer to write its results", takes="number"),
    "fail-validation": _life("is found bad", takes="word"),
    "token-limit": _life("meets a full queue, said to take this many tokens", takes="maybe a number", most=1e12),
    "unknown-state": _life(
        "is in a state of this name for `for` seconds", takes="word", options=("for",), numbers=("for",)
    ),
    "empty-ids": _life('has "" for a file that it has not', dialects=("openai",)),
    "outrun-cancel": _life("is done with all its rows by the time that it is cancelled"),
    "hold-quota": _life("counts as in flight for so many seconds, even cancelled or deleted", takes="number"),
}
