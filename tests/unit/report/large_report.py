"""A report of very many jobs, without the seconds that resampling as many would take."""

from __future__ import annotations

import random
from dataclasses import replace

from batchmark.compare.measures import JobMeasures
from batchmark.report.content import Report
from tests.unit.report.sample_reports import simulated_report

__all__ = ["large_report"]


def large_report(jobs: int) -> Report:
    """Eight targets' jobs, each again and again with ids and figures of its own; curves and verdicts are those of the first 200."""
    few = simulated_report(targets=8, rounds=25, seed=3)
    rng = random.Random(5)

    def another(each: JobMeasures) -> JobMeasures:
        batches = tuple(replace(one, id=f"batch_{rng.getrandbits(64):016x}") for one in each.job.batches)
        facts = replace(each.job, id=f"{rng.getrandbits(32):08x}", batches=batches)
        times = {
            name: value and value * rng.uniform(0.9, 1.1)
            for name in ("queue_s", "run_s", "finalize_s", "turnaround_s", "download_s", "completion_s", "submit_s")
            for value in (getattr(each, name),)
        }
        return replace(each, job=facts, **times)

    return replace(few, jobs=tuple(another(few.jobs[n % len(few.jobs)]) for n in range(jobs)))
