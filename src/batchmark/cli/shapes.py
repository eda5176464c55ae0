"""Jobs and batches as the documents that `--json` prints, and as the words that tables show."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from batchmark.api.batches import Listed
from batchmark.api.jobs import JobReport
from batchmark.cli.moments import time_text
from batchmark.domain.lifecycle import Snapshot
from batchmark.domain.totals import Totals
from batchmark.ledger.records import BatchRecord

__all__ = [
    "batch_document",
    "job_document",
    "listed_document",
    "outcome_words",
    "snapshot_document",
]


def job_document(report: JobReport) -> dict[str, Any]:
    """A job of ours: times of its batches on the provider's clock, `created_at` and `ended_at` of the job on ours."""
    job = report.job
    return {
        "job": job.id,
        "run": job.run_id,
        "provider": job.provider,
        "model": job.model,
        "round": job.round,
        "rows": job.rows,
        "emulated": job.emulated,
        "created_at": time_text(job.created_at),
        "ended_at": time_text(job.ended_at),
        "problem": job.problem,
        "unsent_batches": report.unsent,
        "batches_in_doubt": report.in_doubt,
        "batches": [batch_document(batch) for batch in report.batches],
        "totals": None if report.totals is None else msgspec.to_builtins(report.totals),
        "answers": None if report.answers is None else str(report.answers),
    }


def batch_document(batch: BatchRecord) -> dict[str, Any]:
    """A batch of ours as last seen."""
    return {
        "id": batch.id,
        "state": batch.state,
        "raw_status": batch.raw_status,
        "created_at": time_text(batch.created_at),
        "started_at": time_text(batch.started_at),
        "finalizing_at": time_text(batch.finalizing_at),
        "ended_at": time_text(batch.ended_at),
        "expires_at": time_text(batch.expires_at),
        "turnaround_s": _between(batch.created_at, batch.ended_at),
        "counts": {
            "total": batch.total,
            "succeeded": batch.succeeded,
            "failed": batch.failed,
            "processing": batch.processing,
        },
        "problems": batch.problems,
    }


def snapshot_document(snapshot: Snapshot) -> dict[str, Any]:
    """A batch on the account as it was just seen."""
    counts = snapshot.counts
    return {
        "id": snapshot.ref.id,
        "state": snapshot.state.value,
        "raw_status": snapshot.raw_status,
        "model": snapshot.model,
        "label": snapshot.label,
        "created_at": time_text(snapshot.created_at),
        "started_at": time_text(snapshot.started_at),
        "finalizing_at": time_text(snapshot.finalizing_at),
        "ended_at": time_text(snapshot.ended_at),
        "expires_at": time_text(snapshot.expires_at),
        "turnaround_s": _between(snapshot.created_at, snapshot.ended_at),
        "counts": {
            "total": counts.total,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "processing": counts.processing,
        },
        "problems": list(snapshot.problems),
    }


def listed_document(listed: Listed) -> dict[str, Any]:
    """A line of a list: the batch and the job it belongs to, where it is ours."""
    return snapshot_document(listed.snapshot) | {"job": listed.job_id}


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 6)


def outcome_words(totals: Totals) -> str:
    """How the rows ended: only kinds that occurred."""
    kinds = (
        (totals.errored, "errored"),
        (totals.expired, "expired"),
        (totals.cancelled, "cancelled"),
        (totals.missing, "missing"),
    )
    words = [f"{totals.succeeded:,} succeeded", *(f"{count:,} {name}" for count, name in kinds if count)]
    return ", ".join(words)
