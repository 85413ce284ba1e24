"""What each principal may have of a server that many share: calls a minute, calls at a time, pushes at a time."""

from mcp_convex.limits.calls import CallBounds, Calls
from mcp_convex.limits.pushes import Pushes

__all__ = ["CallBounds", "Calls", "Pushes"]
