"""The shape of the project: folders as designed, requirements in step, nothing imported before it is needed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "src" / "batchmark"


def test_the_package_holds_the_designed_folders_and_no_others() -> None:
    apart = {"py.typed", "version.py"}  # read without importing anything else
    names = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("__") and path.name not in apart}
    assert names == {
        "errors",
        "domain",
        "prices",
        "workload",
        "providers",
        "ledger",
        "engine",
        "compare",
        "report",
        "emulator",
        "api",
        "cli",
    }


def test_requirements_and_pyproject_name_the_same_packages() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == project["dependencies"]


def test_every_package_that_make_installs_is_pinned() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
    }
    names = {re.split(r"[><=\[]", each)[0].lower().replace("_", "-") for each in wanted}
    assert names <= pinned


def test_only_the_command_line_prints() -> None:
    for path in PACKAGE.rglob("*.py"):
        if "cli" not in path.parts:
            assert not re.search(r"^\s*print\(|sys\.stdout\.write", path.read_text(), re.MULTILINE), path


def test_no_module_outside_providers_compares_a_providers_name() -> None:
    for path in PACKAGE.rglob("*.py"):
        if not {"providers", "emulator"} & set(path.parts):
            assert not re.search(r"[!=]= *[\"'](openai|google|anthropic)[\"']", path.read_text()), path
