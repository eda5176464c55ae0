"""What testers get: a fixture, a context manager, a guide whose examples run, and an environment file."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from batchmark.emulator import BatchCloud, Emulator, EmulatorError, EmulatorOptions
from batchmark.emulator.env_file import EnvFileError, write_env
from batchmark.emulator.fault_file import read_fault_file
from batchmark.emulator.faults import RuleError

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "testing-batch-code.md"
PARAMS: Any = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def own() -> Iterator[BatchCloud]:
    with BatchCloud() as made:
        yield made


def create(cloud: BatchCloud, *names: str) -> str:
    client = anthropic.Anthropic(base_url=cloud.anthropic_url, api_key=cloud.key, max_retries=0)
    return client.messages.batches.create(requests=[{"custom_id": name, "params": PARAMS} for name in names]).id


def test_the_examples_of_the_guide_run_as_they_stand(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    program = "\n\n".join(blocks)
    (tmp_path / "test_guide.py").write_text(program)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_guide.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{program.count('def test_')} passed" in ran.stdout


def test_the_fixture_points_every_sdk_at_the_cloud(batch_cloud: BatchCloud) -> None:
    import openai
    from google import genai

    assert list(openai.OpenAI().batches.list()) == []
    assert list(anthropic.Anthropic().messages.batches.list()) == []
    assert list(genai.Client().batches.list()) == []
    assert {entry.dialect for entry in batch_cloud.journal(operation="batches.list")} == {
        "openai",
        "anthropic",
        "gemini",
    }


@pytest.mark.batch_cloud(key="only-this", limits=["anthropic.max_rows=1"])
def test_the_marker_sets_the_options_of_the_cloud(batch_cloud: BatchCloud) -> None:
    with pytest.raises(anthropic.BadRequestError, match="at most 1 item"):
        create(batch_cloud, "a", "b")
    other = anthropic.Anthropic(base_url=batch_cloud.anthropic_url, api_key="another")
    with pytest.raises(anthropic.AuthenticationError):
        other.messages.batches.list()


def test_it_tells_how_often_a_batch_was_made_and_shows_which(own: BatchCloud) -> None:
    own.assert_created(0)
    first = create(own, "a")
    own.assert_created_once("anthropic", label="a")
    own.assert_nothing_twice()
    second = create(own, "a")
    with pytest.raises(AssertionError, match="2 batches were created") as told:
        own.assert_created_once("anthropic")
    assert first in str(told.value)
    assert second in str(told.value)
    with pytest.raises(AssertionError, match="submitted twice"):
        own.assert_nothing_twice()
    own.assert_not_called("batches.cancel")
    with pytest.raises(AssertionError, match=r"batches\.create was called 2 times"):
        own.assert_not_called("batches.create")
    own.reset()
    own.assert_created(0)


def test_a_batch_made_though_the_client_was_not_told_counts(own: BatchCloud) -> None:
    own.faults.add({"dialect": "anthropic", "on": "batches.create", "nth": 1, "do": "drop-after-store"})
    with pytest.raises(anthropic.APIConnectionError):
        create(own, "a")
    own.assert_created_once("anthropic")
    (entry,) = own.created()
    assert entry.faults == ("anthropic batches.create nth=1 -> drop-after-store",)
    assert entry.rows == 1
    assert own.faults.met(own.faults.rules()[0]) == 1


def test_rules_are_added_replaced_and_cleared(own: BatchCloud) -> None:
    own.faults.add("anthropic batches.list -> status 500")
    own.faults.add("preset:gemini-exhausted")
    assert len(own.faults.rules()) == 2
    own.faults.replace({"preset": "anthropic-errored"})
    assert own.faults.rules() == ["anthropic answers row%2 -> fail 400 message="]
    own.faults.clear()
    assert own.faults.rules() == []
    with pytest.raises(ValueError, match=r"rule 1: .*explode"):
        own.faults.add("* batches.list -> explode")


def test_a_status_may_come_with_a_body_of_ones_own(own: BatchCloud) -> None:
    own.faults.add("anthropic batches.list nth=1 -> status 503 body='<html>bad gateway</html>'")
    with httpx2.Client(
        base_url=own.anthropic_url, headers={"x-api-key": "k", "anthropic-version": "2023-06-01"}
    ) as raw:
        answer = raw.get("/v1/messages/batches")
    assert (answer.status_code, answer.text) == (503, "<html>bad gateway</html>")


def test_the_clock_can_be_frozen_set_moved_and_let_go(own: BatchCloud) -> None:
    frozen = own.clock.freeze()
    assert own.clock.now() == frozen
    assert own.clock.advance(hours=24) == frozen + timedelta(hours=24)
    assert own.clock.set(datetime(2031, 5, 1, tzinfo=UTC)) == datetime(2031, 5, 1, tzinfo=UTC)
    assert own.clock.set(datetime(2024, 5, 1, tzinfo=UTC)) == datetime(2024, 5, 1, tzinfo=UTC)
    create(own, "a")
    with pytest.raises(ValueError, match="goes back only where nothing has happened"):
        own.clock.set(datetime(2023, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="jump_s"):
        own.clock.advance(-1)
    with pytest.raises(ValueError, match="2200"):
        own.clock.set(datetime(2199, 12, 1, tzinfo=UTC))
        own.clock.advance(days=300)
    own.clock.run()
    before = own.clock.now()
    while own.clock.now() == before:
        pass
    own.clock.run(1000)
    assert own.clock.now() > before


@pytest.mark.batch_cloud(profile="demo", time_scale=0)
def test_under_a_frozen_clock_nothing_happens_by_itself(batch_cloud: BatchCloud) -> None:
    batch_id = create(batch_cloud, "a", "b")
    client = anthropic.Anthropic()
    assert client.messages.batches.retrieve(batch_id).processing_status == "in_progress"
    assert client.messages.batches.retrieve(batch_id).processing_status == "in_progress"
    batch_cloud.clock.advance(60)
    assert client.messages.batches.retrieve(batch_id).processing_status == "ended"
    assert len(list(client.messages.batches.results(batch_id))) == 2


def test_another_process_can_be_held_by_its_address(tmp_path: Path) -> None:
    with Emulator(EmulatorOptions(home=tmp_path, profile="instant", answers="echo", control=True)) as running:
        cloud = BatchCloud.attach(running.base_url)
        create(cloud, "a")
        cloud.assert_created_once()
        assert cloud.environment() == running.environment()
    with pytest.raises(EmulatorError, match="no emulator answers"):
        BatchCloud.attach(running.base_url)


def test_options_that_make_no_sense_are_told_and_leave_no_folder() -> None:
    with pytest.raises(EmulatorError, match="no emulator profile"):
        BatchCloud(profile="nope")


def test_an_environment_file_is_written_anew_but_never_over_somebody_elses(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write_env(path, {"A": "1"})
    write_env(path, {"A": "2"})
    assert path.read_text().splitlines()[1:] == ["A=2"]
    path.write_text("OPENAI_API_KEY=a-real-one\n")
    with pytest.raises(EnvFileError, match="may hold your own keys"):
        write_env(path, {"A": "3"})
    assert path.read_text() == "OPENAI_API_KEY=a-real-one\n"
    with pytest.raises(EnvFileError, match="cannot be written"):
        write_env(tmp_path / "absent" / ".env", {"A": "3"})


def test_faults_come_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(
        """
        [[fault]]
        preset = "gemini-reordered"
        [[fault]]
        dialect = "openai"
        on = "batches.create"
        nth = "2..4"
        p = 0.5
        seed = 7
        model = "gpt-*"
        do = "status"
        value = 503
        retry-after = 1
        message = "two words"
        [[fault]]
        on = "answers"
        every = 10
        do = "fail"
        value = 500
        [[fault]]
        rule = "* life -> stuck"
        """
    )
    assert read_fault_file(path) == (
        "gemini answers -> reorder",
        "openai batches.create nth=2..4 p=0.5 seed=7 model=gpt-* -> status 503 retry-after=1 message='two words'",
        "* answers row%10 -> fail 500",
        "* life -> stuck",
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[[fault]]\non = 'answers'\n", "do is missing"),
        ("[[fault]]\non = 'answers'\ndo = 'fly'\n", "fault 1"),
        ("[[fault]]\nrule = '* life -> stuck'\ndo = 'x'\n", "stands alone"),
        ("[[fault]]\non = 'answers'\ndo = 'fail'\nvalue = [1]\n", "neither a text nor a number"),
        ("limits = 3\n", "holds 'limits'"),
        ("", "holds none"),
        ("[[fault]\n", "no TOML"),
    ],
)
def test_a_bad_file_of_faults_is_told_in_one_sentence(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(RuleError, match=re.escape(word)) as told:
        read_fault_file(path)
    assert "faults.toml" in str(told.value)
