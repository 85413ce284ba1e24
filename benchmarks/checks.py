"""The offline checks over a thousand files: all of them unseen, and one of them changed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from itertools import count
from pathlib import Path

import mcp_convex
from mcp_convex.checks import OfflineChecks
from mcp_convex.domain.models import FileEntry, FilePath
from mcp_convex.server.place import find_asset

Measure = Callable[[], Awaitable[float]]

_FILES = 1_000


def checks() -> tuple[Measure, Measure]:
    """Return checking a thousand files that were never seen, and checking them once one of them has changed."""
    contents = _thousand_files()
    entries = {path: _entry(path, data) for path, data in contents.items()}
    warm = OfflineChecks()
    rounds = count()

    async def read(path: FilePath) -> bytes:
        return contents[path]

    async def cold() -> float:
        unseen = OfflineChecks()
        started = time.monotonic()
        found = await unseen.check(tuple(entries.values()), read)
        assert not [each for each in found if each.severity == "error"], found[0]
        return time.monotonic() - started

    async def one_changed() -> float:
        await warm.check(tuple(entries.values()), read)
        path = next(path for path in contents if path.endswith("messages.ts"))
        contents[path] += f"// {next(rounds)}\n".encode()
        entries[path] = _entry(path, contents[path])
        started = time.monotonic()
        await warm.check(tuple(entries.values()), read)
        return time.monotonic() - started

    return cold, one_changed


def _entry(path: FilePath, data: bytes) -> FileEntry:
    return FileEntry(path=path, size=len(data), sha256=sha256(data).hexdigest())


def _thousand_files() -> dict[FilePath, bytes]:
    """Return the demo's functions, and copies of them in folders of their own until there are enough."""
    chat = Path(mcp_convex.__file__).parent / "demo" / "chat"
    sources = {file.name: file.read_text() for file in chat.glob("*.ts")}
    files = {FilePath(f"convex/{name}"): text.encode() for name, text in sources.items()}
    template = find_asset("sandbox_template") / "convex" / "tsconfig.json"
    files[FilePath("convex/tsconfig.json")] = template.read_bytes()
    for number in count():
        for name, text in sources.items():
            if len(files) > _FILES:
                return files
            if name not in {"schema.ts", "http.ts"}:
                copy = f"// Part {number}\n{text}".replace('"./', '"../')
                files[FilePath(f"convex/part{number}/{name}")] = copy.encode()
    return files
