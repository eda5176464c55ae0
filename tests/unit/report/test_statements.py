"""The sentences around the figures: no verdict from too few rounds, no emulated figure without the word."""

from __future__ import annotations

from dataclasses import replace

from batchmark.report.content import KeptOut
from batchmark.report.statements import conclusion, emulation_notice, facts, kept_out_text
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    OPENAI,
    batch,
    job,
    many_rounds_report,
    report_of,
    simulated_report,
    small_report,
    troubled_report,
)


def test_one_round_is_called_no_evidence_about_speed() -> None:
    report = report_of([job(OPENAI, batch()), job(ANTHROPIC, batch(ended=30))], emulated=False)
    assert conclusion(report).startswith("One round is no evidence about speed: ")


def test_five_rounds_are_no_evidence_and_six_allow_a_verdict() -> None:
    assert "5 rounds are no evidence about speed" in conclusion(many_rounds_report(5))
    assert conclusion(many_rounds_report(6)).startswith("6 rounds tell which target is fastest and best value. ")


def test_rounds_that_were_sent_at_once_are_called_one_mood() -> None:
    assert "met the queues in one mood" in conclusion(many_rounds_report(8))
    assert "one mood" not in conclusion(simulated_report(targets=2, rounds=8))


def test_several_answers_are_one_sentence() -> None:
    text = conclusion(simulated_report(targets=3, rounds=20))
    assert text.startswith("20 rounds tell which target is cheapest and best value. ")


def test_targets_that_are_not_told_apart_are_said_to_be_so() -> None:
    jobs = [job(target, batch(), id=f"{target}{n}", round=n) for n in range(1, 8) for target in (OPENAI, ANTHROPIC)]
    assert conclusion(report_of(jobs)).startswith("7 rounds name no target; why is said with each question.")


def test_the_facts_name_the_work_the_runs_the_seed_and_the_age_of_the_prices() -> None:
    report = replace(many_rounds_report(), spread_s=86_400.0, run_ids=("r1", "r2"))
    assert facts(report) == (
        "bundled questions · 48 requests per job · 8 rounds",
        "runs r1, r2 · 2026-11-20 09:30:00 UTC · prices as of 2026-11-20 · batchmark 0.3.0",
        "a round is one job per target, sent close together in random order (seed 42), begun over 24 h",
    )


def test_a_history_has_no_run_and_jobs_of_different_sizes() -> None:
    report = replace(report_of([job(OPENAI, batch()), job(ANTHROPIC, batch(), rows=5)]), run_ids=())
    assert facts(report) == (
        "bundled questions · jobs of different sizes · 1 round",
        "2026-11-20 09:30:00 UTC · prices as of 2026-11-20 · batchmark 0.3.0",
    )


def test_records_that_do_not_tell_their_requests_say_so() -> None:
    assert (
        facts(report_of([job(OPENAI, batch(), rows=0)]))[0] == "bundled questions · requests per job not told · 1 round"
    )


def test_records_kept_out_name_their_first_places() -> None:
    assert kept_out_text(KeptOut(reason="no end time", count=1)) == "1 × no end time"
    assert kept_out_text(KeptOut(reason="no end time", count=3, places=("line 4", "line 9"))) == (
        "3 × no end time (line 4, line 9 and 1 more)"
    )


def test_one_target_is_compared_with_nothing() -> None:
    assert "nothing is compared" in conclusion(small_report())
    assert "nothing to conclude" in conclusion(report_of([]))


def test_real_jobs_carry_no_emulation_notice() -> None:
    assert emulation_notice(small_report()) is None


def test_emulated_jobs_name_what_produced_their_answers() -> None:
    notice = emulation_notice(troubled_report())
    assert notice is not None
    assert "SmolLM2-135M-Instruct on this machine" in notice
    assert "nothing was billed" in notice


def test_emulated_and_real_jobs_are_never_mixed_silently() -> None:
    mixed = report_of([job(OPENAI, batch(), emulated=False), job(ANTHROPIC, batch())])
    notice = emulation_notice(mixed)
    assert notice is not None
    assert "Emulated: anthropic:claude-haiku-4-5." in notice
    assert "openai" not in notice
