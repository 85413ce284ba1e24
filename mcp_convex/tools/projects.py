"""Tools about projects and deployments at Convex."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_convex.boundary import ContextProgress, Ctx, Effect, services, tool
from mcp_convex.services.projects import Deployments, Projects
from mcp_convex.services.provisioning import LinkedProject
from mcp_convex.tools.params import Cursor

Team = Annotated[
    str | None, Field(max_length=200, description="A team's slug. Needed only where several are connected.")
]


@tool("List the projects", Effect.READS)
async def list_projects(ctx: Ctx, team: Team = None, cursor: Cursor = None) -> Projects:
    """List the person's projects at Convex, of every connected team. Needs `connect` first."""
    return await (await services(ctx)).projects.list_projects(team, cursor)


@tool("Create a project", Effect.PUSHES)
async def create_project(
    name: Annotated[str, Field(min_length=1, max_length=100, description="As the dashboard will show it.")],
    ctx: Ctx,
    team: Team = None,
) -> LinkedProject:
    """
    Create a project at Convex with a dev deployment, and make that this workspace's deployment.

    Needs `connect` with the scope `team`. If an earlier call with the same name was
    interrupted, this one continues it, and makes nothing twice.
    """
    return await (await services(ctx)).projects.create_project(name, team=team, progress=ContextProgress(ctx))


@tool("Link a project", Effect.PUSHES)
async def link_project(
    project: Annotated[str, Field(min_length=1, max_length=200, description="Its slug, name or id.")],
    ctx: Ctx,
    deployment: Annotated[
        str | None,
        Field(max_length=100, description="A name or reference, such as `preview/checkout`; omit it for the dev one."),
    ] = None,
    expires_in_hours: Annotated[
        int | None,
        Field(
            ge=1, le=720, description="Creates `deployment` if it is missing; Convex deletes it after so many hours."
        ),
    ] = None,
) -> LinkedProject:
    """
    Make a deployment of an existing project this workspace's deployment.

    Without `deployment` it is the person's own dev deployment, created if there is none.
    Production deployments are refused unless the operator allows them.
    """
    return await (await services(ctx)).projects.link_project(
        project, deployment, expires_in_hours=expires_in_hours, progress=ContextProgress(ctx)
    )


@tool("List the deployments", Effect.READS)
async def list_deployments(
    ctx: Ctx,
    project: Annotated[
        str | None, Field(max_length=200, description="Its slug, name or id; omit it for the linked one.")
    ] = None,
    cursor: Cursor = None,
) -> Deployments:
    """List a project's deployments with type, reference and URL."""
    return await (await services(ctx)).projects.list_deployments(project, cursor)


TOOLS = (list_projects, create_project, link_project, list_deployments)
