"""The tables as the code knows them. The migrations make them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, LargeBinary, MetaData, String, Table, Text

HEAD = "0001"
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

ENCRYPTED = (targets.c.credential,)
"""Every column that holds a sealed value."""


def place(column: Column[bytes], *key: str) -> tuple[str, ...]:
    """Return where the value in *column* of the row with the primary key *key* belongs, as `Cipher` takes it."""
    return (column.table.name, column.name, *key)
