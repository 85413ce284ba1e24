"""The records that the store's tests keep."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from pydantic import SecretBytes, SecretStr

from mcp_convex.domain.models import PrincipalId, Target, WorkspaceId
from mcp_convex.domain.ports import Reach
from mcp_convex.domain.pushes import Diagnostic, PushRecord, PushResult
from mcp_convex.domain.secrets import AdminKeyValue

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
