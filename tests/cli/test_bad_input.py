"""Whatever is wrong with a call: one clear sentence with the place and the remedy, the documented exit code, nothing half-written."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run, clean_environment, command


def says(ended: object, code: int, *words: str) -> None:
    err = ended.err  # type: ignore[attr-defined]
    assert ended.code == code, err  # type: ignore[attr-defined]
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    for word in words:
        assert word in err


def test_no_key(run_fresh: Run) -> None:
    says(run_fresh("openai", "list"), 3, "no API key for openai", "OPENAI_API_KEY", "--emulate")


def test_a_wrong_key_is_a_credentials_error_on_every_provider(run: Run, home: Path) -> None:
    from batchmark.emulator import Emulator, EmulatorOptions

    with Emulator(EmulatorOptions(home=home / "cloud", profile="instant", answers="synthetic")) as cloud:
        for provider, variable in (("openai", "OPENAI"), ("anthropic", "ANTHROPIC"), ("google", "GOOGLE")):
            environment = {**cloud.environment(), f"{variable}_API_KEY": "bad-secret-123456789"}
            ended = run(provider, "list", **environment)
            says(ended, 3, provider, "does not accept the API key")
            assert "bad-secret-123456789" not in ended.err + ended.out


def test_a_key_in_dotenv_is_used_and_never_shown(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("OPENAI_API_KEY=sk-very-secret-000111\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\n")
    ended = run("openai", "list")
    says(ended, 6, "cannot reach openai", "127.0.0.1:9")
    assert "very-secret" not in ended.err + ended.out


def test_an_unknown_provider_or_command(run: Run) -> None:
    says(run("opanai", "list"), 2, "opanai", "openai")
    says(run("openai", "lst"), 2, "lst", "--help")
    says(run("compare", "--emulate", "--on", "openai", "--on", "foo:bar"), 2, "foo")
    says(run("compare", "--emulate", "--on", "openai", "--on", "openai"), 2, "two different targets")


@pytest.mark.parametrize("provider", ["openai", "google"])
def test_an_unknown_model_is_refused_by_the_provider(run: Run, provider: str) -> None:
    says(run(provider, "create", "--emulate", "--requests", "1", "--model", "no-such-model"), 4, "no-such-model")


def test_an_unknown_model_at_anthropic_fails_each_request(run: Run) -> None:
    ended = run("anthropic", "create", "--emulate", "--requests", "1", "--model", "no-such-model")
    assert ended.code == 1
    assert "not_found_error" in ended.err


@pytest.mark.parametrize(
    ("provider", "id_"), [("openai", "batch_0"), ("google", "batches/none"), ("anthropic", "msgbatch_0")]
)
def test_an_unknown_id(run: Run, provider: str, id_: str) -> None:
    says(run(provider, "status", id_, "--emulate"), 4, id_)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("is empty",)),
        (b'{"prompt": "a"}\n\xff\xfe\n', ("line 2", "row 1", "UTF-8")),
        (b'{"prompt": "a"}\n{"prompt":\n', ("line 2", "row 1", "not valid JSON")),
        (b'{"prompt": "a"}\n\n[1]\n', ("line 3", "row 1", "no object")),
        (b'{"question": "a"}\n', ("line 1", "row 0", "neither prompt nor messages")),
        (b'{"prompt": "a", "max_tokens": "many"}\n', ("line 1", "max_tokens")),
        (b'{"prompt": "a", "temperature": 0.5}\n', ("line 1", "temperature")),
    ],
    ids=["empty", "not-utf8", "broken", "no-object", "no-prompt", "bad-parameter", "not-honoured"],
)
def test_a_bad_input_file_sends_nothing(
    run: Run, folder: Path, home: Path, content: bytes, words: tuple[str, ...]
) -> None:
    (folder / "rows.jsonl").write_bytes(content)
    says(run("anthropic", "create", "rows.jsonl", "--emulate"), 2, "rows.jsonl", *words)
    assert run("anthropic", "list", "--emulate", "--json").json()["batches"] == []
    runs = home / "runs"
    assert not runs.exists() or not any(path.is_file() for path in runs.rglob("*"))


def test_a_missing_file_and_a_folder(run: Run, folder: Path) -> None:
    says(run("openai", "create", "none.jsonl", "--emulate"), 2, "there is no file none.jsonl")
    says(run("openai", "create", str(folder), "--emulate"), 2, "is a folder")


def test_a_line_of_300_mb_is_refused_without_being_read_whole(run: Run, folder: Path) -> None:
    with (folder / "rows.jsonl").open("wb") as file:
        file.write(b'{"prompt": "a"}\n{"prompt": "')
        for _ in range(300):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n')
    says(run("google", "create", "rows.jsonl", "--emulate"), 2, "line 2", "MB")


def test_an_output_that_exists_or_cannot_be_written_is_refused_before_anything_is_sent(run: Run, folder: Path) -> None:
    (folder / "answers.jsonl").write_text("precious")
    says(run("openai", "create", "--emulate", "-o", "answers.jsonl"), 2, "answers.jsonl", "exists")
    assert (folder / "answers.jsonl").read_text() == "precious"
    says(run("openai", "create", "--emulate", "-o", "no/such/folder.jsonl"), 2, "no/such")
    says(run("openai", "create", "--emulate", "-o", "/proc/answers.jsonl"), 2, "/proc/answers.jsonl")
    assert run("openai", "list", "--emulate", "--json").json()["batches"] == []


def test_a_home_that_cannot_be_written(run: Run, folder: Path) -> None:
    (folder / "file").write_text("")
    says(run("openai", "list", "--emulate", BATCHMARK_HOME=str(folder / "file" / "home")), 6)


def test_a_port_in_use(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        says(run("emulator", "--port", str(port)), 6, str(port))


def test_an_emulated_job_is_not_looked_for_in_the_real_world(run: Run) -> None:
    job = run("openai", "create", "--emulate", "--requests", "1", "--json").json()["jobs"][0]
    says(run("openai", "status", job["job"], OPENAI_API_KEY="sk-none"), 2, "emulated", "--emulate")


def test_an_interrupt_leaves_the_batch_and_says_how_to_come_back(run: Run, home: Path, folder: Path) -> None:
    process = subprocess.Popen(
        command(["openai", "create", "--emulate", "--requests", "2"]),
        cwd=folder,
        env=clean_environment(home, BATCHMARK_EMULATOR_PROFILE="demo", PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    assert process.stderr is not None
    seen = ""
    deadline = time.monotonic() + 60
    os.set_blocking(process.stderr.fileno(), True)
    while "submitted as" not in seen and time.monotonic() < deadline:
        line = process.stderr.readline()
        assert line, f"ended early: {seen}"
        seen += line
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "nothing is lost" in rest
    back = next(line for line in rest.splitlines() if line.startswith("hint: ")).partition("batchmark ")[2]
    ended = run(*back.split(), BATCHMARK_EMULATOR_PROFILE="demo")
    assert ended.code == 0, ended.err
    assert [line["row"] for line in ended.lines()] == [0, 1]
