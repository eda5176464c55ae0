"""OpenAI's webhook endpoints."""

from __future__ import annotations

from typing import Any

from batchmark.emulator import ids
from batchmark.emulator.clock import seconds
from batchmark.emulator.dialects.news import openai_event
from batchmark.emulator.dialects.openai_wire import body_of, page, page_limit, refused, text_of
from batchmark.emulator.hooks import Hook, good_url
from batchmark.emulator.http import Answer, Call, pretty_answer
from batchmark.emulator.service import Service

__all__ = ["OpenAIHooks"]

# What may be asked for; only those of batches ever happen here.
_TYPES = (
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "response.completed",
    "response.failed",
    "response.cancelled",
    "response.incomplete",
    "eval.run.succeeded",
    "eval.run.failed",
    "eval.run.canceled",
    "fine_tuning.job.succeeded",
    "fine_tuning.job.failed",
    "fine_tuning.job.cancelled",
    "realtime.call.incoming",
    "video.completed",
    "video.failed",
    "agent.environment.ready",
    "agent.environment.failed",
    "agent.environment.suspended",
    "agent.environment.expired",
    "agent.session.created",
    "agent.session.action_required",
    "agent.session.in_progress",
    "agent.session.idle",
    "agent.session.failed",
    "safety.alert.created",
)
_LONGEST_NAME = 255


class OpenAIHooks:
    """The operations on webhook endpoints."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._hooks = service.hooks

    def create(self, call: Call) -> Answer:
        body = body_of(call, ("event_types", "name", "url"))
        hook = self._hooks.add(
            "openai",
            f"webhook_endpoint_{ids.base62(24)}",
            events=_types(body.get("event_types")),
            name=_name(text_of(body, "name")),
            url=_url(text_of(body, "url")),
        )
        return pretty_answer({**_view(hook), "signing_secret": hook.secrets[0].text})

    def list(self, call: Call) -> Answer:
        limit = page_limit(call, default=20, most=100)
        after = call.query.get("after")
        before = None if not after else self._find(after).seq
        found = self._hooks.newest("openai", limit=limit + 1, before=before)
        return page([_view(hook) for hook in found[:limit]], more=len(found) > limit)

    def retrieve(self, call: Call) -> Answer:
        return pretty_answer(_view(self._hook(call)))

    def update(self, call: Call) -> Answer:
        hook = self._hook(call)
        body = body_of(call, ("event_types", "name", "url"))
        changed = self._hooks.change(
            hook,
            events=_types(body["event_types"]) if body.get("event_types") is not None else None,
            name=_name(text_of(body, "name")) if body.get("name") is not None else None,
            url=_url(text_of(body, "url")) if body.get("url") is not None else None,
        )
        return pretty_answer(_view(changed))

    def delete(self, call: Call) -> Answer:
        hook = self._hook(call)
        self._hooks.remove(hook)
        return pretty_answer({"id": hook.id, "object": "webhook_endpoint.deleted", "deleted": True})

    def rotate(self, call: Call) -> Answer:
        hook = self._hook(call)
        body = body_of(call, ("keep_old_secret_active_for_24_hours",)) if call.body else {}
        keep = body.get("keep_old_secret_active_for_24_hours")
        if keep is not None and not isinstance(keep, bool):
            name = "keep_old_secret_active_for_24_hours"
            raise refused(f"Invalid type for '{name}': expected a boolean.", param=name, code="invalid_type")
        rotated = self._hooks.rotate(hook, keep_old=bool(keep))
        return pretty_answer({**_view(rotated), "signing_secret": rotated.secrets[0].text})

    def test(self, call: Call) -> Answer:
        hook = self._hook(call)
        kind = text_of(body_of(call, ("event_type",)), "event_type")
        if kind not in _TYPES:
            raise refused(f"Invalid value: '{kind[:60]}'.", param="event_type", code="invalid_value")
        now = self._service.world.now()
        event = openai_event(kind, f"batch_{ids.stamped_hex(seconds(now))}", now)
        status = self._service.test_hook(hook, event)
        if status <= 0:
            raise refused("The webhook endpoint could not be reached.", param="url")
        sent = {"object": "webhook_endpoint.test", "webhook_endpoint_id": hook.id, "event_type": kind}
        return pretty_answer({**sent, "success": True, "status_code": status})

    def types(self, call: Call) -> Answer:
        return pretty_answer({"object": "list", "data": list(_TYPES)})

    def _hook(self, call: Call) -> Hook:
        call.subject = call.args["id"]
        return self._find(call.args["id"])

    def _find(self, id: str) -> Hook:
        found = self._hooks.get("openai", id)
        if found is None:
            raise refused(f"No webhook endpoint found with id '{id[:100]}'.", status=404)
        return found


def _types(value: object) -> list[str]:
    if value is None:
        message = "Missing required parameter: 'event_types'."
        raise refused(message, param="event_types", code="missing_required_parameter")
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        message = "Invalid type for 'event_types': expected an array of strings."
        raise refused(message, param="event_types", code="invalid_type")
    if not value:
        message = "Invalid 'event_types': empty array. Expected an array with minimum length 1."
        raise refused(message, param="event_types", code="empty_array")
    for one in value:
        if one not in _TYPES:
            raise refused(f"Invalid value: '{one[:60]}'.", param="event_types", code="invalid_value")
    return list(dict.fromkeys(value))


def _name(text: str) -> str:
    if not 0 < len(text) <= _LONGEST_NAME:
        message = f"Invalid 'name': expected 1 to {_LONGEST_NAME} characters."
        raise refused(message, param="name", code="invalid_value")
    return text


def _url(text: str) -> str:
    if not good_url(text):
        raise refused("Invalid 'url': expected a URL.", param="url", code="invalid_value")
    return text


def _view(hook: Hook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "object": "webhook_endpoint",
        "created_at": seconds(hook.created_at),
        "updated_at": seconds(hook.updated_at),
        "name": hook.name,
        "url": hook.url,
        "event_types": list(hook.events),
        "signing_secret_hint": f"whsec_...{hook.secrets[0].text[-4:]}",
    }
