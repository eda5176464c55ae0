"""A run knows how it is to be driven, and a shard its own answers; alembic's table takes the place of our own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("input", sa.JSON()))
    op.add_column("runs", sa.Column("options", sa.JSON()))
    op.add_column("runs", sa.Column("output", sa.Text()))
    op.create_index("runs_by_time", "runs", ["created_at"])

    # the default is for the shards that are there, and for an older batchmark that is still running
    op.add_column("shards", sa.Column("sends", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("shards", sa.Column("account", sa.String(64)))
    op.add_column("shards", sa.Column("uploaded_at", sa.DateTime(timezone=True)))
    op.add_column("shards", sa.Column("file_deleted_at", sa.DateTime(timezone=True)))
    op.add_column("shards", sa.Column("carried_digest", sa.String(64)))
    op.add_column("shards", sa.Column("estimate", sa.JSON()))
    op.add_column("shards", sa.Column("answers", sa.JSON()))
    op.add_column("shards", sa.Column("totals", sa.JSON()))
    op.add_column("shards", sa.Column("handed_on", sa.JSON()))

    op.add_column("batches", sa.Column("cancel_asked_at", sa.DateTime(timezone=True)))

    op.drop_table("schema_version")
