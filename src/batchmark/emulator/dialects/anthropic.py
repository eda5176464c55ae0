"""Anthropic's Message Batches, under `/anthropic`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.answers.free import count_prompt
from batchmark.emulator.catalog import Model
from batchmark.emulator.clock import microseconds, ns
from batchmark.emulator.dialects.anthropic_envelope import sift
from batchmark.emulator.dialects.anthropic_rows import NEW_VERSION, AnthropicBook, messages_of, refusal, tokens_beside
from batchmark.emulator.dialects.anthropic_wire import error, page, paging, refused, request_id
from batchmark.emulator.dialects.views import Views
from batchmark.emulator.dialects.words import shown_word
from batchmark.emulator.http import Answer, Body, Call, Route, decode_object, json_answer
from batchmark.emulator.life import standing
from batchmark.emulator.scan import ArrayScan, ScanError
from batchmark.emulator.service import Service, good_key
from batchmark.emulator.world import Batch, Outcome

__all__ = ["Anthropic"]

_MOST_ID_CHARS = 1 << 16  # a pattern can say no more
_VERSIONS = ("2023-01-01", "2023-06-01", NEW_VERSION)

_LINES = ("haiku", "sonnet", "opus", "fable", "mythos")


class Anthropic:
    """The dialect: its routes, its refusals, its headers."""

    name = "anthropic"
    prefix = "/anthropic"

    def __init__(self, service: Service) -> None:
        self._service = service
        self._world = service.world
        self._catalog = service.catalogs[self.name]
        self._kept_s = service.limits[self.name]["results_kept_s"]
        self._views = Views()
        self.book = AnthropicBook(service)
        batches = "/v1/messages/batches"
        whole = service.most("anthropic", "max_bytes")
        self.routes = [
            _route("batches.create", "POST", batches, self._create, body=Body.DISK, limit=whole),
            _route("batches.list", "GET", batches, self._list),
            _route("batches.retrieve", "GET", batches + "/{id}", self._retrieve),
            _route("batches.cancel", "POST", batches + "/{id}/cancel", self._cancel),
            _route("batches.results", "GET", batches + "/{id}/results", self._results),
            _route("batches.delete", "DELETE", batches + "/{id}", self._delete),
            _route("models.list", "GET", "/v1/models", self._list_models),
            _route("models.retrieve", "GET", "/v1/models/{id}", self._retrieve_model),
            _route("messages.count_tokens", "POST", "/v1/messages/count_tokens", self._count_tokens, limit=32_000_000),
        ]

    # What every dialect has

    def admit(self, call: Call, key: str | None) -> None:
        scheme, _, bearer = call.headers.get("authorization", "").partition(" ")
        given = call.headers.get("x-api-key", "").strip()
        if not given and scheme.lower() == "bearer":
            given = bearer.strip()
        verdict = good_key(given, key)
        if verdict != "good":
            message = "x-api-key header is required" if verdict == "missing" else "invalid x-api-key"
            raise refused("authentication_error", message, status=401)
        version = call.headers.get("anthropic-version")
        if version is None:
            raise refused("invalid_request_error", "anthropic-version: header is required")
        if version not in _VERSIONS:
            message = f'anthropic-version: "{version[:40]}" is not a valid version'
            raise refused("invalid_request_error", message)

    def unknown(self, call: Call, *, other_methods: bool) -> Answer:
        if other_methods:
            return error("invalid_request_error", "Method Not Allowed", status=405)
        return error("not_found_error", "Not found", status=404)

    def failure(self, call: Call) -> Answer:
        return error("api_error", "Internal server error", status=500)

    def headers(self, call: Call, elapsed_ms: int) -> dict[str, str]:
        return {"request-id": request_id()}

    def subject(self, call: Call) -> tuple[str, list[str]]:
        if call.body_path is not None:
            try:
                for raw in ArrayScan(call.body_path, "requests"):
                    item = decode_object(raw) or {}
                    params = item.get("params")
                    model = params.get("model") if isinstance(params, dict) else ""
                    return str(model), [str(item.get("custom_id", ""))]
            except ScanError:
                pass
            return "", []
        batch = self._world.batch(self.name, call.args.get("id", ""))
        return ("", [call.args.get("id", "")]) if batch is None else (batch.model, batch.names)

    # Batches

    def _create(self, call: Call) -> Answer:
        if call.too_large:
            raise refused("request_too_large", "Request exceeds the maximum size", status=413)
        assert call.body_path is not None
        rows = call.body_path.with_name("rows")
        total, model, first = sift(
            call.body_path,
            rows,
            most=self._service.most(self.name, "max_rows"),
            id_chars=min(self._service.most(self.name, "max_id_chars"), _MOST_ID_CHARS),
        )
        now = self._world.now()
        batch = self._service.add_batch(
            call,
            id=f"msgbatch_01{ids.base58(22)}",
            dialect=self.name,
            endpoint="/v1/messages",
            model=model,
            window_s=self._service.window_s(self.name),
            spec={"version": call.headers["anthropic-version"], "betas": _betas(call)},
            source=rows,
            total=total,
            created_at=now,
            labels=[first],
        )
        call.subject = batch.id
        return json_answer(self._view(call, batch, now))

    def _batch(self, call: Call) -> Batch:
        call.subject = call.args["id"]
        batch = self._world.batch(self.name, call.args["id"], lag_ns=call.lag_ns)
        if batch is None:
            raise refused("not_found_error", f"Message Batch {call.args['id'][:100]} not found.", status=404)
        return batch

    def _retrieve(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        answer = json_answer(self._view(call, batch, now))
        if not standing(batch.facts, now).phase.terminal:
            answer.headers["retry-after"] = "10"
        return answer

    def _list(self, call: Call) -> Answer:
        limit, after, before = paging(call)
        anchor: int | None = None
        for name in (after, before):
            if name is not None:
                known = self._world.batch(self.name, name)
                if known is None:
                    raise refused("invalid_request_error", f"no Message Batch is called {name[:100]}")
                anchor = known.seq
        if before is not None:
            found = self._world.list_batches(self.name, limit=limit + 1, after=anchor, lag_ns=call.lag_ns)
            wanted = found[-limit:]
        else:
            found = self._world.list_batches(self.name, limit=limit + 1, before=anchor, lag_ns=call.lag_ns)
            wanted = found[:limit]
        shown, now = self._service.fresh(wanted)
        views = [self._listed(call, batch, now) for batch in shown]
        return page(views, [batch.id for batch in shown], more=len(found) > limit)

    def _cancel(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        if standing(batch.facts, now).phase.terminal:
            message = f"Message Batch {batch.id} cannot be canceled: its processing has ended."
            raise refused("invalid_request_error", message)
        self._world.request_cancel(batch, now)
        self._service.nudge()
        return json_answer(self._view(call, self._batch(call), now))

    def _delete(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        if not standing(batch.facts, now).phase.terminal:
            message = f"Message Batch {batch.id} cannot be deleted while it is being processed: cancel it first."
            raise refused("invalid_request_error", message)
        self._world.delete_batch(batch)
        return json_answer({"id": batch.id, "type": "message_batch_deleted"})

    def _results(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        ended = standing(batch.facts, now).phase.terminal
        outcome = batch.outcome
        if not ended or outcome is None or outcome.results_path is None:
            message = f"Message Batch {batch.id} has no available results."
            raise refused("not_found_error", message, status=404)
        if self._archived(batch, now) is not None:
            raise refused("not_found_error", f"The results of Message Batch {batch.id} are archived.", status=404)
        return Answer(
            file=self._world.home / outcome.results_path,
            content_type="application/x-jsonl",
            headers={"content-disposition": f"attachment; filename*=utf-8''{batch.id}_results.jsonl"},
            chunked=True,
        )

    def _archived(self, batch: Batch, now: int) -> int | None:
        """When the results of a batch went, if they have."""
        if self._kept_s is None:
            return None
        at = batch.facts.created_at + ns(self._kept_s)
        return at if now >= at else None

    def _listed(self, call: Call, batch: Batch, now: int) -> msgspec.Raw:
        word = shown_word(batch, standing(batch.facts, now), now)
        how = (word, call.base_url, call.mounted, self._archived(batch, now) is not None)
        known = self._views.get(batch, how)
        return known or self._views.keep(batch, self._view(call, batch, now), how)

    def _view(self, call: Call, batch: Batch, now: int) -> dict[str, Any]:
        facts = batch.facts
        stand = standing(facts, now)
        ended = stand.phase.terminal
        outcome = batch.outcome if ended and batch.outcome is not None else Outcome()
        archived = self._archived(batch, now)
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": shown_word(batch, stand, now),
            "request_counts": {
                "processing": 0 if ended else batch.total,  # the other four stay 0 until the end
                "succeeded": outcome.succeeded,
                "errored": outcome.errored,
                "canceled": outcome.cancelled,
                "expired": outcome.expired,
            },
            "ended_at": None if stand.ended_at is None else microseconds(stand.ended_at),
            "created_at": microseconds(facts.created_at),
            "expires_at": microseconds(facts.created_at + ns(batch.promised_s)),
            "archived_at": None if archived is None else microseconds(archived),
            "cancel_initiated_at": None if facts.cancel_at is None else microseconds(facts.cancel_at),
            "results_url": call.url(f"{self.prefix}/v1/messages/batches/{batch.id}/results") if ended else None,
        }

    # Models and tokens

    def _list_models(self, call: Call) -> Answer:
        limit, after, before = paging(call)
        models = self._catalog.models
        names = [model.dated for model in models]
        start, stop = 0, len(names)
        for name in (after, before):
            if name is not None and name not in names:
                raise refused("invalid_request_error", f"no model is called {name[:100]}")
        if after is not None:
            start = names.index(after) + 1
        if before is not None:
            stop = names.index(before)
            start = max(0, stop - limit)
            more = start > 0
        else:
            more = stop - start > limit
        chosen = models[start:stop][:limit]
        return page([_model_view(model) for model in chosen], [model.dated for model in chosen], more=more)

    def _retrieve_model(self, call: Call) -> Answer:
        model = self._catalog.find(call.args["id"])
        if model is None:
            raise refused("not_found_error", f"model: {call.args['id'][:100]}", status=404)
        return json_answer(_model_view(model))

    def _count_tokens(self, call: Call) -> Answer:
        if call.too_large:
            raise refused("request_too_large", "Request exceeds the maximum size", status=413)
        params = decode_object(call.body)
        if params is None:
            raise refused("invalid_request_error", "The request body is not valid JSON")
        model = self._catalog.find(params.get("model"))
        why = refusal(params, model, version=call.headers["anthropic-version"], batched=False)
        if why is not None:
            raise refused(why["type"], why["message"], status=404 if why["type"] == "not_found_error" else 400)
        tokens = count_prompt(messages_of(params)) + tokens_beside(params)
        return json_answer({"input_tokens": tokens})


def _route(
    operation: str,
    method: str,
    path: str,
    handler: Callable[[Call], Answer],
    *,
    body: Body = Body.MEMORY,
    limit: int = 1_000_000,
) -> Route:
    pattern = re.compile(path.replace("{id}", r"(?P<id>[^/]+)") + "/?")
    return Route(operation=operation, method=method, pattern=pattern, handler=handler, body=body, limit=limit)


def _betas(call: Call) -> list[str]:
    return [name.strip() for name in call.headers.get("anthropic-beta", "").split(",") if name.strip()]


def _model_view(model: Model) -> dict[str, Any]:
    yes, no = {"supported": True}, {"supported": False}
    new = yes if model.reasoning else no
    return {
        "type": "model",
        "id": model.dated,
        "display_name": model.title,
        "created_at": f"{model.released}T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": next((line for line in _LINES if line in model.name), None),
        "max_input_tokens": model.context,
        "max_tokens": model.output,
        "capabilities": {
            "batch": {"supported": model.batch},
            "citations": yes,
            "code_execution": yes,
            "context_management": {
                "supported": True,
                "clear_thinking_20251015": yes,
                "clear_tool_uses_20250919": yes,
                "compact_20260112": new,
            },
            "effort": {**new, **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), new)},
            "image_input": yes,
            "pdf_input": yes,
            "server_tools": {"supported": True, "code_execution": yes, "web_search": yes},
            "structured_outputs": yes,
            "thinking": {
                "supported": True,
                "types": {"adaptive": new, "between_tools": new, "disabled": yes, "enabled": yes},
            },
        },
    }
