"""Snapshots: what a workspace's files were at a moment, so that they can be that again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Literal, NamedTuple

from pydantic import Field

from mcp_convex.domain.models import FileEntry, Model

Reason = Literal["pushed", "restored_over"]


class Snapshot(Model):
    """One state of the workspace's files; their contents are kept beside it, each once."""

    id: str = Field(description="`restore_files` takes it.")
    workspace: str
    taken_at: datetime
    reason: Reason = Field(
        description="`pushed` is what a push made live, `restored_over` what stood there before a restore."
    )
    push: str | None = Field(default=None, description="The push that made it live.")
    files: tuple[FileEntry, ...] = Field(description="Sorted by path.")
    modules: dict[str, str] = Field(
        default_factory=dict, description="SHA-256 of each module that the push left on the deployment, by its path."
    )


class NewSnapshot(NamedTuple):
    """A snapshot that is to be kept."""

    snapshot: Snapshot
    contents: Mapping[str, bytes]
    """Those that are not kept yet, by their SHA-256."""


def fingerprint(files: Iterable[FileEntry]) -> str:
    """Return what tells one state of the files from another."""
    return sha256("".join(f"{file.path}\n{file.sha256}\n" for file in files).encode()).hexdigest()
