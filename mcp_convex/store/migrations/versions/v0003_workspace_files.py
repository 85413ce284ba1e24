"""The host's copy of the files of workspaces whose sandbox may vanish."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "workspaces",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("tag", sa.String, nullable=False, comment="What its sandboxes are marked with."),
        sa.Column("version", sa.Integer, nullable=False, comment="Of the files; a sandbox in step holds the same."),
        sa.PrimaryKeyConstraint("principal", "workspace", name="pk_workspaces"),
    )
    op.create_table(
        "workspace_files",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("size", sa.Integer, nullable=False, comment="Bytes."),
        sa.Column("sha256", sa.String, nullable=False, comment="Empty for a deleted file."),
        sa.Column("content", sa.LargeBinary, comment="None for a deleted file."),
        sa.PrimaryKeyConstraint("principal", "workspace", "path", name="pk_workspace_files"),
    )
