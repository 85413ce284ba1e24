"""What is counted for the operator."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mcp_convex.domain.pushes import PushResult


class Meter(ABC):
    """Counts by a few words each that are ours: never by a principal, and never by what a call says."""

    @abstractmethod
    def called(self, tool: str, outcome: str, duration_s: float) -> None:
        """Count a call of *tool*, one that this server has."""

    @abstractmethod
    def pushed(self, result: PushResult) -> None:
        """Count a push that is over."""


class NoMeter(Meter):
    """Where nobody counts."""

    def called(self, tool: str, outcome: str, duration_s: float) -> None:
        pass

    def pushed(self, result: PushResult) -> None:
        pass
