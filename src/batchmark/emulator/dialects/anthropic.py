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
from batchmark.emulator.dialects.anthropic_rows import NEW_VERSION, AnthropicBook, messages_of, refusal
from batchmark.emulator.dialects.words import shown_word
from batchmark.emulator.http import Answer, Body, Call, Refused, Route, decode_object, json_answer, too_deep
from batchmark.emulator.life import standing
from batchmark.emulator.scan import ArrayScan, ScanError
from batchmark.emulator.service import Service, good_key
from batchmark.emulator.world import Batch, Outcome

__all__ = ["Anthropic"]

_VERSIONS = ("2023-01-01", "2023-06-01", NEW_VERSION)


class _Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One request as it should be; its parameters are looked at when the batch is run."""

    custom_id: str
    params: msgspec.Raw


_plain_item = msgspec.json.Decoder(_Item).decode
_decode_item = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Anthropic:
    """The dialect: its routes, its refusals, its headers."""

    name = "anthropic"
    prefix = "/anthropic"

    def __init__(self, service: Service) -> None:
        self._service = service
        self._world = service.world
        self._catalog = service.catalogs[self.name]
        self._kept_s = service.limits[self.name]["results_kept_s"]
        self._good_id = re.compile(rf"[a-zA-Z0-9_-]{{1,{min(service.most(self.name, 'max_id_chars'), 1 << 16)}}}")
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
            raise _refused("authentication_error", message, status=401)
        version = call.headers.get("anthropic-version")
        if version is None:
            raise _refused("invalid_request_error", "anthropic-version: header is required")
        if version not in _VERSIONS:
            message = f'anthropic-version: "{version[:40]}" is not a valid version'
            raise _refused("invalid_request_error", message)

    def unknown(self, call: Call, *, other_methods: bool) -> Answer:
        if other_methods:
            return _error("invalid_request_error", "Method Not Allowed", status=405)
        return _error("not_found_error", "Not found", status=404)

    def failure(self, call: Call) -> Answer:
        return _error("api_error", "Internal server error", status=500)

    def headers(self, call: Call, elapsed_ms: int) -> dict[str, str]:
        return {"request-id": _request_id()}

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
            raise _refused("request_too_large", "Request exceeds the maximum size", status=413)
        assert call.body_path is not None
        rows = call.body_path.with_name("rows")
        total, model, first = self._sift(call, ArrayScan(call.body_path, "requests"))
        now = self._world.now()
        batch = self._service.add_batch(
            call,
            id=f"msgbatch_01{ids.base58(22)}",
            dialect=self.name,
            endpoint="/v1/messages",
            model=model,
            window_s=self._service.window_s(self.name),
            spec={"version": call.headers["anthropic-version"]},
            source=rows,
            total=total,
            created_at=now,
            labels=[first],
        )
        call.subject = batch.id
        return json_answer(self._view(call, batch, now))

    def _sift(self, call: Call, scan: ArrayScan) -> tuple[int, str, str]:
        """Check the envelope and write its requests one a line; their number, and the first one's model and id."""
        most = self._service.most(self.name, "max_rows")
        assert call.body_path is not None
        seen: set[str] = set()
        model = first = ""
        trouble: str | None = None
        try:
            with call.body_path.with_name("rows").open("wb", buffering=1 << 18) as out:
                for number, raw in enumerate(scan):
                    if trouble is not None:
                        continue  # go on to the end: broken JSON outranks a bad request
                    if number >= most:
                        trouble = f"requests: List should have at most {most} items after validation"
                        continue
                    if too_deep(raw):
                        raise ScanError("nested too deeply")
                    if not self._in_order(raw, seen):
                        trouble = self._envelope_trouble(number, raw, seen)
                    if number == 0 and trouble is None:
                        model, first = _model_of(raw), next(iter(seen))
                    out.write(raw)
                    out.write(b"\n")
        except ScanError as error:
            message = f"The request body is not valid JSON: {error}"
            raise _refused("invalid_request_error", message) from error
        extra = next((name for name in scan.envelope if name != "requests"), None)
        if extra is not None:
            trouble = f"{extra[:60]}: Extra inputs are not permitted"
        if "requests" not in scan.envelope:
            trouble = "requests: Field required"
        elif not scan.found:
            trouble = "requests: Input should be a valid list"
        elif not seen and trouble is None:
            trouble = "requests: List should have at least 1 item after validation, not 0"
        if trouble is not None:
            raise _refused("invalid_request_error", trouble)
        return len(seen), model, first

    def _in_order(self, raw: bytes, seen: set[str]) -> bool:
        """Whether nothing is wrong with one request's envelope: the quick look, which is enough for nearly all."""
        try:
            item = _plain_item(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        name = item.custom_id
        if name in seen or self._good_id.fullmatch(name) is None or bytes(memoryview(item.params)[:1]) != b"{":
            return False
        seen.add(name)
        return True

    def _envelope_trouble(self, number: int, raw: bytes, seen: set[str]) -> str | None:
        """What is wrong with one request's envelope, if anything."""
        where = f"requests.{number}"
        try:
            item = _decode_item(raw)
            name = msgspec.json.decode(item["custom_id"]) if "custom_id" in item else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ScanError(str(error)) from error
        custom_id, params = item.get("custom_id"), item.get("params")
        if custom_id is None:
            return f"{where}.custom_id: Field required"
        if params is None:
            return f"{where}.params: Field required"
        extra = next((name for name in item if name not in ("custom_id", "params")), None)
        if extra is not None:
            return f"{where}.{extra[:60]}: Extra inputs are not permitted"
        if not isinstance(name, str):
            return f"{where}.custom_id: Input should be a valid string"
        if self._good_id.fullmatch(name) is None:
            return f"{where}.custom_id: String should match pattern '^{self._good_id.pattern}$'"
        if name in seen:
            return f"{where}.custom_id: custom_ids must be unique within a batch, found {name} twice"
        seen.add(name)
        if not bytes(params).lstrip().startswith(b"{"):
            return f"{where}.params: Input should be a valid dictionary"
        return None

    def _batch(self, call: Call) -> Batch:
        call.subject = call.args["id"]
        batch = self._world.batch(self.name, call.args["id"], lag_ns=call.lag_ns)
        if batch is None:
            raise _refused("not_found_error", f"Message Batch {call.args['id'][:100]} not found.", status=404)
        return batch

    def _retrieve(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        answer = json_answer(self._view(call, batch, now))
        if not standing(batch.facts, now).phase.terminal:
            answer.headers["retry-after"] = "10"
        return answer

    def _list(self, call: Call) -> Answer:
        limit, after, before = _paging(call)
        anchor: int | None = None
        for name in (after, before):
            if name is not None:
                known = self._world.batch(self.name, name)
                if known is None:
                    raise _refused("invalid_request_error", f"no Message Batch is called {name[:100]}")
                anchor = known.seq
        if before is not None:
            found = self._world.list_batches(self.name, limit=limit + 1, after=anchor, lag_ns=call.lag_ns)
            page = found[-limit:]
        else:
            found = self._world.list_batches(self.name, limit=limit + 1, before=anchor, lag_ns=call.lag_ns)
            page = found[:limit]
        shown, now = self._service.fresh(page)
        return _page([self._view(call, batch, now) for batch in shown], more=len(found) > limit)

    def _cancel(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        if standing(batch.facts, now).phase.terminal:
            message = f"Message Batch {batch.id} cannot be canceled: its processing has ended."
            raise _refused("invalid_request_error", message)
        self._world.request_cancel(batch, now)
        self._service.nudge()
        return json_answer(self._view(call, self._batch(call), now))

    def _delete(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        if not standing(batch.facts, now).phase.terminal:
            message = f"Message Batch {batch.id} cannot be deleted while it is being processed: cancel it first."
            raise _refused("invalid_request_error", message)
        self._world.delete_batch(batch)
        return json_answer({"id": batch.id, "type": "message_batch_deleted"})

    def _results(self, call: Call) -> Answer:
        (batch,), now = self._service.fresh([self._batch(call)])
        ended = standing(batch.facts, now).phase.terminal
        outcome = batch.outcome
        if not ended or outcome is None or outcome.results_path is None:
            message = f"Message Batch {batch.id} has no available results."
            raise _refused("not_found_error", message, status=404)
        if self._archived(batch, now) is not None:
            raise _refused("not_found_error", f"The results of Message Batch {batch.id} are archived.", status=404)
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
            "results_url": f"{call.base_url}{self.prefix}/v1/messages/batches/{batch.id}/results" if ended else None,
        }

    # Models and tokens

    def _list_models(self, call: Call) -> Answer:
        limit, after, before = _paging(call)
        models = self._catalog.models
        names = [model.dated for model in models]
        start, stop = 0, len(names)
        for name in (after, before):
            if name is not None and name not in names:
                raise _refused("invalid_request_error", f"no model is called {name[:100]}")
        if after is not None:
            start = names.index(after) + 1
        if before is not None:
            stop = names.index(before)
            start = max(0, stop - limit)
            more = start > 0
        else:
            more = stop - start > limit
        return _page([_model_view(model) for model in models[start:stop][:limit]], more=more)

    def _retrieve_model(self, call: Call) -> Answer:
        model = self._catalog.find(call.args["id"])
        if model is None:
            raise _refused("not_found_error", f"model: {call.args['id'][:100]}", status=404)
        return json_answer(_model_view(model))

    def _count_tokens(self, call: Call) -> Answer:
        if call.too_large:
            raise _refused("request_too_large", "Request exceeds the maximum size", status=413)
        params = decode_object(call.body)
        if params is None:
            raise _refused("invalid_request_error", "The request body is not valid JSON")
        model = self._catalog.find(params.get("model"))
        error = refusal(params, model, version=call.headers["anthropic-version"], batched=False)
        if error is not None:
            raise _refused(error["type"], error["message"], status=404 if error["type"] == "not_found_error" else 400)
        tokens = count_prompt(messages_of(params))
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


def _request_id() -> str:
    return f"req_011{ids.base58(21)}"


def _error(kind: str, message: str, *, status: int) -> Answer:
    request_id = _request_id()
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    return json_answer(body, status=status, headers={"request-id": request_id})


def _refused(kind: str, message: str, *, status: int = 400) -> Refused:
    return Refused(_error(kind, message, status=status))


def _model_of(raw: bytes) -> str:
    params = (decode_object(raw) or {}).get("params")
    model = params.get("model") if isinstance(params, dict) else None
    return model if isinstance(model, str) else ""


def _paging(call: Call) -> tuple[int, str | None, str | None]:
    text = call.query.get("limit", "20")
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= 1000):
        raise _refused("invalid_request_error", "limit: Input should be between 1 and 1000")
    after, before = call.query.get("after_id") or None, call.query.get("before_id") or None
    if after is not None and before is not None:
        raise _refused("invalid_request_error", "only one of after_id and before_id may be given")
    return int(text), after, before


def _page(items: list[dict[str, Any]], *, more: bool) -> Answer:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return json_answer({"data": items, "has_more": more, "first_id": first, "last_id": last})


def _model_view(model: Model) -> dict[str, Any]:
    yes = {"supported": True}
    return {
        "type": "model",
        "id": model.dated,
        "display_name": model.title,
        "created_at": f"{model.released}T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": model.context,
        "max_tokens": model.output,
        "capabilities": {
            "batch": {"supported": model.batch},
            "citations": yes,
            "image_input": yes,
            "pdf_input": yes,
            "structured_outputs": yes,
        },
    }
