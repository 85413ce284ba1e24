"""Whether anybody has committed something to a SQLite file, told in microseconds and without a thread."""

from __future__ import annotations

import sqlite3
from pathlib import Path


class Changes:
    """Watches the file *path*. It belongs to the thread that asks first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._opened = 0

    def version(self) -> tuple[int, int] | None:
        """Return a value that is new after each commit of another connection; None where that cannot be told."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, timeout=0)
                self._opened += 1
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            self.close()
            return None
        return self._opened, version  # SQLite's number means nothing to another connection

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
