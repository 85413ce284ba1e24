"""Puts the full load on two servers, prints what came of it, and exits with 1 where anything went wrong."""

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
    for wrong in seen.wrong[:_SHOWN]:
        print(wrong)  # noqa: T201
    print(seen)  # noqa: T201
    return int(bool(seen.wrong) or seen.growth > _MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
