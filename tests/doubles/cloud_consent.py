"""Convex's page on which a person gives an OAuth application access, and the exchange of the code for a token."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from tests.doubles.cloud_records import Refused, s256

if TYPE_CHECKING:
    from tests.doubles.cloud import FakeCloud

CODE_LIVES_S = 600
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass
class Code:
    """What a code stands for, until it is exchanged."""

    scope: str
    choice: str
    redirect_uri: str
    challenge: str | None
    expires_s: float


@dataclass
class Consent:
    """The OAuth application of the operator, and the codes that were given to it."""

    cloud: FakeCloud
    client_id: str = "canary-client-id"
    client_secret: str = "canary-client-secret-0123456789"
    redirect_uris: set[str] = field(default_factory=set)
    unverified: bool = False
    """The application is not verified, and has reached as many teams as it may."""
    codes: dict[str, Code] = field(default_factory=dict)
    skipped_s: float = 0
    """How far the cloud's clock runs ahead."""

    async def page(self, request: Request) -> Response:
        """Show the choice, or what is wrong: Convex tells the person, and never redirects with an error."""
        scope, asked = request.path_params["scope"], dict(request.query_params)
        if wrong := self._wrong(asked):
            return _html("Cannot authorize", f"<p role='alert'>{escape(wrong)}</p>", 400)
        hidden = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in asked.items())
        options = "".join(f"<option>{escape(choice)}</option>" for choice in self._choices(scope))
        return _html(
            "Authorize application",
            f'<form method="post">{hidden}<label for="choice">{scope.title()}</label>'
            f'<select id="choice" name="choice">{options}</select>'
            '<button name="action" value="authorize">Authorize</button>'
            '<button name="action" value="cancel">Cancel</button></form>',
        )

    async def decide(self, request: Request) -> Response:
        """Redirect with a code, or show that nothing was given."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        if form.get("action") != "authorize":
            return _html("Cancelled", "<p>No access was given. You can close this page.</p>")
        scope = request.path_params["scope"]
        if self._wrong(form) or form["choice"] not in self._choices(scope):
            return _html("Cannot authorize", "<p role='alert'>The request is malformed.</p>", 400)
        code, redirect_uri = secrets.token_hex(16), form["redirect_uri"]
        expires_s = self.now_s() + CODE_LIVES_S
        self.codes[code] = Code(scope, form["choice"], redirect_uri, form.get("code_challenge"), expires_s)
        query = {"code": code} | ({"state": form["state"]} if "state" in form else {})
        # As Convex does it: a query that the redirect URI had is gone.
        target = urlunsplit(urlsplit(redirect_uri)._replace(query=urlencode(query)))
        return RedirectResponse(target, 303, headers={"Cache-Control": "no-store"})

    def token(self, form: Mapping[str, str]) -> Response:
        """Exchange a code, once."""
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            raise Refused(401, "InvalidClientCredentials")
        if form.get("grant_type") != "authorization_code":
            raise Refused(400, "UnsupportedGrantType")
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.expires_s < self.now_s():
            raise Refused(400, "InvalidCode")
        if form.get("redirect_uri") != code.redirect_uri:
            raise Refused(400, "RedirectUriMismatch")
        if code.challenge is not None and s256(form.get("code_verifier", "")) != code.challenge:
            raise Refused(400, "InvalidCodeVerifier")
        return JSONResponse({"access_token": self._grant(code), "token_type": "bearer"})

    def now_s(self) -> float:
        return time.time() + self.skipped_s

    def _grant(self, code: Code) -> str:
        slug, _, project_slug = code.choice.partition("/")
        team = next(team for team in self.cloud.teams if team.slug == slug)
        projects = (one for one in self.cloud.projects.values() if (one.team, one.slug) == (team, project_slug))
        return self.cloud.grant("oauth", team, next(projects, None)).token

    def _choices(self, scope: str) -> list[str]:
        if scope == "team":
            return [team.slug for team in self.cloud.teams]
        return [f"{project.team.slug}/{project.slug}" for project in self.cloud.projects.values()]

    def _wrong(self, asked: Mapping[str, Any]) -> str | None:
        challenge, method = asked.get("code_challenge"), asked.get("code_challenge_method")
        faults = {
            "There is no such application.": asked.get("client_id") != self.client_id,
            "This application is not verified and has reached its limit of teams.": self.unverified,
            "The redirect URI is not one of this application's.": asked.get("redirect_uri") not in self.redirect_uris,
            "The response type is not `code`.": asked.get("response_type") != "code",
            "The code challenge method is not S256.": (method == "S256") != (challenge is not None),
            "The code challenge has not 43 characters.": challenge is not None and not _CHALLENGE.fullmatch(challenge),
        }
        return next((said for said, is_so in faults.items() if is_so), None)


def _html(title: str, body: str, status: int = 200) -> Response:
    page = f'<!doctype html><html lang="en"><title>{title}</title><h1>{title}</h1>{body}</html>'
    return HTMLResponse(page, status)
