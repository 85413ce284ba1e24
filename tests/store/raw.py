"""A store's database as another program sees it, of either kind."""

from __future__ import annotations

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from pydantic import SecretStr

from mcp_convex.store.database import DatabasePlace
from tests.doubles.postgres import PostgresServer

Row = tuple[object, ...]


class Raw(ABC):
    place: DatabasePlace

    @property
    def argument(self) -> str:
        """The place as `opened.py` takes it."""
        return self.place.get_secret_value() if isinstance(self.place, SecretStr) else str(self.place)

    @abstractmethod
    def execute(self, *statements: str) -> list[Row]:
        """Carry *statements* out, and return the rows of the last."""

    @abstractmethod
    def others(self) -> Iterator[DatabasePlace]:
        """Yield empty stores of this kind. Their tables are there: making them takes longer than most tests."""

    @abstractmethod
    def everything(self) -> bytes:
        """Return all that the database holds, as it holds it."""


class RawFile(Raw):
    def __init__(self, file: Path, template: Path) -> None:
        self.place = self._file = file
        self._template = template

    def others(self) -> Iterator[DatabasePlace]:
        self._file.parent.mkdir()
        for number in count():
            yield shutil.copyfile(self._template, self._file.with_name(f"{number}.db"))

    def execute(self, *statements: str) -> list[Row]:
        rows: list[Row] = []
        with closing(sqlite3.connect(self._file)) as connection, connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def everything(self) -> bytes:
        return b"".join(file.read_bytes() for file in self._file.parent.iterdir())


class RawServer(Raw):
    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server, self._template = server, template
        self._name = server.new_database(like=template)
        self.place = server.url(self._name)

    def others(self) -> Iterator[DatabasePlace]:
        while True:
            yield self._server.url(self._server.new_database(like=self._template))

    def execute(self, *statements: str) -> list[Row]:
        rows = self._server.execute(self._name, *statements)
        return [tuple(int(value) if value.isdigit() else value for value in row) for row in rows]

    def everything(self) -> bytes:
        return self._server.dump(self._name)
