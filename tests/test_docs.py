"""The documents say what the program does: commands of the README run, the command reference is the commands' own help."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchmark.cli.main import app, run
from tests.cli.conftest import clean_environment, runner

REPOSITORY = Path(__file__).parents[1]
REFERENCE = REPOSITORY / "docs" / "reference" / "cli.md"


def commands_in(path: Path) -> Iterator[list[str]]:
    """The commands of a page's shell blocks that a test can run to their end."""
    for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["python", "main.py"]:
                words = ["batchmark", *words[2:]]
            if words[:1] == ["batchmark"] and words[1] != "emulator":
                yield words[1:]


def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    run_command = runner(tmp_path / "home", folder)
    question = {"custom_id": "a", "prompt": "Hello", "max_tokens": 20}
    (folder / "questions.jsonl").write_text(json.dumps(question) + "\n")
    environment = {"BATCHMARK_EMULATE": "1"}
    commands = list(commands_in(REPOSITORY / "README.md"))
    assert len(commands) > 10
    for words in commands:
        if "ID" in words:
            # a batch that can still be cancelled
            slow = {**environment, "BATCHMARK_EMULATOR_FAULTS": "* life -> stuck"}
            made = run_command(words[0], "create", "--no-wait", "--json", "--requests", "1", **slow)
            words = [made.json()["jobs"][0]["batches"][0]["id"] if word == "ID" else word for word in words]
        ended = run_command(*words, **environment)
        assert ended.code == 0, (words, ended.err)


def test_rows_of_the_readme_are_rows(tmp_path: Path) -> None:
    from batchmark.workload.rows import Workload

    block = re.search(r"```json\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert block is not None
    lines = [
        line.replace('"messages": []', '"messages": [{"role": "user", "content": "Hi"}]')
        for line in block[1].splitlines()
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines))
    assert [row.number for row in Workload(path).rows()] == [0, 1, 2, 3]


def help_of(words: list[str]) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert run([*words, "--help"]) == 0
    return text.getvalue().strip()


def reference() -> str:
    """The command reference, from the commands themselves."""
    parts = ["# Commands", "", "Written from the commands' own `--help`; a test keeps it so.", ""]
    provider = ("create", "list", "status", "results", "cancel", "delete", "list-models")
    pages = [
        [],
        *(["openai", name] for name in provider),
        *([name] for name in ("run", "resume", "runs", "show", "watch", "cancel", "export", "clean")),
        ["compare"],
        ["report"],
        ["estimate"],
        ["doctor"],
        ["emulator"],
        ["emulator", "install-model"],
    ]
    for words in pages:
        title = " ".join(["batchmark", *words]).replace(" openai ", " PROVIDER ")
        parts += [f"## {title}", "", "```text", help_of(words), "```", ""]
    return "\n".join(parts)


def test_the_command_reference_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert app.info.name == "batchmark"
    text = reference()
    if os.environ.get("UPDATE_DOCS") == "1":
        REFERENCE.parent.mkdir(parents=True, exist_ok=True)
        REFERENCE.write_text(text)
    assert REFERENCE.read_text() == text, "run: UPDATE_DOCS=1 pytest tests/test_docs.py"


@pytest.mark.parametrize(
    "path", sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]), ids=lambda path: path.name
)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_examples_run(tmp_path: Path) -> None:
    from batchmark.emulator import Emulator, EmulatorOptions

    folder = tmp_path / "work"
    folder.mkdir()
    run_command = runner(tmp_path / "home", folder)
    rows = REPOSITORY / "examples" / "rows.jsonl"
    assert run_command("anthropic", "create", str(rows), "--emulate").code == 0
    options = EmulatorOptions(home=tmp_path / "cloud", profile="instant", answers="synthetic")
    with Emulator(options) as cloud:
        program = REPOSITORY / "examples" / "openai_sdk_on_the_emulator.py"
        environment = {**clean_environment(tmp_path), **cloud.environment()}
        done = subprocess.run(
            [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stdout


def faults_reference() -> str:
    """What the emulator can do wrong and which limits it keeps, from its own tables."""
    from batchmark.emulator.fault_actions import ACTIONS
    from batchmark.emulator.limits import LIMITS
    from batchmark.emulator.presets import PRESETS

    parts = [
        "# Faults and limits of the emulator",
        "",
        "Written from the emulator's own tables; a test keeps it so.",
        "",
    ]
    parts += ["## Actions", "", "What is met …", "", "| action | … |", "|---|---|"]
    parts += [f"| `{name}` | {action.about} |" for name, action in ACTIONS.items()]
    parts += ["", "## Presets", "", "| `--fault preset:…` | what happens | who met it |", "|---|---|---|"]
    parts += [f"| `{name}` | {preset.about} | {preset.source} |" for name, preset in PRESETS.items()]
    parts += [
        "",
        "## Limits",
        "",
        "| `--limit …=N` | counts | default | source, and when it was read |",
        "|---|---|---|---|",
    ]
    parts += [
        f"| `{dialect}.{name}` | {limit.about} | {'none' if limit.value is None else f'{limit.value:,}'} "
        f"| {limit.source}; {limit.as_of} |"
        for dialect, limits in LIMITS.items()
        for name, limit in limits.items()
    ]
    return "\n".join(parts) + "\n"


def test_the_reference_of_faults_is_up_to_date() -> None:
    page = REFERENCE.with_name("faults.md")
    if os.environ.get("UPDATE_DOCS") == "1":
        page.write_text(faults_reference())
    assert page.read_text() == faults_reference(), "run: UPDATE_DOCS=1 pytest tests/test_docs.py"
