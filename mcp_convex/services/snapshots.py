"""Snapshots: what each green push made live, and the way back to it that loses nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pydantic import Field

from mcp_convex.domain.errors import ConvexMcpError, NotFound, StaleBase
from mcp_convex.domain.models import FileEntry, FilePath, Model, PrincipalId, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import DeploymentApi, Sandbox, SnapshotStore, Staged
from mcp_convex.domain.snapshots import NewSnapshot, Reason, Snapshot
from mcp_convex.services.differences import Difference, differences
from mcp_convex.services.targets import TargetService

LAST_PUSHED = "last_pushed"
_NAMED = 10
"""Snapshots that an answer lists."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The files as they were at a moment, read and not yet kept."""

    files: tuple[FileEntry, ...]
    contents: Mapping[str, bytes] = field(repr=False)
    """Those that the store does not have yet, by digest."""


class Restored(Model):
    """What a restore did, or with `preview` would do."""

    snapshot: str
    taken_at: datetime
    changes: tuple[Difference, ...]
    undo: str | None = Field(
        default=None, description="The snapshot of what stood there before; restore it to go back."
    )
    next_step: str = Field(description="What to do now.")


class Step(Model):
    """What changed from the snapshot before to this one."""

    snapshot: str
    taken_at: datetime
    reason: Reason
    push: str | None = None
    changes: tuple[Difference, ...]


class Unpushed(Model):
    """How the files differ from what the last push made live."""

    created: tuple[FilePath, ...] = ()
    updated: tuple[FilePath, ...] = ()
    deleted: tuple[FilePath, ...] = ()


class Deployed(Model):
    """Whether the sources here are what is live on the deployment, by the hashes on both sides."""

    matches: bool = Field(description="True where the files and the live modules are those of the last push.")
    unpushed: Unpushed = Field(description="Files that were changed since.")
    changed_elsewhere: tuple[str, ...] = Field(
        default=(), description="Live modules that another push, not from here, has changed since."
    )
    unknown: str | None = Field(default=None, description="Why the deployment's side is not known.")


class SnapshotSummary(Model):
    id: str = Field(description="`restore_files` takes it.")
    taken_at: datetime
    reason: Reason
    push: str | None = None
    files: int


