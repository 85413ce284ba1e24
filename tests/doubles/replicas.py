"""Two hosted servers on one PostgreSQL database, behind a balancer that sends each request to the other one."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import httpx2
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from mcp_convex.domain.models import Target
from mcp_convex.domain.ports import Reach
from tests.doubles.deployment import served
from tests.doubles.hosting import Hosted, hosted, hosted_settings

_METHODS = ["GET", "POST", "DELETE"]


@dataclass
class Balancer:
    """Knows nothing of sessions: whoever is next answers."""

    url: str = ""
    behind: list[str] = field(default_factory=list)

    def app(self, client: httpx2.AsyncClient) -> Starlette:
        turn = cycle(range(2))

        async def pass_on(request: Request) -> StreamingResponse:
            target = f"{self.behind[next(turn)]}{request.url.path}"
            asked = client.build_request(
                request.method,
                f"{target}?{request.url.query}" if request.url.query else target,
                headers=request.headers.raw,
                content=await request.body(),
            )
            answer = await client.send(asked, stream=True)
            passed = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose))
            passed.raw_headers = answer.headers.raw
            return passed

        return Starlette(routes=[Route("/{path:path}", pass_on, methods=_METHODS)])


@asynccontextmanager
async def balancer() -> AsyncIterator[Balancer]:
    """Run a balancer for the block; what is behind it is filled in afterwards."""
    running = Balancer()
    async with httpx2.AsyncClient(timeout=60) as client, served(running.app(client), lambda: None) as running.url:
        yield running


def shared_environment(database: SecretStr) -> dict[str, str]:
    """Return what each server on *database* is given."""
    keys = base64.b64encode(os.urandom(32)).decode()
    return {"MCP_CONVEX_DATABASE_URL": database.get_secret_value(), "MCP_CONVEX_ENCRYPTION_KEYS": keys}


@dataclass
class Replicas:
    each: list[Hosted]
    balanced: Hosted

    async def link(self, principal: str, reach: Reach) -> None:
        """Make a deployment the target of a principal's workspace, as one that is not for trying."""
        target = Target(kind="self_hosted", name="elsewhere", url=reach.target.url, site_url=reach.target.site_url)
        await self.balanced.link(principal, Reach(target, reach.credential))


@asynccontextmanager
async def replicas(folder: Path, environ: Mapping[str, str], **flags: str) -> AsyncIterator[Replicas]:
    """Serve with two servers for the block, each with a data directory of its own."""
    async with balancer() as balanced, AsyncExitStack() as stack:
        shared = {"public_url": f"{balanced.url}/mcp", **flags}
        settings = [hosted_settings(folder / name, environ, armed_pushes=False, **shared) for name in ("one", "two")]
        each = [await stack.enter_async_context(hosted(its)) for its in settings]
        balanced.behind = [one.origin for one in each]
        yield Replicas(each, Hosted(settings[0], url=f"{balanced.url}/mcp"))
