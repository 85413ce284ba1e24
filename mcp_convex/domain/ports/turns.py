"""How heavy work waits for its turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from mcp_convex.domain.ports.progress import Progress

Turn = Callable[[Progress], AbstractAsyncContextManager[None]]
"""Waits, telling the progress so, and keeps the turn for the block. Raises `TooManyPushes` where it takes too long."""


def at_once(_: Progress) -> AbstractAsyncContextManager[None]:
    """Wait for nobody: on their own machine a person is alone."""
    return nullcontext()
