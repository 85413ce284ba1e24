"""
Asking a person to open a page, in whichever way the client has: MCP's URL elicitation, of both eras, or a link.

No secret goes this way. What the person says or types, they say on the page.
"""

from __future__ import annotations

import secrets

import anyio
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp.types import ElicitRequest, ElicitRequestURLParams, ElicitResult, InputRequiredResult
from mcp_types.version import is_version_at_least

from mcp_convex.boundary.spec import Ctx
from mcp_convex.domain.errors import Declined
from mcp_convex.services.errands import Errand, Opened, T

WAIT_S = 15.0
"""Seconds to wait for the person once they have the link; then the agent looks again by itself."""
ANSWER_S = 20.0
"""Seconds after which a call has its answer, wherever the person is."""

_SESSIONLESS = "2026-07-28"
_PAGE = "page"

__all__ = ["InputRequiredResult", "ask", "client_name"]


async def ask(ctx: Ctx, errand: Errand[T]) -> T | InputRequiredResult:
    """
    Get the errand's link to the person, wait a little, and return how far they have come.

    An `InputRequiredResult` is for the client (2026-07-28): it shows the link, and calls again.

    Raises:
        Declined: The person would not open the link.
    """
    if ctx.request_state is not None:
        return await _asked_before(ctx, errand, ctx.request_state)
    opened = await errand.begin()
    if not _shows_links(ctx):
        return await _with_link(errand, opened)
    if is_version_at_least(ctx.protocol_version or "", _SESSIONLESS):
        # The id of an elicitation is the handshake era's; here the state leads back.
        params = ElicitRequestURLParams(message=errand.why, url=opened.link)
        return InputRequiredResult(request_state=opened.id, input_requests={_PAGE: ElicitRequest(params=params)})
    if ctx.session.can_send_request:
        return await _ask_now(ctx, errand, opened)
    raise UrlElicitationRequiredError(
        [ElicitRequestURLParams(message=errand.why, url=opened.link, elicitation_id=_elicitation_id())]
    )


def client_name(ctx: Ctx) -> str:
    """Return what the client calls itself, which is its own claim."""
    params = ctx.session.client_params
    return "" if params is None else params.client_info.title or params.client_info.name


def _shows_links(ctx: Ctx) -> bool:
    able = ctx.client_capabilities
    return bool(able and able.elicitation and able.elicitation.url is not None)


async def _asked_before(ctx: Ctx, errand: Errand[T], id_: str) -> T:
    answer = (ctx.input_responses or {}).get(_PAGE)
    if isinstance(answer, ElicitResult):
        await _check(answer.action, errand, id_)
    return await errand.outcome(id_, WAIT_S)


async def _ask_now(ctx: Ctx, errand: Errand[T], opened: Opened) -> T:
    elicitation_id = _elicitation_id()
    with anyio.move_on_after(ANSWER_S):
        answer = await ctx.elicit_url(errand.why, opened.link, elicitation_id)
        await _check(answer.action, errand, opened.id)
        outcome = await errand.outcome(opened.id, WAIT_S)
        if not outcome.waiting:
            await ctx.session.send_elicit_complete(elicitation_id, related_request_id=ctx.request_id)
        return outcome
    return await _with_link(errand, opened)


def _elicitation_id() -> str:
    return secrets.token_urlsafe(12)


async def _with_link(errand: Errand[T], opened: Opened) -> T:
    outcome = await errand.outcome(opened.id, 0)
    return outcome.model_copy(update={"link": opened.link})


async def _check(action: str, errand: Errand[T], id_: str) -> None:
    if action != "accept":
        await errand.declined(id_)
        raise Declined(
            "The person did not open the link.", next_step="Ask them whether to go on; if so, call this tool again."
        )
