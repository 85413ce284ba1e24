"""The template that sandboxes are made from, as code: Node, and the packages that our own projects ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2b import TemplateClass

NAME = "mcp-convex:1.48.0"
"""Its name at E2B, with the version of the convex package in it."""
CPUS = 2
MEMORY_MB = 1024

_PACKAGES = "/opt/convex"
_PROJECT = "/home/user/app"


def definition(folder: Path) -> TemplateClass:
    """Return how the template is built, with the packages that the lock in *folder* names, read-only."""
    from e2b import AsyncTemplate  # noqa: PLC0415 - slow to import, and the name is needed without it

    return (
        AsyncTemplate(file_context_path=folder)
        .from_node_image("22-slim")
        .set_user("root")
        .set_workdir(_PACKAGES)
        .apt_install(["ca-certificates", "procps"], no_install_recommends=True)
        .copy(["package.json", "package-lock.json"], f"{_PACKAGES}/")
        .run_cmd("npm ci --ignore-scripts --no-audit --no-fund && chmod -R a-w .", user="root")
        .run_cmd(
            f"mkdir -p {_PROJECT} && ln -s {_PACKAGES}/node_modules {_PROJECT}/node_modules"
            f" && chown -hR user:user {_PROJECT}",
            user="root",
        )
        .set_user("user")
        .set_workdir(_PROJECT)
        .run_cmd("node node_modules/convex/bin/main.js --version")
        # No start command: nothing has to run in what a sandbox starts from.
        .set_ready_cmd("node -e 0")
    )
