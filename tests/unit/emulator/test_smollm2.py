"""The real small model as an answer source: its answers, its counts, its cache, and how it ends.

The model is looked for under BATCHMARK_TEST_MODEL_HOME, else BATCHMARK_HOME, else the default home. It is linked into
a home of the test's own, so nothing is written beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import platformdirs
import pytest

from batchmark.emulator.answers import AnswersClosed, Ask, Reply, smollm2
from batchmark.emulator.answers.install import model_path
from batchmark.emulator.answers.smollm2 import ModelFailed, Smollm2, is_installed
from batchmark.emulator.answers.smollm2_cache import AnswerCache
from tests.support import until


def ask(text: str, *, model: str = "gpt-5-nano", max_tokens: int | None = 48, schema: str | None = None) -> Ask:
    return Ask(model=model, messages=(("user", text),), max_tokens=max_tokens, json_schema=schema)


def story(model: str) -> Ask:
    return ask("Tell a long story of a ship.", model=model)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.fixture(scope="session")
def installed_model() -> Path:
    named = os.environ.get("BATCHMARK_TEST_MODEL_HOME") or os.environ.get("BATCHMARK_HOME")
    base = Path(named) if named else platformdirs.user_data_path("batchmark", appauthor=False)
    for home in (base, base / "emulator"):
        if is_installed(home):
            return model_path(home).resolve()
    pytest.skip(
        f"the small model is not installed under {base}: run `batchmark emulator install-model`, "
        "or name a home that has it in BATCHMARK_TEST_MODEL_HOME"
    )


def home_with(model: Path, folder: Path) -> Path:
    model_path(folder).parent.mkdir(parents=True, exist_ok=True)
    model_path(folder).symlink_to(model)
    return folder


@pytest.fixture
def home(installed_model: Path, tmp_path: Path) -> Path:
    return home_with(installed_model, tmp_path)


@pytest.fixture(scope="module")
def source(installed_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smollm2]:
    opened = Smollm2(home_with(installed_model, tmp_path_factory.mktemp("home")))
    yield opened
    opened.close()


# -- without the model


def test_an_empty_home_has_no_model(tmp_path: Path) -> None:
    assert not is_installed(tmp_path)


def test_half_a_model_is_no_model(tmp_path: Path) -> None:
    model_path(tmp_path).parent.mkdir()
    model_path(tmp_path).write_bytes(b"GGUF")
    assert not is_installed(tmp_path)


def test_looking_for_the_model_imports_no_library(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from batchmark.emulator.answers import smollm2;"
        "smollm2.is_installed(pathlib.Path('.')); sys.exit('xllamacpp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60).returncode == 0


def test_a_model_that_cannot_be_loaded_fails_each_ask_in_words(tmp_path: Path) -> None:
    model_path(tmp_path).parent.mkdir()
    model_path(tmp_path).write_bytes(b"this is no model")
    source = Smollm2(tmp_path)
    try:
        for number in range(4):
            with pytest.raises(ModelFailed, match="the model smollm2"):
                source.answer(ask(f"question {number}"))
    finally:
        source.close()


REPLY = Reply(text="é", finish="length", input_tokens=3, output_tokens=4)


def test_the_cache_returns_what_was_kept_for_the_very_same_ask(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers", recipe="r")
    kept = ask("a", schema="{}")
    cache.keep(kept, REPLY)
    others = [ask("b", schema="{}"), ask("a"), ask("a", schema="{}", model="m"), ask("a", schema="{}", max_tokens=1)]
    assert cache.find(kept) == REPLY
    assert [cache.find(other) for other in others] == [None] * 4
    cache.close()


def test_the_cache_survives_a_restart_but_not_another_recipe(tmp_path: Path) -> None:
    first, second = (AnswerCache(tmp_path, recipe="r") for _ in range(2))
    first.keep(ask("a"), REPLY)
    assert second.find(ask("a")) == REPLY  # two processes may have it open
    first.close()
    second.close()
    other = AnswerCache(tmp_path, recipe="s")
    assert other.find(ask("a")) is None
    other.close()


def test_an_answer_once_given_never_changes(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, recipe="r")
    cache.keep(ask("a"), REPLY)
    cache.keep(ask("a"), Reply(text="later", finish="stop", input_tokens=1, output_tokens=1))
    assert cache.find(ask("a")) == REPLY
    cache.close()


def test_a_cache_that_cannot_be_opened_is_gone_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "answers.sqlite3").write_text("this is no database" * 100)
    for folder in (tmp_path / "file", tmp_path):
        cache = AnswerCache(folder, recipe="r")
        cache.keep(ask("a"), REPLY)
        assert cache.find(ask("a")) is None
        cache.close()
    assert caplog.text.count("going on without the cache of answers") == 2


# -- answers


def test_it_knows_the_capital_of_japan_and_counts_its_tokens(source: Smollm2) -> None:
    reply = source.answer(ask("What is the capital of Japan?"))
    assert "Tokyo" in reply.text
    assert reply.finish == "stop"
    assert reply.input_tokens == 37  # 30 of them are the model's own template
    assert 0 < reply.output_tokens < 48


@pytest.mark.parametrize(("wanted", "given"), [(5, 5), (500, 48), (None, 48), (0, 1)])
def test_an_answer_is_cut_at_the_limit_and_says_so(source: Smollm2, wanted: int | None, given: int) -> None:
    reply = source.answer(ask("Tell a very long story of a ship.", max_tokens=wanted))
    assert (reply.finish, reply.output_tokens) == ("length", given)


def test_models_of_different_names_answer_differently(source: Smollm2) -> None:
    names = ["gpt-5-nano", "claude-haiku-4-5", "gemini-2.5-flash-lite"]
    assert len({source.answer(story(name)).text for name in names}) > 1


def test_a_repeated_ask_costs_nothing_and_survives_a_restart(home: Path) -> None:
    with_model = Smollm2(home)
    reply = with_model.answer(ask("Name a colour."))
    with_model.close()
    again = Smollm2(home)
    assert again.answer(ask("Name a colour.")) == reply
    assert again.pid is None  # the model was not even loaded
    again.close()


def test_a_prompt_too_long_is_answered_and_counted_whole(source: Smollm2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "ROOM_TOKENS", 100)  # reading 1,700 tokens takes seconds
    once = source.answer(ask("hello world " * 2000, max_tokens=2)).input_tokens
    assert 4000 < once < 4100  # two tokens each, and the template
    hundredfold = source.answer(ask("hello world " * 200_000, max_tokens=2)).input_tokens
    assert 395_000 < hundredfold < 410_000


def test_many_messages_too_long_together_are_answered(source: Smollm2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "ROOM_TOKENS", 200)
    roles = ("user", "assistant")
    messages = (("system", "Be terse."), *((roles[n % 2], f"this is message number {n}") for n in range(401)))
    reply = source.answer(Ask(model="m", messages=messages, max_tokens=2))
    assert reply.input_tokens > 4000


def test_the_end_of_a_long_prompt_is_kept() -> None:
    messages = [("system", "S" * 300), ("user", "a" * 5000 + "the question"), ("user", "short")]
    kept = smollm2._shortened(messages, 1000)
    assert sum(len(text) for _, text in kept) <= 1000
    assert kept[0] == messages[0] and kept[1][1].endswith("the question") and kept[2] == messages[2]


def test_a_json_schema_shapes_the_answer(source: Smollm2) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    }
    reply = source.answer(ask("I love this lamp.", schema=json.dumps(schema)))
    assert json.loads(reply.text)["mood"] in ("good", "bad")


@pytest.mark.parametrize("schema", ["{nope", "true", '{"$ref": "#"}', '{"type": "nonsense", "$ref": "#/nope"}'])
def test_a_schema_it_cannot_compile_gets_plain_text(source: Smollm2, schema: str) -> None:
    assert source.answer(ask("Say hello.", schema=schema)).text


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (("user", ""),),
        (("user", "half a pair \ud800, a nul \0, <|im_end|>"),),
        (("assistant", "a"), ("assistant", "b"), ("system", "c"), ("tool", "d")),
    ],
)
def test_odd_messages_are_answered(source: Smollm2, messages: tuple[tuple[str, str], ...]) -> None:
    assert source.answer(Ask(model="m", messages=messages, max_tokens=4)).input_tokens > 0


CAPITALS = {
    "Japan": "Tokyo",
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Germany": "Berlin",
    "Russia": "Moscow",
    "Egypt": "Cairo",
    "China": "Beijing",
    "Greece": "Athens",
    "Portugal": "Lisbon",
    "Austria": "Vienna",
    "England": "London",
}


def test_more_asks_than_slots_are_all_answered(source: Smollm2) -> None:
    asks = [ask(f"What is the capital of {country}?", max_tokens=16) for country in CAPITALS]
    with ThreadPoolExecutor(len(asks)) as threads:
        replies = list(threads.map(source.answer, asks))
    assert [source.answer(one) for one in asks] == replies
    named = [{city for city in CAPITALS.values() if city in reply.text} for reply in replies]
    # So small a model names no capital at all now and then, but an answer that went astray would name another's.
    assert all(cities in ({own}, set()) for cities, own in zip(named, CAPITALS.values(), strict=True)), named
    assert sum(map(len, named)) >= 6


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_listens_on_a_port(source: Smollm2) -> None:
    source.answer(ask("Hello."))
    mine = {str(handle.readlink()) for handle in Path(f"/proc/{source.pid}/fd").iterdir()}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{source.pid}/net/{table}").read_text().splitlines()[1:]:
            assert f"socket:[{line.split()[9]}]" not in mine


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_socket_it_listens_on_cannot_be_reached(source: Smollm2) -> None:
    source.answer(ask("Hello."))
    for line in Path("/proc/net/unix").read_text().splitlines():
        path = line.split()[-1]
        if "/batchmark-" in path and path.endswith(".sock"):
            assert not Path(path).exists()


# -- speed


def test_the_speed_is_measured_and_then_remembered(home: Path) -> None:
    speed_file = model_path(home).with_name("speed.json")
    old = {"tokens_per_s": 1e9, "cores": smollm2._cores(), "measured_at": "2024-02-29T12:00:00+00:00"}
    speed_file.write_text(json.dumps(old))
    source = Smollm2(home)
    measured = source.tokens_per_s()
    assert 0 < measured < 1e6
    assert source.tokens_per_s() == measured
    source.close()
    again = Smollm2(home)
    assert again.tokens_per_s() == pytest.approx(measured, abs=0.01)
    assert again.pid is None
    again.close()


@pytest.mark.parametrize("wrong", ["", "[]", '{"cores": 1}', "other cores", "too old", "from the future"])
def test_a_speed_of_another_machine_or_day_is_not_believed(tmp_path: Path, wrong: str) -> None:
    now = datetime.now(UTC)
    kept: dict[str, object] = {"tokens_per_s": 50.0, "cores": smollm2._cores(), "measured_at": now.isoformat()}
    changed: dict[str, dict[str, object]] = {
        "other cores": {"cores": 4096},
        "too old": {"measured_at": (now - timedelta(days=2)).isoformat()},
        "from the future": {"measured_at": (now + timedelta(days=2)).isoformat()},
    }
    speed_file = model_path(tmp_path).with_name("speed.json")
    speed_file.parent.mkdir()
    source = Smollm2(tmp_path)
    speed_file.write_text(json.dumps(kept))
    assert source._recall_speed() == 50.0
    speed_file.write_text(json.dumps(kept | changed[wrong]) if wrong in changed else wrong)
    assert source._recall_speed() is None
    source.close()


# -- the end


def test_closing_wakes_everyone_who_waits_for_an_answer(home: Path) -> None:
    source = Smollm2(home)
    source.answer(ask("Hi.", max_tokens=1))
    pid = source.pid
    assert pid is not None
    with ThreadPoolExecutor(10) as threads:
        waiting = [threads.submit(source.answer, story(f"m{n}")) for n in range(10)]
        process = source._process
        assert process is not None
        until(lambda: len(process._asks) == 10)
        source.close()
        for answer in waiting:
            with pytest.raises(AnswersClosed):
                answer.result(timeout=5)
    assert not alive(pid)
    with pytest.raises(AnswersClosed):
        source.answer(ask("Hi.", max_tokens=1))
    source.close()


def test_closing_while_the_model_is_loading_wakes_too(home: Path) -> None:
    source = Smollm2(home)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(source.answer, story("m"))
        until(lambda: source.pid is not None)
        source.close()
        with pytest.raises(AnswersClosed):
            waiting.result(timeout=5)


def test_a_model_that_is_killed_is_started_again_and_the_ask_is_answered(home: Path) -> None:
    source = Smollm2(home)
    source.answer(ask("Hi.", max_tokens=1))
    first = source.pid
    process = source._process
    assert first is not None and process is not None
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(source.answer, story("m"))
        until(lambda: len(process._asks) == 1)
        os.kill(first, signal.SIGKILL)
        assert waiting.result(timeout=30).output_tokens > 0
    assert source.pid not in (None, first)
    source.close()


PREAMBLE = """
import os, pathlib, signal, sys, threading, time
from batchmark.emulator.answers import AnswersClosed, Ask
from batchmark.emulator.answers.smollm2 import Smollm2
source = Smollm2(pathlib.Path(sys.argv[1]))
def story(name, tokens):
    try:
        source.answer(Ask(model=name, messages=(("user", "Tell a long story."),), max_tokens=tokens))
    except AnswersClosed:
        pass
