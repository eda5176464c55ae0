"""Talking to the Gemini Developer API through its official SDK. The only module that imports it.

Uploads, creates, cancels, deletes and model lists go through the SDK. Batches are read as raw JSON on the same connection: the SDK hides
their counts and errors, and warns about states it does not know.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from google import genai
from google.genai import errors, types

from batchmark.domain.lifecycle import BatchRef, FileRef, ModelInfo, RawFile, Snapshot
from batchmark.domain.request import EmbeddingRequest, Request
from batchmark.errors import BadInput
from batchmark.providers.google import wire
from batchmark.providers.http import (
    Link,
    from_nonsense,
    from_reply,
    from_transport,
    parse_retry_after,
    plain_name,
)
from batchmark.providers.seam import ProviderSpec, StoredFile, Submission

__all__ = ["Google"]

_PAGE = 100
_VERSION = "v1beta"  # both versions answer alike; the documents of the Batch API name this one


class Google:
    """A Gemini Developer API project."""

    def __init__(self, spec: ProviderSpec, *, key: str, base_url: str) -> None:
        self.spec = spec
        self._key = key
        # of no use to whoever runs a batch, and states are read from the raw JSON
        warnings.filterwarnings("ignore", message=r"batches\.create_embeddings\(\) is experimental")
        warnings.filterwarnings("ignore", message=r".* is not a valid JobState")
        self._link = Link(spec.name, base_url)
        self._root = f"{base_url.rstrip('/')}/{_VERSION}"
        # a client of our own keeps the SDK from switching to aiohttp where that is installed
        options = types.HttpOptions(base_url=base_url, api_version=_VERSION, httpx_async_client=self._link.http)
        self._sdk = genai.Client(api_key=key, vertexai=False, http_options=options)

    @contextmanager
    def _doing(self, action: str, *, creating: bool = False) -> Iterator[None]:
        try:
            yield
        except (errors.APIError, _StatusError) as error:
            facts = error.facts if isinstance(error, _StatusError) else _Facts.of(error)
            raise from_reply(
                self.spec.name,
                action,
                status=facts.status,
                code=facts.code,
                message=facts.message,
                retry_after_s=facts.retry_after_s,
                creating=creating,
                bad_key=facts.bad_key,
                secret=self._key,
            ) from None
        except httpx2.HTTPError as error:
            raise from_transport(self.spec.name, action, error, str(self._link.base_url), creating=creating) from None
        except ValueError as error:
            raise from_nonsense(self.spec.name, action, error, creating=creating) from None

    @property
    def _headers(self) -> dict[str, str]:
        return {"x-goog-api-key": self._key}

    async def _read(self, path: str, **query: str) -> bytes:
        answer = await self._link.http.get(f"{self._root}/{path}", params=query, headers=self._headers)
        if answer.status_code != 200:
            raise _StatusError(answer)
        return answer.content

    @property
    def server_time(self) -> datetime | None:
        return self._link.server_time

    async def now(self) -> datetime:
        with self._doing("list batches"):
            await self._read("batches", pageSize="1")
        return self._link.server_time or datetime.now(UTC)

    async def upload(self, shard: Path, label: str) -> FileRef | None:
        if shard.stat().st_size <= self.spec.limits.inline_max_bytes:
            return None
        with self._doing(f"take the file for {label}"):
            file = await self._sdk.aio.files.upload(
                file=str(shard),
                config=types.UploadFileConfig(mime_type="application/jsonl", display_name=label),
            )
            if not file.name:
                raise ValueError("it names no file")
        return FileRef(self.spec.name, file.name)

    async def create(self, submission: Submission) -> BatchRef:
        source: dict[str, Any] = (
            {"fileName": submission.file.id}
            if submission.file
            else {"requests": {"requests": _inline(submission.path)}}
        )
        # extra_body carries the rows as they stand on disk, past the SDK's typed converters
        options = types.HttpOptions(
            timeout=int(submission.timeout_s * 1000),
            extra_body={"batch": {"displayName": submission.label, "inputConfig": source}},
        )
        with self._doing(f"create the batch for {submission.label}", creating=True):
            if submission.endpoint == wire.EMBED:
                job = await self._sdk.aio.batches.create_embeddings(
                    model=submission.model,
                    src=types.EmbeddingsBatchJobSource(file_name=submission.file.id)
                    if submission.file
                    else types.EmbeddingsBatchJobSource(inlined_requests=types.EmbedContentBatch(contents=[])),
                    config=types.CreateEmbeddingsBatchJobConfig(http_options=options),
                )
            else:
                job = await self._sdk.aio.batches.create(
                    model=submission.model,
                    src=submission.file.id if submission.file else [],
                    config=types.CreateBatchJobConfig(http_options=options),
                )
            if not job.name:
                raise ValueError("it names no batch")
        return BatchRef(self.spec.name, job.name)

    async def list_batches(self, since: datetime | None = None) -> AsyncIterator[Snapshot]:
        token = ""
        while True:
            query = {"pageSize": str(_PAGE)} | ({"pageToken": token} if token else {})
            with self._doing("list batches"):
                snapshots, more = wire.page(await self._read("batches", **query))
            for snapshot in snapshots:
                yield snapshot
            # no document says in which order they come, so an old one does not end the search
            if more is None:
                return
            token = more

    async def get(self, ref: BatchRef) -> Snapshot:
        with self._doing(f"show the batch {ref.id}"):
            return wire.snapshot(await self._read(_name(ref)))

    async def fetch(self, snapshot: Snapshot, into: Path) -> list[RawFile]:
        name = plain_name(snapshot.ref.id.rpartition("/")[2])
        if snapshot.files:
            found = []
            for number, file in enumerate(snapshot.files):
                path = into / (f"{name}-{number}.jsonl" if number else f"{name}.jsonl")
                with self._doing(f"download {file}"):
                    sha256 = await self._save(f"{self._root}/{file}:download?alt=media", path)
                found.append(RawFile(path, sha256=sha256))
            return found
        path = into / f"{name}.json"
        with self._doing(f"download the answers of {snapshot.ref.id}"):
            sha256 = await self._save(f"{self._root}/{_name(snapshot.ref)}", path)
        return [RawFile(path, "operation", sha256)]

    async def _save(self, url: str, path: Path) -> str:
        try:
            return await self._link.save(url, self._headers, path)
        except httpx2.HTTPStatusError as error:
            raise _StatusError(error.response) from None

    async def cancel(self, ref: BatchRef) -> None:
        with self._doing(f"cancel the batch {ref.id}"):
            await self._sdk.aio.batches.cancel(name=_name(ref))

    async def delete(self, ref: BatchRef) -> None:
        with self._doing(f"delete the batch {ref.id}"):
            await self._sdk.aio.batches.delete(name=_name(ref))

    async def delete_file(self, file: FileRef) -> None:
        with self._doing(f"delete the file {file.id}"):
            await self._sdk.aio.files.delete(name=file.id)

    async def files(self) -> AsyncIterator[StoredFile]:
        with self._doing("list files"):
            async for file in await self._sdk.aio.files.list(config=types.ListFilesConfig(page_size=_PAGE)):
                if file.name:
                    yield StoredFile(
                        ref=FileRef(self.spec.name, file.name),
                        name=file.display_name,
                        bytes=file.size_bytes,
                        created_at=file.create_time,
                    )

    async def models(self) -> AsyncIterator[ModelInfo]:
        with self._doing("list models"):
            async for model in await self._sdk.aio.models.list(config=types.ListModelsConfig(page_size=_PAGE)):
                actions = model.supported_actions or []
                if wire.GENERATE in actions or wire.EMBED in actions:
                    yield ModelInfo(id=(model.name or "").removeprefix("models/"), batch=True, note=model.display_name)

    async def count_tokens(self, request: Request, model: str) -> int:
        body: dict[str, Any] = msgspec.json.decode(wire.encode(request, "count", model))["request"]
        # The SDK's own parameters leave out the system instruction and the tools, so what is counted is the request as the wire has it.
        # Its `contents` may not be empty, and the service takes either them or a whole request, so they are emptied on the way.
        whole = (
            {"contents": [body["content"]]}
            if isinstance(request, EmbeddingRequest)
            else {"contents": [], "generateContentRequest": {"model": f"models/{model}", **body}}
        )
        options = types.HttpOptions(extra_body=whole)
        with self._doing(f"count tokens for {model}"):
            answer = await self._sdk.aio.models.count_tokens(
                model=model, contents="-", config=types.CountTokensConfig(http_options=options)
            )
            if not isinstance(answer.total_tokens, int):
                raise ValueError("it has no count")
        return answer.total_tokens

    async def close(self) -> None:
        await self._sdk.aio.aclose()
        self._sdk.close()
        await self._link.close()


def _name(ref: BatchRef) -> str:
    name = ref.id if "/" in ref.id else f"batches/{ref.id}"
    head, _, tail = name.partition("/")
    if head != "batches" or not tail.replace("-", "").replace("_", "").isalnum():
        raise BadInput(f"{ref.id!r} is no id of a Gemini batch", hint="they look like batches/abc123")
    return name


def _inline(path: Path) -> list[dict[str, Any]]:
    return [wire.inline_item(line) for line in path.read_bytes().splitlines() if line]


class _Facts(msgspec.Struct, frozen=True):
    status: int
    code: str | None
    message: str
    retry_after_s: float | None
    bad_key: bool

    @classmethod
    def read(cls, status: int, error: dict[str, Any], headers: Any) -> _Facts:
        details = [each for each in error.get("details") or () if isinstance(each, dict)]
        reasons = {each.get("reason") for each in details}
        delay = next((each["retryDelay"] for each in details if isinstance(each.get("retryDelay"), str)), None)
        wait = (
            float(delay.rstrip("s"))
            if delay and delay.rstrip("s").replace(".", "", 1).isdigit()
            else parse_retry_after(headers)
        )
        return cls(
            status=status,
            code=error.get("status"),
            message=str(error.get("message") or "no reason was given"),
            retry_after_s=wait,
            # a wrong key is a 400 here
            bad_key="API_KEY_INVALID" in reasons or "API key not valid" in str(error.get("message")),
        )

    @classmethod
    def of(cls, error: errors.APIError) -> _Facts:
        body = error.details
        if isinstance(body, list):
            body = body[0] if body else {}
        inner = body.get("error", body) if isinstance(body, dict) else {}
        fields = {
            "message": error.message,
            "status": error.status,
            **(inner if isinstance(inner, dict) else {}),
        }
        return cls.read(int(error.code), fields, getattr(error.response, "headers", {}))


class _StatusError(Exception):
    """An error answer to one of our own reads."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response.status_code)
        try:
            body: Any = response.json()
        except ValueError:
            body = {}
        if isinstance(body, list):
            body = body[0] if body else {}
        inner = body.get("error") if isinstance(body, dict) else None
        fields = inner if isinstance(inner, dict) else {"message": response.text[:200] or response.reason_phrase}
        self.facts = _Facts.read(response.status_code, fields, response.headers)
