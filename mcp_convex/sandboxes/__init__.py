"""Where workspaces' files live and their programs run, and how those are confined and ended."""

from mcp_convex.sandboxes.isolation import ConfinedLauncher, hide_memory

__all__ = ["ConfinedLauncher", "hide_memory"]
