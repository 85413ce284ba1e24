"""Which box is the workspace's now: found, made, lost and found again."""

from __future__ import annotations

import anyio

from mcp_convex.domain.errors import SandboxBusy, SandboxLost
from mcp_convex.sandboxes.e2b.account import Account
from mcp_convex.sandboxes.e2b.box import Box
from mcp_convex.sandboxes.e2b.mirror import Mirror

_LOST = "The sandbox vanished or cannot be reached. The files are this server's copy, which the next sandbox gets."
_STARTED_ANEW = "The sandbox had vanished: another was started, and got every file from this server's copy."
_FOUND_AGAIN = "The sandbox could not be reached for a while; the work went on in it."


class Attachment:
    """At most one box at a time, looked for at first need, and made only by `started`."""

    def __init__(self, account: Account, mirror: Mirror) -> None:
        self._account = account
        self._mirror = mirror
        self._box: Box | None = None
        self._sought = False
        self._is_lost = False
        self._one_at_a_time = anyio.Lock()
        self._notes: list[str] = []

    @property
    def attached(self) -> Box | None:
        """The box that was found or made last, if it is not known to be gone."""
        return self._box

    async def started(self) -> Box:
        """
        Return the workspace's box, made and filled if there is none.

        Raises:
            SandboxError: E2B does not answer, or starts none.
        """
        async with self._one_at_a_time:
            self._sought = self._box is not None  # another server may have made one since
            if (found := await self._find()) is not None:
                return found
            self._box = box = await self._account.create(await self._mirror.tag())
            try:
                await self._mirror.fill(box)
            except SandboxLost:
                self.lose(box)
                raise
            self._note_return(_STARTED_ANEW)
            return box

    async def at_hand(self) -> Box | None:
        """
        Return the workspace's box if it can be had now, and without making one.

        Raises:
            SettingsInvalid: E2B does not accept what the operator has set.
        """
        async with self._one_at_a_time:
            try:
                return await self._find()
            except (SandboxLost, SandboxBusy):
                self.lose(self._box)
                self.note(_LOST)  # also where none was known yet
                return None

    def lose(self, box: Box | None) -> None:
        """Forget *box*; whether there is still one is asked anew."""
        if self._box is box:
            if box is not None:
                self._is_lost = True
                self.note(_LOST)
            self._box, self._sought = None, False

    def let_go(self) -> None:
        """Forget the box, which lives on."""
        self._box, self._sought = None, False

    def note(self, text: str) -> None:
        """Have *text* told in the next answer, once."""
        self._notes = [*(note for note in self._notes if note != text), text]

    def take_notes(self) -> tuple[str, ...]:
        """Return what nobody was told yet."""
        taken, self._notes = tuple(self._notes), []
        return taken

    def _note_return(self, text: str) -> None:
        self._notes = [note for note in self._notes if note != _LOST]
        if self._is_lost:
            self.note(text)
        self._is_lost = False

    async def _find(self) -> Box | None:
        if self._box is None and not self._sought:
            self._box = await self._account.find(await self._mirror.tag())
            self._sought = True
            if self._box is not None:
                self._note_return(_FOUND_AGAIN)
        if self._box is not None:
            try:
                await self._box.extend()
            except SandboxLost:  # it slept through its lifetime, unused
                self.lose(self._box)
                return await self._find()
        return self._box
