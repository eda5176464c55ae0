"""Google's Gemini batches, under `/gemini`, in both API versions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.answers.free import count_prompt
from batchmark.emulator.catalog import GEMINI_LATEST, Model
from batchmark.emulator.clock import nanoseconds
from batchmark.emulator.dialects.gemini_files import GeminiFiles
from batchmark.emulator.dialects.gemini_hooks import KEYS_PATH, GeminiHooks, job_hooks
from batchmark.emulator.dialects.gemini_requests import field, read_numbers, texts_of, tokens_beside, why_refused
from batchmark.emulator.dialects.gemini_rows import EMBED, GENERATE, GeminiBook
from batchmark.emulator.dialects.gemini_wire import (
    answer,
    error,
    page_size,
    page_start,
    page_token,
    read_object,
    refused,
)
from batchmark.emulator.dialects.views import Views
from batchmark.emulator.dialects.words import shown_word, word
from batchmark.emulator.http import Answer, Body, Call, Route
from batchmark.emulator.life import Phase, Standing, standing
from batchmark.emulator.service import Service, good_key
from batchmark.emulator.world import Batch, Outcome, StoredFile

__all__ = ["Gemini"]

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."
_BATCH_FIELDS = {"displayName", "inputConfig", "priority", "webhookConfig", "model", "name"}


class Gemini:
    """The dialect: its routes, its refusals, its headers."""

    name = "gemini"
    prefix = "/gemini"

    def __init__(self, service: Service) -> None:
        self._service = service
        self._world = service.world
        self._catalog = service.catalogs[self.name]
        self._views = Views()
        self.book = GeminiBook(service)
        files, hooks = GeminiFiles(service), GeminiHooks(service)
        whole = service.most("gemini", "max_bytes") + (1 << 20)
        self._most_inline = inline = service.most("gemini", "max_inline_bytes")
        self.routes = [
            _route("files.upload", "POST", "/upload/{v}/files", files.upload, body=Body.FORM, limit=whole),
            _route("files.upload", "PUT", "/upload/{v}/files", files.upload, body=Body.FORM, limit=whole),
            _route("files.list", "GET", "/{v}/files", files.list),
            _route("files.download", "GET", "(?:/download)?/{v}/files/{id}:download", files.download),
            _route("files.get", "GET", "/{v}/files/{id}", files.get),
            _route("files.delete", "DELETE", "/{v}/files/{id}", files.delete),
            _route("batches.create", "POST", f"/{{v}}/models/{{id}}:{GENERATE}", self._generate, limit=inline),
            _route(
                "batches.create_embeddings",
                "POST",
                f"/{{v}}/models/{{id}}:{EMBED}",
                self._embed,
                limit=inline,
            ),
            _route("models.count_tokens", "POST", "/{v}/models/{id}:countTokens", self._count, limit=inline),
            _route("batches.list", "GET", "/{v}/batches", self._list),
            _route("batches.cancel", "POST", "/{v}/batches/{id}:cancel", self._cancel),
            _route("batches.get", "GET", "/{v}/batches/{id}", self._get),
            _route("batches.delete", "DELETE", "/{v}/batches/{id}", self._delete),
            _route("webhooks.create", "POST", "/{v}/webhooks", hooks.create),
            _route("webhooks.list", "GET", "/{v}/webhooks", hooks.list),
            _route("webhooks.ping", "POST", "/{v}/webhooks/{id}:ping", hooks.ping),
            _route("webhooks.rotate_secret", "POST", "/{v}/webhooks/{id}:rotateSigningSecret", hooks.rotate),
            _route("webhooks.get", "GET", "/{v}/webhooks/{id}", hooks.get),
            _route("webhooks.update", "PATCH", "/{v}/webhooks/{id}", hooks.update),
            _route("webhooks.delete", "DELETE", "/{v}/webhooks/{id}", hooks.delete),
            _route("webhooks.keys", "GET", KEYS_PATH, hooks.keys),
            _route("models.list", "GET", "/{v}/models", self._list_models),
            _route("models.get", "GET", "/{v}/models/{id}", self._get_model),
            _route("tuned_models.list", "GET", "/{v}/tunedModels", lambda call: answer({})),
        ]

    # What every dialect has

    def admit(self, call: Call, key: str | None) -> None:
        if "upload_id" in call.query and call.path.startswith("/gemini/upload/"):
            return  # the id in the URL stands for the key that began the upload
        if call.path == self.prefix + KEYS_PATH:
            return  # public
        verdict = good_key((call.headers.get("x-goog-api-key") or call.query.get("key") or "").strip(), key)
        if verdict == "missing" and call.headers.get("authorization"):
            message = (
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
                "authentication credential."
            )
            raise refused(401, "UNAUTHENTICATED", message)
        if verdict == "missing":
            message = (
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key "
                "or other form of API consumer identity to call this API."
            )
            raise refused(403, "PERMISSION_DENIED", message)
        if verdict == "bad":
            detail = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }
            message = "API key not valid. Please pass a valid API key."
            raise refused(400, "INVALID_ARGUMENT", message, [detail])

    def unknown(self, call: Call, *, other_methods: bool) -> Answer:
        return error(404, "NOT_FOUND", f"Nothing answers {call.method} {call.path.removeprefix('/gemini')[:200]}.")

    def failure(self, call: Call) -> Answer:
        return error(500, "INTERNAL", "An internal error has occurred.")

    def headers(self, call: Call, elapsed_ms: int) -> dict[str, str]:
        made = {"server-timing": f"gfet4t7; dur={elapsed_ms}", "vary": "X-Origin, Referer, Origin,Accept-Encoding"}
        if call.path.startswith("/gemini/upload/"):
            # For what is refused, by whomever: without it a client would send the same chunk again and again.
            made["x-goog-upload-status"] = "final"
        return made

    def subject(self, call: Call) -> tuple[str, list[str]]:
        name = call.args.get("id", "")
        if call.method == "POST" and "/models/" in call.path:
            batch = (read_object(call.body) or {}).get("batch")
            title = field(batch, "displayName")
            return name, [title] if isinstance(title, str) else []
        if "/files/" in call.path:  # a result file is named after its batch
            name = name.removeprefix("batch-")
        known = self._world.batch(self.name, name)
        return ("", [name]) if known is None else (known.model, known.names)

    # Batches

    def _generate(self, call: Call) -> Answer:
        return self._create(call, GENERATE)

    def _embed(self, call: Call) -> Answer:
        return self._create(call, EMBED)

    def _create(self, call: Call, method: str) -> Answer:
        model = self._model(call, method)
        if call.too_large:
            raise refused(
                400, "INVALID_ARGUMENT", f"Request payload size exceeds the limit: {self._most_inline} bytes."
            )
        body = read_object(call.body)
        batch = None if body is None else body.get("batch")
        if body is None or not isinstance(batch, dict):
            what = "Invalid JSON payload received." if body is None else "* BatchRequest.batch: batch is required."
            raise refused(400, "INVALID_ARGUMENT", what)
        for name in batch:
            if not any(field({name: True}, known) for known in _BATCH_FIELDS):
                message = f"Invalid JSON payload received. Unknown name \"{name[:60]}\" at 'batch': Cannot find field."
                raise refused(400, "INVALID_ARGUMENT", message)
        title = field(batch, "displayName")
        if title is not None and not isinstance(title, str):
            raise refused(400, "INVALID_ARGUMENT", "Invalid value at 'batch.display_name' (TYPE_STRING).")
        config = field(batch, "inputConfig")
        file_name, inline = field(config, "fileName"), field(config, "requests")
        if (file_name is None) == (inline is None):
            message = "* BatchRequest.batch.input_config: exactly one of file_name and requests must be set."
            raise refused(400, "INVALID_ARGUMENT", message)
        spec: dict[str, Any] = {"display_name": title or "", "file": None}
        webhooks = job_hooks(field(batch, "webhookConfig"))
        if webhooks is not None:
            spec["webhooks"] = webhooks
        batch_id = ids.lower36(36)
        folder = self._world.scratch()
        source = folder / "rows"
        total = 0
        try:
            if file_name is not None:
                stored = self._input_file(file_name)
                spec["file"] = f"files/{stored.id}"
                rows = stored.path
            else:
                items = field(inline, "requests")
                if not isinstance(items, list) or not items:
                    message = "* BatchRequest.batch.input_config.requests: the list of requests is empty."
                    raise refused(400, "INVALID_ARGUMENT", message)
                if not all(isinstance(item, dict) for item in items):
                    raise refused(400, "INVALID_ARGUMENT", "Invalid value at 'batch.input_config.requests.requests'.")
                total = len(items)
                most = self._service.most(self.name, "max_rows")
                if total > most:
                    raise refused(400, "INVALID_ARGUMENT", f"* BatchRequest.batch: at most {most} requests.")
                with source.open("wb") as out:
                    out.writelines(msgspec.json.encode(item) + b"\n" for item in items)
                rows = source
            now = self._world.now()
            made = self._service.add_batch(
                call,
                id=batch_id,
                dialect=self.name,
                endpoint=method,
                model=model.name,
                window_s=self._service.window_s(self.name),
                spec=spec,
                source=rows,
                keep_source=file_name is not None,
                total=total,
                created_at=now,
                labels=[title] if title else [],
            )
        finally:
            source.unlink(missing_ok=True)
            folder.rmdir()
        call.subject = f"batches/{batch_id}"
        return answer(self._operation(made, now))

    def _known(self, call: Call) -> Model | None:
        """The model that a call names; what is the latest of its kind is known to the beta version only."""
        name = call.args["id"]
        return self._catalog.find(GEMINI_LATEST.get(name, name) if call.args["v"] == "v1beta" else name)

    def _model(self, call: Call, method: str) -> Model:
        name = call.args["id"]
        model = self._known(call)
        if model is None or method not in _methods(model):
            message = (
                f"models/{name[:100]} is not found for API version {call.args['v']}, or is not supported for {method}. "
                "Call ListModels to see the list of available models and their supported methods."
            )
            raise refused(404, "NOT_FOUND", message)
        return model

    def _input_file(self, name: object) -> StoredFile:
        short = name.removeprefix("files/") if isinstance(name, str) else ""
        stored = self._world.file(self.name, short)
        if stored is None:
            message = f"You do not have permission to access the File {short[:100]} or it may not exist."
            raise refused(403, "PERMISSION_DENIED", message)
        return stored

    def _batch(self, call: Call) -> Batch:
        call.subject = f"batches/{call.args['id']}"
        batch = self._world.batch(self.name, call.args["id"], lag_ns=call.lag_ns)
        if batch is None:
            raise refused(404, "NOT_FOUND", "Requested entity was not found.")
        return batch

    def _get(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        return answer(self._operation(batch, now))

    def _list(self, call: Call) -> Answer:
        size = page_size(call, default=50, most=1000)
        found = self._world.list_batches(self.name, limit=size + 1, before=page_start(call), lag_ns=call.lag_ns)
        shown, now = self._service.fresh(found[:size])
        body: dict[str, Any] = {}
        if shown:
            body["operations"] = [self._listed(batch, now) for batch in shown]
        if len(found) > size:
            body["nextPageToken"] = page_token(found[size - 1].seq)
        return answer(body)

    def _cancel(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        stand = standing(batch.facts, now)
        if stand.phase.terminal:
            state = word(self.name, stand)
            raise refused(400, "FAILED_PRECONDITION", f"The batch is in the state {state} and cannot be cancelled.")
        self._world.request_cancel(batch, now)
        self._service.nudge()
        return answer({})

    def _delete(self, call: Call) -> Answer:
        self._world.delete_batch(self._batch(call))
        return answer({})

    def _listed(self, batch: Batch, now: int) -> msgspec.Raw:
        stand = standing(batch.facts, now)
        counts = None if stand.phase.terminal or stand.begun_at is None else self._service.done(batch, now)
        how = (stand.phase, counts, shown_word(batch, stand, now) if batch.faults else None)
        known = self._views.get(batch, how)
        return known or self._views.keep(batch, self._operation(batch, now, inline=False), how)

    def _operation(self, batch: Batch, now: int, *, inline: bool = True) -> dict[str, Any]:
        facts = batch.facts
        stand = standing(facts, now)
        phase, ended = stand.phase, stand.ended_at
        kind = "EmbedContentBatch" if batch.endpoint == EMBED else "GenerateContentBatch"
        metadata: dict[str, Any] = {"@type": f"{_TYPE}{kind}", "model": f"models/{batch.model}"}
        if batch.spec["display_name"]:
            metadata["displayName"] = batch.spec["display_name"]
        if batch.spec["file"] is not None:
            metadata["inputConfig"] = {"fileName": batch.spec["file"]}
        output: dict[str, Any] = {}
        if phase is Phase.SUCCEEDED and batch.outcome is not None:
            output = self._output(batch.outcome, inline=inline)
        if output:
            metadata["output"] = output
        created = metadata["createTime"] = nanoseconds(facts.created_at)
        if ended is not None:
            metadata["endTime"] = nanoseconds(ended)
        # Between creation and end the time of the last update does not move.
        metadata["updateTime"] = created if ended is None else nanoseconds(ended + 40)
        stats = self._stats(batch, stand, now)
        if stats:
            metadata["batchStats"] = stats
        metadata["state"] = shown_word(batch, stand, now)
        metadata["name"] = f"batches/{batch.id}"
        operation: dict[str, Any] = {"name": f"batches/{batch.id}", "metadata": metadata}
        if phase.terminal:
            operation["done"] = True
            if phase is Phase.SUCCEEDED:
                operation["response"] = {"@type": f"{_TYPE}{kind}Output", **output}
            else:
                operation["error"] = _operation_error(phase, batch)
        return operation

    def _output(self, outcome: Outcome, *, inline: bool) -> dict[str, Any]:
        if outcome.output_file is not None:
            return {"responsesFile": f"files/{outcome.output_file}"}
        if not inline or outcome.results_path is None:
            return {}
        with (self._world.home / outcome.results_path).open("rb") as opened:
            return {"inlinedResponses": {"inlinedResponses": [msgspec.Raw(line) for line in opened]}}

    def _stats(self, batch: Batch, stand: Standing, now: int) -> dict[str, str]:
        """Counts as strings; those that are zero are left out."""
        total = batch.total
        if stand.phase is Phase.SUCCEEDED and batch.outcome is not None:
            done, failed = batch.outcome.succeeded, batch.outcome.errored
        else:
            done, failed = self._service.done(batch, now) if stand.begun_at is not None else (0, 0)
        counts = {
            "requestCount": total,
            "successfulRequestCount": done,
            "failedRequestCount": failed,
            "pendingRequestCount": max(0, total - done - failed),
        }
        return {name: str(count) for name, count in counts.items() if count}

    # Models and tokens

    def _list_models(self, call: Call) -> Answer:
        size = page_size(call, default=50, most=1000)
        start = page_start(call) or 0
        models = self._catalog.models
        body: dict[str, Any] = {"models": [_model_view(model) for model in models[start : start + size]]}
        if start + size < len(models):
            body["nextPageToken"] = page_token(start + size)
        return answer(body)

    def _get_model(self, call: Call) -> Answer:
        model = self._known(call)
        if model is None:
            message = f"Model is not found: models/{call.args['id'][:100]} for api version {call.args['v']}"
            raise refused(404, "NOT_FOUND", message)
        return answer(_model_view(model))

    def _count(self, call: Call) -> Answer:
        self._model(call, "countTokens")
        body = None if call.too_large else read_object(call.body)
        if body is None:
            raise refused(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        whole = field(body, "generateContentRequest")
        if whole is not None and body.get("contents"):
            message = "Only one of contents and generate_content_request may be set."
            raise refused(400, "INVALID_ARGUMENT", message)
        if whole is not None and not isinstance(whole, dict):
            raise refused(400, "INVALID_ARGUMENT", "Invalid value at 'generate_content_request'.")
        request = body if whole is None else whole
        read_numbers(request)
        why = why_refused(request)
        if why is not None:
            message = why["message"]
            if whole is None:
                message = message.replace("GenerateContentRequest", "CountTokensRequest")
            raise refused(400, "INVALID_ARGUMENT", message)
        tokens = count_prompt(texts_of(request)) + tokens_beside(request)
        return answer({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})


def _route(
    operation: str,
    method: str,
    path: str,
    handler: Callable[[Call], Answer],
    *,
    body: Body = Body.MEMORY,
    limit: int = 1_000_000,
) -> Route:
    pattern = path.replace("{v}", "(?P<v>v1|v1beta)").replace("{id}", r"(?P<id>[^/:]+)")
    return Route(
        operation=operation, method=method, pattern=re.compile(pattern), handler=handler, body=body, limit=limit
    )


def _operation_error(phase: Phase, batch: Batch) -> dict[str, Any]:
    if phase is Phase.FAILED:
        return batch.problems[0]
    if phase is Phase.EXPIRED:
        return {"code": 4, "message": "The batch expired before its requests could be processed."}
    return {"code": 1, "message": "The operation was cancelled."}


def _methods(model: Model) -> list[str]:
    if model.kind == "embedding":
        return ["embedContent", "countTokens", "countTextTokens", EMBED]
    methods = ["generateContent", "countTokens"]
    return [*methods, "createCachedContent", GENERATE] if model.batch else methods


def _model_view(model: Model) -> dict[str, Any]:
    return {
        "name": f"models/{model.name}",
        "version": "001",
        "displayName": model.title,
        "inputTokenLimit": model.context,
        "outputTokenLimit": 1 if model.kind == "embedding" else model.output,
        "supportedGenerationMethods": _methods(model),
    }
