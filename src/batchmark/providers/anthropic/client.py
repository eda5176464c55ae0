"""Talking to Anthropic through its official SDK. The only module that imports it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import msgspec
from anthropic.types.messages import MessageBatch

from batchmark.domain.lifecycle import BatchRef, FileRef, ModelInfo, RawFile, Snapshot
from batchmark.domain.request import Request
from batchmark.errors import Refused
from batchmark.providers.anthropic import wire
from batchmark.providers.http import (
    Link,
    from_nonsense,
    from_reply,
    from_transport,
    parse_retry_after,
    plain_name,
)
from batchmark.providers.seam import ProviderSpec, StoredFile, Submission

__all__ = ["Anthropic"]

_PAGE = 100
# Of the parameters of a message, those that the count endpoint takes too.
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "output_config", "thinking")


class Anthropic:
    """An Anthropic workspace. Retries are off in the SDK, whose default would send a create twice."""

    def __init__(self, spec: ProviderSpec, *, key: str, base_url: str) -> None:
        self.spec = spec
        self._key = key
        self._link = Link(spec.name, base_url)
        self._sdk = anthropic.AsyncAnthropic(api_key=key, base_url=base_url, http_client=self._link.http, max_retries=0)

    @contextmanager
    def _doing(self, action: str, *, creating: bool = False) -> Iterator[None]:
        try:
            yield
        except anthropic.APIStatusError as error:
            kind, message = _facts(error)
            raise from_reply(
                self.spec.name,
                action,
                status=error.status_code,
                code=kind,
                message=message,
                retry_after_s=parse_retry_after(error.response.headers),
                creating=creating,
                secret=self._key,
            ) from None
        except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
            raise from_transport(self.spec.name, action, error, str(self._link.base_url), creating=creating) from None
        except ValueError as error:
            raise from_nonsense(self.spec.name, action, error, creating=creating) from None

    @property
    def server_time(self) -> datetime | None:
        return self._link.server_time

    async def now(self) -> datetime:
        with self._doing("list batches"):
            await self._sdk.messages.batches.with_raw_response.list(limit=1)
        return self._link.server_time or datetime.now(UTC)

    async def upload(self, shard: Path, label: str) -> FileRef | None:
        return None

    async def create(self, submission: Submission) -> BatchRef:
        # The shard file is the body as it will be sent: streamed from disk with its length named, never held in memory.
        length = str(submission.path.stat().st_size)
        with self._doing(f"create the batch for {submission.label}", creating=True):
            batch = await self._sdk.post(
                "/v1/messages/batches",
                content=_chunks(submission.path),
                cast_to=MessageBatch,
                options={
                    "headers": {"content-type": "application/json", "content-length": length},
                    "timeout": submission.timeout_s,
                    "max_retries": 0,
                },
            )
            # the SDK takes any answer of success for the object, even a page of HTML
            if not isinstance(getattr(batch, "id", None), str):
                raise ValueError("it has no id")
        return BatchRef(self.spec.name, batch.id)

    async def list_batches(self, since: datetime | None = None) -> AsyncIterator[Snapshot]:
        after: str | anthropic.Omit = anthropic.omit
        while True:
            with self._doing("list batches"):
                answer = await self._sdk.messages.batches.with_raw_response.list(limit=_PAGE, after_id=after)
                snapshots, more = wire.page(await answer.read())
            for snapshot in snapshots:
                yield snapshot
            oldest = snapshots[-1].created_at if snapshots else None
            if more is None or (since is not None and oldest is not None and oldest < since):
                return
            after = more

    async def get(self, ref: BatchRef) -> Snapshot:
        with self._doing(f"show the batch {ref.id}"):
            answer = await self._sdk.messages.batches.with_raw_response.retrieve(ref.id)
            return wire.snapshot(await answer.read())

    async def fetch(self, snapshot: Snapshot, into: Path) -> list[RawFile]:
        files: list[RawFile] = []
        for url in snapshot.files:
            # The URL comes out of an answer: the key must follow it nowhere but to the configured origin.
            address = self._link.base_url.join(url)
            if not self._link.same_origin(address):
                raise Refused(
                    f"anthropic names results of {snapshot.ref.id} at another host ({address.host}); they are not fetched from there",
                    hint="check ANTHROPIC_BASE_URL and any proxy in between",
                )
            path = into / f"{plain_name(snapshot.ref.id)}_results.jsonl"
            with self._doing(f"download the results of {snapshot.ref.id}"):
                files.append(RawFile(path, sha256=await self._download(str(address), path)))
        return files

    async def _download(self, url: str, path: Path) -> str:
        headers = {
            name: value
            for name, value in self._sdk.default_headers.items()
            if isinstance(value, str) and name.lower() != "content-type"
        }
        headers |= {**self._sdk.auth_headers, "accept": "application/binary"}
        try:
            return await self._link.save(url, headers, path)
        except httpx2.HTTPStatusError as error:
            raise self._sdk._make_status_error_from_response(error.response) from None

    async def cancel(self, ref: BatchRef) -> None:
        with self._doing(f"cancel the batch {ref.id}"):
            await self._sdk.messages.batches.cancel(ref.id)

    async def delete(self, ref: BatchRef) -> None:
        with self._doing(f"delete the batch {ref.id}"):
            await self._sdk.messages.batches.delete(ref.id)

    async def delete_file(self, file: FileRef) -> None:
        raise Refused("Anthropic keeps no input files for batches")

    async def files(self) -> AsyncIterator[StoredFile]:
        # requests go inside the create call, so there are none
        nothing: tuple[StoredFile, ...] = ()
        for file in nothing:
            yield file

    async def models(self) -> AsyncIterator[ModelInfo]:
        with self._doing("list models"):
            async for model in self._sdk.models.list(limit=_PAGE):
                batch = model.capabilities.batch if model.capabilities is not None else None
                if batch is not None and not batch.supported:
                    continue
                yield ModelInfo(id=model.id, batch=None if batch is None else True, note=model.display_name)

    async def count_tokens(self, request: Request, model: str) -> int:
        params: dict[str, Any] = msgspec.json.decode(wire.encode(request, "count", model))["params"]
        counted = {name: params[name] for name in _COUNTED if name in params}
        with self._doing(f"count tokens for {model}"):
            answer = await self._sdk.messages.count_tokens(**counted)
            if not isinstance(getattr(answer, "input_tokens", None), int):
                raise ValueError("it has no count")
        return answer.input_tokens

    async def close(self) -> None:
        await self._link.close()


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 18):
            yield chunk


def _facts(error: anthropic.APIStatusError) -> tuple[str | None, str]:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        inner = body["error"]
        return inner.get("type"), str(inner.get("message") or error.message)
    return None, error.message
