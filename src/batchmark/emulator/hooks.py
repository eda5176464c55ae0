"""Webhooks: the endpoints that clients have registered, and the events that are on their way to them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from batchmark.emulator.clock import SECOND
from batchmark.emulator.world import World

__all__ = ["Event", "Hook", "Hooks", "Notice", "Secret", "good_url"]

_GRACE_NS = 24 * 3600 * SECOND  # how long an old secret may still sign after a rotation
_MOST_URL = 2_000
_json = msgspec.json


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What signs the events of an endpoint; `until` in emulated nanoseconds, None: for good."""

    text: str
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A registered endpoint; the newest secret comes first."""

    seq: int
    id: str
    dialect: str
    name: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    secrets: tuple[Secret, ...]
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a dialect has to tell of a batch: to the endpoints registered for its type, or to those that its job names."""

    id: str
    type: str
    body: bytes
    subject: str  # the batch, as the journal calls it
    urls: tuple[str, ...] | None = None  # the endpoints of one job, signed for by the service's own key


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event on its way to one endpoint. `next_at`: when to try (again), in seconds of the machine's time."""

    seq: int
    dialect: str
    hook: int | None
    url: str
    event: str
    subject: str
    body: bytes
    next_at: float
    attempts: int


class Hooks:
    """Endpoints and events of a world, kept with it between processes."""

    def __init__(self, world: World) -> None:
        self._world = world

    # Endpoints

    def add(self, dialect: str, id: str, *, name: str, url: str, events: Iterable[str]) -> Hook:
        now = self._world.now()
        self._world.store.run(
            "INSERT INTO hooks (id, dialect, name, url, events, enabled, secrets, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)",
            (id, dialect, name, url, _text(list(events)), _text([_made()]), now, now),
        )
        found = self.get(dialect, id)
        assert found is not None
        return found

    def get(self, dialect: str, id: str) -> Hook | None:
        row = self._world.store.one("SELECT * FROM hooks WHERE dialect = ? AND id = ?", (dialect, id))
        return None if row is None else _hook(row)

    def newest(self, dialect: str, *, limit: int, before: int | None = None) -> list[Hook]:
        rows = self._world.store.all(
            "SELECT * FROM hooks WHERE dialect = ? AND (? IS NULL OR seq < ?) ORDER BY seq DESC LIMIT ?",
            (dialect, before, before, limit),
        )
        return [_hook(row) for row in rows]

    def change(
        self,
        hook: Hook,
        *,
        name: str | None = None,
        url: str | None = None,
        events: Iterable[str] | None = None,
        enabled: bool | None = None,
    ) -> Hook:
        """Change what is given. The time of the last change moves only where something is different."""
        new = (
            hook.name if name is None else name,
            hook.url if url is None else url,
            hook.events if events is None else tuple(events),
            hook.enabled if enabled is None else enabled,
        )
        if new != (hook.name, hook.url, hook.events, hook.enabled):
            self._world.store.run(
                "UPDATE hooks SET name = ?, url = ?, events = ?, enabled = ?, updated_at = ? WHERE seq = ?",
                (new[0], new[1], _text(new[2]), int(new[3]), self._world.now(), hook.seq),
            )
        return self.get(hook.dialect, hook.id) or hook

    def rotate(self, hook: Hook, *, keep_old: bool) -> Hook:
        """Give it a new secret; the old ones end now, or sign beside it for a day."""
        now = self._world.now()
        kept = [Secret(text=old.text, until=old.until or now + _GRACE_NS) for old in hook.secrets] if keep_old else []
        self._world.store.run(
            "UPDATE hooks SET secrets = ?, updated_at = ? WHERE seq = ?",
            (_text([_made(), *[old for old in kept if (old.until or 0) > now]]), now, hook.seq),
        )
        return self.get(hook.dialect, hook.id) or hook

    def remove(self, hook: Hook) -> None:
        with self._world.store.transaction():
            self._world.store.run("DELETE FROM hooks WHERE seq = ?", (hook.seq,))
            self._world.store.run("DELETE FROM notices WHERE hook = ?", (hook.seq,))

    def secrets_of(self, seq: int) -> list[str]:
        """What signs for an endpoint at this moment."""
        row = self._world.store.one("SELECT secrets FROM hooks WHERE seq = ?", (seq,))
        now = self._world.now()
        found = [] if row is None else _json.decode(row["secrets"], type=list[Secret])
        return [secret.text for secret in found if secret.until is None or secret.until > now]

    # Events

    def send(self, dialect: str, batch: int, event: Event, due_at: int) -> None:
        """Put an event about the batch of this sequence number on its way, not to arrive before `due_at`; part of a
        transaction that is open."""
        if event.urls is not None:
            ends: list[tuple[int | None, str]] = [(None, url) for url in event.urls]
        else:
            rows = self._world.store.all("SELECT * FROM hooks WHERE dialect = ? AND enabled = 1", (dialect,))
            ends = [(hook.seq, hook.url) for hook in map(_hook, rows) if event.type in hook.events]
        for hook, url in ends:
            self._world.store.run(
                "INSERT INTO notices (dialect, batch, hook, url, event, subject, body, due_at, next_at, attempts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
                (dialect, batch, hook, url, event.id, event.subject, event.body, due_at),
            )

    def due(self, now: int, real_s: float, limit: int) -> list[Notice]:
        rows = self._world.store.all(
            "SELECT seq, dialect, hook, url, event, subject, body, next_at, attempts FROM notices"
            " WHERE due_at <= ? AND next_at <= ? ORDER BY next_at, seq LIMIT ?",
            (now, real_s, limit),
        )
        return [Notice(**dict(row)) for row in rows]

    def wait_s(self, real_s: float) -> float | None:
        """Seconds of the machine's time until the next event is due, None where none is on its way."""
        row = self._world.store.one(
            "SELECT min(CASE WHEN due_at > ?1 THEN due_at END) AS due, min(CASE WHEN due_at <= ?1 THEN next_at END) AS next"
            " FROM notices",
            (self._world.now(),),
        )
        waits: list[float] = []
        if row is not None and row["due"] is not None:
            waits.append(self._world.clock().real_seconds_until(row["due"], int(real_s * SECOND)))
        if row is not None and row["next"] is not None:
            waits.append(row["next"] - real_s)
        return max(0.0, min(waits)) if waits else None

    def take(self, notice: Notice, until_s: float) -> bool:
        """Claim it for one attempt, for this process alone until `until_s`."""
        changed = self._world.store.run(
            "UPDATE notices SET next_at = ?, attempts = attempts + 1 WHERE seq = ? AND next_at = ?",
            (until_s, notice.seq, notice.next_at),
        )
        return changed == 1

    def again(self, notice: Notice, at_s: float) -> None:
        self._world.store.run("UPDATE notices SET next_at = ? WHERE seq = ?", (at_s, notice.seq))

    def drop(self, notice: Notice) -> None:
        """It has arrived, or is given up."""
        self._world.store.run("DELETE FROM notices WHERE seq = ?", (notice.seq,))

    # The key that signs for the endpoints of single jobs

    def key(self) -> tuple[str, str]:
        """Its id and its PEM text, made when first asked for: that takes a moment."""
        row = self._world.store.one("SELECT id, pem FROM signing_keys LIMIT 1")
        if row is None:
            from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
            from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

            made = generate_private_key(65_537, 2048)
            pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
            with self._world.store.transaction():
                row = self._world.store.one("SELECT id, pem FROM signing_keys LIMIT 1")  # another process was quicker
                if row is None:
                    self._world.store.run("INSERT INTO signing_keys VALUES (?, ?)", (secrets.token_hex(20), pem))
                    row = self._world.store.one("SELECT id, pem FROM signing_keys LIMIT 1")
        assert row is not None
        return row["id"], row["pem"]

    def public_keys(self) -> list[dict[str, Any]]:
        """What checks the signatures, as a JSON Web Key Set lists it."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from jwt.algorithms import RSAAlgorithm

        name, pem = self.key()
        public = load_pem_private_key(pem.encode(), None).public_key()
        assert isinstance(public, RSAPublicKey)
        shown = RSAAlgorithm.to_jwk(public, as_dict=True)
        shown.pop("key_ops", None)
        return [{**shown, "kid": name, "use": "sig", "alg": "RS256"}]


def good_url(url: object) -> bool:
    """Whether events could be sent there. The services want https; on one's own machine http is as good."""
    if not isinstance(url, str) or len(url) > _MOST_URL or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _made() -> Secret:
    return Secret(text="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())


def _text(value: object) -> str:
    return _json.encode(value).decode()


def _hook(row: Any) -> Hook:
    read = {
        "events": tuple(_json.decode(row["events"], type=list[str])),
        "secrets": tuple(_json.decode(row["secrets"], type=list[Secret])),
        "enabled": bool(row["enabled"]),
    }
    return Hook(**{**dict(row), **read})
