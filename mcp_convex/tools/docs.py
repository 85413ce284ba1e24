"""The tool that looks things up in what this server knows of Convex."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_convex.boundary import Ctx, Effect, services, tool
from mcp_convex.services.docs import Hits


@tool("Search the guidelines", Effect.READS)
async def search_docs(
    query: Annotated[
        str, Field(min_length=1, max_length=300, description="A few words, or a hit's `uri` to read that page whole.")
    ],
    ctx: Ctx,
    limit: Annotated[int, Field(ge=1, le=20, description="The most hits to return.")] = 5,
) -> Hits:
    """
    Search the guidelines and templates for Convex code that come with this server.

    They hold for convex 1.48, and their code is known to push. Search before you write what
    you are not sure of. `write_files` writes a whole template.
    """
    return (await services(ctx)).docs.search(query, limit)


TOOLS = (search_docs,)
