"""The operator's limits, fixed when the server starts. Nothing an agent sends can widen them."""

from __future__ import annotations

from mcp_convex.domain.errors import BlockedByPolicy
from mcp_convex.domain.models import Model, Target


class Policy(Model):
    read_only: bool = False
    allow_production: bool = False

    def check_write(self, target: Target) -> None:
        """
        Make sure that the server may change *target*.

        Raises:
            BlockedByPolicy: It may not.
        """
        self.check_files()
        self.check_read(target)

    def check_files(self) -> None:
        """
        Make sure that the server may change the workspace's files.

        Raises:
            BlockedByPolicy: It is read-only.
        """
        if self.read_only:
            raise BlockedByPolicy(
                "This server is read-only.", next_step="Ask the operator to start it without MCP_CONVEX_READ_ONLY."
            )

    def check_read(self, target: Target) -> None:
        """
        Make sure that the server may act on *target* at all.

        Raises:
            BlockedByPolicy: It is a production deployment, and the operator has not enabled those.
        """
        if target.type == "prod":
            self.check_production(f"`{target.name}`")

    def check_dev_server(self, target: Target) -> None:
        """
        Make sure that each write may go live on *target* by itself.

        Raises:
            BlockedByPolicy: It may not be changed, or is one that people rely on, whatever the operator has enabled.
        """
        self.check_write(target)
        if target.kind == "cloud" and target.type not in {"dev", "preview"}:
            raise BlockedByPolicy(
                f"`{target.name}` is not a dev or preview deployment: writes go live by themselves only on those.",
                next_step="Link a dev deployment with `link_project`, or call `push` for each change.",
            )

    def check_production(self, what: str) -> None:
        """
        Make sure that the server may use *what*, which is for production.

        Raises:
            BlockedByPolicy: The operator has not enabled it.
        """
        if not self.allow_production:
            raise BlockedByPolicy(
                f"{what} is for production, which this server may not touch.",
                next_step="Use a dev or preview deployment. Only the operator can enable production.",
            )
