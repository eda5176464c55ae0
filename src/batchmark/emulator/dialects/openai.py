"""OpenAI's files and batches, under `/openai/v1`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from batchmark.emulator import ids
from batchmark.emulator.answers.free import count_prompt
from batchmark.emulator.clock import SECOND, ns, seconds
from batchmark.emulator.dialects.openai_files import OpenAIFiles
from batchmark.emulator.dialects.openai_hooks import OpenAIHooks
from batchmark.emulator.dialects.openai_requests import ENDPOINTS, ask
from batchmark.emulator.dialects.openai_requests import refusal as why_refused
from batchmark.emulator.dialects.openai_rows import OpenAIBook, peek_model
from batchmark.emulator.dialects.openai_wire import body_of, error, lifetime, maybe, page, page_limit, refused, text_of
from batchmark.emulator.dialects.words import shown_word, word
from batchmark.emulator.fault_life import empty_ids
from batchmark.emulator.http import Answer, Body, Call, Refused, Route, decode_object, pretty_answer
from batchmark.emulator.life import Facts, Phase, Standing, standing
from batchmark.emulator.service import Service, good_key, masked
from batchmark.emulator.world import Batch, Outcome

__all__ = ["OpenAI"]

MAX_COUNT_BYTES = 64_000_000

# What the count of a response's input takes; how its output is to be is none of it.
_COUNTED = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "personality",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    }
)


class OpenAI:
    """The dialect: its routes, its refusals, its headers."""

    name = "openai"
    prefix = "/openai/v1"

    def __init__(self, service: Service) -> None:
        self._service = service
        self._world = service.world
        self._catalog = service.catalogs[self.name]
        self.book = OpenAIBook(service)
        files, hooks = OpenAIFiles(service), OpenAIHooks(service)
        slack = 1 << 20  # what a form has beside its file
        whole = min(service.most("openai", "max_file_bytes"), 1 << 40) + slack
        part = min(service.most("openai", "max_part_bytes"), 1 << 40) + slack
        self.routes = [
            _route("files.create", "POST", "/files", files.create, body=Body.FORM, limit=whole),
            _route("files.list", "GET", "/files", files.list),
            _route("files.retrieve", "GET", "/files/{id}", files.retrieve),
            _route("files.delete", "DELETE", "/files/{id}", files.delete),
            _route("files.content", "GET", "/files/{id}/content", files.content),
            _route("uploads.create", "POST", "/uploads", files.start),
            _route("uploads.add_part", "POST", "/uploads/{id}/parts", files.add_part, body=Body.FORM, limit=part),
            _route("uploads.complete", "POST", "/uploads/{id}/complete", files.complete, limit=1_000_000),
            _route("uploads.cancel", "POST", "/uploads/{id}/cancel", files.cancel),
            _route("batches.create", "POST", "/batches", self._create_batch, limit=1_000_000),
            _route("batches.list", "GET", "/batches", self._list_batches),
            _route("batches.retrieve", "GET", "/batches/{id}", self._retrieve_batch),
            _route("batches.cancel", "POST", "/batches/{id}/cancel", self._cancel_batch, limit=1_000_000),
            _route("webhooks.create", "POST", "/webhook_endpoints", hooks.create),
            _route("webhooks.list", "GET", "/webhook_endpoints", hooks.list),
            _route("webhooks.retrieve", "GET", "/webhook_endpoints/{id}", hooks.retrieve),
            _route("webhooks.update", "POST", "/webhook_endpoints/{id}", hooks.update),
            _route("webhooks.delete", "DELETE", "/webhook_endpoints/{id}", hooks.delete),
            _route("webhooks.rotate_secret", "POST", "/webhook_endpoints/{id}/rotate_secret", hooks.rotate),
            _route("webhooks.test", "POST", "/webhook_endpoints/{id}/test", hooks.test),
            _route("webhooks.event_types", "GET", "/webhook_event_types", hooks.types),
            _route(
                "responses.input_tokens", "POST", "/responses/input_tokens", self._count_tokens, limit=MAX_COUNT_BYTES
            ),
            _route("models.list", "GET", "/models", self._list_models),
            _route("models.retrieve", "GET", "/models/{id}", self._retrieve_model),
        ]

    # What every dialect has

    def admit(self, call: Call, key: str | None) -> None:
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else ""
        verdict = good_key(given, key)
        if verdict == "missing":
            message = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            )
            raise refused(message, status=401)
        if verdict == "bad":
            raise refused(f"Incorrect API key provided: {masked(given)}.", status=401, code="invalid_api_key")

    def unknown(self, call: Call, *, other_methods: bool) -> Answer:
        path = call.path.removeprefix("/openai")
        if other_methods:
            message = f"Not allowed to {call.method} on {path}."
            return error(message, status=405, code="method_not_supported")
        return error(f"Invalid URL ({call.method} {path})", status=404)

    def failure(self, call: Call) -> Answer:
        message = "The server had an error while processing your request."
        return error(message, status=500, kind="server_error")

    def headers(self, call: Call, elapsed_ms: int) -> dict[str, str]:
        return {
            "x-request-id": f"req_{ids.hex32()}",
            "openai-version": "2020-10-01",
            "openai-processing-ms": str(elapsed_ms),
        }

    def subject(self, call: Call) -> tuple[str, list[str]]:
        if call.path == f"{self.prefix}/batches" and call.method == "POST":
            body = decode_object(call.body) or {}
            named = body.get("input_file_id")
            stored = self._world.file(self.name, named) if isinstance(named, str) else None
            metadata = body.get("metadata")
            labels = [str(value) for value in metadata.values()] if isinstance(metadata, dict) else []
            return ("" if stored is None else peek_model(stored.path)), labels
        name = call.args.get("id", "")
        of_file = self._world.file(self.name, name) if "/files/" in call.path else None
        if of_file is not None:  # a result file is named after its batch
            name = re.sub(r"_(output|error)\.jsonl$", "", of_file.name)
        batch = self._world.batch(self.name, name)
        return ("", [name]) if batch is None else (batch.model, batch.names)

    # Batches

    def _create_batch(self, call: Call) -> Answer:
        needed = ("input_file_id", "endpoint", "completion_window")
        body = body_of(call, (*needed, "metadata", "output_expires_after"))
        for name in needed:
            text_of(body, name)
        _among(body["endpoint"], "endpoint", ENDPOINTS)
        _among(body["completion_window"], "completion_window", ("24h",))
        metadata = _metadata(body.get("metadata"))
        spec: dict[str, Any] = {"input_file_id": body["input_file_id"], "metadata": metadata}
        after = body.get("output_expires_after")
        if after is not None:
            if not isinstance(after, dict) or after.get("anchor") != "created_at":
                message = "Invalid 'output_expires_after': expected an anchor 'created_at' and seconds."
                raise refused(message, param="output_expires_after")
            spec["output_expires_after_s"] = lifetime(after.get("seconds"), "output_expires_after.seconds")
        stored = self._world.file(self.name, body["input_file_id"])
        if stored is None:
            message = f"No such File object: {body['input_file_id'][:100]}"
            raise refused(message, param="input_file_id")
        if stored.purpose != "batch":
            message = f"Invalid file purpose '{stored.purpose}': a batch takes a file with the purpose 'batch'."
            raise refused(message, param="input_file_id", code="invalid_value")
        now = self._world.now()
        batch = self._service.add_batch(
            call,
            id=f"batch_{ids.stamped_hex(seconds(now))}",
            dialect=self.name,
            endpoint=body["endpoint"],
            model=peek_model(stored.path),
            window_s=self._service.window_s(self.name),
            spec=spec,
            source=stored.path,
            keep_source=True,
            created_at=now,
            labels=list((metadata or {}).values()),
        )
        call.subject = batch.id
        return pretty_answer(self._view(batch, now))

    def _batch(self, call: Call) -> Batch:
        call.subject = call.args["id"]
        batch = self._world.batch(self.name, call.args["id"], lag_ns=call.lag_ns)
        if batch is None:
            raise refused(f"No batch found with id '{call.args['id'][:100]}'.", status=404)
        return batch

    def _retrieve_batch(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        return pretty_answer(self._view(batch, now))

    def _list_batches(self, call: Call) -> Answer:
        limit = page_limit(call, default=20, most=100)
        before: int | None = None
        if call.query.get("after"):
            known = self._world.batch(self.name, call.query["after"])
            if known is None:
                raise refused(f"No batch found with id '{call.query['after'][:100]}'.", status=404, param="after")
            before = known.seq
        found = self._world.list_batches(self.name, limit=limit + 1, before=before, lag_ns=call.lag_ns)
        shown, now = self._service.fresh(found[:limit])
        return page([self._view(batch, now) for batch in shown], more=len(found) > limit)

    def _cancel_batch(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        stand = standing(batch.facts, now)
        if stand.phase.terminal:
            raise refused(f"Cannot cancel a batch with status '{word(self.name, stand)}'.", status=409)
        self._world.request_cancel(batch, now)
        self._service.nudge()
        return pretty_answer(self._view(self._batch(call), now))

    def _view(self, batch: Batch, now: int) -> dict[str, Any]:
        facts = batch.facts
        stand = standing(facts, now)
        phase, ended = stand.phase, stand.ended_at
        outcome = batch.outcome if phase.terminal and batch.outcome is not None else Outcome()
        validated = stand.validated_at
        no_file = "" if batch.faults and phase.terminal and empty_ids(batch) else None
        counts = {"total": 0, "completed": 0, "failed": 0}
        if validated is not None and phase is not Phase.FAILED:
            counts["total"] = batch.total
            if phase.terminal:
                counts["completed"], counts["failed"] = outcome.succeeded, outcome.errored
            else:
                counts["completed"], counts["failed"] = self._service.done(batch, now)
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "model": batch.model if _model_known(facts, now) and phase is not Phase.FAILED else None,
            "errors": {"object": "list", "data": batch.problems} if phase is Phase.FAILED else None,
            "input_file_id": batch.spec["input_file_id"],
            "completion_window": "24h",
            "status": shown_word(batch, stand, now),
            "output_file_id": outcome.output_file or no_file,
            "error_file_id": outcome.error_file or no_file,
            "created_at": seconds(facts.created_at),
            "in_progress_at": maybe(validated),
            "expires_at": seconds(facts.created_at + ns(batch.promised_s)),
            "finalizing_at": maybe(_finalizing_at(facts, stand)),
            "completed_at": maybe(ended) if phase is Phase.SUCCEEDED else None,
            "failed_at": maybe(ended) if phase is Phase.FAILED else None,
            "expired_at": maybe(ended) if phase is Phase.EXPIRED else None,
            "cancelling_at": maybe(facts.cancel_at),
            "cancelled_at": maybe(ended) if phase is Phase.CANCELLED else None,
            "request_counts": counts,
            "usage": {
                "input_tokens": outcome.input_tokens,
                "output_tokens": outcome.output_tokens,
                "total_tokens": outcome.input_tokens + outcome.output_tokens,
                "input_tokens_details": {"cached_tokens": outcome.cached_tokens},
                "output_tokens_details": {"reasoning_tokens": outcome.reasoning_tokens},
            },
            "metadata": batch.spec["metadata"],
        }

    # Models

    def _list_models(self, call: Call) -> Answer:
        names: dict[str, str] = {}
        for model in self._catalog.models:
            names[model.name] = names[model.dated] = model.released
        return pretty_answer({"object": "list", "data": [_model_view(*item) for item in names.items()]})

    def _retrieve_model(self, call: Call) -> Answer:
        name = call.args["id"]
        model = self._catalog.find(name)
        if model is None:
            message = f"The model '{name[:100]}' does not exist"
            raise refused(message, status=404, param="model", code="model_not_found")
        return pretty_answer(_model_view(name, model.released))

    # Tokens

    def _count_tokens(self, call: Call) -> Answer:
        body = body_of(call, _COUNTED)
        named = body.get("model")
        if named is None:
            message = "Missing required parameter: 'model'."
            raise refused(message, param="model", code="missing_required_parameter")
        model = self._catalog.find(named)
        refusal = why_refused("/v1/responses", body, model)
        if refusal is not None:
            raise Refused(pretty_answer({"error": refusal["error"]}, status=refusal["status"]))
        if model is not None and model.kind != "text":
            message = f"The model `{model.name}` is not supported with the Responses API."
            raise refused(message, param="model", code="unsupported_model")
        asked = ask("/v1/responses", body)
        tokens = 0 if asked is None else count_prompt(asked.messages) + asked.beside
        return pretty_answer({"object": "response.input_tokens", "input_tokens": tokens})


def _route(
    operation: str,
    method: str,
    path: str,
    handler: Callable[[Call], Answer],
    *,
    body: Body = Body.MEMORY,
    limit: int = 100_000,
) -> Route:
    pattern = re.compile(path.replace("{id}", r"(?P<id>[^/]+)") + "/?")
    return Route(operation=operation, method=method, pattern=pattern, handler=handler, body=body, limit=limit)


def _among(value: str, name: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        listed = ", ".join(f"'{one}'" for one in allowed)
        message = f"Invalid value: '{value[:60]}'. Supported values are: {listed}."
        raise refused(message, param=name, code="invalid_value")


def _metadata(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise refused("Invalid type for 'metadata': expected an object.", param="metadata", code="invalid_type")
    if len(value) > 16:
        message = f"Invalid 'metadata': too many properties. Expected at most 16, got {len(value)}."
        raise refused(message, param="metadata", code="object_above_max_properties")
    for name, text in value.items():
        if len(name) > 64:
            message = "Invalid 'metadata': a key is longer than 64 characters."
            raise refused(message, param="metadata", code="string_above_max_length")
        if not isinstance(text, str):
            message = f"Invalid type for 'metadata.{name}': expected a string."
            raise refused(message, param=f"metadata.{name}", code="invalid_type")
        if len(text) > 512:
            message = f"Invalid 'metadata.{name}': string too long. Expected at most 512 characters."
            raise refused(message, param=f"metadata.{name}", code="string_above_max_length")
    return value


def _model_known(facts: Facts, now: int) -> bool:
    """The model shows up late in validation, a little before the batch is said to be in progress."""
    if facts.checked_at is None:
        return False
    moment = now if facts.cancel_at is None else min(now, facts.cancel_at)
    return moment >= max(facts.checked_at, facts.validated_due) - ns(facts.schedule.validate_s) // 5


def _finalizing_at(facts: Facts, stand: Standing) -> int | None:
    """When finalizing began: of a batch that the window's end has cut, a second after that."""
    if stand.finalizing_at is None or not facts.expired:
        return stand.finalizing_at
    late = stand.finalizing_at + SECOND
    return late if stand.ended_at is None else min(late, stand.ended_at)


def _model_view(name: str, released: str) -> dict[str, Any]:
    created = (date.fromisoformat(released) - date(1970, 1, 1)).days * 86_400
    return {"id": name, "object": "model", "created": created, "owned_by": "system", "shutdown_date": None}
