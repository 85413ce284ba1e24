"""What an agent can read without a call: guidelines and templates, what is live, pushes, files, and what was done."""

from __future__ import annotations

from mcp_convex.boundary import resource
from mcp_convex.domain.audit import AuditLog
from mcp_convex.domain.dev_servers import DevServerStatus, Pushes
from mcp_convex.domain.models import Functions, Tables
from mcp_convex.domain.pushes import PushRecord
from mcp_convex.services import Services
from mcp_convex.services.connections import Connections
from mcp_convex.services.snapshots import History, Step

_MARKDOWN = "text/markdown"
_PUSHES = 20


@resource("convex://schema", "The live tables", toolset="inspect")
async def schema(services: Services) -> Tables:
    """Tables, fields and indexes as they are live on the deployment."""
    return await services.data.list_tables()


@resource("convex://functions", "The live functions", toolset="inspect")
async def functions(services: Services) -> Functions:
    """Functions as they are live on the deployment, with kind, visibility and arguments."""
    return await services.functions.list()


@resource("convex://connections", "The connections", toolset="connection")
async def connections(services: Services) -> Connections:
    """The person's connections to Convex, and the linked deployment. Can be subscribed to."""
    return await services.connections.look()


@resource("convex://dev-server", "The dev server", toolset="push")
async def dev_server(services: Services) -> DevServerStatus:
    """Whether writes go live by themselves, and what came of the last one. Can be subscribed to."""
    return await services.dev_servers.status()


@resource("convex://pushes", "The latest pushes", toolset="push")
async def pushes(services: Services) -> Pushes:
    """What came of each, in short, newest first. Can be subscribed to."""
    return Pushes(pushes=await services.pushes.recent(_PUSHES))


@resource("convex://pushes/{push_id}", "A push", toolset="push")
async def push(services: Services, push_id: str) -> PushRecord:
    """What came of an earlier push, by the `id` of its result."""
    return await services.pushes.get(push_id)


@resource("convex://files/{+path}", "A file of the workspace", toolset="files", mime_type="text/plain")
async def file(services: Services, path: str) -> str:
    """A source file of the workspace."""
    return await services.files.text(path)


@resource("convex://snapshots", "Snapshots", toolset="files")
async def snapshots(services: Services) -> History:
    """States of the files that `restore_files` can bring back, and whether the sources here are what is live."""
    return await services.snapshots.history()


@resource("convex://snapshots/{snapshot_id}", "A snapshot", toolset="files")
async def snapshot(services: Services, snapshot_id: str) -> Step:
    """What changed from the snapshot before to this one, as differences of the files."""
    return await services.snapshots.step(snapshot_id)


@resource("convex://audit", "What was done")
async def audit(services: Services) -> AuditLog:
    """The latest calls that changed something: tool, deployment, outcome, and never an argument."""
    return await services.audit.latest()


@resource("convex://guidelines", "Guidelines for Convex", mime_type=_MARKDOWN)
async def guidelines(services: Services) -> str:
    """The list of the pages on how to write Convex code."""
    return services.docs.guidelines()


@resource("convex://guidelines/{topic}", "A guideline", mime_type=_MARKDOWN)
async def guideline(services: Services, topic: str) -> str:
    """How to write one part of a Convex app: rules, and code that is known to push."""
    return services.docs.guideline(topic)


@resource("convex://templates", "Templates", mime_type=_MARKDOWN)
async def templates(services: Services) -> str:
    """The list of the parts of an app that `write_files` writes in one call."""
    return services.docs.templates()


@resource("convex://templates/{template}", "A template", mime_type=_MARKDOWN)
async def template(services: Services, template: str) -> str:
    """What a template writes, and what is to be done then."""
    return services.docs.template(template)


RESOURCES = (
    guidelines,
    guideline,
    templates,
    template,
    schema,
    functions,
    connections,
    dev_server,
    pushes,
    snapshots,
    audit,
    push,
    file,
    snapshot,
)
