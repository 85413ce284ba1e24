"""Where agents read on, and as many audit events as servers that share a database can make."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table, and widen the number of audit events where the database tells numbers apart by their width."""
    op.create_table(
        "cursors",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False, comment="Seconds since the epoch."),
        sa.Column("place", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("principal", "workspace", "id", name="pk_cursors"),
    )
    op.create_index("ix_cursors_expires_at", "cursors", ["expires_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("audit_events", "number", type_=sa.BigInteger)
        op.execute("ALTER SEQUENCE audit_events_number_seq AS bigint")
