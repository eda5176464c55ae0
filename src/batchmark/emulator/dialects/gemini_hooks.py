"""Gemini's webhooks: registered ones, and those of a single job."""

from __future__ import annotations

import re
from typing import Any

from batchmark.emulator import ids
from batchmark.emulator.clock import nanoseconds
from batchmark.emulator.dialects.gemini_requests import field
from batchmark.emulator.dialects.gemini_wire import (
    NAME,
    answer,
    page_size,
    page_start,
    page_token,
    read_object,
    refused,
)
from batchmark.emulator.dialects.news import gemini_ping
from batchmark.emulator.hooks import Hook, good_url
from batchmark.emulator.http import Answer, Call, json_answer
from batchmark.emulator.service import Service

__all__ = ["KEYS_PATH", "GeminiHooks", "job_hooks"]

KEYS_PATH = "/.well-known/jwks.json"
# Types of events as the SDK lists them, and the one of cancelled batches that only its documentation does.
_TYPES = (
    "batch.succeeded",
    "batch.cancelled",
    "batch.expired",
    "batch.failed",
    "interaction.requires_action",
    "interaction.completed",
    "interaction.failed",
    "interaction.cancelled",
    "video.generated",
)
_SNAKE = {"subscribedEvents": "subscribed_events", "revocationBehavior": "revocation_behavior"}
_MOST_URIS = 10


def job_hooks(value: object) -> dict[str, Any] | None:
    """What a batch is to keep of its `webhookConfig`. Raises Refused."""
    if value is None:
        return None
    uris, marks = field(value, "uris"), field(value, "userMetadata")
    where = "batch.webhook_config"
    if not isinstance(value, dict) or (marks is not None and not isinstance(marks, dict)):
        raise refused(400, "INVALID_ARGUMENT", f"Invalid value at '{where}'.")
    if uris is not None and (not isinstance(uris, list) or len(uris) > _MOST_URIS or not all(map(good_url, uris))):
        raise refused(400, "INVALID_ARGUMENT", f"Invalid value at '{where}.uris': at most {_MOST_URIS} URLs.")
    return {"uris": uris or [], "user_metadata": marks}


class GeminiHooks:
    """The operations on registered webhooks. Their bodies are snake_case, unlike all others of this service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._hooks = service.hooks

    def create(self, call: Call) -> Answer:
        body = _body(call)
        if body.get("uri") is None:
            raise refused(400, "INVALID_ARGUMENT", "* CreateWebhookRequest.webhook.uri: uri is required.")
        wanted = call.query.get("webhook_id") or call.query.get("webhookId")
        if wanted is not None and re.fullmatch(NAME, wanted) is None:
            raise refused(
                400, "INVALID_ARGUMENT", "Invalid value at 'webhook_id': lower-case letters, digits and dashes."
            )
        if wanted is not None and self._hooks.get("gemini", wanted) is not None:
            raise refused(409, "ALREADY_EXISTS", f"The webhook {wanted} already exists.")
        made = self._hooks.add(
            "gemini",
            wanted or ids.lower36(24),
            name=_name(body.get("name")),
            url=_uri(body["uri"]),
            events=_events(body.get("subscribed_events")),
        )
        return answer({**_view(made), "new_signing_secret": made.secrets[0].text})

    def list(self, call: Call) -> Answer:
        size = page_size(call, default=50, most=1000)
        found = self._hooks.newest("gemini", limit=size + 1, before=page_start(call))
        body: dict[str, Any] = {}
        if found:
            body["webhooks"] = [_view(hook) for hook in found[:size]]
        if len(found) > size:
            body["next_page_token"] = page_token(found[size - 1].seq)
        return answer(body)

    def get(self, call: Call) -> Answer:
        return answer(_view(self._hook(call)))

    def update(self, call: Call) -> Answer:
        hook, body = self._hook(call), _body(call)
        mask = call.query.get("update_mask") or call.query.get("updateMask")
        named = set(body) if not mask or mask == "*" else {name.strip() for name in mask.split(",")}
        state = body.get("state") if "state" in named else None
        if state not in (None, "enabled", "disabled"):
            raise refused(400, "INVALID_ARGUMENT", "Invalid value at 'webhook.state'.")
        changed = self._hooks.change(
            hook,
            name=_name(body.get("name")) if "name" in named else None,
            url=_uri(body.get("uri")) if "uri" in named else None,
            events=_events(body.get("subscribed_events")) if "subscribed_events" in named else None,
            enabled=None if state is None else state == "enabled",
        )
        return answer(_view(changed))

    def delete(self, call: Call) -> Answer:
        self._hooks.remove(self._hook(call))
        return answer({})

    def ping(self, call: Call) -> Answer:
        hook = self._hook(call)
        event = gemini_ping(f"webhooks/{hook.id}", self._service.world.now())
        if not 200 <= self._service.test_hook(hook, event) < 300:
            raise refused(400, "FAILED_PRECONDITION", "The webhook endpoint did not answer the ping with a 2xx status.")
        return answer({})

    def rotate(self, call: Call) -> Answer:
        hook, body = self._hook(call), _body(call)
        how = body.get("revocation_behavior")
        if how not in (None, "revoke_previous_secrets_after_h24", "revoke_previous_secrets_immediately"):
            raise refused(400, "INVALID_ARGUMENT", "Invalid value at 'revocation_behavior'.")
        rotated = self._hooks.rotate(hook, keep_old=how == "revoke_previous_secrets_after_h24")
        return answer({"secret": rotated.secrets[0].text})

    def keys(self, call: Call) -> Answer:
        """The keys that check what the endpoints of single jobs are sent; no key of an account is needed for them."""
        return json_answer({"keys": self._hooks.public_keys()})

    def _hook(self, call: Call) -> Hook:
        call.subject = f"webhooks/{call.args['id']}"
        found = self._hooks.get("gemini", call.args["id"])
        if found is None:
            raise refused(404, "NOT_FOUND", "Requested entity was not found.")
        return found


def _body(call: Call) -> dict[str, Any]:
    if not call.body:
        return {}
    body = None if call.too_large else read_object(call.body)
    if body is None:
        raise refused(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    return {_SNAKE.get(name, name): value for name, value in body.items()}


def _name(value: object) -> str:
    if value is not None and (not isinstance(value, str) or len(value) > 500):
        raise refused(400, "INVALID_ARGUMENT", "Invalid value at 'webhook.name' (TYPE_STRING).")
    return value or ""


def _uri(value: object) -> str:
    if not isinstance(value, str) or not good_url(value):
        raise refused(400, "INVALID_ARGUMENT", "Invalid value at 'webhook.uri': not a URL.")
    return value


def _events(value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        raise refused(400, "INVALID_ARGUMENT", "* Webhook.subscribed_events: at least one event is required.")
    for one in value:
        if one not in _TYPES:
            raise refused(400, "INVALID_ARGUMENT", f"Invalid value at 'webhook.subscribed_events': {str(one)[:60]!r}.")
    return list(dict.fromkeys(value))


def _view(hook: Hook) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": hook.id,
        "uri": hook.url,
        "subscribed_events": list(hook.events),
        "state": "enabled" if hook.enabled else "disabled",
        "create_time": nanoseconds(hook.created_at),
        "update_time": nanoseconds(hook.updated_at),
        "signing_secrets": [
            {
                "truncated_secret": f"{secret.text[:10]}...",
                **({} if secret.until is None else {"expire_time": nanoseconds(secret.until)}),
            }
            for secret in hook.secrets
        ],
    }
    return {**shown, "name": hook.name} if hook.name else shown
