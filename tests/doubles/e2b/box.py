"""One sandbox of the loopback E2B: a directory, and a process table and a network of its own, in which commands run."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mcp_convex.sandboxes.isolation.bubblewrap import find_bubblewrap
from mcp_convex.sandboxes.isolation.system import SYSTEM
from mcp_convex.sandboxes.node import find_node

HOME = "/home/user"


@dataclass(frozen=True)
class BoxTemplate:
    """What a new sandbox begins with."""

    name: str
    packages: Path
    """A folder with package.json and node_modules; it is seen as /opt/convex, read-only."""


@dataclass
class Command:
    """A command that was started in a box. `pid` is the shell's, as the machine knows it."""

    pid: int
    argv: list[str]
    envs: Mapping[str, str]
    process: asyncio.subprocess.Process


@dataclass
class Box:
    id: str
    template: BoxTemplate
    home: Path
    metadata: Mapping[str, str]
    internet: bool
    lifetime_s: float
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    token: str = "envd-token"
    state: str = "running"
    env: Mapping[str, str] = field(default_factory=dict)
    """What every command finds in its environment."""
    commands: dict[int, Command] = field(default_factory=dict)
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nobody hears what the commands write."""
    _machine: asyncio.subprocess.Process | None = None
    _inside: int = 0
    """The number of its first process, as the machine knows it."""

    def __post_init__(self) -> None:
        self.end_at = self.started_at + timedelta(seconds=self.lifetime_s)

    async def boot(self) -> None:
        """Start the namespaces, held by a program that sleeps; whatever runs in them ends with it."""
        app = self.home / "app"
        app.mkdir(parents=True)
        (app / "node_modules").symlink_to("/opt/convex/node_modules")
        bubblewrap = find_bubblewrap()
        assert bubblewrap is not None
        read, write = os.pipe()
        try:
            self._machine = await asyncio.create_subprocess_exec(
                *(str(bubblewrap), "--info-fd", str(write), *self._tree()),
                *("/bin/sh", "-c", "echo up; exec /bin/sleep infinity"),
                pass_fds=[write],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env={},
            )
        finally:
            os.close(write)
        info = await asyncio.to_thread(_read_all, read)
        self._inside = int(info.partition('"child-pid": ')[2].partition(",")[0].partition("\n")[0])
        # The first process inside has a number before it has its file tree, and says a word only in that.
        assert self._machine.stdout is not None
        assert b"up\n" == await self._machine.stdout.readline()

    @property
    def root(self) -> Path:
        """Where the box's file tree lies on this machine."""
        return Path(f"/proc/{self._inside}/root")

    def extend(self, seconds: float) -> None:
        self.end_at = datetime.now(UTC) + timedelta(seconds=seconds)

    async def pause(self) -> None:
        """Cut every stream. What ran goes on after `resume`."""
        self.state = "paused"
        self.cut.set()

    def resume(self) -> None:
        self.state = "running"
        self.cut.clear()

    async def end(self) -> None:
        """End the box and all that runs in it."""
        self.state = "gone"
        if self._machine is not None and self._machine.returncode is None:
            self._machine.kill()
            await self._machine.wait()

    def place(self, path: str) -> Path:
        """Return where the box's *path* lies on this machine."""
        return self.home / (path.removeprefix(HOME).lstrip("/"))

    async def start(self, cmd: str, args: list[str], envs: Mapping[str, str], cwd: str) -> Command:
        node = find_node().program
        env = {"PATH": f"{node.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": HOME, "USER": "user", **self.env, **envs}
        assignments = [f"{name}={value}" for name, value in env.items()]
        shell = ["/bin/sh", "-c", 'echo; cd "$0" && exec "$@"', cwd or HOME]
        program = ["/usr/bin/env", "-i", *assignments, cmd, *args]
        owner = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(self._inside), "--mount", "--pid", "--net", *owner, *shell, *program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={},
            limit=1 << 20,
        )
        command = Command(await _child(process), [cmd, *args], envs, process)
        self.commands[command.pid] = command
        return command

    def as_json(self) -> dict[str, Any]:
        return {
            "templateID": self.template.name,
            "alias": self.template.name,
            "sandboxID": self.id,
            "clientID": "loopback",
            "startedAt": self.started_at.isoformat(),
            "endAt": self.end_at.isoformat(),
            "cpuCount": 2,
            "memoryMB": 1024,
            "diskSizeMB": 1024,
            "state": self.state,
            "envdVersion": "0.6.13",
            "envdAccessToken": self.token,
            "metadata": dict(self.metadata),
        }

    def _tree(self) -> list[str]:
        binds = [part for path in (*SYSTEM, *find_node().readable) for part in ("--ro-bind-try", str(path), str(path))]
        return [
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--new-session"),
            *([] if self.internet else ["--unshare-net"]),
            *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),  # noqa: S108 - the box's own
            *binds,
            *("--bind", str(self.home), HOME, "--ro-bind", str(self.template.packages), "/opt/convex"),
        ]


async def _child(process: asyncio.subprocess.Process) -> int:
    """Return the pid of what nsenter has started: the shell, which alone is ended by a kill, as envd does it."""
    assert process.stdout is not None
    await process.stdout.readline()  # with an empty line the shell says that it is there
    with suppress(FileNotFoundError):
        if found := Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            return int(found[0])
    return process.pid  # all is over already


async def output(process: asyncio.subprocess.Process, cut: asyncio.Event) -> AsyncIterator[tuple[str, bytes]]:
    """Yield what *process* writes, as ("stdout" or "stderr", bytes), until both are closed, or the stream is *cut*."""
    queue: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()

    async def drain(name: str, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(32 * 1024):
            await queue.put((name, data))
        await queue.put(None)

    async def end_early() -> None:
        await cut.wait()
        await queue.put(None)
        await queue.put(None)

    assert process.stdout is not None
    assert process.stderr is not None
    tasks = [
        asyncio.create_task(drain("stdout", process.stdout)),
        asyncio.create_task(drain("stderr", process.stderr)),
        asyncio.create_task(end_early()),
    ]
    try:
        for _ in ("stdout", "stderr"):
            while (piece := await queue.get()) is not None:
                yield piece
    finally:
        for task in tasks:
            task.cancel()


def _read_all(fd: int) -> str:
    with os.fdopen(fd) as file:
        return file.read()


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
