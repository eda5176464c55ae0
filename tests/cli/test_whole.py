"""`compare`, `doctor`, `emulator` and `--help` as users run them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run, clean_environment, command


def test_compare_leaves_a_table_a_report_and_the_raw_values(run: Run, folder: Path) -> None:
    ended = run("compare", "--emulate", "--requests", "10", "--jobs", "2")
    assert ended.code == 0, ended.err
    for word in ("openai:", "google:", "anthropic:", "emulated", "n=2", "provider's clock", "our clock"):
        assert word in ended.out
    html = (folder / "report.html").read_text()
    assert "emulated" in html
    assert not re.search(r'(?:src|href)\s*=\s*"(?:https?:)?//', html)
    data = json.loads((folder / "comparison.json").read_text())
    assert data["emulated"] is True
    assert len(data["jobs"]) == 6


def test_compare_takes_openai_batch_lines_and_translates_them(run: Run, folder: Path) -> None:
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o-mini",
            "max_tokens": 20,
            "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Hello"}],
        },
    }
    (folder / "lines.jsonl").write_text(json.dumps(line) + "\n")
    ended = run("compare", "lines.jsonl", "--emulate", "--on", "openai:gpt-4o-mini", "--on", "anthropic", "--json")
    assert ended.code == 0, ended.err
    assert ended.json()["schema"] == "batchmark.comparison/2"


def test_compare_names_the_row_that_a_target_cannot_honour(run: Run, folder: Path) -> None:
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "logit_bias": {"1": 2}, "messages": [{"role": "user", "content": "Hello"}]},
    }
    (folder / "lines.jsonl").write_text(json.dumps(line) + "\n")
    ended = run("compare", "lines.jsonl", "--emulate", "--on", "openai", "--on", "google")
    assert ended.code == 2
    assert "line 1" in ended.err
    assert "logit_bias" in ended.err
    assert not (folder / "report.html").exists()


def test_compare_without_targets_or_keys_says_what_to_do(run: Run) -> None:
    ended = run("compare")
    assert ended.code == 3
    assert "--emulate" in ended.err


def test_doctor_tells_what_is_configured(run: Run) -> None:
    assert run("doctor").code == 3
    ended = run("doctor", "--emulate", "--json")
    assert ended.code == 0, ended.err
    document = ended.json()
    assert {each["provider"]: each["works"] for each in document["providers"]} == {
        "openai": True,
        "google": True,
        "anthropic": True,
    }


def test_the_emulator_prints_what_points_each_sdk_at_it_and_serves_until_interrupted(home: Path, folder: Path) -> None:
    import anthropic
    import openai
    from google import genai

    process = subprocess.Popen(
        command(["emulator", "--port", "0"]),
        cwd=folder,
        env=clean_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    assert process.stdout is not None
    try:
        variables: dict[str, str] = {}
        while len(variables) < 6:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            name, _, value = line.removeprefix("export ").strip().partition("=")
            variables[name] = value
        with openai.OpenAI(base_url=variables["OPENAI_BASE_URL"], api_key=variables["OPENAI_API_KEY"]) as first:
            assert first.batches.list().data == []
        with anthropic.Anthropic(
            base_url=variables["ANTHROPIC_BASE_URL"], api_key=variables["ANTHROPIC_API_KEY"]
        ) as second:
            assert second.messages.batches.list().data == []
        third = genai.Client(
            api_key=variables["GOOGLE_API_KEY"],
            http_options=genai.types.HttpOptions(base_url=variables["GOOGLE_GEMINI_BASE_URL"]),
        )
        assert list(third.batches.list()) == []
        third.close()
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode in (0, 130), err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["openai"],
        ["compare"],
        ["doctor"],
        ["emulator"],
        ["emulator", "install-model"],
        *(["google", name] for name in ("create", "list", "status", "results", "cancel", "delete", "list-models")),
    ],
    ids=" ".join,
)
def test_every_command_has_help(words: list[str]) -> None:
    from batchmark.cli.main import run as run_in_process

    assert run_in_process([*words, "--help"]) == 0


def test_help_imports_no_sdk_and_no_database() -> None:
    import sys

    code = (
        "import sys; sys.argv=['batchmark','--help']\n"
        "from batchmark.cli.main import run\n"
        "run(['--help'])\n"
        "heavy = {'openai','anthropic','google.genai','sqlalchemy','genai_prices','starlette','uvicorn','rich.table','jinja2'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout
