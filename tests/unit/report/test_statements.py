"""The sentences around the figures: no verdict from too few rounds, no emulated figure without the word."""

from __future__ import annotations

from batchmark.domain.lifecycle import State
from batchmark.report.statements import conclusion, emulation_notice
from tests.unit.report.sample_reports import (
    ANTHROPIC,
    OPENAI,
    batch,
    job,
    many_rounds_report,
    report_of,
    small_report,
    troubled_report,
)


def test_one_round_is_called_no_evidence_about_speed() -> None:
    report = report_of([job(OPENAI, batch()), job(ANTHROPIC, batch(ended=30))], emulated=False)
    assert conclusion(report).startswith("One round is no evidence about speed: ")


def test_five_rounds_are_no_evidence_and_six_allow_medians_but_no_verdict() -> None:
    assert "5 rounds are no evidence about speed" in conclusion(many_rounds_report(5))
    assert "no verdict" in conclusion(many_rounds_report(6))


def test_rounds_whose_jobs_did_not_finish_do_not_count() -> None:
    jobs = [job(OPENAI, batch(), id=f"a{n}", round=n) for n in range(1, 8)]
    jobs += [job(ANTHROPIC, batch(state=State.EXPIRED), id=f"b{n}", round=n) for n in range(1, 8)]
    text = conclusion(report_of(jobs))
    assert "fewer than 6 jobs of anthropic:claude-haiku-4-5 finished" in text
    assert "points, not a statistic" in text


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
