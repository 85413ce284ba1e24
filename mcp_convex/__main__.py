"""`python -m mcp_convex` and the console script: hands over to the command line."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # Nobody here uses pydantic's plugins, and looking for them reads the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Collecting while modules are imported costs a tenth of the time to the first answer.
    gc.disable()
    from mcp_convex.cli import run  # noqa: PLC0415 - imported once collecting is off

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
