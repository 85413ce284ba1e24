"""Telling clients that something which they follow has changed."""

from __future__ import annotations

from abc import ABC, abstractmethod

CONNECTIONS = "convex://connections"
"""Of a principal, whatever the workspace."""
DEV_SERVER = "convex://dev-server"
PUSHES = "convex://pushes"


class Announcements(ABC):
    """Where one workspace's services say what reads differently now; only its own principal's clients hear it."""

    @abstractmethod
    async def updated(self, *uris: str) -> None:
        """Say that the resources at *uris* have changed. Never raises: who misses it reads again."""


class NoAnnouncements(Announcements):
    """Where nobody listens."""

    async def updated(self, *uris: str) -> None:
        pass
