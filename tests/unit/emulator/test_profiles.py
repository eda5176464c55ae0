"""A batch's schedule is decided once, by its profile, its seed, its model and the hour of its creation."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path

import pytest

from batchmark.emulator import Emulator, EmulatorError, EmulatorOptions
from batchmark.emulator.clock import SECOND
from batchmark.emulator.lengths import Either, LogNormal, Luck, Moods, Quantiles, Span
from batchmark.emulator.profile_file import ProfileError, open_profiles
from batchmark.emulator.profiles import PROFILE_NAMES, PROFILES, Profiles, Schedule, named, schedule
from batchmark.emulator.world import World

HOUR = 3600 * SECOND
MONTH = 731  # hours: the next draw is in another month, at another time of day
START = 100_000 * HOUR  # in 1981: room for many months after it
DAY_S = 86_400
WINDOWS_S = {"openai": DAY_S, "anthropic": DAY_S, "gemini": 2 * DAY_S}
REAL = ["openai", "anthropic", "gemini"]


def plan(
    profile: str | Profiles,
    seed: int,
    *,
    model: str = "m",
    dialect: str = "openai",
    at: int = START,
    world_seed: int = 0,
) -> Schedule:
    return schedule(
        named(profile) if isinstance(profile, str) else profile,
        dialect=dialect,
        seed=seed,
        model=model,
        window_s=WINDOWS_S[dialect],
        created_at=at,
        world_seed=world_seed,
    )


def own(dialect: str, seed: int, *, hour: int, world_seed: int = 0) -> Schedule:
    return plan("real", seed, dialect=dialect, at=START + hour * HOUR, world_seed=world_seed)


def over_many_hours(dialect: str, count: int = 4000) -> list[Schedule]:
    return [own(dialect, seed, hour=seed * MONTH, world_seed=seed) for seed in range(count)]


def total_s(drawn: Schedule) -> float:
    return drawn.validate_s + drawn.queue_s + drawn.run_s + drawn.finalize_s


def expires(drawn: Schedule) -> bool:
    return drawn.validate_s + drawn.queue_s + drawn.run_s >= drawn.window_s


def completed_s(drawn: list[Schedule]) -> list[float]:
    return sorted(total_s(one) for one in drawn if not expires(one))


def quantile(ordered: list[float], part: float) -> float:
    return ordered[round(part * (len(ordered) - 1))]


def test_the_same_seed_and_model_always_give_the_same_schedule() -> None:
    one = plan("demo", 7, model="gpt-5-nano")
    assert one == plan("demo", 7, model="gpt-5-nano")
    assert one != plan("demo", 8, model="gpt-5-nano")
    assert one != plan("demo", 7, model="gpt-4o-mini")


def test_instant_batches_take_no_time_at_all() -> None:
    drawn = plan("instant", 1)
    parts = (drawn.validate_s, drawn.queue_s, drawn.run_s, drawn.finalize_s, drawn.cancel_s, drawn.drain_s)
    assert parts == (0, 0, 0, 0, 0, 0)


def test_demo_batches_run_for_three_to_twelve_seconds_and_differ() -> None:
    lengths = {plan("demo", seed).run_s for seed in range(200)}
    assert min(lengths) >= 3
    assert max(lengths) <= 12
    assert len(lengths) > 150


def test_demo_batches_depend_on_neither_hour_nor_dialect() -> None:
    one = plan("demo", 7, model="gpt-5-nano")
    assert plan("demo", 7, model="gpt-5-nano", dialect="anthropic", at=START + 9 * HOUR, world_seed=3) == one


def test_an_unknown_profile_is_refused() -> None:
    assert "nope" not in PROFILE_NAMES
    with pytest.raises(KeyError):
        plan("nope", 1)


def test_a_wrong_name_is_told_together_with_all_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError) as refused:
        Emulator(EmulatorOptions(home=tmp_path, profile="nope"))
    said = str(refused.value)
    assert said.startswith("no emulator profile is called 'nope'")
    assert all(name in said for name in ["real", "openai-real", "anthropic-real", "gemini-real", "instant", "demo"])


@pytest.mark.parametrize("dialect", REAL)
def test_the_world_draws_by_its_own_seed_and_the_moment_of_creation(tmp_path: Path, dialect: str) -> None:
    world = World(tmp_path)
    try:
        source = tmp_path / "rows"
        source.write_text("{}\n")
        batch = world.add_batch(
            id="b",
            dialect=dialect,
            endpoint="x",
            model="m",
            seed=9,
            profiles=named("real"),
            window_s=WINDOWS_S[dialect],
            spec={},
            source=source,
            created_at=START + 7 * HOUR,
        )
    finally:
        world.close()
    assert batch.facts.schedule == own(dialect, batch.seed, hour=7, world_seed=9)


@pytest.mark.parametrize("dialect", REAL)
def test_real_means_to_each_dialect_its_own(dialect: str) -> None:
    assert plan("real", 5, dialect=dialect) == plan(f"{dialect}-real", 5, dialect=dialect)
    others = [f"{other}-real" for other in REAL if other != dialect]
    assert all(plan(name, 5, dialect=dialect) != plan("real", 5, dialect=dialect) for name in others)


@pytest.mark.parametrize("dialect", REAL)
def test_real_schedules_are_repeatable_and_go_by_every_seed_and_the_hour(dialect: str) -> None:
    one = own(dialect, 5, hour=2, world_seed=1)
    assert one == own(dialect, 5, hour=2, world_seed=1)
    within = plan("real", 5, dialect=dialect, at=START + 2 * HOUR + HOUR - 1, world_seed=1)
    assert one == within
    assert one != own(dialect, 6, hour=2, world_seed=1)
    assert one != own(dialect, 5, hour=3, world_seed=1)
    assert one != own(dialect, 5, hour=2, world_seed=2)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("dialect", REAL)
def test_no_part_is_ever_shorter_than_nothing(profile: str, dialect: str) -> None:
    for seed in range(1000):
        drawn = plan(profile, seed, dialect=dialect, at=START + seed * HOUR)
        parts = (drawn.validate_s, drawn.queue_s, drawn.run_s, drawn.finalize_s, drawn.cancel_s, drawn.drain_s)
        assert min(parts) >= 0, parts


@pytest.mark.parametrize(("dialect", "median_s", "sigma"), [("anthropic", 55, 0.9), ("gemini", 180, 1.2)])
def test_real_batches_take_as_long_as_the_fitted_log_normal_says(dialect: str, median_s: float, sigma: float) -> None:
    ordered = completed_s(over_many_hours(dialect))
    # By three standard errors of a quantile of 4,000 draws: 1.25 and 1.71 sigma / sqrt(n) at the median and at 90 %.
    assert math.log(quantile(ordered, 0.5)) == pytest.approx(math.log(median_s), abs=0.06 * sigma)
    assert math.log(quantile(ordered, 0.9)) == pytest.approx(math.log(median_s) + 1.2816 * sigma, abs=0.09 * sigma)


@pytest.mark.parametrize(
    ("part", "measured_s"),
    [(0.1, 8), (0.25, 24), (0.5, 126), (0.75, 1962), (0.9, 11_075), (0.95, 20_695), (0.99, 44_529)],
)
def test_openai_batches_take_as_long_as_the_measured_ones(part: float, measured_s: float) -> None:
    ordered = completed_s(over_many_hours("openai"))
    # By three standard errors of the part itself: 4,000 draws put this part between these two quantiles.
    error = 3 * math.sqrt(part * (1 - part) / len(ordered))
    assert quantile(ordered, part - error) <= measured_s * 1.05
    assert measured_s * 0.95 <= quantile(ordered, min(1, part + error))


def test_the_parts_of_an_openai_batch_are_as_long_as_the_measured_ones() -> None:
    drawn = over_many_hours("openai")
    slow = [one.validate_s for one in drawn if one.validate_s > 10]
    assert 0.04 < len(slow) / len(drawn) < 0.07
    assert min(slow) > 60
    assert max(slow) > 64
    assert statistics.median(one.validate_s for one in drawn) == pytest.approx(1, abs=0.2)
    finalizing = sorted(one.finalize_s for one in drawn)
    assert finalizing[len(drawn) // 2] == pytest.approx(1, abs=0.3)
    assert 6 < finalizing[len(drawn) * 99 // 100] < 20
    assert finalizing[-1] > 60
    assert min(one.cancel_s for one in drawn) >= 604.5
    assert 0.005 < sum(one.cancel_s > 608 for one in drawn) / len(drawn) < 0.03
    assert {one.drain_s for one in drawn} == {607, 87_062}


def test_a_few_openai_batches_in_a_thousand_expire_and_all_others_end_within_the_day() -> None:
    drawn = over_many_hours("openai", 20_000)
    assert 0.0014 < sum(map(expires, drawn)) / len(drawn) < 0.0034
    assert completed_s(drawn)[-1] <= DAY_S


def test_one_gemini_batch_in_twenty_never_begins() -> None:
    drawn = over_many_hours("gemini")
    stuck = [one for one in drawn if one.queue_s >= one.window_s]
    assert 0.04 < len(stuck) / len(drawn) < 0.06
    assert [one for one in drawn if expires(one)] == stuck


def test_no_anthropic_batch_expires() -> None:
    assert not any(map(expires, over_many_hours("anthropic")))


@pytest.mark.parametrize("dialect", REAL)
@pytest.mark.parametrize(
    ("hours_apart", "shared"),
    [(0, 0.5), (1, 0.1), (24, 0.25), (24 * 40, 0.15), (24 * 40 + 1, 0)],
    ids=["same hour", "same month", "same month and time of day", "same time of day", "nothing in common"],
)
def test_batches_are_the_more_alike_the_more_of_their_time_they_share(
    dialect: str, hours_apart: int, shared: float
) -> None:
    pairs = [
        (own(dialect, 2 * n, hour=0, world_seed=n), own(dialect, 2 * n + 1, hour=hours_apart, world_seed=n))
        for n in range(4000)
    ]
    logs = [(math.log(total_s(a)), math.log(total_s(b))) for a, b in pairs if not expires(a) and not expires(b)]
    first, second = [a for a, _ in logs], [b for _, b in logs]
    assert statistics.correlation(first, second) == pytest.approx(shared, abs=0.06)


def test_a_time_of_day_is_as_slow_every_day() -> None:
    moods = Moods(daytime=1.0)
    assert moods.deviate("x", START) == moods.deviate("x", START + 24 * HOUR)
    assert moods.deviate("x", START) != moods.deviate("x", START + HOUR)


def test_the_dialects_have_their_moods_apart_even_with_one_profile() -> None:
    pairs = [
        [total_s(plan("anthropic-real", 3 * n + k, dialect=d, at=START + n * MONTH * HOUR)) for k, d in enumerate(REAL)]
        for n in range(4000)
    ]
    logs = [[math.log(one) for one in column] for column in zip(*pairs, strict=True)]
    assert statistics.correlation(logs[0], logs[1]) == pytest.approx(0, abs=0.05)
    assert statistics.correlation(logs[1], logs[2]) == pytest.approx(0, abs=0.05)


def test_moods_leave_the_spread_as_it_was() -> None:
    length = LogNormal(mu=3, sigma=2)
    drawn = [
        math.log(length.draw(Luck(own=random.Random(seed), mood=random.Random(f"x {seed}").gauss(0, 0.6), shared=0.36)))
        for seed in range(4000)
    ]
    assert statistics.mean(drawn) == pytest.approx(3, abs=0.1)
    assert statistics.stdev(drawn) == pytest.approx(2, abs=0.07)


def test_what_would_go_beyond_the_cap_ends_in_its_last_half() -> None:
    length = LogNormal(mu=math.log(1000), sigma=0.1, cap_s=10)
    drawn = [length.draw(Luck(own=random.Random(seed), mood=0)) for seed in range(200)]
    assert min(drawn) >= 5
    assert max(drawn) <= 10
    assert len(set(drawn)) > 150


def test_either_takes_the_rare_length_as_often_as_it_says() -> None:
    length = Either(usual=Span(low_s=1, high_s=1), rare=Span(low_s=61, high_s=61), chance=0.05)
    own_luck = random.Random(3)
    drawn = [length.draw(Luck(own=own_luck, mood=0)) for _ in range(4000)]
    assert set(drawn) == {1, 61}
    assert 0.04 < drawn.count(61) / len(drawn) < 0.06


def test_quantiles_give_back_the_distribution_that_they_hold() -> None:
    length = Quantiles(points=((0, 1), (0.5, 10), (1, 1000)))
    assert [round(length.at(part), 6) for part in (0, 0.25, 0.5, 0.75, 1)] == [1, round(10**0.5, 6), 10, 100, 1000]
    own_luck = random.Random(5)
    drawn = sorted(length.draw(Luck(own=own_luck, mood=0)) for _ in range(4000))
    assert quantile(drawn, 0.5) == pytest.approx(10, rel=0.2)
    assert 1 <= drawn[0] <= drawn[-1] <= 1000


def test_openai_in_2026_validates_for_a_minute_and_is_done_soon_after() -> None:
    drawn = [plan("openai-2026", seed, at=START + seed * MONTH * HOUR) for seed in range(2000)]
    assert 0.85 < sum(62 <= one.validate_s <= 63 for one in drawn) / len(drawn) < 0.95
    assert statistics.median(one.run_s for one in drawn) == pytest.approx(60, rel=0.15)
    assert {round(one.drain_s) for one in drawn} == {607, 87_062}


def test_in_an_incident_nothing_is_ever_begun() -> None:
    drawn = [plan("stuck", seed, dialect="gemini") for seed in range(100)]
    assert all(expires(one) for one in drawn)


def written(tmp_path: Path, text: str) -> Profiles:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return open_profiles(str(path))


def test_a_file_says_how_long_each_part_takes(tmp_path: Path) -> None:
    mine = written(
        tmp_path,
        """
        about = "our gateway"
        validate = 62
        queue = { low = 1, high = 2 }
        run = { median = 60, sigma = 0.5, cap = 600 }
        finalize = { usual = 1, rare = 600, chance = 0.5 }
        cancel = 606
        [gemini]
        run = { quantiles = [[0, 5], [1, 6]] }
        stuck = 1
        """,
    )
    assert mine.name == "mine"
    drawn = [plan(mine, seed) for seed in range(200)]
    assert {one.validate_s for one in drawn} == {62}
    assert all(1 <= one.queue_s <= 2 for one in drawn)
    assert statistics.median(one.run_s for one in drawn) == pytest.approx(60, rel=0.3)
    assert {one.finalize_s for one in drawn} == {1, 600}
    other = plan(mine, 1, dialect="gemini")
    assert other.validate_s == 62
    assert 5 <= other.run_s <= 6
    assert expires(other)


def test_a_file_may_change_a_profile_that_is_there(tmp_path: Path) -> None:
    mine = written(tmp_path, 'like = "real"\nstuck = 1\n[openai]\nlike = "instant"\n')
    assert plan(mine, 1, dialect="openai").cancel_s == 0
    assert not expires(plan(mine, 1, dialect="openai"))
    assert expires(plan(mine, 1, dialect="anthropic"))
    assert plan(mine, 1, dialect="gemini").validate_s == plan("real", 1, dialect="gemini").validate_s


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("validate = -1", "validate"),
        ("validate = true", "validate"),
        ('like = "nope"', "like"),
        ("run = { low = 2, high = 1 }", "ends before it begins"),
        ("run = { quantiles = [[0, 5], [0.5, 4], [1, 6]] }", "quantiles[1]"),
        ("run = { quantiles = [[0.1, 5], [1, 6]] }", "from the part 0"),
        ("turnaround = 5\nrun = 3", "cannot stand beside"),
        ("waiting = { low = 0, high = 1 }", "missing"),
        ("moods = { hour = 0.8, month = 0.8 }", "more than 1"),
        ("nonsense = 1", "nonsense"),
        ("[gemini]\nstuck = 2", "gemini.stuck"),
        ("openai = 3", "openai"),
        ("run = ", "no TOML"),
    ],
)
def test_a_bad_file_is_told_in_one_sentence_with_its_key(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(ProfileError) as refused:
        written(tmp_path, text)
    assert word in str(refused.value)
    assert "mine.toml" in str(refused.value)
    assert "\n" not in str(refused.value).strip()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match=r"cannot be read"):
        Emulator(EmulatorOptions(home=tmp_path, profile=str(tmp_path / "absent.toml")))
