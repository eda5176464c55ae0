"""The sentences around the figures: what was emulated, what may be concluded, how each figure was measured."""

from __future__ import annotations

from batchmark.compare.intervals import MIN_ROUNDS
from batchmark.report.content import KeptOut, Kind, Report
from batchmark.report.table import emulated_targets
from batchmark.report.verdicts import MINIMUM_TEXT, sayings
from batchmark.report.words import count, duration, in_words, moment, plural, round_time

__all__ = ["METHOD", "METHOD_HINT", "conclusion", "emulation_notice", "facts", "kept_out_text"]

METHOD_HINT = "Intervals [a to b] are 95 %. How every figure is measured stands at the end of the HTML page and of the Markdown report"

METHOD: tuple[tuple[str, str], ...] = (
    (
        "Turnaround",
        "From the moment the provider accepted the batch to the moment it says that no request will change any more, by the "
        "provider's own timestamps. A job of several batches runs from the first accepted to the last ended. Queue, run and finalize "
        "are its parts, for jobs of a single batch and where the provider tells them. Where it tells no times they are from our polls, "
        "late by at most the time between two polls, and marked so.",
    ),
    (
        "Time-to-completion",
        "From the moment when the job's turn came to the moment when its last answer was safely on disk here, by this machine's clock: "
        "uploading, waiting, polling and downloading included.",
    ),
    (
        "Two clocks",
        "Turnaround and time-to-completion are read from different clocks, so they are not to be subtracted from each other.",
    ),
    (
        "Unfinished jobs",
        "P(done by t) is the Kaplan-Meier curve: a job that is still running, was cancelled or ran out of its window counts as not "
        "done up to that time, and is never dropped, since dropping the slow ones would flatter everybody. A job that failed before it "
        "ran, and one of which nobody knows how long it had waited, is kept out of the curve and counted.",
    ),
    (
        "Intervals",
        f"95 %, by resampling whole rounds: jobs of one round share the mood of the queue, and treating them as independent would make "
        f"every interval too narrow. Fewer than {MIN_ROUNDS} rounds give no interval and no verdict. Finished jobs needed: {MINIMUM_TEXT}; "
        "below that, points.",
    ),
    (
        "Verdicts",
        "Two targets are compared within each round, by normal scores whose signs are flipped at random (a permutation test). With "
        "more than two targets the p-values are Holm's. A verdict names a target only where it is ahead of every other one at 5 %.",
    ),
    (
        "Throughput",
        "Requests that ended with a line of their own (succeeded or errored), or output tokens, per second of turnaround. Some "
        "providers give whole seconds, so a turnaround of less than a second gives no rate.",
    ),
    (
        "Success",
        "Succeeded requests over submitted ones. Requests that errored or expired, or that are missing (the batch ended without a line for "
        "them), stay in the denominator; those that have no result yet are counted beside it. Jobs that were cancelled are left aside, "
        "since that is the user's doing. Requests of a job fail together, so the interval counts them for as much as they vary from job "
        "to job.",
    ),
    (
        "Expected answers",
        "Each row once, as answered in the first round; a row without an answer counts as wrong. The interval is Wilson's over rows.",
    ),
    (
        "Cost",
        "The provider's token counts times a dated batch price. Where only a standard price is known the discount is assumed and "
        "labelled; where no price is known the cost is unknown, never zero. What was paid for answers that cannot be used is "
        "part of the cost and stands on its own line.",
    ),
)


def facts(report: Report) -> tuple[str, ...]:
    """What the report is of, in the lines under its title."""
    size = "jobs of different sizes" if report.rows is None else f"{plural(report.rows, 'request')} per job"
    if not report.rows and report.rows is not None:
        size = "requests per job not told"
    first = [report.workload, size if report.jobs else "no job", plural(report.rounds, "round")]
    runs = f"run{'s' if len(report.run_ids) > 1 else ''} {', '.join(report.run_ids)}" if report.run_ids else None
    prices = f"prices as of {report.prices_as_of}" if report.prices_as_of else None
    second = [runs, moment(report.created_at), prices, f"batchmark {report.version}"]
    lines = [first, [part for part in second if part]]
    if report.rounds > 1:
        drawn = f" (seed {report.seed})" if report.seed is not None else ""
        over = f", begun over {round_time(report.spread_s)}" if report.spread_s else ""
        lines.append([f"a round is {report.round_is}{drawn}{over}"])
    return tuple(" · ".join(line) for line in lines)


def kept_out_text(each: KeptOut) -> str:
    """Records in no figure, with the places of the first of them: `3 × no end time (log.csv line 4, log.csv line 9 and 1 more)`."""
    text = f"{count(each.count)} × {each.reason}"
    if not each.places:
        return text
    more = f" and {count(each.count - len(each.places))} more" if each.count > len(each.places) else ""
    return f"{text} ({', '.join(each.places)}{more})"


def emulation_notice(report: Report) -> str | None:
    """What a reader must know before any figure of emulated jobs; None where every job is real."""
    marked = emulated_targets(report)
    if not marked and not report.emulated:
        return None
    answers = f"The answers were produced by {report.answered_by}" if report.answered_by else "The answers are made up"
    figures = (
        "the durations by the emulator's clock, and the costs are what these tokens would cost; nothing was billed."
    )
    if all(each.job.emulated for each in report.jobs):
        return f"No provider was asked. {answers}, {figures}"
    names = ", ".join(str(summary.target) for summary in report.summaries if summary.target in marked)
    return (
        f"Emulated and real jobs stand side by side here. Emulated: {names}. {answers} for these, {figures} "
        "Do not compare them with the real ones."
    )


def conclusion(report: Report) -> str:
    """What the figures allow a reader to say at all, in a sentence or two before the verdicts."""
    if not report.jobs:
        return "There is no job, so there is nothing to conclude."
    jobs = plural(len(report.jobs), "job")
    if len(report.summaries) == 1:
        text = f"One target ({jobs}), so nothing is compared here."
    elif report.rounds < MIN_ROUNDS:
        rounds = "One round is" if report.rounds == 1 else f"{report.rounds} rounds are"
        text = (
            f"{rounds} no evidence about speed: the durations and rates are points, not a statistic, and the next round may turn them "
            f"around. Counts, tokens, costs and answers are those of these jobs. From {MIN_ROUNDS} rounds on there are verdicts."
        )
    else:
        named = [each.question.value for each in sayings(report) if each.conclusive]
        text = (
            f"{count(report.rounds)} rounds tell which target is {in_words(named)}."
            if named
            else f"{count(report.rounds)} rounds name no target; why is said with each question."
        )
    if (
        report.kind is Kind.RUNS
        and report.analysis.one_mood
        and len(report.summaries) > 1
        and report.rounds >= MIN_ROUNDS
    ):
        span = duration(max(report.analysis.span_s, 1.0))
        text += (
            f" All rounds were sent within {span}, so they met the queues in one mood: this is evidence about that moment, and says little "
            "about other hours."
        )
    if report.emulated or emulated_targets(report):
        text += " Emulated durations follow a chosen profile and say nothing about the real services."
    return text
