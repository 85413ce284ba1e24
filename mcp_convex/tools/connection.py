"""Tools about the person's account at Convex. No credential passes through any of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_convex.boundary import Ctx, Effect, InputRequiredResult, ask, client_name, services, tool
from mcp_convex.domain.connections import ConnectionId, Scope
from mcp_convex.services.connections import Connecting, Connections, Disconnected


@tool("Connect to Convex", Effect.ASKS)
async def connect(
    ctx: Ctx,
    scope: Annotated[
        Scope,
        Field(description="`team` can create projects; `project` opens one that exists, and is the smaller risk."),
    ] = "team",
) -> Connecting | InputRequiredResult:
    """
    Ask the person to connect their Convex account, on a page in their browser.

    Needed only for Convex's cloud: the embedded deployment works without. If the answer has
    a `link`, give it to the person as it is. The answer may come before they are done: then
    call `get_connection`. Never ask them for a key or token; they type it on the page.
    """
    errand = (await services(ctx)).connections.connecting(scope, asked_by=client_name(ctx))
    return await ask(ctx, errand)


@tool("Look at the connections", Effect.READS, shows_panel=True)
async def get_connection(ctx: Ctx) -> Connections:
    """
    List the person's connections to Convex with their state, newest first, and say what to do next.

    A connection is `connecting` until the person has finished in their browser, then
    `connected`, or `failed` with a reason. Several teams have one connection each.
    """
    return await (await services(ctx)).connections.look()


@tool("Disconnect from Convex", Effect.DELETES)
async def disconnect(
    ctx: Ctx,
    connection: Annotated[
        str | None, Field(max_length=100, description="Its `id` from `get_connection`; omit it if there is only one.")
    ] = None,
) -> Disconnected:
    """
    Forget a connection: delete its credential and unlink the deployments that came through it.

    Their data stays at Convex. Do it only when the person asks for it, and tell them what
    `next_step` says remains to be done by hand.
    """
    wanted = None if connection is None else ConnectionId(connection)
    return await (await services(ctx)).connections.disconnect(wanted)


TOOLS = (connect, get_connection, disconnect)
