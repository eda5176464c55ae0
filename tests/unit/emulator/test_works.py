"""The work behind the service: slow answers, shared slots, work cut short and taken up again."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from batchmark.emulator.answers import AnswersClosed, Ask, Reply, never
from batchmark.emulator.answers.synthetic import Synthetic
from batchmark.emulator.dialects.openai_rows import OpenAIBook
from batchmark.emulator.fault_life import bend
from batchmark.emulator.faults import parse
from batchmark.emulator.hooks import Hooks
from batchmark.emulator.life import Phase, standing
from batchmark.emulator.profiles import named
from batchmark.emulator.service import Service
from batchmark.emulator.works import Works
from batchmark.emulator.world import Batch, World


class Gated:
    """A slow source: each answer needs a permit, and who asked is written down."""

    name = "gated"
    free = False
    verbatim = False

    def __init__(self, slots: int = 2) -> None:
        self.slots = slots
        self.asked: list[Ask] = []
        self.most_at_once = 0
        self._at_once = 0
        self._permits = 0
        self._condition = threading.Condition()
        self._closed = False

    def allow(self, count: int) -> None:
        with self._condition:
            self._permits += count
            self._condition.notify_all()

    def answer(self, ask: Ask, dropped: Callable[[], bool] = never) -> Reply:
        with self._condition:
            self.asked.append(ask)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._condition.notify_all()
            while self._permits == 0 and not self._closed:
                self._condition.wait()
            self._at_once -= 1
            if self._closed:
                raise AnswersClosed
            self._permits -= 1
        if "fail" in ask.messages[0][1]:
            raise RuntimeError("the model fell over")
        return Reply(text=f"re: {ask.messages[0][1]}", finish="stop", input_tokens=2, output_tokens=3)

    def tokens_per_s(self) -> float | None:
        return 1.0

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()


def until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def begin(world: World, source: Gated) -> Works:
    works = Works(
        world, source, {"openai": OpenAIBook(Service(world=world, profiles=named("instant"), seed=0))}, Hooks(world)
    )
    works.start()
    return works


def new_batch(
    world: World, name: str, texts: list[str], *, window_s: float = 86_400, faults: Sequence[str] = ()
) -> Batch:
    path = world.incoming / name
    with path.open("w") as out:
        for number, text in enumerate(texts):
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
            line = {"custom_id": f"{name}-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            out.write(json.dumps(line) + "\n")
    return world.add_batch(
        id=name,
        dialect="openai",
        endpoint="/v1/chat/completions",
        model="gpt-4o-mini",
        seed=0,
        profiles=named("instant"),
        window_s=window_s,
        spec={"input_file_id": "file-x", "metadata": None},
        source=path,
        faults=faults,
        bend=lambda plan: bend(plan, [parse(text) for text in faults]),
    )


def phase(world: World, name: str) -> Phase:
    batch = world.batch("openai", name)
    assert batch is not None
    return standing(batch.facts, world.now()).phase


def answers(world: World, name: str) -> dict[str, str]:
    batch = world.batch("openai", name)
    assert batch is not None and batch.outcome is not None and batch.outcome.output_file is not None
    stored = world.file("openai", batch.outcome.output_file)
    assert stored is not None
    lines = [json.loads(line) for line in stored.path.read_text().splitlines()]
    return {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in lines}


def test_a_batch_stays_running_until_its_last_answer_is_on_disk(world: World) -> None:
    source = Gated()
    works = begin(world, source)
    new_batch(world, "a", ["x", "y", "z"])
    until(lambda: len(source.asked) == 2)
    source.allow(2)
    until(lambda: len(source.asked) == 3)
    assert phase(world, "a") is Phase.RUNNING
    source.allow(1)
    until(lambda: phase(world, "a") is Phase.SUCCEEDED)
    assert answers(world, "a") == {"a-0": "re: x", "a-1": "re: y", "a-2": "re: z"}
    works.stop()


def test_batches_started_together_share_the_slots_fairly(world: World) -> None:
    source = Gated(slots=4)
    for name in ("a", "b", "c"):
        new_batch(world, name, [f"{name}{number}" for number in range(40)])
    works = begin(world, source)
    until(lambda: len(works._benches.active()) == 3)
    source.allow(60)
    until(lambda: len(source.asked) == 64)
    shares = Counter(ask.messages[0][1][0] for ask in source.asked[4:])
    assert source.most_at_once == 4
    assert max(shares.values()) - min(shares.values()) <= 6
    source.allow(60)
    until(lambda: all(phase(world, name) is Phase.SUCCEEDED for name in "abc"))
    works.stop()


def test_work_cut_short_goes_on_where_it_stopped(world: World) -> None:
    first = Gated(slots=1)
    works = begin(world, first)
    new_batch(world, "a", ["x", "y", "z"])
    first.allow(2)
    until(lambda: len(first.asked) == 3)
    assert works.stop()
    second = Gated(slots=1)
    second.allow(10)
    works = begin(world, second)
    until(lambda: phase(world, "a") is Phase.SUCCEEDED)
    works.stop()
    assert [ask.messages[0][1] for ask in second.asked] == ["z"]
    assert answers(world, "a") == {"a-0": "re: x", "a-1": "re: y", "a-2": "re: z"}


def test_an_answer_line_cut_by_a_crash_is_asked_again(world: World) -> None:
    batch = new_batch(world, "a", ["x", "y"])
    log = batch.log_path
    log.write_bytes(b'[0,{"text":"kept","finish":"stop","input_tokens":1,"output_tokens":1}]\n[1,{"text":"cu')
    source = Gated()
    source.allow(10)
    works = begin(world, source)
    until(lambda: phase(world, "a") is Phase.SUCCEEDED)
    works.stop()
    assert answers(world, "a") == {"a-0": "kept", "a-1": "re: y"}


def test_cancelling_keeps_the_answers_that_were_there(world: World) -> None:
    source = Gated(slots=1)
    works = begin(world, source)
    batch = new_batch(world, "a", ["x", "y", "z"])
    source.allow(1)
    until(lambda: len(source.asked) == 2)
    world.request_cancel(batch, world.now())
    works.nudge()
    until(lambda: phase(world, "a") is Phase.CANCELLED)
    assert answers(world, "a") == {"a-0": "re: x"}
    works.stop()


def test_a_batch_cut_off_by_its_window_keeps_what_it_had_and_says_what_expired(world: World) -> None:
    source = Gated(slots=1)
    works = begin(world, source)
    new_batch(world, "a", ["x", "y", "z"], window_s=0.7)
    source.allow(1)
    until(lambda: phase(world, "a") is Phase.EXPIRED)
    works.stop()
    assert answers(world, "a") == {"a-0": "re: x"}
    batch = world.batch("openai", "a")
    assert batch is not None and batch.outcome is not None and batch.outcome.error_file is not None
    assert (batch.outcome.succeeded, batch.outcome.errored, batch.outcome.expired) == (1, 0, 2)
    errors = world.file("openai", batch.outcome.error_file)
    assert errors is not None
    lines = [json.loads(line) for line in errors.path.read_text().splitlines()]
    assert [(line["custom_id"], line["response"], line["error"]["code"]) for line in lines] == [
        ("a-1", None, "batch_expired"),
        ("a-2", None, "batch_expired"),
    ]


def test_a_window_that_a_fault_closes_early_keeps_only_the_part_it_names(world: World) -> None:
    source = Gated(slots=1)
    batch = new_batch(world, "a", ["x", "y", "z"], faults=["openai life -> expire after=0.34 in=0.7"])
    works = begin(world, source)
    source.allow(2)
    until(lambda: phase(world, "a") is Phase.EXPIRED)
    works.stop()
    assert batch.facts.schedule.cut == 0.34
    assert answers(world, "a") == {"a-0": "re: x"}


def test_work_done_late_is_dated_as_planned_unless_somebody_saw_it_undone(world: World) -> None:
    unseen, seen = new_batch(world, "unseen", ["x"]), new_batch(world, "seen", ["x"])
    works = Works(
        world,
        Synthetic(),
        {"openai": OpenAIBook(Service(world=world, profiles=named("instant"), seed=0))},
        Hooks(world),
    )
    until(lambda: standing(unseen.facts, world.now()).held)
    _, looked_at = works.fresh([seen])
    works.start()
    until(lambda: phase(world, "unseen") is Phase.SUCCEEDED and phase(world, "seen") is Phase.SUCCEEDED)
    works.stop()
    ended = {}
    for name in ("unseen", "seen"):
        batch = world.batch("openai", name)
        assert batch is not None
        ended[name] = standing(batch.facts, world.now()).ended_at
    assert ended["unseen"] == unseen.facts.created_at
    assert ended["seen"] is not None and ended["seen"] > looked_at


def test_a_row_that_the_source_fails_on_becomes_a_server_error(world: World) -> None:
    source = Gated()
    source.allow(10)
    works = begin(world, source)
    new_batch(world, "a", ["x", "please fail"])
    until(lambda: phase(world, "a") is Phase.SUCCEEDED)
    works.stop()
    batch = world.batch("openai", "a")
    assert batch is not None and batch.outcome is not None
    assert (batch.outcome.succeeded, batch.outcome.errored) == (1, 1)


def test_only_one_of_two_emulators_works_on_a_batch_and_a_dead_ones_work_is_taken_over(world: World) -> None:
    one, two = Gated(slots=1), Gated(slots=1)
    first = begin(world, one)
    new_batch(world, "a", ["x", "y"])
    until(lambda: len(one.asked) == 1)
    second = begin(world, two)
    new_batch(world, "b", ["q"])
    two.allow(5)
    one.allow(1)
    until(lambda: len(one.asked) >= 2)
    assert "x" not in [ask.messages[0][1] for ask in two.asked]
    assert "y" not in [ask.messages[0][1] for ask in two.asked]
    # A process that died holds a lease in a name that lives no more.
    first.stop()
    world.store.run("UPDATE batches SET owner = 'gone', owner_pid = 999999999, owner_until = ? WHERE id = 'a'", (1e12,))
    until(lambda: phase(world, "a") is Phase.SUCCEEDED)
    assert answers(world, "a") == {"a-0": "re: x", "a-1": "re: y"}
    second.stop()


def test_stopping_does_not_wait_for_a_source_in_the_middle_of_an_answer(world: World) -> None:
    source = Gated()
    works = begin(world, source)
    new_batch(world, "a", ["x", "y", "z"])
    until(lambda: len(source.asked) == 2)
    started = time.monotonic()
    assert works.stop()
    assert time.monotonic() - started < 5
    assert phase(world, "a") is Phase.RUNNING
