"""What an agent can read without a call: the live schema and functions, pushes, files, and what was done."""

from __future__ import annotations

from mcp_convex.boundary import resource
from mcp_convex.domain.audit import AuditLog
from mcp_convex.domain.models import Functions, Tables
from mcp_convex.domain.pushes import PushRecord
from mcp_convex.services import Services


@resource("convex://schema", "The live tables", toolset="inspect")
async def schema(services: Services) -> Tables:
    """Tables, fields and indexes as they are live on the deployment."""
    return await services.data.list_tables()


@resource("convex://functions", "The live functions", toolset="inspect")
async def functions(services: Services) -> Functions:
    """Functions as they are live on the deployment, with kind, visibility and arguments."""
    return await services.functions.list()


@resource("convex://pushes/{push_id}", "A push", toolset="push")
async def push(services: Services, push_id: str) -> PushRecord:
    """What came of an earlier push, by the `id` of its result."""
    return await services.pushes.get(push_id)


@resource("convex://files/{+path}", "A file of the workspace", toolset="files", mime_type="text/plain")
async def file(services: Services, path: str) -> str:
    """A source file of the workspace."""
    return await services.files.text(path)


@resource("convex://audit", "What was done")
async def audit(services: Services) -> AuditLog:
    """The latest calls that changed something: tool, deployment, outcome, and never an argument."""
    return await services.audit.latest()


RESOURCES = (schema, functions, audit, push, file)
