"""Where a command works: its home folder and ledger, the environment it may read, and the world it talks to, real or emulated."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchmark.engine.account import Account, StagedHere
from batchmark.engine.meter import Meter
from batchmark.engine.pace import Pace
from batchmark.errors import BadInput, Configuration, LocalTrouble
from batchmark.ledger.artifacts import make_folder, whole_file
from batchmark.ledger.store import Ledger
from batchmark.prices.book import PriceBook
from batchmark.providers import registry
from batchmark.providers.credentials import base_url_of, has_key, key_of
from batchmark.providers.seam import Provider, ProviderSpec

if TYPE_CHECKING:
    from batchmark.emulator import Emulator

__all__ = ["EmulatorSettings", "Workspace", "home_folder", "read_environment"]


def read_environment() -> dict[str, str]:
    """The process environment over what stands in `.env` of the working directory. The process environment is not changed."""
    from dotenv import dotenv_values

    try:
        file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise Configuration(f"the file .env cannot be read: {error}") from None
    return file | dict(os.environ)


def home_folder(environment: Mapping[str, str]) -> Path:
    """BATCHMARK_HOME, else the platform's folder for user data."""
    named = environment.get("BATCHMARK_HOME", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("batchmark", appauthor=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorSettings:
    """How the embedded emulator behaves; the environment names are BATCHMARK_EMULATOR_PROFILE, _ANSWERS, _TIME_SCALE, _FAULTS (a rule a
    line) and _LIMITS (with commas between them)."""

    profile: str = "demo"
    answers: str = "auto"
    time_scale: float = 1.0
    faults: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> EmulatorSettings:
        """From the environment. Raises BadInput for a time scale that is no number."""
        scale = environment.get("BATCHMARK_EMULATOR_TIME_SCALE", "1")
        try:
            time_scale = float(scale)
        except ValueError:
            raise BadInput(f"BATCHMARK_EMULATOR_TIME_SCALE must be a number, not {scale!r}") from None
        return cls(
            profile=environment.get("BATCHMARK_EMULATOR_PROFILE", "demo"),
            answers=environment.get("BATCHMARK_EMULATOR_ANSWERS", "auto"),
            time_scale=time_scale,
            faults=_parts(environment.get("BATCHMARK_EMULATOR_FAULTS", ""), "\n"),
            limits=_parts(environment.get("BATCHMARK_EMULATOR_LIMITS", ""), ","),
        )


def _parts(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


# The waits that a user may set, in seconds: for slow lines, and for tests.
_PACE_VARIABLES = {
    "young_s": "BATCHMARK_POLL_S",
    "grace_s": "BATCHMARK_GRACE_S",
    "create_timeout_s": "BATCHMARK_CREATE_TIMEOUT_S",
    "patience_s": "BATCHMARK_PATIENCE_S",
    "probe_s": "BATCHMARK_PROBE_S",
}


def _is_seconds(text: str, variable: str) -> bool:
    try:
        good = 0 < float(text) < 1e7
    except ValueError:
        good = False
    if not good:
        raise BadInput(f"{variable} must be a number of seconds above 0, not {text!r}")
    return True


class Workspace:
    """An open workspace; use it as a context manager.

    With `emulate`, an embedded emulator runs on loopback while the workspace is open, every provider is pointed at it with made-up
    keys, and real keys are not read. Its world lives under the home folder, so the next command finds the same jobs. Without
    `heed_environment`, BATCHMARK_EMULATE does not count: a run is gone on with in the world where it began.
    """

    def __init__(
        self,
        *,
        emulate: bool = False,
        environment: Mapping[str, str] | None = None,
        emulator: EmulatorSettings | None = None,
        pace: Pace | None = None,
        heed_environment: bool = True,
    ) -> None:
        self.environment = dict(read_environment() if environment is None else environment)
        wanted = self.environment.get("BATCHMARK_EMULATE", "") not in ("", "0", "false", "no")
        self.emulate = emulate or (wanted and heed_environment)
        self.home = home_folder(self.environment)
        self._settings = emulator or EmulatorSettings.read(self.environment)
        self._emulator: Emulator | None = None
        self._ledger: Ledger | None = None
        self._prices: PriceBook | None = None
        self._pace = pace
        self.meter = Meter()
        self.staged_here: StagedHere = {}

    def __enter__(self) -> Workspace:
        if self.emulate:
            self._emulator = self._start_emulator()
            self.environment = {**_without_keys(self.environment), **self._emulator.environment()}
        return self

    def __exit__(self, *_: object) -> None:
        if self._emulator is not None:
            self._emulator.stop()
        if self._ledger is not None:
            self._ledger.close()
        if timings := self.environment.get("BATCHMARK_TIMINGS"):
            self._write_timings(Path(timings))

    def _write_timings(self, path: Path) -> None:
        """For the benchmark: where the time went, and the most memory that this process had."""
        import json
        import resource

        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        path.write_text(json.dumps({"stages": self.meter.document, "peak_rss_bytes": peak_bytes}))

    def _start_emulator(self) -> Emulator:
        from batchmark.emulator import Emulator, EmulatorError, EmulatorOptions

        settings = self._settings
        try:
            emulator = Emulator(
                EmulatorOptions(
                    home=self.home / "emulator",
                    profile=settings.profile,
                    answers=settings.answers,
                    time_scale=settings.time_scale,
                    faults=settings.faults,
                    limits=settings.limits,
                )
            )
            emulator.start()
        except EmulatorError as error:
            raise LocalTrouble(f"the emulator cannot start: {error}") from None
        except (sqlite3.Error, OSError) as error:
            raise LocalTrouble(
                f"the emulator cannot use {self.home / 'emulator'}: {error}", hint="is the disk full?"
            ) from None
        return emulator

    @property
    def ledger(self) -> Ledger:
        """The ledger, opened at the first use."""
        if self._ledger is None:
            self._ledger = Ledger(self.home / "ledger.sqlite3")
        return self._ledger

    @property
    def prices(self) -> PriceBook:
        """All prices that count here, read at the first use. Raises Configuration where the user's own file cannot be used."""
        if self._prices is None:
            self._prices = PriceBook.read(self.environment)
        return self._prices

    def turnarounds_s(self, provider: str, model: str) -> list[float]:
        """How long earlier batches of a model took in this world, newest first. No ledger is made where there is none."""
        if self._ledger is None and not (self.home / "ledger.sqlite3").exists():
            return []
        return self.ledger.turnarounds_s(provider, model, emulated=self.emulate)

    @property
    def answered_by(self) -> str | None:
        """What makes the answers in the emulated world; None in the real one."""
        return self._emulator.answers_name if self._emulator else None

    @property
    def time_scale(self) -> float:
        """How much faster than ours the clock of this world runs; 1 in the real one."""
        return self._settings.time_scale if self.emulate else 1.0

    def answer_speed(self) -> float | None:
        """Output tokens per second of the emulator's real model, measured; None where there is no such limit."""
        return self._emulator.tokens_per_s() if self._emulator else None

    @property
    def pace(self) -> Pace:
        """How often to look. The emulated world is next door and quick."""
        if self._pace is not None:
            return self._pace
        usual = (
            Pace(young_s=0.25, longest_s=5.0, patience_s=30.0, grace_s=1.0, create_timeout_s=60.0)
            if self.emulate
            else Pace()
        )
        named = {
            field: float(text)
            for field, variable in _PACE_VARIABLES.items()
            if (text := self.environment.get(variable, "").strip()) and _is_seconds(text, variable)
        }
        return replace(usual, **named)

    def require_key(self, spec: ProviderSpec) -> None:
        """Raise Configuration where the provider cannot be used for want of a key."""
        key_of(spec, self.environment)

    def configured(self) -> list[ProviderSpec]:
        """The built-in providers with a key."""
        return [spec for spec in registry.BUILT_IN.values() if has_key(spec, self.environment)]

    @asynccontextmanager
    async def provider(self, spec: ProviderSpec) -> AsyncIterator[Provider]:
        """A connection to one provider, for calls that concern no job. The provider's SDK is imported here."""
        provider = registry.connect(
            spec, key=key_of(spec, self.environment), base_url=base_url_of(spec, self.environment)
        )
        try:
            yield provider
        finally:
            await provider.close()

    @asynccontextmanager
    async def account(self, spec: ProviderSpec) -> AsyncIterator[Account]:
        """A connection to one provider account, with all that the engine needs to act on it."""
        prices = self.prices  # a bad price file is said before anything is sent
        async with self.provider(spec) as provider:
            yield Account(
                provider=provider,
                wire=registry.wire_of(spec),
                ledger=self.ledger,
                home=self.home,
                pace=self.pace,
                identity=self._identity(key_of(spec, self.environment), base_url_of(spec, self.environment)),
                prices=prices,
                meter=self.meter,
                staged_here=self.staged_here,
            )

    def _identity(self, key: str, base_url: str) -> str:
        """What tells this account from others of the provider. Keys are long and random, and the salt never leaves this home, so nothing
        can be learnt of a key from it. In the emulated world there is one account, at whatever port."""
        if self.emulate:
            return "emulated"
        return hashlib.blake2b(f"{base_url}\n{key}".encode(), key=self._salt(), digest_size=12).hexdigest()

    def _salt(self) -> bytes:
        path = make_folder(self.home) / "salt"
        if not path.exists():
            with whole_file(path) as file:
                file.write(secrets.token_bytes(32))
        return path.read_bytes()


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without any key: in the emulated world not even a mistake can send one."""
    names = {name for spec in registry.BUILT_IN.values() for name in spec.key_variables}
    return {name: value for name, value in environment.items() if name not in names and not name.endswith("_API_KEY")}
