"""The records that the store's tests keep."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from pydantic import SecretBytes, SecretStr

from mcp_convex.domain.audit import AuditEvent
from mcp_convex.domain.connections import (
    Connection,
    ConnectionId,
    ConnectionState,
    OAuthFlow,
    PendingPage,
    ProvisioningRun,
    ProvisioningStep,
    Team,
    TeamId,
)
from mcp_convex.domain.models import PrincipalId, Target, WorkspaceId
from mcp_convex.domain.ports import Reach
from mcp_convex.domain.pushes import Diagnostic, PushRecord, PushResult
from mcp_convex.domain.secrets import AccessTokenValue, AdminKeyValue, VerifierValue

ADA, BOB = PrincipalId("ada"), PrincipalId("bob")
CHAT, SHOP = WorkspaceId("chat"), WorkspaceId("shop")
CANARY = "happy-otter-123|0123canary4567"


def new_key() -> SecretBytes:
    return SecretBytes(os.urandom(32))


def reach(name: str = "convex.example.com", key: str = CANARY) -> Reach:
    target = Target(kind="self_hosted", name=name, type="dev", url=f"https://{name}")
    return Reach(target, AdminKeyValue(SecretStr(key)))


def push(number: int, workspace: WorkspaceId = CHAT, *, note: str = "") -> PushRecord:
    result = PushResult(
        outcome="rejected",
        id=f"push{number:04}",
        stage="type check",
        failure="source",
        next_step="Repair it.",
        duration_s=1.5,
        diagnostics=(Diagnostic(file="convex/a.ts", line=1, code="TS2322", message=f"no {note}", source="tsc"),),
    )
    started = datetime(2026, 8, 1, tzinfo=UTC) + timedelta(seconds=number)
    return PushRecord(id=result.id, workspace=workspace, started_at=started, result=result)


TOKEN_CANARY = "team:acme|eyJ2MiI6canarytoken"
VERIFIER_CANARY = "canary-verifier-0123456789"
NOW = datetime.now(UTC)
SOON = NOW + timedelta(days=1)  # longer than any run of the suite, which may take this module in long before a test
PAST = NOW - timedelta(seconds=1)


def connection(name: str = "first", state: ConnectionState = "connected", *, started: datetime = NOW) -> Connection:
    team = Team(id=TeamId(7), slug="acme", name="Acme Ünïcödé")
    return Connection(
        id=ConnectionId(name), scope="team", grant="oauth", state=state, team=team, started_at=started, retryable=True
    )


def token(text: str = TOKEN_CANARY) -> AccessTokenValue:
    return AccessTokenValue(SecretStr(text))


def page(handle: str, *, expires: datetime = SOON) -> PendingPage:
    return PendingPage(
        handle=handle,
        purpose="env_var",
        workspace=CHAT,
        subject={"name": "OPENAI_API_KEY"},
        created_at=NOW,
        expires_at=expires,
    )


def flow(state: str, connection: str = "first", *, expires: datetime = SOON) -> OAuthFlow:
    return OAuthFlow(
        state=state,
        connection=ConnectionId(connection),
        browser="0" * 64,
        redirect_uri="http://127.0.0.1/callback",
        expires_at=expires,
    )


def verifier(text: str = VERIFIER_CANARY) -> VerifierValue:
    return VerifierValue(SecretStr(text))


def run(name: str = "chat", step: ProvisioningStep = "creating_project", *, number: int = 1) -> ProvisioningRun:
    return ProvisioningRun(
        id=f"run{number}",
        workspace=CHAT,
        connection=ConnectionId("first"),
        name=name,
        step=step,
        reference="dev/mcp-1",
        updated_at=NOW,
    )


def event(number: int, *, at: datetime = NOW) -> AuditEvent:
    return AuditEvent(at=at, tool=f"tool{number}", arguments="ab12", outcome="ok", duration_s=0.5)
