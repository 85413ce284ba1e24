"""Who is asked over HTTP, a deployment or Convex's management API, and in which words their failures are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mcp_convex.domain import errors


@dataclass(frozen=True, slots=True)
class Said:
    """The two halves of an error."""

    message: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One side of a conversation over HTTP."""

    subject: str
    scheme: str
    """How the `Authorization` header begins."""
    rejected: Said
    forbidden: Said
    absent: Said
    malformed: Said
    if_silent: str
    """The next step where no answer came."""
    if_lost: str
    """The next step where the call may have taken effect."""
    refusals: Mapping[str, tuple[type[errors.ConvexMcpError], Said]] = field(
        default_factory=dict[str, tuple[type[errors.ConvexMcpError], Said]]
    )
    """What it refuses by name: the `code` of its answer, which is all that is read of that."""


DEPLOYMENT = Peer(
    subject="The deployment",
    scheme="Convex",
    rejected=Said(
        "The deployment does not accept the stored key.",
        "Ask the person to link the deployment again with `mcp-convex connect`.",
    ),
    forbidden=Said(
        "The stored key may not do this on the deployment.",
        "Ask the person to link the deployment again with a key that may.",
    ),
    absent=Said(
        "The deployment does not know `{path}`.",
        "Ask the person whether the URL is a Convex deployment's, and a recent one.",
    ),
    malformed=Said(
        "The deployment's URL or key is malformed.",
        "Ask the person to run `mcp-convex connect` with the URL and key that the deployment shows.",
    ),
    if_silent="Try the same call again in a few seconds. If it keeps happening, ask the person whether it runs.",
    if_lost="Look at the data or the logs before calling again.",
)

_REJECTED = Said("Convex does not accept the token: it is mistyped, expired or revoked.", "Call `connect` again.")
_NO_PROJECT = Said("Convex knows no such project, or none that this connection opens.", "Call `list_projects`.")

CLOUD = Peer(
    subject="Convex",
    scheme="Bearer",
    rejected=_REJECTED,
    forbidden=Said(
        "This connection may not do that at Convex.",
        "Ask the person to `connect` again, with the scope `team` or as a member who may.",
    ),
    absent=_NO_PROJECT,
    malformed=Said("Convex's address or the connection's token is malformed.", "Call `connect` again."),
    if_silent="Try the same call again in a few seconds. If it keeps happening, ask the person whether this machine"
    " can reach Convex.",
    if_lost="Make the same call again: what was made is found, and not made twice.",
    refusals=MappingProxyType(
        {
            "ProjectQuotaReached": (
                errors.QuotaReached,
                Said(
                    "The team has as many projects as its plan allows.",
                    "Use one that exists, with `list_projects` and `link_project`,"
                    " or ask the person to delete one or to change the plan.",
                ),
            ),
            "DeploymentQuotaReached": (
                errors.QuotaReached,
                Said(
                    "The team has as many deployments as its plan allows.",
                    "Use one that exists, with `list_deployments` and `link_project`,"
                    " or ask the person to delete one or to change the plan.",
                ),
            ),
            "SSORequired": (
                errors.SsoRequired,
                Said(
                    "The team wants its members to sign in by single sign-on.",
                    "Ask the person to sign in to the Convex dashboard by single sign-on, then call `connect` again.",
                ),
            ),
            "TeamNotFound": (
                errors.NotFound,
                Said("Convex knows no such team, or this connection is of another one.", "Call `connect` again."),
            ),
            "ProjectNotFound": (errors.NotFound, _NO_PROJECT),
            "DeploymentNotFound": (
                errors.NotFound,
                Said("Convex knows no such deployment.", "Call `list_deployments` to see what there is."),
            ),
            "AccessTokenInvalid": (errors.CredentialRejected, _REJECTED),
        }
    ),
)
