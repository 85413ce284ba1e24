"""Has an agent play one task, and says how it did."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from benchmarks.evals.fitting import Misfit
from benchmarks.evals.hands import Tally
from benchmarks.evals.script import replay
from benchmarks.evals.stage import Stage, opened, set_up
from benchmarks.evals.tasks import Task

Agent = Callable[[Task, Stage], Awaitable[str | None]]
"""Works on a task, and returns why it stopped before it was through; None where it was."""


@dataclass(frozen=True)
class Score:
    """How an agent did one task."""

    task: str
    tally: Tally
    took_s: float
    stopped: str | None
    """Why it was not through with it; nobody looked then what holds."""
    misfits: tuple[str, ...] = ()
    """What does not hold."""

    @property
    def holds(self) -> bool:
        return self.stopped is None and not self.misfits


async def scripted(task: Task, stage: Stage) -> str | None:
    """Replay the task's script, which is an agent's work that is known; stop where the server answers otherwise."""
    try:
        await replay(task.script, stage.hands, stage.known)
    except Misfit as exc:
        return str(exc)
    return None


async def play(task: Task, agent: Agent, *, limit_s: float) -> Score:
    """Let *agent* work on *task* for *limit_s* seconds at most, then look whether what the task asks for holds."""
    started, misfits = time.monotonic(), list[str]()
    stopped: str | None = f"took more than {limit_s:.0f} s"
    with tempfile.TemporaryDirectory(prefix="mcp-convex-eval-", ignore_cleanup_errors=True) as folder:
        async with opened(task, Path(folder)) as stage:
            with anyio.move_on_after(limit_s):
                stopped = await set_up(task, stage) or await agent(task, stage)
            if stopped is None:
                misfits = await stage.judge.misfits(task.holds)
    return Score(task.name, stage.hands.tally, time.monotonic() - started, stopped, tuple(misfits))
