"""Starting programs confined as far as this machine allows, and ending them with all that they started."""

from mcp_convex.sandboxes.isolation.launcher import ConfinedLauncher
from mcp_convex.sandboxes.isolation.memory import hide_memory

__all__ = ["ConfinedLauncher", "hide_memory"]
