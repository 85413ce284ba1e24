"""Which workspaces have a dev server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "dev_servers",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("is_on", sa.Boolean, nullable=False),
        sa.Column("record", sa.Text, nullable=False, comment="The whole record, as JSON."),
        sa.PrimaryKeyConstraint("principal", "workspace", name="pk_dev_servers"),
    )
