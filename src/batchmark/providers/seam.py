"""The narrow seam that a provider fills: pure wire rules on one side, calls to the service on the other.

Nothing here knows about the ledger, retries or the terminal. Talking methods raise the errors of `batchmark.errors` only: `Refused`
(clear no), `Retryable` (no answer or not now), `BadCredentials`, and from `create` alone `Ambiguous`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from batchmark.domain.lifecycle import BatchRef, FileRef, Intent, ModelInfo, RawFile, Snapshot
from batchmark.domain.limits import Frame, Limits, Usual
from batchmark.domain.request import Request
from batchmark.domain.result import Result

__all__ = ["Provider", "ProviderSpec", "StoredFile", "Submission", "Wire"]


class Wire(Protocol):
    """What a provider's bytes mean; no clock, no network. A module with these names fills it."""

    @property
    def FRAME(self) -> Frame: ...
    def endpoint(self, request: Request) -> str:
        """The API path that the request needs; a batch holds one. Raises Unsupported."""
        ...

    def encode(self, request: Request, wire_id: str, model: str) -> bytes:
        """One request as it stands in the shard file. Raises Unsupported naming what cannot be honoured."""
        ...

    def relabel(self, line: bytes, wire_id: str) -> bytes:
        """An encoded request with another wire id and not a byte of the rest changed: a retry needs the user's file no more.

        Raises ValueError where the bytes are not those of `encode`.
        """
        ...

    def wire_id_of(self, line: bytes) -> str:
        """The wire id of an answer line, without decoding the rest. Raises ValueError where the bytes are not one."""
        ...

    def decode(self, line: bytes) -> Result:
        """One answer line. Raises ValueError where the bytes are not one."""
        ...

    def split(self, raw: RawFile) -> Iterator[bytes]:
        """The answer lines of a raw result file, one at a time."""
        ...

    def matches(self, intent: Intent, snapshot: Snapshot) -> bool:
        """Whether the batch may be the one that the intent was about to create."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """All that `create` needs for one shard attempt. `path` holds the requests exactly as the wire will carry them."""

    path: Path
    label: str
    model: str
    endpoint: str
    rows: int
    timeout_s: float
    file: FileRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file on the account, as a list shows it; `name` is what it was uploaded as."""

    ref: FileRef
    name: str | None
    bytes: int | None
    created_at: datetime | None


class Provider(Protocol):
    """A connected account at one provider."""

    spec: ProviderSpec

    @property
    def server_time(self) -> datetime | None:
        """The provider's clock as the last answer told it; None before the first."""
        ...

    async def now(self) -> datetime:
        """The provider's clock, from the `date` header of a cheap list call."""
        ...

    async def upload(self, shard: Path, label: str) -> FileRef | None:
        """Send the shard file, or do nothing where requests go inside the create call. Repeatable: an orphan file costs nothing."""
        ...

    async def create(self, submission: Submission) -> BatchRef:
        """Make the batch, once. Raises Ambiguous where it may exist all the same; no layer below repeats the call."""
        ...

    def list_batches(self, since: datetime | None = None) -> AsyncIterator[Snapshot]:
        """The account's batches, newest first, a page at a time, back to those created at `since`."""
        ...

    async def get(self, ref: BatchRef) -> Snapshot: ...

    async def fetch(self, snapshot: Snapshot, into: Path) -> list[RawFile]:
        """Stream every result file of an ended batch to the folder `into`, verbatim; complete files only, partial results included."""
        ...

    async def cancel(self, ref: BatchRef) -> None: ...

    async def delete(self, ref: BatchRef) -> None:
        """Remove the batch from the account. Raises Refused where the API has no such call or the batch still runs."""
        ...

    async def delete_file(self, file: FileRef) -> None: ...

    def files(self) -> AsyncIterator[StoredFile]:
        """The input files on the account, a page at a time; none where requests go inside the create call."""
        ...

    def models(self) -> AsyncIterator[ModelInfo]:
        """The models that can be batched; where the API does not say, known ones are marked and others left unknown."""
        ...

    async def count_tokens(self, request: Request, model: str) -> int:
        """How many tokens the model would read, as the provider's free count endpoint says. Runs nothing.

        Raises Unsupported where the provider counts no requests of this kind.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """One row of the registry: all that is known about a provider without talking to it.

    `has_labels`: a batch has a place for our mark. `sends_at_once`: creates that may be under way together; 1 where there is no label, so
    that at most one is unanswered. `tokenizer`: the published one that its current models read text with, if any. `expiry_keeps_finished`:
    what was done in time is kept when the window ends. `usual`: published turnaround times, for as long as the user's own history is short.
    `client` is `module:class`, imported only when a command talks to the provider: the SDKs take up to 1.5 s to import.
    """

    name: str
    title: str
    limits: Limits
    default_model: str
    default_model_as_of: str
    wire: str
    client: str
    key_variables: tuple[str, ...]
    base_url_variable: str
    base_url: str
    can_delete: bool
    id_prefixes: tuple[str, ...]
    has_live_counts: bool
    cancel_keeps_finished: bool
    usual: Usual
    tokenizer: str | None = None
    has_labels: bool = True
    expiry_keeps_finished: bool = True
    sends_at_once: int = 4
