"""What a chat backend calls that does not speak MCP: one module a noun, over the services that the tools are over."""

from __future__ import annotations

from mcp_convex.http_api import connections, dev_servers, status

OPERATIONS = (*connections.OPERATIONS, *status.OPERATIONS, *dev_servers.OPERATIONS)
