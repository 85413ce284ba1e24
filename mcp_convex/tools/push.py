"""The tools that make code live."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.server.mcpserver import Resolve
from pydantic import Field

from mcp_convex.boundary import ContextProgress, Ctx, Effect, services, tool
from mcp_convex.boundary.consent import Consent, Elicit, ElicitationResult, can_ask, said_yes
from mcp_convex.domain.dev_servers import DevServerAction, DevServerStatus
from mcp_convex.domain.pushes import PushResult


async def _may_remove(ctx: Ctx, *, preview: bool = False) -> Consent | Elicit[Consent]:
    if preview or not can_ask(ctx):
        return Consent(proceed=False)
    if not (needed := await (await services(ctx)).pushes.awaiting_consent()):
        return Consent(proceed=False)
    return Elicit(f"{' '.join(sorted(needed))} Should the agent go on?", Consent)


async def _agreed(ctx: Ctx, answer: Annotated[ElicitationResult[Consent], Resolve(_may_remove)]) -> frozenset[str]:
    return await (await services(ctx)).pushes.awaiting_consent() if said_yes(answer) else frozenset()


@tool("Push to the deployment", Effect.PUSHES)
async def push(
    agreed: Annotated[frozenset[str], Resolve(_agreed)],
    ctx: Ctx,
    *,
    preview: Annotated[
        bool, Field(description="True says what the push would change and checks it, but makes nothing live.")
    ] = False,
    on_failure: Annotated[
        Literal["keep", "restore"],
        Field(
            description="If the push is rejected, `restore` brings the files back to what the last push made live; "
            "the rejected ones can be restored."
        ),
    ] = "keep",
) -> PushResult:
    """
    Push the workspace's schema and functions to its deployment with the real Convex CLI.

    Bundles, type-checks, validates the schema against the stored documents, and goes live
    only if all of it is right. `outcome` is `pushed` only when the deployment confirmed it;
    otherwise `diagnostics` say what is wrong, where, and how to repair it, and what was live
    before stays live. Call it after `write_files`; then try the functions with `run_function`.
    """
    pushes, restore = (await services(ctx)).pushes, on_failure == "restore"
    return await pushes.push(preview=preview, agreed=agreed, restore=restore, progress=ContextProgress(ctx))


@tool("Dev server", Effect.KEEPS_LIVE, shows_panel=True)
async def dev_server(
    action: Annotated[DevServerAction, Field(description="`start` and `stop` may be repeated.")], ctx: Ctx
) -> DevServerStatus:
    """
    Keep the workspace live: while this is on, each write is pushed automatically, whoever makes it.

    `start` pushes what is not live yet; then just write, and call `status` for the result of the
    last push. A change that needs a person's consent waits for `push`. It outlives this session:
    `stop` ends it. Dev and preview deployments only.
    """
    return await (await services(ctx)).dev_servers.act(action, ContextProgress(ctx))


TOOLS = (push, dev_server)