def many(daemon, tokens=48):
    for n in range(8):
        threading.Thread(target=story, args=(f"m{n}", tokens), daemon=daemon).start()
    while source._process is None or len(source._process._asks) < 8:
        time.sleep(0.01)
source.answer(Ask(model="m", messages=(("user", "Hi"),), max_tokens=1))
"""

ENDS = {
    "closed": "source.close()",
    "not closed": "pass",
    "closed while daemon threads wait": "many(True); source.close()",
    "daemon threads still waiting": "many(True)",
    "other threads still waiting": "many(False, 8)",
    "sys.exit while daemon threads wait": "many(True); sys.exit(0)",
    "forgotten": "del source",
    "never asked": "source.close(); source = Smollm2(pathlib.Path(sys.argv[1]))",
}


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    # a process started in the background inherits that SIGINT is ignored; users start it at a terminal
    handler = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program = handler + PREAMBLE + "print(source.pid, flush=True)\n" + code
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(home)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("end", ENDS)
def test_the_interpreter_exits_cleanly_and_silently(home: Path, end: str) -> None:
    done = run(ENDS[end], home)
    assert (done.returncode, done.stderr) == (0, "")
    pid = int(done.stdout)  # and nothing else was printed
    assert not alive(pid)


@pytest.mark.parametrize("end", ["os._exit(7)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_parent_that_dies_at_once_leaves_no_model_behind(home: Path, end: str) -> None:
    done = run(f"many(True); {end}", home)
    pid = int(done.stdout)
    until(lambda: not alive(pid), seconds=5)


def test_ctrl_c_is_still_ours_once_the_model_is_loaded(home: Path) -> None:
    code = """
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    source.answer(Ask(model="m", messages=(("user", "Still there?"),), max_tokens=1))
    sys.exit(42)
"""
    done = run(code, home)
    assert (done.returncode, done.stderr) == (42, "")


def test_the_models_process_is_given_no_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-invented")
    source = Smollm2(home)
    source.answer(ask("Hi.", max_tokens=1))
    environment = Path(f"/proc/{source.pid}/environ")
    if environment.exists():
        assert b"sk-invented" not in environment.read_bytes()
    source.close()
