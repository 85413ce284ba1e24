"""A command that was started ahead, and waits for the moment in which it is needed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from mcp_convex.domain.ports import ConfinedProcess, Launch, Launcher, OnOutput
from mcp_convex.sandboxes.output import KeptOutput

_SPARE_KIB = 512 * 1024
"""What a machine must have left for a process that only waits; one takes about 100 MB."""
_MEMINFO = Path("/proc/meminfo")


def has_memory_to_spare() -> bool:
    """Say whether this machine has memory for what only waits."""
    if not _MEMINFO.exists():
        return True  # not Linux
    available = next((line for line in _MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:")), None)
    return available is None or int(available.split()[1]) >= _SPARE_KIB


@dataclass(frozen=True, slots=True)
class _Waiting:
    launch: Launch
    premises: Hashable
    process: ConfinedProcess
    output: KeptOutput


class Armed:
    """At most one process that waits."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._waiting: _Waiting | None = None

    async def arm(self, launch: Launch, premises: Hashable) -> bool:
        """Start *launch* in place of what waited, and say whether it waits; *premises* is what it may have read."""
        await self.disarm()
        if not has_memory_to_spare():
            return False
        output = KeptOutput(lambda _: None)
        self._waiting = _Waiting(launch, premises, await self._launcher.start(launch, output), output)
        return True

    async def started(
        self, launch: Launch, premises: Hashable, on_output: OnOutput
    ) -> tuple[ConfinedProcess, KeptOutput]:
        """Return the process of *launch*: the one that waits where it is what would be started now, else a new one."""
        waiting = self._waiting
        if waiting is not None and waiting.launch.argv == launch.argv:
            if (waiting.launch, waiting.premises) == (launch, premises) and not waiting.process.has_ended:
                self._waiting = None
                waiting.output.on_output = on_output
                return waiting.process, waiting.output
            await self.disarm()
        output = KeptOutput(on_output)
        return await self._launcher.start(launch, output), output

    async def disarm(self) -> None:
        """End what waits."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            await waiting.process.kill()
