"""An MCP server with which an agent gives an app a Convex backend, without ever holding a Convex credential."""

__version__ = "0.1.0"
