"""Tools about the deployment's env vars. Values go in where they are not secret; none ever comes out."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import Resolve
from pydantic import Field

from mcp_convex.boundary import Ctx, Effect, InputRequiredResult, ask, services, tool
from mcp_convex.boundary.consent import Consent, Elicit, ElicitationResult, ask_consent, consented
from mcp_convex.services.auth_keys import AuthSetUp, cannot_ask
from mcp_convex.services.env_vars import EnvVarRequested, EnvVars, EnvVarsChanged

Name = Annotated[str, Field(min_length=1, max_length=300, description="Such as `OPENAI_API_KEY`.")]


@tool("List the env vars", Effect.READS)
async def list_env_vars(ctx: Ctx) -> EnvVars:
    """List the deployment's env vars by name, and which ones the code needs and lacks. Values are never shown."""
    return await (await services(ctx)).env_vars.list()


@tool("Set env vars", Effect.WRITES)
async def set_env_vars(
    values: Annotated[dict[str, str], Field(min_length=1, max_length=512, description="Name to value.")], ctx: Ctx
) -> EnvVarsChanged:
    """
    Set env vars that are not secret, all or none.

    What looks like a key, token or password is refused: call `request_env_var` for it, and
    never ask the person for it in the conversation.
    """
    return await (await services(ctx)).env_vars.set(values)


@tool("Have the person type an env var", Effect.ASKS)
async def request_env_var(
    name: Name,
    why: Annotated[
        str, Field(min_length=1, max_length=300, description="For the person: what it is for, and where to get it.")
    ],
    ctx: Ctx,
) -> EnvVarRequested | InputRequiredResult:
    """
    Have the person type a secret env var on a page; it goes straight to the deployment.

    If the answer has a `link`, give it to the person as it is. The answer may come before
    they are done: then call `list_env_vars`.
    """
    return await ask(ctx, (await services(ctx)).env_vars.requesting(name, why))


@tool("Unset env vars", Effect.DELETES)
async def unset_env_vars(
    names: Annotated[list[Name], Field(min_length=1, max_length=512, description="`list_env_vars` shows them.")],
    ctx: Ctx,
) -> EnvVarsChanged:
    """Unset env vars, all or none. Their values cannot be brought back."""
    return await (await services(ctx)).env_vars.unset(names)


async def _may_sign_out(ctx: Ctx, *, rotate: bool = False) -> Consent | Elicit[Consent]:
    if not rotate or not await (await services(ctx)).auth_keys.signs_out():
        return Consent(proceed=True)
    question = "Replace the app's sign-in keys? Everybody who is signed in will be signed out."
    return ask_consent(ctx, question, otherwise=cannot_ask())


def _consent(answer: Annotated[ElicitationResult[Consent], Resolve(_may_sign_out)]) -> bool:
    return consented(answer)


@tool("Set up Convex Auth", Effect.WRITES)
async def set_up_auth(
    consent: Annotated[bool, Resolve(_consent)],
    ctx: Ctx,
    *,
    site_url: Annotated[
        str | None, Field(max_length=2000, description="The frontend's origin, such as `http://localhost:5173`.")
    ] = None,
    rotate: Annotated[
        bool, Field(description="True replaces keys that exist, after the person agrees: it signs everybody out.")
    ] = False,
) -> AuthSetUp:
    """
    Give the deployment what Convex Auth needs: JWT_PRIVATE_KEY, JWKS and SITE_URL, only what is missing.

    The keys are made here and never shown. Call it once `@convex-dev/auth` is used, then push.
    """
    return await (await services(ctx)).auth_keys.set_up(site_url, rotate=rotate, consented=consent)


TOOLS = (list_env_vars, set_env_vars, request_env_var, unset_env_vars, set_up_auth)
