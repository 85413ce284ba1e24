"""Hears from a box that files of the workspace changed in it, by whatever hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import anyio

from mcp_convex.sandboxes.e2b.answers import Said
from mcp_convex.sandboxes.e2b.box import LIFETIME_S, Box, Job, Message

_LOOK_S = LIFETIME_S / 4
"""Between two looks without a word from the box, for what nothing tells of, as the target of a link elsewhere."""


async def changes_in(box: Box, rules: Message) -> AsyncGenerator[None]:
    """
    Yield once *box* is watched, and then whenever sources may have changed in it, until it is closed.

    It lives for as long as it is watched. While nothing changes, it is asked for nothing but that.

    Raises:
        SandboxLost: It is gone, paused, or cannot watch.
    """
    noticed = asyncio.Event()

    async def hear(_job: Job, _said: Said) -> None:
        noticed.set()

    # The program ends by itself if this server dies.
    job = await box.start("watch", {"rules": rules, "patience": 2 * _LOOK_S}, hear)
    job.when_over(noticed.set)
    try:
        while not job.is_over:
            with anyio.move_on_after(_LOOK_S) as silence:
                await noticed.wait()
            noticed.clear()
            await box.extend()
            if silence.cancelled_caught:
                await job.send({})
            yield
    finally:
        await job.end()
