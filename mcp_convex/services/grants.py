"""How a connection comes to hold a token, once its person agrees on our page: the page's side of connecting."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import SecretStr

from mcp_convex.domain.connections import Connection, ConnectionId, Grant, OAuthFlow, PendingPage, Project, Team
from mcp_convex.domain.errors import (
    ActionNotAllowed,
    BlockedByPolicy,
    ConvexMcpError,
    CredentialRejected,
    InvalidArguments,
    NotConnected,
    NotFound,
    SettingsInvalid,
    SsoRequired,
    UnexpectedAnswer,
)
from mcp_convex.domain.models import PrincipalId, Target
from mcp_convex.domain.ports import CliLogin, ConnectionStore, ManagementApi, OAuthApi, PageStore
from mcp_convex.domain.secrets import AccessTokenValue, AdminKeyValue, VerifierValue, shape_of
from mcp_convex.services.pages import utc_now
from mcp_convex.services.targets import TargetService

FLOW_LIFE = timedelta(minutes=10)
DECLINED = "The person declined."

Way = Literal["oauth", "cli_login", "team_token", "deploy_key"]

_LASTING = (ActionNotAllowed, BlockedByPolicy, SettingsInvalid, UnexpectedAnswer)
"""What connecting once more does not mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPorts:
    """What granting needs of the outside."""

    connections: ConnectionStore
    flows: PageStore
    management: ManagementApi
    oauth: OAuthApi | None
    """None where the operator has no OAuth application."""
    cli_login: CliLogin | None = None
    """None where this machine's person is not the principal, or the login is for another host."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a page for connecting can offer its person."""

    connection: Connection
    ways: tuple[Way, ...]


