"""The sentences around the figures: what was emulated, what may be concluded, how each figure was measured."""

from __future__ import annotations

from batchmark.compare.measures import MIN_N_MEDIAN
from batchmark.report.content import Report
from batchmark.report.table import emulated_targets
from batchmark.report.words import plural

__all__ = ["METHOD", "conclusion", "emulation_notice"]

METHOD: tuple[tuple[str, str], ...] = (
    (
        "Turnaround",
        "From the moment the provider accepted the batch to the moment it says that no request will change any more, by the "
        "provider's own timestamps. A job of several batches runs from the first accepted to the last ended. Queue, run and finalize "
        "are its parts, for jobs of a single batch and where the provider tells them.",
    ),
    (
        "Time-to-completion",
        "From the creation of the job to the moment when its last answer was safely on disk here, by this machine's clock: "
        "uploading, waiting, polling and downloading included.",
    ),
    (
        "Two clocks",
        "Turnaround and time-to-completion are read from different clocks, so they are not to be subtracted from each other.",
    ),
    (
        "Jobs without a figure",
        "A job that is not over, or that failed, was cancelled or ran out of its completion window, has no turnaround. It is "
        "counted beside the figure and never left out silently.",
    ),
    (
        "Spread",
        f"n is the number of jobs behind a figure. One job gives a point, two to five give a range from least to greatest; a median "
        f"is shown from {MIN_N_MEDIAN} on.",
    ),
    (
        "Throughput",
        "Requests that ended with a line of their own (succeeded or errored), or output tokens, per second of turnaround. Some "
        "providers give whole seconds, so a turnaround of less than a second gives no rate.",
    ),
    (
        "Success",
        "Succeeded requests over submitted ones. Requests that errored, expired or were cancelled, that are missing (the batch ended "
        "without a line for them) or that have no result yet stay in the denominator.",
    ),
    (
        "Expected answers",
        "A row is answered as expected where the answer of the first round holds the expected text. A row without an answer counts "
        "as not matching.",
    ),
    (
        "Cost",
        "The provider's token counts times a dated batch price. Where only a standard price is known the discount is assumed and "
        "labelled; where no price is known the cost is unknown, never zero.",
    ),
)


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
    """What the figures allow a reader to say about the targets, and what they do not."""
    if not report.jobs:
        return "No job was submitted, so there is nothing to conclude."
    if len(report.summaries) == 1:
        text = f"One target was run ({plural(len(report.jobs), 'job')}), so nothing is compared here."
    elif report.rounds < MIN_N_MEDIAN:
        rounds = "One round is" if report.rounds == 1 else f"{report.rounds} rounds are"
        text = (
            f"{rounds} no evidence about speed: the durations and rates are points, not a statistic, and the next round may turn them "
            f"around. Counts, tokens, costs and answers are those of this run. From {MIN_N_MEDIAN} rounds on, medians can be compared."
        )
    else:
        few = [str(each.target) for each in report.summaries if each.turnaround_s.n < MIN_N_MEDIAN]
        if few:
            text = (
                f"{report.rounds} rounds were run, but fewer than {MIN_N_MEDIAN} jobs of {', '.join(few)} finished, so "
                f"{'its durations are' if len(few) == 1 else 'their durations are'} points, not a statistic."
            )
        else:
            text = (
                f"{report.rounds} rounds allow medians. Whether the targets truly differ has not been tested here, so this report gives "
                "no verdict."
            )
    if report.emulated or emulated_targets(report):
        text += " Emulated durations follow a chosen profile and say nothing about the real services."
    return text
