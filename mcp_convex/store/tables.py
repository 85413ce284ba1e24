"""The tables as the code knows them. The migrations make them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

HEAD = "0006"
"""The newest migration. Kept here so that opening a store that is up to date needs no Alembic."""

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"})

targets = Table(
    "targets",
    metadata,
    Column("principal", String, primary_key=True),
    Column("workspace", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("type", String),
    Column("url", String, nullable=False),
    Column("site_url", String),
    Column("credential", LargeBinary, nullable=False),
    Column("connection", String, comment="The one it came through; none for a key of the person's own."),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("expires_at", Double, nullable=False, comment="Seconds since the epoch, by the database's clock."),
)

pushes = Table(
    "pushes",
    metadata,
    Column("principal", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("workspace", String, nullable=False),
    Column("started_at", Double, nullable=False, comment="Seconds since the epoch."),
    Column("record", Text, nullable=False, comment="The whole record, as JSON."),
    Index(None, "principal", "workspace", "started_at"),
)

connections = Table(
    "connections",
    metadata,
    Column("principal", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("started_at", Double, nullable=False, comment="Seconds since the epoch."),
    Column("record", Text, nullable=False, comment="The whole record, as JSON."),
    Column("token", LargeBinary, comment="None until the person has consented."),
)

pages = Table(
    "pages",
    metadata,
    Column("handle", String, primary_key=True),
    Column("principal", String, nullable=False),
    Column("expires_at", Double, nullable=False, comment="Seconds since the epoch."),
    Column("record", Text, nullable=False, comment="The whole record, as JSON."),
)

flows = Table(
    "flows",
    metadata,
    Column("principal", String, primary_key=True),
    Column("state", String, primary_key=True),
    Column("connection", String, nullable=False),
    Column("expires_at", Double, nullable=False, comment="Seconds since the epoch."),
    Column("record", Text, nullable=False, comment="The whole record, as JSON."),
    Column("verifier", LargeBinary, nullable=False),
    Index(None, "state", unique=True),
)

provisioning_runs = Table(
    "provisioning_runs",
    metadata,
    Column("principal", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("workspace", String, nullable=False),
    Column("name", String, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("record", Text, nullable=False, comment="The whole record, as JSON."),
)
Index(
    "ix_provisioning_runs_open",
    provisioning_runs.c.principal,
    provisioning_runs.c.workspace,
    provisioning_runs.c.name,
    unique=True,
    sqlite_where=provisioning_runs.c.is_open,
    postgresql_where=provisioning_runs.c.is_open,
)

audit_events = Table(
    "audit_events",
    metadata,
    # SQLite counts only what is of this very type, and counts far.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("principal", String, nullable=False),
    Column("at", Double, nullable=False, comment="Seconds since the epoch."),
    Column("record", Text, nullable=False, comment="The whole record, as JSON."),
    Index(None, "principal", "at"),
    Index(None, "at"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("principal", String, primary_key=True),
    Column("workspace", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("expires_at", Double, nullable=False, comment="Seconds since the epoch."),
    Column("place", Text, nullable=False),
    Index(None, "expires_at"),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("principal", String, primary_key=True),
    Column("workspace", String, primary_key=True),
    Column("tag", String, nullable=False, comment="What its sandboxes are marked with."),
    Column("version", Integer, nullable=False, comment="Of the files; a sandbox in step holds the same."),
)

workspace_files = Table(
    "workspace_files",
    metadata,
    Column("principal", String, primary_key=True),
    Column("workspace", String, primary_key=True),
    Column("path", String, primary_key=True),
    Column("size", Integer, nullable=False, comment="Bytes."),
    Column("sha256", String, nullable=False, comment="Empty for a deleted file."),
    Column("content", LargeBinary, comment="None for a deleted file."),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("principal", String, primary_key=True),
    Column("workspace", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("taken_at", Double, nullable=False, comment="Seconds since the epoch."),
    Column("record", Text, nullable=False, comment="The whole record, as JSON."),
)

snapshot_contents = Table(
    "snapshot_contents",
    metadata,
    Column("principal", String, primary_key=True),
    Column("workspace", String, primary_key=True),
    Column("sha256", String, primary_key=True, comment="Of the content before it was sealed."),
    Column("content", LargeBinary, nullable=False),
)

dev_servers = Table(
    "dev_servers",
    metadata,
    Column("principal", String, primary_key=True),
    Column("workspace", String, primary_key=True),
    Column("is_on", Boolean, nullable=False),
    Column("record", Text, nullable=False, comment="The whole record, as JSON."),
)

ENCRYPTED: tuple[Column[bytes], ...] = (
    targets.c.credential,
    connections.c.token,
    flows.c.verifier,
    workspace_files.c.content,
    snapshot_contents.c.content,
)
"""Every column that holds a sealed value."""


def rows_of(table: Table, principal: str, workspace: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions for the rows of *table* that belong to one *workspace* of one *principal*."""
    return table.c.principal == principal, table.c.workspace == workspace


def place(column: Column[bytes], *key: str) -> tuple[str, ...]:
    """Return where the value in *column* of the row with the primary key *key* belongs, as `Cipher` takes it."""
    return (column.table.name, column.name, *key)
