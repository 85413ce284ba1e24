"""A gate, a deployment behind it, and the CLI's part of a push, spoken by hand."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import brotli
import httpx2
import pytest

from mcp_convex.broker import LocalGate, Tuning
from mcp_convex.domain.models import ConvexFunction
from mcp_convex.domain.ports import GateSession, PushTerms
from tests.doubles.deployment import FakeDeployment, fake_deployment
from tests.doubles.projects import convex_project

__all__ = ["convex_project"]

MODULE = """\
// convex/messages.ts
var r = e({});
export {
  r as list
};
"""
SOURCE_MAP = json.dumps({"version": 3, "sources": ["../convex/messages.ts"], "mappings": "", "names": []})


def module(path: str = "messages.js", source: str = MODULE, source_map: str | None = SOURCE_MAP) -> dict[str, Any]:
    return {"path": path, "source": source, "sourceMap": source_map, "environment": "isolate"}


@dataclass
class Cli:
    """Speaks as `convex dev --once` does."""

    session: GateSession
    http: httpx2.AsyncClient
    stages: list[str]
    started: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.session.placeholder.get_secret_value()

    async def ask(self, path: str, body: Any = None, *, key: str | None = None, br: bool = False) -> httpx2.Response:
        headers = {"Authorization": f"Convex {key or self.key}", "Convex-Client": "npm-cli-1.48.0"}
        headers |= {"traceparent": "00-x", "sentry-trace": "y", "baggage": "z"}
        if body is None:
            return await self.http.get(self.session.url + path, headers=headers)
        content = json.dumps(body, separators=(",", ":")).encode()
        if br:
            content = brotli.compress(content, quality=4)
            headers["Content-Encoding"] = "br"
        return await self.http.post(self.session.url + path, content=content, headers=headers)

    async def canonical_urls(self) -> httpx2.Response:
        return await self.ask("/api/v1/get_canonical_urls")

    async def config_hashes(self) -> httpx2.Response:
        return await self.ask("/api/get_config_hashes", {"version": "1.48.0", "adminKey": self.key})

    async def start_push(self, *modules: dict[str, Any], **members: Any) -> httpx2.Response:
        app = {"definition": None, "dependencies": [], "schema": None, "udfServerVersion": "1.48.0"}
        app |= {"changedModules": list(modules) or [module()], "unchangedModuleHashes": []}
        body = {"adminKey": self.key, "dryRun": False, "functions": "convex/", "appDefinition": app}
        body |= {"componentDefinitions": [], "nodeDependencies": []} | members
        answer = await self.ask("/api/deploy2/start_push", body, br=True)
        self.started = answer.json()
        return answer

    async def wait_for_schema(self) -> httpx2.Response:
        body = {"adminKey": self.key, "schemaChange": self.started.get("schemaChange"), "timeoutMs": 10_000}
        return await self.ask("/api/deploy2/wait_for_schema", {**body, "dryRun": False})

    async def finish_push(self) -> httpx2.Response:
        body = {"adminKey": self.key, "startPush": self.started, "dryRun": False, "message": None}
        return await self.ask("/api/deploy2/finish_push", body, br=True)

    async def push(self) -> httpx2.Response:
        """Go as far as the gate lets it; return the last answer."""
        for step in (self.canonical_urls, self.config_hashes, self.start_push, self.wait_for_schema, self.finish_push):
            answer = await step()
            if answer.status_code != 200:
                break
        return answer


@pytest.fixture
async def deployment():
    async with fake_deployment() as deployment:
        yield deployment


@pytest.fixture(scope="session")
async def gate(anyio_backend):
    gate = LocalGate(
        Tuning(patience_s=0.15, first_pause_s=0.01, longest_pause_s=0.02, silence_s=0.6, optional_s=0.6, proof_s=1)
    )
    yield gate
    await gate.aclose()


@pytest.fixture
def opened(gate: LocalGate, deployment: FakeDeployment):
    """Open a session: `async with opened(consented=True) as cli`."""

    @asynccontextmanager
    async def opened(**terms: Any):
        stages: list[str] = []

        async def on_stage(stage):
            stages.append(stage)

        async def live_functions() -> tuple[ConvexFunction, ...] | None:
            return live

        live = terms.get("live_functions")
        terms["live_functions"] = live_functions
        chosen = {"purpose": "push", "reach": deployment.reach, "deadline_s": 20.0} | terms
        async with (
            (await gate.hold()).open(PushTerms(**chosen), on_stage) as session,
            httpx2.AsyncClient(trust_env=False) as http,
        ):
            yield Cli(session, http, stages)

    return opened