class History(Model):
    """The workspace's snapshots, newest first."""

    snapshots: tuple[SnapshotSummary, ...]
    deployed: Deployed | None = Field(
        default=None, description="How the files and the deployment differ from the last push; none before the first."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPorts:
    """What snapshots need of the outside."""

    sandbox: Sandbox
    store: SnapshotStore
    api: DeploymentApi
    on_written: Callable[[], None]


class SnapshotService:
    def __init__(
        self, ports: SnapshotPorts, targets: TargetService, policy: Policy, *, owner: tuple[PrincipalId, WorkspaceId]
    ) -> None:
        self._sandbox = ports.sandbox
        self._store = ports.store
        self._api = ports.api
        self._on_written = ports.on_written
        self._targets = targets
        self._policy = policy
        self._principal, self._workspace = owner

    async def draft(self, staged: Staged) -> Draft:
        """
        Read what is *staged*, as far as the store does not know it already.

        Raises:
            StaleBase: Another hand wrote meanwhile.
        """
        digests = {entry.sha256 for entry in staged.files}
        missing = await self._store.missing(self._principal, self._workspace, digests)
        contents: dict[str, bytes] = {}
        for entry in staged.files:
            if entry.sha256 in missing - contents.keys():
                contents[entry.sha256] = await staged.read(entry.path)
                if sha256(contents[entry.sha256]).hexdigest() != entry.sha256:
                    raise StaleBase(
                        f"`{entry.path}` was written again before it was read.",
                        next_step="Look at the files with `list_files`, then repeat the call.",
                    )
        return Draft(staged.files, contents)

    def pushed(self, draft: Draft, push: str, modules: Mapping[str, str]) -> NewSnapshot:
        """Return the snapshot, not kept yet, of the *draft* that *push* made live as *modules*."""
        return self._new(draft, "pushed", push=push, modules=dict(modules))

    async def restore(self, which: str, *, preview: bool = False) -> Restored:
        """
        Make the workspace's files what they were, or with *preview* only say how they differ.

        What stands there now is kept first, as the snapshot that `undo` names.

        Raises:
            NotFound: There is no such snapshot.
            StaleBase: Another hand wrote meanwhile.
            BlockedByPolicy: The server is read-only.
        """
        if not preview:
            self._policy.check_files()
        snapshot = await self._find(which)
        now = await self.draft(Staged(await self._sandbox.list(), self._sandbox.read))
        wanted = await self._changes(now, snapshot)
        stands = {file.path for file in now.files}
        changes = differences(
            [
                (path, await self._sandbox.read(path) if path in stands else None, after)
                for path, after in wanted.items()
            ]
        )
        undo = None
        if wanted and not preview:
            new = self._new(now, "restored_over")
            await self._store.add(self._principal, new)
            undo = new.snapshot.id
            if await self._sandbox.list() != now.files:
                raise StaleBase(
                    "The files changed while they were to be restored. Nothing was restored.",
                    next_step="Look at them with `list_files`, then call `restore_files` again.",
                )
            await self._sandbox.write(wanted)
            self._on_written()
        return Restored(
            snapshot=snapshot.id,
            taken_at=snapshot.taken_at,
            changes=changes,
            undo=undo,
            next_step=_next_step(changes, preview=preview),
        )

    async def step(self, snapshot_id: str) -> Step:
        """
        Return how the snapshot differs from the one before it; from nothing, where it is the first.

        Raises:
            NotFound: There is no such snapshot.
        """
        snapshot = await self._find(snapshot_id)
        kept = [other async for other in self._store.latest(self._principal, self._workspace)]
        before = kept[kept.index(snapshot) + 1 :][:1]
        was, is_now = ({file.path: file.sha256 for one in ones for file in one.files} for ones in (before, [snapshot]))
        paths = sorted(path for path in was.keys() | is_now.keys() if was.get(path) != is_now.get(path))
        digests = {digest for path in paths for digest in (was.get(path), is_now.get(path)) if digest}
        contents = await self._store.contents(self._principal, self._workspace, digests)
        sides = ((path, contents.get(was.get(path, "")), contents.get(is_now.get(path, ""))) for path in paths)
        return Step(
            snapshot=snapshot.id,
            taken_at=snapshot.taken_at,
            reason=snapshot.reason,
            push=snapshot.push,
            changes=differences(sides),
        )

    async def history(self) -> History:
        """Return the workspace's snapshots, and how its files and its deployment differ from the last push."""
        kept = [snapshot async for snapshot in self._store.latest(self._principal, self._workspace)]
        summaries = tuple(
            SnapshotSummary(
                id=snapshot.id,
                taken_at=snapshot.taken_at,
                reason=snapshot.reason,
                push=snapshot.push,
                files=len(snapshot.files),
            )
            for snapshot in kept
        )
        last = next((snapshot for snapshot in kept if snapshot.reason == "pushed"), None)
        return History(snapshots=summaries, deployed=await self._deployed(last) if last else None)

    def _new(self, draft: Draft, reason: Reason, **more: Any) -> NewSnapshot:
        known = {"id": secrets.token_hex(4), "workspace": self._workspace, "taken_at": datetime.now(UTC)}
        return NewSnapshot(Snapshot(**known, reason=reason, files=draft.files, **more), draft.contents)

    async def _deployed(self, last: Snapshot) -> Deployed:
        unpushed = await self._unpushed(last)
        try:
            live = await self._api.module_hashes(await self._targets.reach())
        except ConvexMcpError as exc:
            return Deployed(matches=False, unpushed=unpushed, unknown=exc.message)
        paths = live.keys() | last.modules.keys()
        elsewhere = tuple(sorted(path for path in paths if live.get(path) != last.modules.get(path)))
        return Deployed(
            matches=unpushed == Unpushed() and not elsewhere, unpushed=unpushed, changed_elsewhere=elsewhere
        )

    async def _unpushed(self, last: Snapshot) -> Unpushed:
        """Return how the files differ from what the last push made live."""
        was = {file.path: file.sha256 for file in last.files}
        now = {file.path: file.sha256 for file in await self._sandbox.list()}
        return Unpushed(
            created=tuple(sorted(now.keys() - was.keys())),
            updated=tuple(sorted(path for path in now.keys() & was.keys() if now[path] != was[path])),
            deleted=tuple(sorted(was.keys() - now.keys())),
        )

    async def _find(self, which: str) -> Snapshot:
        kept = [snapshot async for snapshot in self._store.latest(self._principal, self._workspace)]
        for snapshot in kept:
            if which in {snapshot.id, LAST_PUSHED if snapshot.reason == "pushed" else None}:
                return snapshot
        if which == LAST_PUSHED or not kept:
            raise NotFound(
                "Nothing was pushed from this workspace yet, so there is nothing to go back to.",
                next_step="Go on with the files as they are, and call `push`.",
            )
        named = ", ".join(f"`{one.id}` ({one.reason}, {one.taken_at:%Y-%m-%d %H:%M} UTC)" for one in kept[:_NAMED])
        raise NotFound(f"There is no snapshot `{which}`.", next_step=f"Use one of these: {named}.")

    async def _changes(self, now: Draft, snapshot: Snapshot) -> Mapping[FilePath, bytes | None]:
        """Return what has to be written for the files to be as in *snapshot*."""
        is_now = {file.path: file.sha256 for file in now.files}
        to_write = {file.path: file.sha256 for file in snapshot.files if is_now.get(file.path) != file.sha256}
        contents = await self._store.contents(self._principal, self._workspace, set(to_write.values()))
        gone = is_now.keys() - {file.path for file in snapshot.files}
        return {path: contents[digest] for path, digest in to_write.items()} | dict.fromkeys(sorted(gone))


def _next_step(changes: tuple[Difference, ...], *, preview: bool) -> str:
    if not changes:
        return "The files are what the snapshot holds; there is nothing to restore."
    if preview:
        return "Call `restore_files` without `preview` to do it; what stands there now stays restorable."
    return "Call `push` if this state is to be live. `restore_files` with `undo` brings back what was there."
