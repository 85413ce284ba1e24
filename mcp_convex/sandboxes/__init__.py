"""Where workspaces' files live and their programs run, and how those are confined and ended."""

from mcp_convex.sandboxes.armed import has_memory_to_spare
from mcp_convex.sandboxes.install import npm_environment
from mcp_convex.sandboxes.isolation import ConfinedLauncher, hide_memory
from mcp_convex.sandboxes.local import LocalSandbox
from mcp_convex.sandboxes.node import find_node

__all__ = ["ConfinedLauncher", "LocalSandbox", "find_node", "has_memory_to_spare", "hide_memory", "npm_environment"]
