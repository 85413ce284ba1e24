"""Where Python meets MCP. Tools and resources speak MCP through this package."""

from mcp_convex.boundary.asking import InputRequiredResult, ask, client_name
from mcp_convex.boundary.hosting import OpenHosting, one_workspace
from mcp_convex.boundary.progress import ContextProgress
from mcp_convex.boundary.server import ConvexServer, Replicated, Surface
from mcp_convex.boundary.spec import Ctx, Effect, ResourceSpec, ToolSpec, resource, services, tool
from mcp_convex.boundary.stdio import serve_stdio

__all__ = [
    "ContextProgress",
    "ConvexServer",
    "Ctx",
    "Effect",
    "InputRequiredResult",
    "OpenHosting",
    "Replicated",
    "ResourceSpec",
    "Surface",
    "ToolSpec",
    "ask",
    "client_name",
    "one_workspace",
    "resource",
    "serve_stdio",
    "services",
    "tool",
]
