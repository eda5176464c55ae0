"""Starts and stops the emulator: in a background thread beside a command, or in the foreground for its own command."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

from batchmark.emulator.access import is_loopback
from batchmark.emulator.answers import check_answers
from batchmark.emulator.env_file import MADE_UP_KEY, variables
from batchmark.emulator.faults import parse_all
from batchmark.emulator.limits import parse_limits
from batchmark.emulator.profile_file import open_profiles

if TYPE_CHECKING:
    import uvicorn

    from batchmark.emulator.answers import AnswerSource
    from batchmark.emulator.works import Works
    from batchmark.emulator.world import World

__all__ = ["Emulator", "EmulatorError", "EmulatorOptions"]


class EmulatorError(Exception):
    """The emulator cannot run as asked; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """How to run the emulator. Everything it keeps lies under `home`."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 0  # 0: any free port
    remote: bool = False  # whether `host` may be an address that others can reach; then a `key` is needed
    profile: str = "demo"  # how long batches take; `real`: as at the service whose dialect is spoken; or a TOML file
    answers: str = "auto"  # auto takes smollm2 where installed, else synthetic; echo, or `upstream URL`
    upstream_concurrency: int = 8  # requests at a time
    upstream_model: str | None = None  # to ask for in place of what the rows ask for
    time_scale: float = 1.0  # 0: the clock stands still, and is moved by POST /_emulator/clock only
    key: str | None = None  # admit only this key; None: any that is not empty and not `bad-…`
    seed: int = 0
    faults: tuple[str, ...] = ()  # rules `MATCH -> DO`, or `preset:NAME`
    limits: tuple[str, ...] = ()  # `DIALECT.NAME=NUMBER`; the services' own otherwise
    control: bool = False  # whether POST /_emulator/{faults,clock,reset} steer it


class Emulator:
    """A running local cloud between `start` and `stop`, or inside a `with` block."""

    def __init__(self, options: EmulatorOptions) -> None:
        """Check the options; nothing is opened yet. Raises EmulatorError."""
        self.options = options
        if not 0 <= options.time_scale <= 1_000_000:
            raise EmulatorError(f"the time scale must be from 0 to 1000000, not {options.time_scale}")
        if options.time_scale == 0 and not options.control:
            raise EmulatorError("a clock that stands still can be moved only over the control pages: add --control")
        if not 0 <= options.port <= 65_535:
            raise EmulatorError(f"{options.port} is no port number")
        if options.key is not None and not options.key:
            raise EmulatorError("the key to admit is empty")
        if not is_loopback(options.host):
            if not options.remote:
                raise EmulatorError(
                    f"the emulator serves loopback addresses only, not {options.host!r}: "
                    "others are let in only by --allow-remote together with --key"
                )
            if options.key is None:
                raise EmulatorError(
                    f"whoever can reach {options.host} could use it: add a --key that admits your clients"
                )
        try:
            self._rules, self._limits = parse_all(options.faults), parse_limits(options.limits)
            self._profiles = open_profiles(options.profile)
            check_answers(options.answers)
        except ValueError as error:  # the errors of all four are of this kind
            raise EmulatorError(str(error)) from error
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._world: World | None = None
        self._works: Works | None = None
        self._source: AnswerSource | None = None
        self._failure: BaseException | None = None
        self._port = 0

    def start(self) -> None:
        """Serve from a daemon thread; returns once connections are accepted. Raises EmulatorError."""
        if self._thread is not None:
            raise EmulatorError(f"this emulator is already running at {self.base_url}")
        self._open()
        self._thread = threading.Thread(target=self._serve, name="emulator-server", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while self._server is not None and not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                failure = self._failure
                self.stop()
                raise EmulatorError(f"the emulator did not start: {failure or 'no reason known'}") from failure
            time.sleep(0.002)
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop within about a second, whatever is going on. Harmless when not running."""
        atexit.unregister(self.stop)
        server, thread, loop = self._server, self._thread, self._loop
        if server is not None:
            server.should_exit = True
        if self._works is not None:
            ended = self._works.stop()
        else:
            ended = True
        if server is not None and thread is not None:
            thread.join(0.25)  # time enough for answers that are being sent
            if thread.is_alive():
                server.force_exit = True
                if loop is not None:
                    with contextlib.suppress(RuntimeError):
                        loop.call_soon_threadsafe(_abort, server)
                thread.join(2)
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        if self._world is not None and ended:
            self._world.close()
        self._server = self._thread = self._loop = self._executor = None
        self._world = self._works = self._source = None

    def serve(self, ready: Callable[[], None] | None = None) -> None:
        """Serve in the foreground until SIGINT or SIGTERM; `ready` is called once it listens. Raises EmulatorError."""
        asked = threading.Event()

        def ask(number: int, frame: FrameType | None) -> None:
            asked.set()

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.start()
            if ready is not None:
                ready()
            while not asked.wait(0.5):
                if self._thread is None or not self._thread.is_alive():
                    raise EmulatorError(f"the emulator stopped by itself: {self._failure or 'no reason known'}")
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where it listens, `http://127.0.0.1:PORT`. Raises EmulatorError before `start`."""
        if self._port == 0:
            raise EmulatorError("the emulator is not running")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.options.host, self.options.host)  # all: so from here too
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def answers_name(self) -> str:
        """Where the answers come from: `smollm2`, `synthetic`, `echo` or `upstream`."""
        return self._running_source().name

    def environment(self) -> dict[str, str]:
        """The variables that point the three official SDKs here, made-up keys included."""
        return variables(self.base_url, self.options.key or MADE_UP_KEY)

    def tokens_per_s(self) -> float | None:
        """The measured speed of a real model, None for answers that cost nothing."""
        return self._running_source().tokens_per_s()

    def _running_source(self) -> AnswerSource:
        if self._source is None:
            raise EmulatorError("the emulator is not running")
        return self._source

    def _open(self) -> None:
        import uvicorn

        from batchmark.emulator.answers import open_answers
        from batchmark.emulator.app import App
        from batchmark.emulator.catalog import CLOSED, open_catalogs
        from batchmark.emulator.control import Control
        from batchmark.emulator.dialects.anthropic import Anthropic
        from batchmark.emulator.dialects.gemini import Gemini
        from batchmark.emulator.dialects.openai import OpenAI
        from batchmark.emulator.service import Service
        from batchmark.emulator.works import Works
        from batchmark.emulator.world import World, WorldError
        from batchmark.version import __version__

        options = self.options
        listener = _listen(options.host, options.port)
        try:
            self._port = listener.getsockname()[1]
            world = self._world = World(options.home, time_scale=options.time_scale)
            source = self._source = open_answers(
                options.answers,
                home=options.home,
                concurrency=options.upstream_concurrency,
                model=options.upstream_model,
            )
            catalogs = CLOSED
            if source.verbatim:
                from batchmark.emulator.answers.upstream import Upstream

                assert isinstance(source, Upstream)
                catalogs = open_catalogs(source.models())
            service = Service(
                world=world,
                profiles=self._profiles,
                seed=options.seed,
                limits=dict(self._limits),
                catalogs=catalogs,
                verbatim=source.verbatim,
                digests=options.control,
            )
            service.faults.replace(self._rules)
            openai, anthropic, gemini = OpenAI(service), Anthropic(service), Gemini(service)
            works = self._works = Works(
                world,
                source,
                {"openai": openai.book, "anthropic": anthropic.book, "gemini": gemini.book},
                service.hooks,
                remote=options.remote,
            )
            service.works = works
            # Not anyio's threads: idle ones would keep the interpreter from ending.
            self._executor = ThreadPoolExecutor(8, thread_name_prefix="emulator-call")
            control = Control(
                service,
                about={
                    "name": "batchmark emulator",
                    "version": __version__,
                    "emulated": True,
                    "profile": self._profiles.name,
                    "answers": source.name,
                    "control": options.control,
                },
                prefixes=[openai.prefix, anthropic.prefix, gemini.prefix],
                allowed=options.control,
            )
            app = App(
                service,
                [openai, anthropic, gemini],
                executor=self._executor,
                key=options.key,
                control=control,
                guarded=options.remote,
            )
            config = uvicorn.Config(
                app,
                log_config=None,
                log_level="critical",  # failures are logged by our own modules, with the request they belong to
                access_log=False,
                lifespan="off",
                ws="none",
                date_header=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
            )
            self._server = uvicorn.Server(config)
            self._listener = listener
            works.start()
        except (WorldError, ValueError, ImportError, OSError) as error:
            listener.close()
            self.stop()
            raise EmulatorError(str(error)) from error
        except BaseException:
            listener.close()
            self.stop()
            raise

    def _serve(self) -> None:
        assert self._server is not None
        try:
            asyncio.run(self._serve_here(self._server))
        except BaseException as error:  # noqa: BLE001  uvicorn ends with SystemExit; `start` and `serve` tell the user
            self._failure = error

    async def _serve_here(self, server: uvicorn.Server) -> None:
        self._loop = asyncio.get_running_loop()
        await server.serve(sockets=[self._listener])


def _abort(server: uvicorn.Server) -> None:
    """Drop the connections that still stand, so that no client can hold up the end."""
    for connection in list(server.server_state.connections):
        transport = getattr(connection, "transport", None)
        if transport is not None:
            transport.abort()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP: asyncio switches Nagle's algorithm off only for such, and answers would take 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise EmulatorError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener
