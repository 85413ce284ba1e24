"""
Has agents do the tasks of `tasks/` and says how they did: scripted agents, or a model.

The last line is the sum. The exit code is 1 when a scripted agent's task does not hold,
and 2 when nothing could be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from benchmarks.evals import report
from benchmarks.evals.playing import Agent, Score, play, scripted
from benchmarks.evals.tasks import FOLDER, Task, TaskInvalid, load_all
from mcp_convex import logs

SCRIPT_LIMIT_S = 120
MODEL_LIMIT_S = 1800
TRANSCRIPTS = Path(__file__).parent / "transcripts"


class CannotMeasure(Exception):
    """What the run needs is missing; the message says what."""


async def evaluate(tasks: Iterable[Task], agent: Agent, *, limit_s: float) -> list[Score]:
    """Have *agent* play every task, one after the other, and print how it did."""
    print(report.HEADING)
    scores: list[Score] = []
    for task in tasks:
        scores.append(await play(task, agent, limit_s=limit_s))
        print(report.line(scores[-1]), flush=True)
    print(report.total(scores))
    return scores


async def main(argv: list[str], environ: Mapping[str, str], folder: Path = FOLDER) -> int:
    options = _options(argv)
    try:
        tasks = load_all(tuple(options.tasks), folder)
        if model := options.model or environ.get("EVAL_MODEL"):
            await evaluate_model(tasks, model, environ, options)
            return 0
        scores = await evaluate(tasks, scripted, limit_s=SCRIPT_LIMIT_S)
    except (CannotMeasure, TaskInvalid) as exc:
        print(exc, file=sys.stderr)
        return 2
    return int(not all(score.holds for score in scores))


async def evaluate_model(
    tasks: Iterable[Task], name: str, environ: Mapping[str, str], options: argparse.Namespace
) -> list[Score]:
    """
    Have a model play every task; `default` stands for one that is current.

    Raises:
        CannotMeasure: There is no key, or nothing that could use it, or the API refuses it.
    """
    if not (key := environ.get("ANTHROPIC_API_KEY")):
        raise CannotMeasure("A model needs ANTHROPIC_API_KEY.")
    if find_spec("anthropic") is None:
        raise CannotMeasure("A model needs the package `anthropic`: install `mcp-convex[eval]`.")
    from anthropic import AsyncAnthropic  # noqa: PLC0415 - an extra

    from benchmarks.evals.model import DEFAULT_MODEL, RETRIES, Bounds, ModelAgent, unusable  # noqa: PLC0415 - as above

    model = DEFAULT_MODEL if name == "default" else name
    folder = options.transcripts / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{model}"
    async with AsyncAnthropic(api_key=key, base_url=environ.get("ANTHROPIC_BASE_URL"), max_retries=RETRIES) as api:
        if why := await unusable(api, model):
            raise CannotMeasure(why)
        print(f"{model}; transcripts in {folder}")
        agent = ModelAgent(api, model, folder, Bounds(turns=options.turns))
        return await evaluate(tasks, agent, limit_s=MODEL_LIMIT_S)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evals", description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="such as 01 or todo-list; without any, all of them")
    parser.add_argument("--model", help="have this model of Anthropic's play, or `default`; EVAL_MODEL says it too")
    parser.add_argument("--turns", type=int, default=40, help="the most answers that a model may give in a task")
    parser.add_argument("--transcripts", type=Path, default=TRANSCRIPTS, help="where those of a model are kept")
    return parser.parse_args(argv)


if __name__ == "__main__":
    logs.set_up("error")
    sys.exit(asyncio.run(main(sys.argv[1:], os.environ)))
