"""
Measures the server against what it stands beside, side by side in one run, and prints ratios.

Both sides of a figure take turns, so that a slow moment of the machine strikes both; each is
the median of its rounds. The last line is the same as JSON. The exit code says whether all hold.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.checks import checks
from benchmarks.e2b import many_at_once, pushes_in_both
from benchmarks.http import principal_cost, served_side_by_side
from benchmarks.measures import (
    connections_looked_at,
    decryption,
    env_vars_listed,
    files_written,
    memory,
    pushes,
    starts,
    waiting,
)
from benchmarks.projects import Bench, opened
from benchmarks.stores import FEW, MANY, crowded_stores
from mcp_convex import logs


@dataclass(frozen=True)
class Figure:
    """What was measured, and what it may be at most."""

    name: str
    ours: float
    theirs: float
    figure: float
    limit: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.figure <= self.limit


Measure = Callable[[], Awaitable[float]]


async def side_by_side(*measures: Measure, rounds: int) -> list[float]:
    """Return each measure's median, in seconds, after one round that does not count."""
    taken: list[list[float]] = [[] for _ in measures]
    for count in range(rounds + 1):
        for measure, times in zip(measures, taken, strict=True):
            spent = await measure()
            if count:
                times.append(spent)
    return [statistics.median(times) for times in taken]


async def figures(bench: Bench) -> list[Figure]:
    """Measure everything that has a limit."""
    ours, armed, bare, plain = await side_by_side(*pushes(bench), rounds=9)
    start, their_start = await side_by_side(*starts(bench), rounds=15)
    held, busy = await waiting()
    written, written_plainly = await side_by_side(*files_written(bench), rounds=9)
    listed, listed_by_api = await side_by_side(*env_vars_listed(bench), rounds=99)
    (looked,) = await side_by_side(connections_looked_at(bench), rounds=99)
    (decrypted,) = await side_by_side(decryption, rounds=9)
    checked, checked_again = await side_by_side(*checks(), rounds=5)
    early, late = await memory(bench)
    async with pushes_in_both(bench.folder) as both:
        boxed, in_directory = await side_by_side(*both, rounds=9)
    failed, stood_still = await many_at_once(bench.folder)
    async with served_side_by_side(bench.folder) as over_http:
        served, served_bare = await side_by_side(*over_http, rounds=9)
    idle = await principal_cost(bench.folder)
    crowded = await crowded_lists(bench.folder)
    return [
        Figure("push : npx convex dev --once, TypeScript 5.9", ours, plain, ours / plain, 0.48, "ratio"),
        Figure(
            "write to live, armed : npx convex dev --once, TypeScript 5.9", armed, plain, armed / plain, 0.22, "ratio"
        ),
        Figure("memory of a CLI that waits", held, 0, held, 100, "MB"),
        Figure("what a CLI that waits computes in a second", busy, 0, busy, 5, "ms"),
        Figure("push : the same CLI with our flags, no gate", ours, bare, ours / bare, 1.10, "ratio"),
        Figure("spawn to first answer : convex mcp start", start, their_start, start / their_start, 1.15, "ratio"),
        Figure(
            "write_files of 100 : writing them plainly",
            written,
            written_plainly,
            written - written_plainly,
            0.05,
            "s more",
        ),
        Figure(
            "list_env_vars : the API's own time",
            listed,
            listed_by_api,
            1000 * (listed - listed_by_api),
            5,
            "ms more",
        ),
        Figure("get_connection", looked, 0, 1000 * looked, 5, "ms"),
        Figure("get_connection over HTTP : a bare SDK tool", served, served_bare, served / served_bare, 1.43, "ratio"),
        *crowded,
        Figure("an idle principal", idle, 0, idle / 1000, 50, "KB"),
        Figure("decrypting a credential", decrypted, 0, 1000 * decrypted, 1, "ms"),
        Figure("checking 1,000 files, none seen before", checked, 0, checked, 1, "s"),
        Figure("checking 1,000 files, one of them changed", checked_again, 0, 1000 * checked_again, 20, "ms"),
        Figure("push in a sandbox at E2B : in a directory", boxed, in_directory, boxed / in_directory, 1.5, "ratio"),
        Figure("failures, 20 sandboxes of 50 files pushed at once", failed, 0, failed, 0, ""),
        Figure("loop stood still meanwhile", stood_still, 0, 1000 * stood_still, 100, "ms"),
        Figure("memory after 50 pushes : after 5", late, early, late / early, 1.10, "ratio"),
    ]


async def crowded_lists(folder: Path) -> list[Figure]:
    """Measure `list_projects` in stores of either kind, with many projects in them and with few."""
    found: list[Figure] = []
    async with crowded_stores(folder) as stores:
        for kind, measures in stores.items():
            many, few = await side_by_side(*measures, rounds=99)
            found.append(Figure(f"list_projects, {MANY:,} in {kind} : {FEW}", many, few, many / few, 1.3, "ratio"))
    return found


def show(found: list[Figure]) -> None:
    """Print the figures as a table, then as one line of JSON."""
    table = Table("figure", "ours", "theirs", "result", "limit", "")
    for figure in found:
        shown = (
            f"{figure.ours:.4g}",
            f"{figure.theirs:.4g}",
            f"{figure.figure:.3f} {figure.unit}",
            f"{figure.limit:.2f}",
        )
        table.add_row(figure.name, *shown, "holds" if figure.holds else "too much")
    Console(width=120).print(table)
    print(json.dumps([asdict(figure) | {"holds": figure.holds} for figure in found]))


async def main() -> int:
    logs.set_up("warning")
    with tempfile.TemporaryDirectory(prefix="mcp-convex-bench-", ignore_cleanup_errors=True) as folder:
        async with opened(Path(folder)) as bench:
            found = await figures(bench)
    show(found)
    return int(not all(figure.holds for figure in found))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
