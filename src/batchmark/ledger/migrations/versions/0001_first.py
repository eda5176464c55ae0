"""The shape of the first ledgers, which noted it in a table of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    versions = op.create_table("schema_version", sa.Column("version", sa.Integer(), primary_key=True))
    op.create_table(
        "runs",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("emulated", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("run_id", sa.String(16), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("emulated", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("problem", sa.Text()),
        sa.Column("totals", sa.JSON()),
    )
    op.create_index("ix_jobs_run_id", "jobs", ["run_id"])
    op.create_index("jobs_by_time", "jobs", ["provider", "created_at"])
    op.create_table(
        "shards",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("job_id", sa.String(16), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("endpoint", sa.String(128), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("file_id", sa.String(256)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("timeout_s", sa.Float()),
        sa.Column("owner", sa.String(128)),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.String(256)),
        sa.Column("collected_at", sa.DateTime(timezone=True)),
        sa.Column("raw", sa.JSON()),
        sa.Column("problem", sa.Text()),
        sa.UniqueConstraint("job_id", "number", "attempt"),
        sa.UniqueConstraint("label"),
    )
    op.create_index("ix_shards_job_id", "shards", ["job_id"])
    op.create_table(
        "batches",
        sa.Column("provider", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(256), primary_key=True),
        sa.Column("emulated", sa.Boolean(), primary_key=True),
        sa.Column("shard_id", sa.Integer(), sa.ForeignKey("shards.id"), nullable=False),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("raw_status", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finalizing_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("total", sa.Integer()),
        sa.Column("succeeded", sa.Integer()),
        sa.Column("failed", sa.Integer()),
        sa.Column("processing", sa.Integer()),
        sa.Column("problems", sa.JSON()),
        sa.Column("seen_at", sa.DateTime(timezone=True)),
        sa.Column("unseen_s", sa.Float()),
    )
    op.create_index("ix_batches_shard_id", "batches", ["shard_id"])
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.String(16)),
        sa.Column("shard_id", sa.Integer()),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text()),
    )
    op.create_index("ix_events_job_id", "events", ["job_id"])
    op.bulk_insert(versions, [{"version": 1}])
