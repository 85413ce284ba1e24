"""
Asking the person a yes or no before something that cannot be undone, as a resolver of a tool's parameter.

Only a plain question goes this way. What is secret is never asked in a form.
"""

from __future__ import annotations

from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult
from pydantic import BaseModel, Field

from mcp_convex.boundary.spec import Ctx
from mcp_convex.domain.errors import CannotAsk, Declined

__all__ = ["Consent", "Elicit", "ElicitationResult", "ask_consent", "can_ask", "consented", "said_yes"]


class Consent(BaseModel):
    """The person's answer."""

    proceed: bool = Field(title="Go on?", description="Yes goes on; no changes nothing.")


def ask_consent(ctx: Ctx, question: str, *, otherwise: CannotAsk) -> Elicit[Consent]:
    """
    Return the question for the person.

    Raises:
        CannotAsk: *otherwise*, since the client cannot show a form.
    """
    if can_ask(ctx):
        return Elicit(question, Consent)
    raise otherwise


def can_ask(ctx: Ctx) -> bool:
    """Say whether the client can show a form."""
    able = ctx.client_capabilities
    # Clients from before URL elicitation declare `{}` and mean forms.
    return bool(able and able.elicitation and (able.elicitation.form is not None or able.elicitation.url is None))


def said_yes(answer: ElicitationResult[Consent]) -> bool:
    """Say whether the answer is a yes."""
    return isinstance(answer, AcceptedElicitation) and answer.data.proceed


def consented(answer: ElicitationResult[Consent]) -> bool:
    """
    Return True for a yes.

    Raises:
        Declined: The person said no, or closed the question.
    """
    if said_yes(answer):
        return True
    raise Declined("The person said no.", next_step="Leave it as it is, and ask them before you try again.")
