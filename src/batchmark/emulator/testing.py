"""A batch cloud in the hands of a test: its clock, its faults, its journal, and the questions that tests ask.

    with BatchCloud() as cloud:
        client = openai.OpenAI(base_url=cloud.openai_url, api_key=cloud.key)
        ...
        cloud.assert_created_once("openai")

It speaks to the emulator over its control pages, so `BatchCloud.attach(URL)` does the same for one that runs elsewhere.
"""

from __future__ import annotations

import json
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from batchmark.emulator.env_file import MADE_UP_KEY, PATHS, variables
from batchmark.emulator.server import Emulator, EmulatorError, EmulatorOptions

__all__ = ["BatchCloud", "Clock", "Faults", "JournalEntry"]

_ANSWER_S = 30
_PAGE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One call that reached the emulator."""

    seq: int
    at: datetime  # on the emulator's clock
    dialect: str  # openai, anthropic or gemini
    operation: str  # such as batches.create
    method: str
    path: str
    status: int  # 0: dropped before anything was done
    subject: str | None  # the id of the batch or file that it was about
    request_bytes: int
    created: str | None  # the id of the batch that it made
    rows: int | None  # the requests of that batch, once the emulator has read them
    labels: tuple[
        str, ...
    ]  # of that batch: OpenAI's metadata values, Gemini's display name, Anthropic's first custom_id
    digest: str | None  # of the requests of that batch: the same for the same bytes
    file_name: str | None  # what the client calls the file that it uploaded
    faults: tuple[str, ...]  # the rules that struck it


class _Pages:
    """The control pages of one emulator."""

    def __init__(self, base_url: str, key: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy

    def ask(self, page: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.base_url}/_emulator/{page}",
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
        )
        try:
            with self._opener.open(request, timeout=_ANSWER_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = json.loads(error.read() or b"{}").get("error", error.reason)
            raise ValueError(f"the emulator at {self.base_url} says: {said}") from None
        except OSError as error:
            raise EmulatorError(f"no emulator answers at {self.base_url}: {error}") from error


class Clock:
    """The emulator's clock: all that it shows, and all that it waits for, goes by it."""

    def __init__(self, pages: _Pages) -> None:
        self._pages = pages

    def now(self) -> datetime:
        return _time(self._pages.ask("clock")["now"])

    def advance(self, seconds: float = 0, **parts: float) -> datetime:
        """Jump forward, by seconds or what `timedelta` takes (`hours=24`); the time then. Raises ValueError for back."""
        length = timedelta(seconds=seconds, **parts).total_seconds()
        return _time(self._pages.ask("clock", {"jump_s": length})["now"])

    def set(self, moment: datetime) -> datetime:
        """Go to a moment with a time zone: a later one, or any where nothing has happened yet. Raises ValueError."""
        return _time(self._pages.ask("clock", {"now": moment.isoformat()})["now"])

    def freeze(self) -> datetime:
        """Stand still from here on: only `advance` and `set` move it."""
        return _time(self._pages.ask("clock", {"frozen": True})["now"])

    def run(self, time_scale: float | None = None) -> datetime:
        """Go on, at the pace of before or so many times as fast as the machine's clock."""
        body = {"frozen": False} if time_scale is None else {"time_scale": time_scale}
        return _time(self._pages.ask("clock", body)["now"])


class Faults:
    """What goes wrong: rules `MATCH -> DO`, `preset:NAME`, or tables as in a TOML file of faults."""

    def __init__(self, pages: _Pages) -> None:
        self._pages = pages

    def add(self, *rules: str | Mapping[str, Any]) -> None:
        """Let these happen too. Raises ValueError for a rule that cannot be read."""
        self._pages.ask("faults", {"add": list(rules)})

    def replace(self, *rules: str | Mapping[str, Any]) -> None:
        """Let these happen and no others, counting from the start. Raises ValueError for a rule that cannot be read."""
        self._pages.ask("faults", {"rules": list(rules)})

    def clear(self) -> None:
        """Let nothing go wrong from here on; what befell a batch at its creation stays with it."""
        self.replace()

    def rules(self) -> list[str]:
        return list(self._pages.ask("faults")["rules"])

    def met(self, rule: str) -> int:
        """How many calls or batches a rule that counts (by `nth` or `p`) has looked at."""
        return int(self._pages.ask("faults")["met"].get(rule, 0))


