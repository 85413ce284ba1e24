"""What Alembic runs around the migrations: they share the transaction of whoever asked for them."""

from __future__ import annotations

from alembic import context

from mcp_convex.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
