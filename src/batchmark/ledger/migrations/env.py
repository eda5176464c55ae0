"""What alembic loads to run the steps: on the connection, and inside the transaction, of the one who asked for them."""

from __future__ import annotations

from alembic import context

from batchmark.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
