"""The store's first form: targets, leases, pushes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "targets",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("type", sa.String),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("site_url", sa.String),
        sa.Column("credential", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("principal", "workspace", name="pk_targets"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False, comment="Seconds since the epoch, by the database's clock."),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "pushes",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False, comment="Seconds since the epoch."),
        sa.Column("record", sa.Text, nullable=False, comment="The whole record, as JSON."),
        sa.PrimaryKeyConstraint("principal", "id", name="pk_pushes"),
    )
    op.create_index("ix_pushes_principal_workspace_started_at", "pushes", ["principal", "workspace", "started_at"])
