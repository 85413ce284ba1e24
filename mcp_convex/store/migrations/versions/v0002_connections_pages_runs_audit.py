"""Connecting and provisioning: connections, pages, flows, provisioning runs, audit events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the five tables, and have each target know the connection that it came through."""
    op.add_column(
        "targets",
        sa.Column("connection", sa.String, comment="The one it came through; none for a key of the person's own."),
    )
    op.create_table(
        "connections",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False, comment="Seconds since the epoch."),
        sa.Column("record", sa.Text, nullable=False, comment="The whole record, as JSON."),
        sa.Column("token", sa.LargeBinary, comment="None until the person has consented."),
        sa.PrimaryKeyConstraint("principal", "id", name="pk_connections"),
    )
    _make_what_waits()
    _make_what_was_done()


def _make_what_waits() -> None:
    op.create_table(
        "pages",
        sa.Column("handle", sa.String, nullable=False),
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False, comment="Seconds since the epoch."),
        sa.Column("record", sa.Text, nullable=False, comment="The whole record, as JSON."),
        sa.PrimaryKeyConstraint("handle", name="pk_pages"),
    )
    op.create_table(
        "flows",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("connection", sa.String, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False, comment="Seconds since the epoch."),
        sa.Column("record", sa.Text, nullable=False, comment="The whole record, as JSON."),
        sa.Column("verifier", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("principal", "state", name="pk_flows"),
    )
    op.create_index("ix_flows_state", "flows", ["state"], unique=True)


def _make_what_was_done() -> None:
    op.create_table(
        "provisioning_runs",
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("record", sa.Text, nullable=False, comment="The whole record, as JSON."),
        sa.PrimaryKeyConstraint("principal", "id", name="pk_provisioning_runs"),
    )
    op.create_index(
        "ix_provisioning_runs_open",
        "provisioning_runs",
        ["principal", "workspace", "name"],
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_table(
        "audit_events",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("at", sa.Double, nullable=False, comment="Seconds since the epoch."),
        sa.Column("record", sa.Text, nullable=False, comment="The whole record, as JSON."),
        sa.PrimaryKeyConstraint("number", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_principal_at", "audit_events", ["principal", "at"])
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
