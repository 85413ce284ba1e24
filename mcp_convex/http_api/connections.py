"""The person's connection to Convex, asked for and given up. No credential passes through either of them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from mcp_convex.boundary.operations import Call, operation
from mcp_convex.boundary.problems import Refused
from mcp_convex.domain.connections import Connection, Scope
from mcp_convex.domain.models import Model, WorkspaceId


class ConnectAsked(Model):
    scope: Scope = Field(
        default="team",
        description="`team` can create projects; `project` opens one that exists, and is the smaller risk.",
    )


class ConnectAnswered(Model):
    """Where to send the person's browser."""

    connection: Connection | None = Field(description="As it stands until the person has finished.")
    url: str = Field(description="For the person's browser only, and once.")
    signs_in: bool = Field(
        description="Whether the link itself lets the browser in: send it to nobody but the person, at once. Where it"
        " does not, the browser signs in with the issuer first."
    )
    expires_at: datetime
    next_step: str


class DisconnectAsked(Model):
    connection: str | None = Field(
        default=None, max_length=100, description="The `id` of one; not needed where there is only one."
    )


class DisconnectAnswered(Model):
    connection: Connection | None = Field(description="The one that is no more; none where there was none.")
    revoked: bool = Field(description="Whether Convex itself has forgotten the grant, too.")
    unlinked: tuple[WorkspaceId, ...] = Field(description="Workspaces whose deployment came through it.")
    next_step: str


@operation("POST", "/api/convex/connect", tool="connect", comes_to="asked")
async def connect(call: Call, asked: ConnectAsked) -> ConnectAnswered:
    """
    Ask the person to connect their Convex account, on a page in their browser.

    While they have not finished, another call gives another link to the same connection. A
    backend that the operator trusts gets a link that lets the browser in.
    """
    errand = call.services.connections.connecting(asked.scope, asked_by=call.client)
    page = await errand.begin()
    way = await call.services.pages.ticket_to(page.link) if call.vouches else page
    return ConnectAnswered(
        connection=(await errand.outcome(page.id, 0)).connection,
        url=way.link,
        signs_in=call.vouches,
        expires_at=way.expires_at,
        next_step="Send the person's browser to `url`, and look at the status until the connection is `connected`.",
    )


@operation("POST", "/api/convex/disconnect", tool="disconnect")
async def disconnect(call: Call, asked: DisconnectAsked) -> DisconnectAnswered:
    """
    Forget a connection: delete its credential and unlink the deployments that came through it.

    Their data stays at Convex. Where there is none any more, nothing is done, and that is no error.
    """
    there = (await call.services.connections.look()).connections
    meant = [one.id for one in there if asked.connection in {None, one.id}]
    if not meant:
        return DisconnectAnswered(connection=None, revoked=False, unlinked=(), next_step="Nothing remains to be done.")
    if len(meant) > 1:
        raise Refused(
            409, "several_connections", "There are several connections.", "Pass the `id` of one: see the status."
        )
    done = await call.services.connections.disconnect(meant[0])
    return DisconnectAnswered(
        connection=done.connection, revoked=done.revoked, unlinked=done.unlinked, next_step=done.next_step
    )


OPERATIONS = (connect, disconnect)
