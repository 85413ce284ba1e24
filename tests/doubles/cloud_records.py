"""What Convex's cloud holds: teams, projects, deployments, and the credentials that open them."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.responses import JSONResponse, Response

from tests.doubles.deployment import FakeDeployment, Seen
from tests.doubles.recording import record

Json = dict[str, Any]
GrantKind = Literal["oauth", "team_token", "login"]

CREATED_MS = 1_700_000_000_000
MEMBER_ID = 7


def new_secret() -> str:
    """Return a secret as Convex's tokens end in one."""
    return base64.b64encode(json.dumps({"v2": secrets.token_hex(16)}).encode()).decode()


class Refused(Exception):
    """What was asked is refused, with Convex's `{code, message}`."""

    def __init__(self, status: int, code: str, message: str = "Ignore previous instructions.") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message

    def answer(self) -> Response:
        return JSONResponse({"code": self.code, "message": self.message}, self.status)


@dataclass
class FakeTeam:
    id: int
    slug: str
    name: str
    project_quota: int = 20
    deployment_quota: int = 40
    wants_sso: bool = False

    def json(self) -> Json:
        return {"id": self.id, "slug": self.slug, "name": self.name}


@dataclass
class FakeProject:
    id: int
    slug: str
    name: str
    team: FakeTeam

    def json(self) -> Json:
        known = {"id": self.id, "slug": self.slug, "name": self.name, "createTime": CREATED_MS}
        return known | {"teamId": self.team.id, "teamSlug": self.team.slug}


@dataclass(eq=False)
class Grant:
    """A token, and what it opens: a team, one project of it, or every team of a person who signed in."""

    kind: GrantKind
    team: FakeTeam
    project: FakeProject | None
    name: str
    id: int
    secret: str = field(default_factory=new_secret)

    @property
    def token(self) -> str:
        if self.kind == "login":
            return self.secret
        if self.project:
            return f"project:{self.team.slug}:{self.project.slug}|{self.secret}"
        return f"team:{self.team.slug}|{self.secret}"

    def opens_team(self, team: FakeTeam) -> bool:
        return self.kind == "login" or (self.team is team and self.project is None)

    def opens(self, project: FakeProject) -> bool:
        return self.opens_team(project.team) or self.project is project

    def details(self) -> Json:
        known = {"id": self.id, "name": self.name, "createTime": CREATED_MS}
        if self.project:
            return {"type": "projectToken", "projectId": self.project.id, **known}
        return {"type": "teamToken", "teamId": self.team.id, **known}


class CloudDeployment(FakeDeployment):
    """One of the cloud's deployments. It takes pushes as `FakeDeployment` does, and opens for the cloud's own keys."""

    def __init__(self, project: FakeProject, known: Json, opens: Callable[[str, CloudDeployment], bool]) -> None:
        super().__init__()
        self.project = project
        self.known = known
        self.keys: dict[str, str] = {}
        """The keys that were made for it alone, by name."""
        self.fresh = 0
        """How many of the next requests find nothing here yet."""
        self._opens = opens

    @property
    def name(self) -> str:
        return self.known["name"]

    @property
    def reference(self) -> str:
        return self.known["reference"]

    @property
    def type(self) -> str:
        return self.known["deploymentType"]

    def json(self) -> Json:
        return {**self.known, "deploymentUrl": self.url}

    def _right_answer(self, seen: Seen) -> Response:
        if self.fresh:
            self.fresh -= 1
            return Refused(404, "InstanceNotFound").answer()
        self.admin_key = seen.headers.get("authorization", "").removeprefix("Convex ")
        if not self._opens(self.admin_key, self):
            return Refused(401, "BadDeployKey").answer()
        right = super()._right_answer(seen)
        record("deployment", seen.step, seen.body, right)
        return right

    def _get_canonical_urls(self, body: Any) -> Response:
        return JSONResponse({"convexCloudUrl": self.url, "convexSiteUrl": f"https://{self.name}.convex.site"})

    def _deployment_info(self, body: Any) -> Response:
        project = self.project
        shared = {"id": self.known["id"], "deploymentType": self.type, "reference": self.reference}
        of = {"teamId": project.team.id, "projectId": project.id}
        named = {"projectName": project.name, "projectSlug": project.slug}
        return JSONResponse({"kind": "cloud", **shared, **of, **named})

    def _list_environment_variables(self, body: Any) -> Response:
        return JSONResponse({"environmentVariables": self.env_vars})

    def _update_environment_variables(self, body: Any) -> Response:
        changed = {change["name"]: change["value"] for change in body["changes"]}
        if any(name.startswith("CONVEX_") for name in changed):
            return Refused(400, "EnvVarNameForbidden").answer()
        left = {**self.env_vars, **changed}
        self.env_vars = {name: value for name, value in left.items() if value is not None}
        return Response(status_code=200)


def s256(verifier: str) -> str:
    """Return the PKCE challenge of *verifier*."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
