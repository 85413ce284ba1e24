"""Snapshots of the workspaces' files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "snapshots",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("taken_at", sa.Double, nullable=False, comment="Seconds since the epoch."),
        sa.Column("record", sa.Text, nullable=False, comment="The whole record, as JSON."),
        sa.PrimaryKeyConstraint("principal", "workspace", "id", name="pk_snapshots"),
    )
    op.create_table(
        "snapshot_contents",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False, comment="Of the content before it was sealed."),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("principal", "workspace", "sha256", name="pk_snapshot_contents"),
    )
