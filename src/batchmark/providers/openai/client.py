"""Talking to OpenAI through its official SDK. The only module that imports it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import openai

from batchmark.domain.lifecycle import BatchRef, FileRef, ModelInfo, RawFile, Snapshot
from batchmark.domain.request import Request
from batchmark.errors import Refused
from batchmark.prices.lookup import batch_priced
from batchmark.providers.http import (
    Link,
    from_nonsense,
    from_reply,
    from_transport,
    parse_retry_after,
    plain_name,
)
from batchmark.providers.openai import wire
from batchmark.providers.openai.counted import counted
from batchmark.providers.seam import ProviderSpec, StoredFile, Submission

__all__ = ["OpenAI"]

_PAGE = 100
_FILES_PAGE = 1000
_LONGEST_LIFE_S = 2_592_000


class OpenAI:
    """An OpenAI account. Retries are off in the SDK, whose default would send a create twice."""

    def __init__(self, spec: ProviderSpec, *, key: str, base_url: str) -> None:
        self.spec = spec
        self._key = key
        self._link = Link(spec.name, base_url)
        self._sdk = openai.AsyncOpenAI(api_key=key, base_url=base_url, http_client=self._link.http, max_retries=0)

    @contextmanager
    def _doing(self, action: str, *, creating: bool = False) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            raise from_reply(
                self.spec.name,
                action,
                status=error.status_code,
                code=error.code or error.type,
                message=_message(error),
                retry_after_s=parse_retry_after(error.response.headers),
                creating=creating,
                secret=self._key,
            ) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise from_transport(self.spec.name, action, error, str(self._link.base_url), creating=creating) from None
        except ValueError as error:
            raise from_nonsense(self.spec.name, action, error, creating=creating) from None

    @property
    def server_time(self) -> datetime | None:
        return self._link.server_time

    async def now(self) -> datetime:
        with self._doing("list batches"):
            await self._sdk.batches.with_raw_response.list(limit=1)
        return self._link.server_time or datetime.now(UTC)

    async def upload(self, shard: Path, label: str) -> FileRef | None:
        # an open handle is streamed; a Path would be read whole
        with self._doing(f"take the file for {label}"), shard.open("rb") as handle:
            file = await self._sdk.files.create(
                file=(f"{label}.jsonl", handle, "application/jsonl"),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": self.spec.limits.file_life_s or _LONGEST_LIFE_S},
            )
            _check_id(file)
        return FileRef(self.spec.name, file.id)

    async def create(self, submission: Submission) -> BatchRef:
        assert submission.file is not None
        with self._doing(f"create the batch for {submission.label}", creating=True):
            batch = await self._sdk.batches.create(
                input_file_id=submission.file.id,
                endpoint=submission.endpoint,  # type: ignore[arg-type]  # a closed set there, checked by wire.endpoint here
                completion_window="24h",
                metadata={wire.LABEL_KEY: submission.label},
                timeout=submission.timeout_s,
            )
            _check_id(batch)
        return BatchRef(self.spec.name, batch.id)

    async def list_batches(self, since: datetime | None = None) -> AsyncIterator[Snapshot]:
        after: str | openai.Omit = openai.omit
        while True:
            with self._doing("list batches"):
                answer = await self._sdk.batches.with_raw_response.list(limit=_PAGE, after=after)
                snapshots, more = wire.page(answer.content)
            for snapshot in snapshots:
                yield snapshot
            oldest = snapshots[-1].created_at if snapshots else None
            if more is None or (since is not None and oldest is not None and oldest < since):
                return
            after = more

    async def get(self, ref: BatchRef) -> Snapshot:
        with self._doing(f"show the batch {ref.id}"):
            answer = await self._sdk.batches.with_raw_response.retrieve(ref.id)
            return wire.snapshot(answer.content)

    async def fetch(self, snapshot: Snapshot, into: Path) -> list[RawFile]:
        files: list[RawFile] = []
        for file_id in snapshot.files:
            path = into / f"{plain_name(file_id)}.jsonl"
            with self._doing(f"download {file_id}"):
                files.append(RawFile(path, sha256=await self._download(file_id, path)))
        return files

    async def _download(self, file_id: str, path: Path) -> str:
        headers = {**self._sdk.auth_headers, "accept": "application/binary"}
        try:
            return await self._link.save(
                f"{str(self._sdk.base_url).rstrip('/')}/files/{file_id}/content", headers, path
            )
        except httpx2.HTTPStatusError as error:
            raise self._sdk._make_status_error_from_response(error.response) from None

    async def cancel(self, ref: BatchRef) -> None:
        with self._doing(f"cancel the batch {ref.id}"):
            await self._sdk.batches.cancel(ref.id)

    async def delete(self, ref: BatchRef) -> None:
        raise Refused(
            f"OpenAI cannot delete a batch ({ref.id}); its API has no such call",
            hint=f"cancel it instead: batchmark openai cancel {ref.id}",
        )

    async def delete_file(self, file: FileRef) -> None:
        with self._doing(f"delete the file {file.id}"):
            await self._sdk.files.delete(file.id)

    async def files(self) -> AsyncIterator[StoredFile]:
        after: str | openai.Omit = openai.omit
        while True:
            with self._doing("list files"):
                page = await self._sdk.files.list(purpose="batch", limit=_FILES_PAGE, after=after)
            for file in page.data:
                yield StoredFile(
                    ref=FileRef(self.spec.name, file.id),
                    name=file.filename,
                    bytes=file.bytes,
                    created_at=datetime.fromtimestamp(file.created_at, UTC),
                )
            if not page.data or not getattr(page, "has_more", False):
                return
            after = page.data[-1].id

    async def models(self) -> AsyncIterator[ModelInfo]:
        with self._doing("list models"):
            found = await self._sdk.models.list()
        for model in sorted(found.data, key=lambda each: each.id):
            known = batch_priced(self.spec.name, model.id)
            yield ModelInfo(
                id=model.id, batch=True if known else None, note=None if known else "no batch price is known"
            )

    async def count_tokens(self, request: Request, model: str) -> int:
        body = counted(request, model)
        with self._doing(f"count tokens for {model}"):
            answer = await self._sdk.responses.input_tokens.count(**body)
            if not isinstance(getattr(answer, "input_tokens", None), int):
                raise ValueError("it has no count")
        return answer.input_tokens

    async def close(self) -> None:
        await self._link.close()


def _check_id(made: object) -> None:
    """The SDK takes any answer of success for the object, even a page of HTML."""
    if not isinstance(getattr(made, "id", None), str):
        raise ValueError("it has no id")


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return error.message
