"""Every error that batchmark raises on purpose. The type says what to do next; `exit_code` is what the command returns.

    BatchmarkError
    ├── BadInput            2   the user's words or file are wrong; nothing was sent
    │   └── RowError        2   … in one row: file, line and row are named
    ├── Configuration       3   no key, a bad setting, a missing extra
    │   └── BadCredentials  3   the provider does not accept the key
    ├── Refused             4   the provider said a clear no; trying again as it is will not help
    │   └── NotFound        4   … because it knows no such batch, file or model
    ├── Ambiguous           5   a submission may or may not have been stored; look before sending again
    ├── Retryable           6   no answer, or "not now"; the same call may work later
    │   └── RateLimited     6   … the provider asks us to slow down (`retry_after_s`)
    ├── LocalTrouble        6   this machine is in the way: disk, permissions, a locked ledger
    └── Interrupted       130   Ctrl-C: state is safe, the message says how to come back

Anything else that escapes is a bug of ours (exit code 70). Messages are one sentence without a full stop; `hint` says what
to do. No message ever carries a key: clients pass the provider's text through `redact` first.
"""

from __future__ import annotations

import re

__all__ = [
    "Ambiguous",
    "BadCredentials",
    "BadInput",
    "BatchmarkError",
    "Configuration",
    "Interrupted",
    "LocalTrouble",
    "NotFound",
    "RateLimited",
    "Refused",
    "Retryable",
    "RowError",
    "redact",
]


class BatchmarkError(Exception):
    """The root: catch this to catch all that batchmark raises on purpose."""

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(BatchmarkError):
    """What the user gave cannot be used. Raised before anything is sent or written."""

    exit_code = 2


class RowError(BadInput):
    """One row of the user's file cannot be used."""

    def __init__(self, reason: str, *, path: str, line: int, row: int, hint: str | None = None) -> None:
        super().__init__(f"{path} line {line} (row {row}): {reason}. Nothing was sent", hint=hint)
        self.path, self.line, self.row, self.reason = path, line, row, reason


class Configuration(BatchmarkError):
    """A key, a setting or an optional package is missing."""

    exit_code = 3


class BadCredentials(Configuration):
    """The provider does not accept the key, or the key may not do this."""


class Refused(BatchmarkError):
    """The provider clearly said no, so nothing was made. `status` is its HTTP status, `code` its own word."""

    exit_code = 4

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status, self.code = status, code


class NotFound(Refused):
    """The provider knows no such batch, file or model on this account."""


class Ambiguous(BatchmarkError):
    """A create call got no clear answer: the batch may exist. Never send again before looking."""

    exit_code = 5


class Retryable(BatchmarkError):
    """The provider could not be reached or could not serve the call now."""

    exit_code = 6

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class RateLimited(Retryable):
    """The provider refused for now, because of a rate or queue limit; nothing was made."""


class LocalTrouble(BatchmarkError):
    """The disk is full, a folder cannot be written, the ledger is locked: what was saved is safe."""

    exit_code = 6


class Interrupted(BatchmarkError):
    """The user stopped the command. What was submitted goes on at the provider."""

    exit_code = 130


_KEY_SHAPES = re.compile(
    r"((?<![A-Za-z0-9])sk-[A-Za-z0-9_*-]{4,}|AIza[A-Za-z0-9_-]{10,}|(?i:bearer)\s+\S+|AQ\.[A-Za-z0-9_-]{10,}|(?<=//)[^/@\s]+(?=@))"
)


def redact(text: str, *secrets: str | None) -> str:
    """Take keys out of a provider's text before it is shown or logged (OpenAI's 401 echoes part of the key)."""
    for secret in secrets:
        if secret and len(secret) >= 4:
            text = text.replace(secret, "[key]")
    return _KEY_SHAPES.sub("[key]", text)