class GrantService:
    def __init__(
        self,
        ports: GrantPorts,
        targets: TargetService,
        *,
        callback_url: str,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._ports = ports
        self._targets = targets
        self._callback_url = callback_url
        self._now = now

    async def offer(self, principal: PrincipalId, page: PendingPage) -> Offer:
        """
        Return what *page* is about and which ways lead there.

        Raises:
            NotFound: Its connection has been given up.
        """
        return Offer(await self.find(principal, page.subject["connection"]), self._ways())

    async def find(self, principal: PrincipalId, id_: str) -> Connection:
        """
        Return one connection.

        Raises:
            NotFound: This principal has none with that id.
        """
        for connection in await self._ports.connections.list(principal):
            if connection.id == id_:
                return connection
        raise NotFound("That connection was given up.", next_step="Ask for a new link.")

    async def authorize(self, principal: PrincipalId, page: PendingPage, *, browser: str) -> str:
        """
        Begin the way to Convex's authorize page, and return its URL; *browser* is who must come back.

        Raises:
            NotFound: The connection has been given up, or there is no OAuth application.
        """
        connection = await self.find(principal, page.subject["connection"])
        oauth = self._oauth()
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        started_at = self._now()
        flow = OAuthFlow(
            state=state,
            connection=connection.id,
            browser=browser,
            redirect_uri=self._callback_url,
            expires_at=started_at + FLOW_LIFE,
        )
        await self._ports.flows.add_flow(principal, flow, VerifierValue(SecretStr(verifier)))
        begun = {"state": "connecting", "started_at": started_at, "reason": None, "ended_at": None}
        await self._ports.connections.put(principal, connection.model_copy(update=begun))
        return oauth.authorize_url(
            scope=connection.scope, redirect_uri=flow.redirect_uri, state=state, challenge=_challenge(verifier)
        )

    async def finish(self, principal: PrincipalId, state: str, code: str | None, *, browser: str) -> Connection:
        """
        Take up the way back from Convex, and return the connection, connected or failed.

        Raises:
            NotFound: The way back was used, has expired, or is another principal's; or the connection was given up.
        """
        owner, flow, verifier = await self._ports.flows.take_flow(state)
        if owner != principal:
            raise NotFound("This way back from Convex is not yours.", next_step="Ask for a new link.")
        if not hmac.compare_digest(flow.browser, browser):
            return await self._fail(principal, flow.connection, "The person came back from Convex in another browser.")
        if code is None:
            return await self._fail(principal, flow.connection, "Convex did not grant access.")
        try:
            token = await self._oauth().exchange(code, redirect_uri=flow.redirect_uri, verifier=verifier)
            return await self._hold(principal, flow.connection, token, "oauth")
        except ConvexMcpError as exc:
            return await self._fail(principal, flow.connection, in_words(exc), retryable=not isinstance(exc, _LASTING))

    async def refuse(self, principal: PrincipalId, page: PendingPage) -> Connection:
        """
        Record that the person does not want to connect.

        Raises:
            NotFound: The connection has been given up.
        """
        return await self._fail(principal, ConnectionId(page.subject["connection"]), DECLINED)

    async def teams_of_cli_login(self) -> tuple[Team, ...]:
        """
        Return the teams that the login of Convex's CLI opens. Call it only with the person's consent.

        Raises:
            NotConnected: There is none.
            ConvexMcpError: Convex did not accept it, or could not be asked.
        """
        teams, _ = await self._ports.management.details(await self._cli_login())
        return teams

    async def use_cli_login(self, principal: PrincipalId, page: PendingPage, team: str | None = None) -> Connection:
        """
        Connect with the login that Convex's CLI keeps, to the team with the id *team*, or to the only one.

        Raises:
            NotConnected: There is none.
            InvalidArguments: It opens several teams and *team* is none of them.
            ConvexMcpError: Convex did not accept it, or could not be asked. Nothing was stored.
        """
        token, id_ = await self._cli_login(), ConnectionId(page.subject["connection"])
        return await self._hold(principal, id_, token, "cli_login", team=team)

    async def use_token(self, principal: PrincipalId, page: PendingPage, token: SecretStr) -> Connection:
        """
        Connect with a token that the person typed.

        Raises:
            ConvexMcpError: Convex did not accept it, or could not be asked. Nothing was stored.
        """
        return await self._hold(
            principal, ConnectionId(page.subject["connection"]), AccessTokenValue(token), "team_token"
        )

    async def use_key(self, principal: PrincipalId, page: PendingPage, url: str, key: SecretStr) -> Target:
        """
        Make a deployment the workspace's target, with a key that the person typed, and connect no account.

        Convex tells the URL for a deploy key; other keys are for the deployment at *url*.

        Raises:
            ConvexMcpError: *url* is not a deployment's, is for production, or refused the key. Nothing was stored.
        """
        target = await self._link(AdminKeyValue(key), url)
        await self._ports.connections.delete(principal, ConnectionId(page.subject["connection"]))
        return target

    async def take(self, principal: PrincipalId, given: SecretStr, url: str | None = None) -> Connection | Target:
        """
        Connect with a token, or link the workspace by a key: *given* by the person, and known by its shape.

        Convex tells the URL for a deploy key; other keys need the *url*.

        Raises:
            InvalidArguments: The *url* is missing.
            BlockedByPolicy: It is for production. Nothing was stored.
            ConvexMcpError: It was not accepted, or nobody could be asked. Nothing was stored.
        """
        if url is None and shape_of(given) == "access_token":
            return await self._connect(principal, AccessTokenValue(given))
        return await self._link(AdminKeyValue(given), url)

    async def _link(self, key: AdminKeyValue, url: str | None) -> Target:
        self._targets.check_key(key)
        if not url and shape_of(key) != "deploy_key":
            raise InvalidArguments("That key does not say which deployment it opens.", next_step="Give its URL, too.")
        return await self._targets.link(url or await self._ports.management.deployment_url(key), key)

    async def _connect(self, principal: PrincipalId, token: AccessTokenValue) -> Connection:
        """Connect with a token for which no page was opened."""
        id_, started_at = new_connection_id(), self._now()
        begun = Connection(id=id_, scope="team", grant="team_token", state="connecting", started_at=started_at)
        return await self._keep(principal, begun, token, await self._opened(token))

    async def _cli_login(self) -> AccessTokenValue:
        if self._ports.cli_login is None:
            raise NotConnected("There is no login of the Convex CLI here.", next_step="Choose another way.")
        return await self._ports.cli_login.read()

    def _ways(self) -> tuple[Way, ...]:
        if self._ports.oauth is not None:
            return ("oauth",)
        login = self._ports.cli_login
        return (*(("cli_login",) if login is not None and login.exists() else ()), "team_token", "deploy_key")

    def _oauth(self) -> OAuthApi:
        if self._ports.oauth is None:
            raise NotFound("This server has no OAuth application.", next_step="Choose another way.")
        return self._ports.oauth

    async def _hold(
        self,
        principal: PrincipalId,
        id_: ConnectionId,
        token: AccessTokenValue,
        grant: Grant,
        *,
        team: str | None = None,
    ) -> Connection:
        opened = await self._opened(token, team)
        # Looked up after the calls to Convex: the agent may have disconnected in the meantime.
        connection = await self.find(principal, id_)
        return await self._keep(principal, connection.model_copy(update={"grant": grant}), token, opened)

    async def _opened(self, token: AccessTokenValue, team: str | None = None) -> tuple[Team, Project | None]:
        """Return the one team, and for a grant of that size the project, that *token* is to open."""
        teams, project = await self._ports.management.details(token)
        chosen = [one for one in teams if team in {None, str(one.id)}]
        if len(chosen) != 1:
            raise InvalidArguments(
                "That token opens several teams, and none of them was chosen.",
                next_step="Use the access token of one team: Convex dashboard, Team Settings, Access tokens.",
            )
        return chosen[0], project

    async def _keep(
        self,
        principal: PrincipalId,
        connection: Connection,
        token: AccessTokenValue,
        opened: tuple[Team, Project | None],
    ) -> Connection:
        team, project = opened
        connected = {
            "grant": connection.grant,
            "state": "connected",
            "scope": "team" if project is None else "project",
            "team": team,
            "project": project,
            "reason": None,
            "retryable": False,
            "ended_at": self._now(),
        }
        for known in await self._ports.connections.list(principal):
            if known.id != connection.id and known.team and (known.team.id, known.project) == (team.id, project):
                # One connection a team or project: the deployments that came through it stay linked.
                await self._ports.connections.delete(principal, connection.id)
                connection = known
        held = connection.model_copy(update=connected)
        await self._ports.connections.put_token(principal, held, token)
        return held

    async def _fail(
        self, principal: PrincipalId, id_: ConnectionId, reason: str, *, retryable: bool = True
    ) -> Connection:
        connection = await self.find(principal, id_)
        if connection.state != "connecting":
            return connection  # another way has led there meanwhile
        update = {"state": "failed", "reason": reason, "retryable": retryable, "ended_at": self._now()}
        failed = connection.model_copy(update=update)
        await self._ports.connections.put(principal, failed)
        return failed


def in_words(exc: ConvexMcpError) -> str:
    """Return what the person, not the agent, should know of *exc*."""
    match exc:
        case CredentialRejected():
            return "Convex did not accept it: it is mistyped, expired, used before or revoked."
        case SsoRequired():
            return "Your team wants you to sign in to Convex by single sign-on first."
        case _ if exc.retry == "same_call":
            return "Convex did not answer. Nothing was changed."
        case _:
            return exc.message


def new_connection_id() -> ConnectionId:
    return ConnectionId(secrets.token_urlsafe(12))


def _challenge(verifier: str) -> str:
    """Return the S256 challenge of RFC 7636 (43 characters)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
