"""`batchmark estimate` as users run it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchmark.api.forecast import forecast
from batchmark.api.workspace import Workspace
from batchmark.domain.target import Target
from batchmark.workload.rows import Workload
from tests.cli.conftest import Account, Run


def write(folder: Path, *rows: dict[str, object]) -> None:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_an_estimate_needs_no_key_and_gives_a_range(run: Run, folder: Path, home: Path) -> None:
    write(folder, *({"prompt": "x" * 400, "max_tokens": 50} for _ in range(10)))
    ended = run("estimate", "rows.jsonl", "--on", "openai:gpt-4o-mini", "--json")
    assert ended.code == 0, ended.err
    (target,) = ended.json()["targets"]
    assert (target["rows"], target["shards"], target["input_tokens"], target["max_output_tokens"]) == (10, 1, 1080, 500)
    # gpt-4o-mini in batches: 0.075 and 0.30 US dollars for a million tokens
    assert target["input_cost_usd"] == pytest.approx(1080 * 0.075e-6)
    assert target["most_cost_usd"] == pytest.approx(1.3 * 1080 * 0.075e-6 + 500 * 0.3e-6)
    assert not home.exists()


def test_an_answer_without_a_limit_has_no_upper_cost_and_that_is_said(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "Hello"})
    ended = run("estimate", "rows.jsonl")
    assert ended.code == 0, ended.err
    assert "no limit" in ended.out
    assert "set no max_tokens" in ended.out
    for provider in ("openai:", "google:", "anthropic:"):
        assert provider in ended.out


def test_a_target_that_cannot_take_the_file_is_named_beside_those_that_can(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "Hello", "max_tokens": 5, "temperature": 0.2})
    ended = run("estimate", "rows.jsonl", "--on", "google", "--on", "anthropic")
    assert ended.code == 0, ended.err
    assert "cannot take this file" in ended.out
    assert "temperature" in ended.out
    alone = run("estimate", "rows.jsonl", "--on", "anthropic")
    assert alone.code == 2
    assert "line 1" in alone.err


def test_without_a_file_the_sample_is_estimated_and_repeated_to_the_number_asked_for(run: Run) -> None:
    ended = run("estimate", "--on", "openai", "--requests", "100", "--json")
    assert ended.code == 0, ended.err
    document = ended.json()
    assert (document["workload"], document["emulated"], document["sample"]) == ("the bundled sample", False, None)
    assert document["targets"][0]["rows"] == 100


def test_the_document_says_all_that_the_table_says(run: Run, folder: Path) -> None:
    write(folder, *({"prompt": "x" * 400, "max_tokens": 50} for _ in range(10)))
    (target,) = run("estimate", "rows.jsonl", "--on", "openai:gpt-4o-mini", "--json").json()["targets"]
    assert (target["input_tokens_low"], target["input_tokens_high"]) == (756, 1404)
    assert target["least_cost_usd"] == pytest.approx(0.7 * 1080 * 0.075e-6)
    # outside batches twice as much
    assert target["standard_least_usd"] == pytest.approx(2 * target["least_cost_usd"])
    assert target["standard_most_usd"] == pytest.approx(2 * target["most_cost_usd"])
    assert target["price"] == target["price_note"] and target["price"].startswith("genai-prices ")
    assert target["price_as_of"] in target["price"] and target["price_assumed"] is False
    assert target["tokens"] == {
        "method": "length",
        "words": "tokens by length of text, right within about 30 %",
        "spread": 0.3,
        "ratio": 1.0,
        "sampled": 0,
        "fallback": None,
    }
    assert target["turnaround"] == {"n": 0, "median_s": None, "p90_s": None}
    assert (target["limits_met"], target["warnings"]) == ([], [])


def test_targets_stand_side_by_side_the_cheapest_first(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "x" * 40_000, "max_tokens": 1})
    ended = run(
        "estimate", "rows.jsonl", "--on", "openai:gpt-4o", "--on", "openai:no-such-model", "--on", "openai:gpt-5-nano"
    )
    assert ended.code == 0, ended.err
    head = next(line for line in ended.out.splitlines() if "gpt-4o" in line)
    assert head.split() == ["openai:gpt-5-nano", "openai:gpt-4o", "openai:no-such-model"]
    assert "cheapest: cannot be told, a price is unknown" in ended.out
    assert "no batch price is known for openai:no-such-model" in ended.out
    ended = run("estimate", "rows.jsonl", "--on", "openai:gpt-4o", "--on", "openai:gpt-5-nano")
    assert "cheapest: openai:gpt-5-nano; its whole range lies below every other's" in ended.out
    ended = run("estimate", "rows.jsonl", "--on", "openai:gpt-4o", "--on", "openai:gpt-5-nano", "--json")
    assert ended.json()["cheapest"] == "openai:gpt-5-nano"


def test_where_ranges_overlap_none_is_called_the_cheapest(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "Hello", "max_tokens": 500})
    ended = run("estimate", "rows.jsonl")
    assert "cheapest: cannot be told, ranges overlap" in ended.out
    write(folder, {"prompt": "Hello"})
    assert "answers have no limit" in run("estimate", "rows.jsonl").out


def test_limits_that_are_met_are_said_in_words(run: Run, folder: Path) -> None:
    write(folder, *({"prompt": "Hello", "max_tokens": 5} for _ in range(30)))
    ended = run("estimate", "rows.jsonl", "--on", "google", "--shard-rows", "10")
    assert "needs 3 batches: one holds at most 10 rows" in ended.out
    assert "3.0 % of the 100 batches that an account may have under way at once" in ended.out


PRICES = """
[[price]]
target = "openai:gpt-5-nano"
input = 1000
output = 2000
standard_input = 4000
standard_output = 8000
note = "our contract"
from = 2026-01-01
"""


def test_the_users_own_prices_win_everywhere(run: Run, folder: Path) -> None:
    (folder / "prices.toml").write_text(PRICES)
    (folder / ".env").write_text("BATCHMARK_PRICES=prices.toml\n")
    write(folder, {"prompt": "x" * 400, "max_tokens": 50})
    note = "own price file prices.toml (our contract), 2026-01-01"
    ended = run("estimate", "rows.jsonl", "--on", "openai")
    assert ended.code == 0, ended.err
    assert note in ended.out and "75 % of the standard price" in ended.out
    (target,) = run("estimate", "rows.jsonl", "--on", "openai", "--json").json()["targets"]
    assert (target["price"], target["input_cost_usd"]) == (note, pytest.approx(108 * 1000e-6))
    # what was really used costs what the file says too
    made = run("openai", "create", "rows.jsonl", "--emulate", "--json")
    assert made.code == 0, made.err
    totals = made.json()["jobs"][0]["totals"]
    usage = totals["usage"]
    assert totals["price_note"] == note
    assert totals["cost_usd"] == pytest.approx(usage["input_tokens"] * 1e-3 + usage["output_tokens"] * 2e-3)
    machine = run("doctor", "--emulate", "--json").json()["machine"]
    assert machine["prices"].startswith("prices.toml (1 entry), then genai-prices ")


def test_a_price_file_that_cannot_be_used_stops_before_anything_is_sent(run: Run, folder: Path) -> None:
    (folder / "prices.toml").write_text(PRICES.replace("input = 1000", "input = -1", 1))
    environment = {"BATCHMARK_PRICES": "prices.toml"}
    write(folder, {"prompt": "Hello", "max_tokens": 5})
    for words in (["estimate", "rows.jsonl"], ["openai", "create", "rows.jsonl", "--emulate"]):
        ended = run(*words, **environment)
        assert ended.code == 3
        assert "price file prices.toml cannot be used: entry 1 has a price below 0 for 'input'" in ended.err
        assert "hint: " in ended.err
    ended = run("doctor", "--emulate", "--json", **environment)
    assert ended.code == 3
    assert "entry 1 has a price below 0" in ended.json()["machine"]["prices"]
    assert all(each["works"] for each in ended.json()["providers"])


def test_the_provider_counts_a_sample_and_the_rest_is_scaled(run: Run, folder: Path, home: Path) -> None:
    write(folder, *({"prompt": "x" * (number * 10), "max_tokens": 5} for number in range(1, 101)))
    ended = run("estimate", "rows.jsonl", "--exact-sample", "20", "--emulate", "--json")
    assert ended.code == 0, ended.err
    document = ended.json()
    assert document["emulated"] and document["sample"] == {"rows": 20, "seed": 0}
    assert len(document["targets"]) == 3
    for target in document["targets"]:
        tokens = target["tokens"]
        assert (tokens["sampled"], tokens["fallback"]) == (20, None)
        assert 0.02 <= tokens["spread"] < 0.1
        # the emulator counts 3 for a request and 4 for a message around four characters a token
        truth = sum(3 + 4 + (number * 10 + 3) // 4 for number in range(1, 101))
        assert target["input_tokens_low"] <= truth <= target["input_tokens_high"]
    assert run("estimate", "rows.jsonl", "--exact-sample", "20", "--emulate", "--json").json() == document
    shown = run("estimate", "rows.jsonl", "--exact-sample", "20", "--seed", "7", "--emulate")
    assert "Estimate for rows.jsonl (emulated); no request was sent" in shown.out
    assert "counted 20 random rows" in shown.out and "counted by the emulator" in shown.out
    assert "20 random rows, seed 7" in shown.err
    # a count makes no ledger
    assert not (home / "ledger.sqlite3").exists()


def test_a_sample_without_any_key_is_an_error_and_with_one_key_the_others_fall_back(
    run: Run, folder: Path, account: Callable[..., Account]
) -> None:
    write(folder, {"prompt": "Hello", "max_tokens": 5})
    ended = run("estimate", "rows.jsonl", "--exact-sample", "5")
    assert ended.code == 3 and "no API key for openai" in ended.err
    cloud = account()
    ended = cloud.run("estimate", "rows.jsonl", "--exact-sample", "5", "--json", ANTHROPIC_API_KEY="")
    assert ended.code == 0, ended.err
    told = {each["target"].partition(":")[0]: each["tokens"] for each in ended.json()["targets"]}
    assert told["openai"]["sampled"] == told["google"]["sampled"] == 1
    assert told["anthropic"]["method"] == "length" and told["anthropic"]["spread"] == 0.3
    assert "no API key for anthropic" in told["anthropic"]["fallback"]


def test_a_count_that_fails_falls_back_and_says_so(run: Run, folder: Path, account: Callable[..., Account]) -> None:
    write(folder, *({"prompt": "Hello", "max_tokens": 5} for _ in range(3)))
    cloud = account(
        "anthropic messages.count_tokens -> status 400",
        "openai responses.input_tokens nth=1 -> status 429 retry-after=0",
    )
    ended = cloud.run("estimate", "rows.jsonl", "--exact-sample", "3")
    assert ended.code == 0, ended.err
    assert "the provider counted no sample: anthropic" in ended.out, ended.out
    assert ended.out.count("as the provider counted 3 random rows") == 2


def test_a_target_that_embeds_is_counted_as_far_as_its_provider_can(run: Run, folder: Path) -> None:
    write(folder, {"input": "Hello there"}, {"input": "Good night"})
    ended = run(
        *("estimate", "rows.jsonl", "--exact-sample", "2", "--emulate", "--json"),
        *("--on", "openai:text-embedding-3-small", "--on", "google:gemini-embedding-001"),
    )
    assert ended.code == 0, ended.err
    told = {each["target"].partition(":")[0]: each for each in ended.json()["targets"]}
    assert told["google"]["tokens"]["sampled"] == 2
    assert "conversations only" in told["openai"]["tokens"]["fallback"]
    assert told["openai"]["price_assumed"] and "assumed half" in told["openai"]["price"]


def test_earlier_batches_here_say_how_long_it_may_take(run: Run, folder: Path) -> None:
    write(folder, {"prompt": "Hello", "max_tokens": 5})

    def turnaround() -> str:
        ended = run("estimate", "rows.jsonl", "--on", "openai", "--emulate")
        assert ended.code == 0, ended.err
        return next(line for line in ended.out.splitlines() if "turnaround" in line)

    assert "no history here: batchmark report --history openai" in turnaround()
    assert run("openai", "create", "rows.jsonl", "--emulate", "--jobs", "2").code == 0
    assert "from 2 finished batches here: half: too few (2) to say, 90 %: too few (2) to say" in turnaround()
    assert run("openai", "create", "rows.jsonl", "--emulate", "--jobs", "4").code == 0
    assert "from 6 finished batches here: half within " in turnaround()
    # of the real world nothing is known here
    assert "no history here" in run("estimate", "rows.jsonl", "--on", "openai").out


def test_a_tokenizer_that_loads_offline_is_used_where_the_provider_has_published_it(folder: Path, home: Path) -> None:
    class Words:
        """A package whose encodings make a token of each word."""

        def load(self, name: str) -> Any:
            encoding = SimpleNamespace(encode_ordinary=str.split)
            return SimpleNamespace(get_encoding=lambda name: encoding) if name == "bpe_openai" else None

        def folder(self, name: str) -> None: ...

    write(folder, {"prompt": "one two three four", "max_tokens": 5})
    workload = Workload(folder / "rows.jsonl")
    targets = [Target("openai", "gpt-5-nano"), Target("google", "gemini-2.5-flash-lite")]
    with Workspace(environment={"BATCHMARK_HOME": str(home)}) as workspace:
        made = asyncio.run(forecast(workspace, workload, targets, modules=Words()))
    told = {each.target.provider: each for each in made}
    assert told["openai"].found is not None and told["google"].found is not None
    assert (told["openai"].counter.name, told["openai"].found.input_tokens) == ("o200k_base", 4 + 4 + 4)
    assert (told["google"].counter.name, told["google"].found.input_tokens) == ("length", 4 + 4 + 5)
