"""The panel: what a person sees of their backend, one component shown in a page or within a chat (MCP Apps)."""

from __future__ import annotations

from mcp_convex.boundary import resource
from mcp_convex.panel.document import for_app
from mcp_convex.services import Services
from mcp_convex.services.overview import Overview

APP_MIME_TYPE = "text/html;profile=mcp-app"


@resource("ui://convex/panel", "The panel", mime_type=APP_MIME_TYPE)
async def panel(services: Services) -> str:
    """What is connected, what was pushed and what failed, for the person to look at and to act on."""
    del services
    return for_app()


@resource("convex://panel", "What the panel shows", toolset="push")
async def overview(services: Services) -> Overview:
    """Connections, deployment, dev server and latest pushes, as the server has them; nobody else is asked."""
    return await services.overview.look()


RESOURCES = (panel, overview)
