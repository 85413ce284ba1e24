"""Puts the full load on two servers and prints what came of it; the last line and the exit code say if all is well."""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import anyio

from tests.doubles.postgres import postgres_server
from tests.soak.load import Load, endured

_MOST_GROWTH = 1.10
_SHOWN = 20


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    minutes = parser.parse_args().minutes
    load = Load(
        principals=200,
        calls_a_minute=2000,
        pushes_at_once=10,
        rounds_of_pushes=max(1, round(0.8 * minutes)),
        minutes=minutes,
    )
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres:
        seen = anyio.run(partial(endured, load, Path(folder), postgres))
    is_well = not seen.misled and not seen.failed and seen.growth <= _MOST_GROWTH
    lines = [
        *(seen.misled + seen.failed)[:_SHOWN],
        f"{load.principals} principals on two servers with one PostgreSQL for {minutes:g} minutes",
        str(seen),
        "PASSED" if is_well else "FAILED",
    ]
    print(*lines, sep="\n")  # noqa: T201
    return int(not is_well)


if __name__ == "__main__":
    sys.exit(main())
