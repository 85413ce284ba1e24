"""A PostgreSQL server of the tests' own, from the binaries of the machine: a real one, to be stopped and started."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from pydantic import SecretBytes, SecretStr

from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.database import DatabasePlace
from tests.doubles.npm import CACHE

ROLE, PASSWORD = "operator", "canary-of-postgres"
TIMEOUT_S = 60
NO_ROOT = "postgres"
"""The account that Debian's package makes; the server refuses to run as root."""


@dataclass
class PostgresServer:
    """Listens on a socket in *folder*, which no other account but root's and its own reaches."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def url(self, database: str = "postgres", *, role: str = ROLE, password: str = PASSWORD) -> SecretStr:
        return SecretStr(f"postgresql://{role}:{password}@/{database}?host={self.folder}")

    def start(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "fsync": "off"}
        settings |= {"max_connections": 80, "shared_buffers": "16MB", "log_min_messages": "panic"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(_unprivileged("postgres", "-D", str(self.folder / "data"), *options))  # noqa: S603

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it, by default as a restart does: connections are broken off, and what was committed is kept."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(TIMEOUT_S)

    def wait_for(self) -> None:
        command = [_binaries() / "pg_isready", "-q", "-h", self.folder]
        until = time.monotonic() + TIMEOUT_S
        while subprocess.run(command, check=False, timeout=TIMEOUT_S).returncode:  # noqa: S603
            assert time.monotonic() < until

    async def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it and start it again while the event loop goes on."""
        await anyio.to_thread.run_sync(self.stop, how)
        self.start()  # not in a thread: the server is to end with the one that starts it
        await anyio.to_thread.run_sync(self.wait_for)

    def execute(self, database: str, *statements: str) -> list[tuple[str, ...]]:
        """Carry *statements* out, and return the rows of the last, as text."""
        each = [word for statement in statements for word in ("-c", statement)]
        command = [_binaries() / "psql", self.url(database).get_secret_value(), "-qtAX", "-v", "ON_ERROR_STOP=1", *each]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)  # noqa: S603
        return [tuple(line.split("|")) for line in said.stdout.splitlines()]

    def tables(self, database: str) -> list[str]:
        rows = self.execute(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [name for (name,) in rows]

    def dump(self, database: str) -> bytes:
        """Return all that a database holds, as text."""
        command = [_binaries() / "pg_dump", "--inserts", self.url(database).get_secret_value()]
        return subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S).stdout  # noqa: S603

    def new_database(self, *, like: str = "template1") -> str:
        """Make a database, and return its name."""
        name = f"db_{secrets.token_hex(6)}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {like}")
        return name


async def make_tables(place: DatabasePlace) -> None:
    async with open_store(place, KeyRing((SecretBytes(bytes(32)),))):
        pass


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server for the block."""
    folder = Path(tempfile.mkdtemp(prefix="mcp-convex-pg-"))
    server = PostgresServer(folder)
    try:
        shutil.copytree(_cluster(), folder / "data")
        _hand_over(folder)
        server.start()
        server.wait_for()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)


def _cluster() -> Path:
    """Return the files of a new server, which are made once a machine: that takes long."""
    kept = CACHE / f"postgres-{_binaries().parent.name}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".postgres.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not kept.exists():
            _make_cluster(kept)
    return kept


def _make_cluster(kept: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mcp-convex-pg-") as made:
        folder = Path(made)
        (folder / "password").write_text(PASSWORD)
        _hand_over(folder)
        options = ["--username", ROLE, "--pwfile", str(folder / "password"), "--auth", "scram-sha-256", "--no-sync"]
        command = _unprivileged("initdb", "-D", str(folder / "data"), "--encoding", "UTF8", "--locale", "C", *options)
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S, cwd=folder)  # noqa: S603
        shutil.copytree(folder / "data", kept.with_suffix(".part"), dirs_exist_ok=True)
    kept.with_suffix(".part").rename(kept)


def _binaries() -> Path:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return debian[-1] if debian else Path(shutil.which("initdb") or "/usr/bin/initdb").resolve().parent


def _unprivileged(program: str, *args: str) -> list[str]:
    """Return a command line under which *program* ends with this process, and is not root."""
    drop = ["--reuid", NO_ROOT, "--regid", NO_ROOT, "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *drop, "--pdeathsig", "QUIT", str(_binaries() / program), *args]


def _hand_over(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, NO_ROOT, NO_ROOT)
