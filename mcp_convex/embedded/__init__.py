"""A Convex deployment on this machine, for trying things: no account, no network, and no Convex backend either."""

from mcp_convex.embedded.deployments import LocalEmbeddedDeployments, serve

__all__ = ["LocalEmbeddedDeployments", "serve"]