class BatchCloud:
    """An emulator for one test, in this process: use it as a context manager."""

    def __init__(
        self,
        *,
        profile: str = "instant",
        answers: str = "synthetic",
        faults: Iterable[str] = (),
        limits: Iterable[str] = (),
        time_scale: float = 1.0,
        seed: int = 0,
        key: str | None = None,
        port: int = 0,
        home: Path | None = None,
    ) -> None:
        """The options are those of the command `batchmark emulator`. Its world lies in `home`, which stays, or in a
        temporary folder. Raises EmulatorError for options that make no sense."""
        self._folder = (
            None if home is not None else tempfile.TemporaryDirectory(prefix="batch-cloud-", ignore_cleanup_errors=True)
        )
        place = home if home is not None else Path(self._folder.name) if self._folder is not None else Path()
        self._emulator: Emulator | None = None
        try:
            self._emulator = Emulator(
                EmulatorOptions(
                    home=place,
                    port=port,
                    profile=profile,
                    answers=answers,
                    faults=tuple(faults),
                    limits=tuple(limits),
                    time_scale=time_scale,
                    seed=seed,
                    key=key,
                    control=True,
                )
            )
        except EmulatorError:
            self._tidy()
            raise
        self._set_pages("", key or MADE_UP_KEY)

    @classmethod
    def attach(cls, base_url: str, *, key: str = MADE_UP_KEY) -> Self:
        """The handles for an emulator that runs elsewhere on this machine. Raises EmulatorError where there is none, ValueError
        where it was started without `--control`."""
        found = cls.__new__(cls)
        found._emulator = found._folder = None
        found._set_pages(base_url, key)
        if not found._pages.ask("status").get("control"):
            raise ValueError(f"the emulator at {base_url} cannot be steered: start it with --control")
        return found

    def _set_pages(self, base_url: str, key: str) -> None:
        self._pages = _Pages(base_url, key)
        self.key = key
        self.clock = Clock(self._pages)
        self.faults = Faults(self._pages)

    def start(self) -> None:
        """Serve; returns once it can be called. Raises EmulatorError."""
        if self._emulator is not None:
            self._emulator.start()
            self._pages.base_url = self._emulator.base_url

    def stop(self) -> None:
        """Stop, and remove its world where it is a temporary one. Harmless when not running."""
        if self._emulator is not None:
            self._emulator.stop()
        self._tidy()

    def _tidy(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # Where clients find it

    @property
    def base_url(self) -> str:
        return self._pages.base_url

    @property
    def openai_url(self) -> str:
        return self.base_url + PATHS["openai"]

    @property
    def anthropic_url(self) -> str:
        return self.base_url + PATHS["anthropic"]

    @property
    def gemini_url(self) -> str:
        return self.base_url + PATHS["gemini"]

    def environment(self) -> dict[str, str]:
        """The variables that point the three official SDKs here, the key included."""
        return variables(self.base_url, self.key)

    def reset(self) -> None:
        """Forget every file, batch and call; the clock and the faults stay."""
        self._pages.ask("reset", {})

    # What was asked of it

    def journal(self, dialect: str | None = None, operation: str | None = None) -> list[JournalEntry]:
        """The calls so far, oldest first: all, or those of a dialect, or of an operation (wildcards: `batches.*`)."""
        asked = {"dialect": dialect, "operation": operation, "limit": str(_PAGE)}
        found: list[JournalEntry] = []
        while True:
            after = str(found[-1].seq) if found else "0"
            query = urllib.parse.urlencode({**{k: v for k, v in asked.items() if v is not None}, "after": after})
            page = [_entry(one) for one in self._pages.ask(f"journal?{query}")["entries"]]
            found += page
            if len(page) < _PAGE:
                return found

    def created(self, dialect: str | None = None, *, label: str | None = None) -> list[JournalEntry]:
        """The calls that made a batch, whatever the client was told; with `label`, those of batches that carry it."""
        made = [entry for entry in self.journal(dialect) if entry.created is not None]
        return made if label is None else [entry for entry in made if label in entry.labels]

    def assert_created(self, count: int, dialect: str | None = None, *, label: str | None = None) -> None:
        """Exactly so many batches were made. Raises AssertionError that lists those that were."""
        made = self.created(dialect, label=label)
        if len(made) != count:
            what = f"{dialect or 'all dialects'}" + ("" if label is None else f", label {label!r}")
            raise AssertionError(f"{len(made)} batches were created ({what}), not {count}{_listed(made)}")

    def assert_created_once(self, dialect: str | None = None, *, label: str | None = None) -> None:
        """One batch was made and no second one. Raises AssertionError that lists those that were."""
        self.assert_created(1, dialect, label=label)

    def assert_nothing_twice(self) -> None:
        """No two batches have the same requests, byte for byte: nobody paid twice. Raises AssertionError."""
        seen: dict[tuple[str, str], JournalEntry] = {}
        for entry in self.created():
            first = seen.setdefault((entry.dialect, entry.digest or ""), entry)
            if first is not entry and entry.digest is not None:
                raise AssertionError(f"the same requests were submitted twice{_listed([first, entry])}")

    def assert_not_called(self, operation: str, dialect: str | None = None) -> None:
        """No call of this operation was made (wildcards: `batches.*`). Raises AssertionError that lists those that were."""
        found = self.journal(dialect, operation)
        if found:
            raise AssertionError(f"{operation} was called {len(found)} times{_listed(found)}")


def _entry(raw: Mapping[str, Any]) -> JournalEntry:
    return JournalEntry(
        seq=raw["seq"],
        at=datetime.fromtimestamp(raw["at_ns"] / 1e9, UTC),
        dialect=raw["dialect"],
        operation=raw["operation"],
        method=raw["method"],
        path=raw["path"],
        status=raw["status"],
        subject=raw["subject"],
        request_bytes=raw["request_bytes"],
        created=raw["stored"],
        rows=raw["rows"],
        labels=tuple(raw["labels"] or ()),
        digest=raw["digest"],
        file_name=raw["file_name"],
        faults=tuple(raw["faults"]),
    )


def _time(text: str) -> datetime:
    """A time with nanoseconds, of which Python keeps the microseconds."""
    return datetime.fromisoformat(text[:26] + "+00:00")


def _listed(entries: Iterable[JournalEntry]) -> str:
    lines = [
        f"  {entry.at:%H:%M:%S.%f} {entry.dialect} {entry.operation} -> {entry.status} {entry.subject or ''}"
        + (f" labels {', '.join(entry.labels)}" if entry.labels else "")
        + (f" faults {'; '.join(entry.faults)}" if entry.faults else "")
        for entry in entries
    ]
    return ":\n" + "\n".join(lines) if lines else ""
