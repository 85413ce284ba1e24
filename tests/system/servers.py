"""Hosted servers as processes of their own, on one database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.doubles.hosting import Hosted, hosted_settings
from tests.system.spawning import command


@dataclass
class Servers:
    """Makes servers of one database, with a data directory each."""

    folder: Path
    environ: dict[str, str]
    file: Path
    tokens: dict[str, str]

    @asynccontextmanager
    async def one(self, name: str, *more: str) -> AsyncIterator[tuple[Hosted, Process]]:
        """Spawn a server with *more* words on its command line, and give it with its process."""
        places = {"workspaces_dir": str(self.folder / "workspaces"), "tokens_file": str(self.file)}
        settings = hosted_settings(self.folder / name, self.environ, armed_pushes="false", **places)
        flags = [word for flag, place in places.items() for word in (f"--{flag.replace('_', '-')}", place)]
        argv = [*command(settings, "serve"), "--listen-port", "0", *flags, *more]
        async with await anyio.open_process(argv, stderr=None, env={**os.environ, **self.environ}) as process:
            try:
                with anyio.fail_after(60):
                    said = await TextReceiveStream(process.stdout).receive()
                url = said.removeprefix("Serving at ").strip().rstrip(".")
                yield Hosted(settings, url=url, tokens=self.tokens), process
            finally:
                if process.returncode is None:
                    process.kill()
