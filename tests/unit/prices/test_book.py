"""The user's own prices come first, and a file that cannot be used says where and what to do."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from batchmark.domain.usage import Usage
from batchmark.errors import Configuration
from batchmark.prices.book import PriceBook
from batchmark.prices.lookup import Price, cost_usd, listed, saving

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def book(home: Path, text: str, name: str = "prices.toml") -> PriceBook:
    (home / name).write_text(text)
    return PriceBook.read({"BATCHMARK_PRICES": str(home / name)})


def found(prices: PriceBook, model: str, at: datetime = NOW, provider: str = "openai") -> Price:
    price = prices.price(provider, model, at)
    assert price is not None
    return price


def test_without_a_file_prices_are_the_listed_ones() -> None:
    for environment in ({}, {"BATCHMARK_PRICES": " "}):
        prices = PriceBook.read(environment)
        assert prices.own is None and prices.sources.startswith("genai-prices ")
        assert prices.price("openai", "gpt-5-nano", NOW) == listed("openai", "gpt-5-nano", NOW)


def test_an_own_price_wins_and_says_whose_it_is(home: Path) -> None:
    prices = book(
        home,
        """
        [[price]]
        target = "openai:gpt-5-nano"
        input = 0.02
        output = 0.1
        cached = 0.002
        cache_write = 0.03
        standard_input = 0.04
        standard_output = 0.4
        from = 2026-10-01
        note = "our contract"
        """,
    )
    price = found(prices, "gpt-5-nano")
    assert price.note == "own price file prices.toml (our contract), 2026-10-01"
    assert (price.as_of, price.assumed) == (date(2026, 10, 1), False)
    usage = Usage(1_000_000, 1_000_000, cached_tokens=500_000, cache_write_tokens=100_000)
    assert cost_usd(price, usage) == pytest.approx(0.4 * 0.02 + 0.5 * 0.002 + 0.1 * 0.03 + 0.1)
    # outside batches, what concerns a cache keeps its share of the input price
    both = saving(price, usage)
    assert both is not None and both[0] == cost_usd(price, usage)
    assert both[1] == pytest.approx(0.4 * 0.04 + 0.5 * 0.004 + 0.1 * 0.06 + 0.4)
    assert prices.sources.startswith(f"{home / 'prices.toml'} (1 entry), then genai-prices ")
    assert found(prices, "gpt-4o-mini") == listed("openai", "gpt-4o-mini", NOW)


def test_cached_tokens_cost_what_input_costs_unless_the_file_says_otherwise(home: Path) -> None:
    price = found(book(home, '[[price]]\ntarget = "openai:x"\ninput = 2\noutput = 0'), "x")
    assert cost_usd(price, Usage(1_000_000, 5, cached_tokens=600_000, cache_write_tokens=100_000)) == pytest.approx(2)
    assert price.note == "own price file prices.toml" and saving(price, Usage(1, 1)) is None


def test_a_price_counts_from_its_day_on(home: Path) -> None:
    entry = '[[price]]\ntarget = "openai:gpt-5-nano"\noutput = 1\n'
    prices = book(home, f"{entry}input = 5\nfrom = 2026-10-01\n{entry}input = 3\nfrom = 2026-11-01\n")
    assert found(prices, "gpt-5-nano").rates[0].input_usd == pytest.approx(3e-6)
    assert found(prices, "gpt-5-nano", datetime(2026, 10, 31, 23, tzinfo=UTC)).rates[0].input_usd == pytest.approx(5e-6)
    earlier = datetime(2026, 9, 30, tzinfo=UTC)
    assert found(prices, "gpt-5-nano", earlier) == listed("openai", "gpt-5-nano", earlier)


def test_the_closest_name_counts(home: Path) -> None:
    def entry(model: str, usd: float) -> str:
        return f'[[price]]\nprovider = "openai"\nmodel = "{model}"\ninput = {usd}\noutput = 0\n'

    prices = book(home, entry("gpt-*", 1) + entry("gpt-5*", 2) + entry("gpt-5-nano", 3) + entry("*", 4))
    for model, usd in (("gpt-4o", 1), ("gpt-5-mini", 2), ("gpt-5-nano", 3), ("gpt-5-nano-2025-08-07", 2), ("o3", 4)):
        assert found(prices, model).rates[0].input_usd == pytest.approx(usd * 1e-6), model
    assert prices.price("nobody", "gpt-5", NOW) is None


def test_the_same_can_be_written_in_json(home: Path) -> None:
    entry = {"target": "groq:llama", "input": 0.5, "output": 1, "from": "2026-01-01"}
    prices = book(home, json.dumps({"price": [entry]}), "prices.json")
    assert found(prices, "llama", provider="groq").note == "own price file prices.json, 2026-01-01"


def test_a_price_that_is_not_known_says_why() -> None:
    prices = PriceBook()
    assert prices.price("groq", "llama-3.1-8b-instant", NOW) is None
    note = prices.note("groq", "llama-3.1-8b-instant", NOW)
    assert "documents no discount" in note and "BATCHMARK_PRICES" in note
    assert "documents no discount" not in prices.note("openai", "no-such-model-9", NOW)


GOOD = 'target = "openai:x"\ninput = 1\noutput = 1\n'


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("[[price", "it is no TOML: ", "correct"),
        ("", "it holds no list of prices", "[[price]]"),
        ("price = 1", "it holds no list of prices", "[[price]]"),
        ("price = [1]", "entry 1 is no table", "[[price]]"),
        (f"other = 1\n[[price]]\n{GOOD}", "unknown part 'other'", "[[price]]"),
        (f"[[price]]\n{GOOD}[[price]]\n{GOOD}inputs = 2", "entry 2 has an unknown key 'inputs'", "cache_write"),
        (f"[[price]]\n{GOOD}[[price]]\n{GOOD}", "entry 2 is about the same model and day as entry 1", "from"),
        ("[[price]]\ninput = 1\noutput = 1", "entry 1 names no model", "target"),
        ('[[price]]\nprovider = "openai"\ninput = 1\noutput = 1', "entry 1 names no model", "target"),
        ('[[price]]\ntarget = "openai"\ninput = 1\noutput = 1', "entry 1 names no model", "target"),
        (f'[[price]]\n{GOOD}model = "y"', "entry 1 names its model twice", "target"),
        ('[[price]]\ntarget = "openai:a*b"\ninput = 1\noutput = 1', "entry 1 has a * within", "last"),
        ("[[price]]\ntarget = 3\ninput = 1\noutput = 1", "entry 1 has no text for 'target'", "quotes"),
        ('[[price]]\ntarget = "openai:x"\noutput = 1', "entry 1 has no 'input' price", "million"),
        ('[[price]]\ntarget = "openai:x"\ninput = 1', "entry 1 has no 'output' price", "million"),
        ('[[price]]\ntarget = "openai:x"\ninput = -1\noutput = 1', "entry 1 has a price below 0 for 'input'", "free"),
        ('[[price]]\ntarget = "openai:x"\ninput = "1"\noutput = 1', "entry 1 has no number for 'input'", "million"),
        ('[[price]]\ntarget = "openai:x"\ninput = true\noutput = 1', "entry 1 has no number for 'input'", "million"),
        ('[[price]]\ntarget = "openai:x"\ninput = nan\noutput = 1', "entry 1 has no number for 'input'", "million"),
        (f"[[price]]\n{GOOD}standard_input = 1", "entry 1 has one standard price of two", "both"),
        (f'[[price]]\n{GOOD}from = "soon"', "entry 1 has no day in from", "2026-10-01"),
        (f"[[price]]\n{GOOD}from = 2026-10-01T00:00:00Z", "entry 1 has no day in from", "2026-10-01"),
        (f"[[price]]\n{GOOD}from = 7", "entry 1 has no day in from", "2026-10-01"),
        (f"[[price]]\n{GOOD}note = 7", "entry 1 has no text for 'note'", "quotes"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what_to_do(home: Path, text: str, said: str, remedy: str) -> None:
    with pytest.raises(Configuration) as caught:
        book(home, text)
    assert str(home / "prices.toml") in caught.value.message and said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint is not None and remedy in caught.value.hint


@pytest.mark.parametrize(("name", "text"), [("prices.json", "{"), ("prices.json", "[" * 100_000)])
def test_json_that_is_none_is_said(home: Path, name: str, text: str) -> None:
    with pytest.raises(Configuration, match="it is no JSON"):
        book(home, text, name)


def test_a_file_that_cannot_be_read_is_said(home: Path) -> None:
    for path in (home / "absent.toml", home):
        with pytest.raises(Configuration, match="it cannot be read"):
            PriceBook.read({"BATCHMARK_PRICES": str(path)})
    (home / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(Configuration, match="not UTF-8"):
        PriceBook.read({"BATCHMARK_PRICES": str(home / "latin.toml")})
